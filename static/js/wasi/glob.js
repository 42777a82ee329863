/** Patterns of paths: `*`, `?` and `[…]` within a name, `**` for any number of directories. Pure. */

/** @typedef {(char: string) => boolean} Test */
/** @typedef {Test | '*'} Token */

/** @param {string} path */
export function isPattern(path) {
  return /[*?[]/.test(path);
}

/**
 * @param {string[]} pattern its components
 * @returns {(path: string[]) => boolean} whether a path matches, or is inside of a directory that does
 */
export function matcher(pattern) {
  const steps = pattern.map((part) => (part === '**' ? null : tokens(part)));
  return (path) => {
    let at = new Set(skip(steps, [0]));
    for (const part of path) {
      if (at.has(steps.length)) return true;
      const next = [];
      for (const step of at) {
        const wanted = steps[step];
        if (wanted === null) next.push(step);
        else if (fits(wanted, [...part])) next.push(step + 1);
      }
      at = new Set(skip(steps, next));
    }
    return at.has(steps.length);
  };
}

/** Where else one may be, as "**" may stand for nothing. @param {(Token[] | null)[]} steps @param {number[]} at */
function skip(steps, at) {
  for (const step of at) if (steps[step] === null) at.push(step + 1);
  return at;
}

/** @param {string} pattern of one name @returns {Token[]} */
function tokens(pattern) {
  const chars = [...pattern];
  /** @type {Token[]} */
  const found = [];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at];
    if (char === '*') {
      if (found.at(-1) !== '*') found.push('*');
    } else if (char === '?') {
      found.push(() => true);
    } else {
      const end = char === '[' ? chars.indexOf(']', at + (chars[at + 1] === '!' ? 3 : 2)) : -1;
      found.push(end < 0 ? (it) => it === char : oneOf(chars.slice(at + 1, end)));
      if (end >= 0) at = end;
    }
  }
  return found;
}

/** @param {string[]} chars between the brackets @returns {Test} */
function oneOf(chars) {
  const not = chars[0] === '!';
  const rest = not ? chars.slice(1) : chars;
  /** @type {[string, string][]} */
  const ranges = [];
  for (let at = 0; at < rest.length; at++) {
    const isRange = rest[at + 1] === '-' && at + 2 < rest.length;
    ranges.push([rest[at], isRange ? rest[at + 2] : rest[at]]);
    if (isRange) at += 2;
  }
  return (it) => ranges.some(([from, to]) => from <= it && it <= to) !== not;
}

/** In as many steps as pattern times name, whatever they are. @param {Token[]} wanted @param {string[]} name */
function fits(wanted, name) {
  let [at, from, star, tried] = [0, 0, -1, 0];
  while (from < name.length) {
    const token = wanted[at];
    if (token === '*') {
      star = at++;
      tried = from;
    } else if (token?.(name[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++tried;
    } else {
      return false;
    }
  }
  return wanted.slice(at).every((token) => token === '*');
}
