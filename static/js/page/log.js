/** The log on the page: the newest lines only, so that a tab that is open for a month stays small. */

const LINES = 200;
const LENGTH = 500;

export class Log {
  /** @param {HTMLElement} list of lines @param {boolean} verbose whether lines go to the console as well */
  constructor(list, verbose) {
    this.list = list;
    this.verbose = verbose;
  }

  /** @param {string} text */
  add(text) {
    const line = text.length > LENGTH ? `${text.slice(0, LENGTH)} …` : text;
    if (this.verbose) console.info(line);
    const pinned = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 8;
    const item = document.createElement('p');
    const time = document.createElement('time');
    time.textContent = new Date().toTimeString().slice(0, 8);
    item.append(time, ` ${line}`);
    this.list.append(item);
    while (this.list.childElementCount > LINES) this.list.firstElementChild?.remove();
    if (pinned) this.list.scrollTop = this.list.scrollHeight;
  }
}
