/** Words as a shell reads and writes them: quotes and backslashes, no expansion. */

/**
 * @param {string} line
 * @returns {string[]}
 * @throws {Error} in words, when a quote is left open
 */
export function split(line) {
  const words = [];
  let word = '';
  let inWord = false;
  for (let i = 0; i < line.length; i++) {
    const char = line[i];
    if (char === "'" || char === '"') {
      const end = quoted(line, i);
      word += end.text;
      i = end.at;
      inWord = true;
    } else if (char === '\\' && i + 1 < line.length) {
      word += line[++i];
      inWord = true;
    } else if (/\s/.test(char)) {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
    } else {
      word += char;
      inWord = true;
    }
  }
  if (inWord) words.push(word);
  return words;
}

/** @param {string} line @param {number} start of the opening quote */
function quoted(line, start) {
  const quote = line[start];
  let text = '';
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] === quote) return { text, at };
    if (quote === '"' && line[at] === '\\' && /["\\$`]/.test(line[at + 1] ?? '')) at++;
    text += line[at];
  }
  throw new Error(`the quote ${quote} in the arguments is not closed`);
}

/** A word that a POSIX shell reads back as it is. @param {string} word */
export function quote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
