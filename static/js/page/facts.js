/** What a .wasm file says about itself: size, digest, imports and exports, shown on the page. */
import { element, html, say } from './elements.js';
import { sizeText } from './bytes.js';

/** @param {File} file */
export async function showFacts(file) {
  html('program-facts').hidden = false;
  say(html('fact-name'), file.name);
  say(html('fact-size'), sizeText(file.size));
  html('fact-imports').hidden = html('fact-exports').hidden = true;
  const module = await WebAssembly.compile(await file.arrayBuffer());
  list('fact-imports', 'Imports', WebAssembly.Module.imports(module));
  list('fact-exports', 'Exports', WebAssembly.Module.exports(module).map((it) => ({ ...it, module: '' })));
  return module;
}

/**
 * What keeps a module from being run as a task, in words; "" when nothing does.
 * @param {WebAssembly.Module} module
 */
export function obstacle(module) {
  const start = WebAssembly.Module.exports(module).find(({ name }) => name === '_start');
  const foreign = [...new Set(WebAssembly.Module.imports(module).map((it) => it.module))].filter((name) => name !== 'wasi_snapshot_preview1');
  if (foreign.length) return `It imports from ${foreign.join(', ')}: only wasi_snapshot_preview1 is offered here, so it will not run.`;
  if (start?.kind !== 'function') return 'It exports no _start function: build it as a program (a WASI command), not as a library.';
  return '';
}

/** @param {string} id @param {string} title @param {{module: string, name: string, kind: string}[]} items */
function list(id, title, items) {
  const details = element(id, HTMLDetailsElement);
  details.hidden = false;
  say(/** @type {HTMLElement} */ (details.querySelector('summary')), `${title} (${items.length})`);
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const { module, name, kind } of items) {
    const text = kind === 'function' ? name : `${name} (${kind})`;
    groups.set(module, [...(groups.get(module) ?? []), text]);
  }
  details.querySelector('div')?.replaceChildren(...[...groups].flatMap(([module, names]) => group(module, names)));
}

const SHOWN = 200;

/** @param {string} module @param {string[]} names */
function group(module, names) {
  const heading = document.createElement('h4');
  heading.textContent = module;
  const items = document.createElement('p');
  items.append(
    ...names.slice(0, SHOWN).map((name) => {
      const code = document.createElement('code');
      code.textContent = name.slice(0, 100);
      return code;
    }),
  );
  if (names.length > SHOWN) items.append(` and ${names.length - SHOWN} more`);
  return module ? [heading, items] : [items];
}
