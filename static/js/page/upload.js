/** One file that is dropped or chosen, sent to the broker with its progress shown, and known by its digest then. */
import { button, element, html, input } from './elements.js';
import { sizeText } from './bytes.js';

/** @typedef {{file: File, ref: string}} Uploaded */

export class Upload {
  /** @type {XMLHttpRequest | null} */
  #request = null;
  #before = '';

  /**
   * @param {string} name the beginning of the ids of its elements
   * @param {(file: File) => Promise<string>} objection why a file need not be sent at all, or ""
   * @param {(uploaded: Uploaded) => void} done
   */
  constructor(name, objection, done) {
    this.objection = objection;
    this.done = done;
    this.drop = html(`${name}-drop`);
    this.input = input(`${name}-file`);
    this.ref = input(`${name}-ref`);
    this.box = html(`${name}-upload`);
    this.bar = element(`${name}-progress`, HTMLProgressElement);
    this.text = html(`${name}-upload-text`);
    this.error = html(`${name}-error`);
    this.input.onchange = () => void this.#take(this.input.files);
    button(`${name}-abort`).onclick = () => this.#abort();
    this.#listenToDrops();
  }

  get busy() {
    return this.#request !== null;
  }

  #listenToDrops() {
    for (const kind of ['dragenter', 'dragover']) {
      this.drop.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.add('over');
      });
    }
    this.drop.addEventListener('dragleave', () => this.drop.classList.remove('over'));
    this.drop.addEventListener('drop', (event) => {
      event.preventDefault();
      this.drop.classList.remove('over');
      void this.#take(event.dataTransfer?.files ?? null);
    });
  }

  /** @param {FileList | null} files */
  async #take(files) {
    const file = files?.[0];
    this.error.textContent = '';
    if (!file) return;
    const objection = await this.objection(file).catch((error) => `${file.name} can’t be read: ${error.message}`);
    if (objection) return this.#failed(objection);
    if (files.length > 1) this.error.textContent = 'One file at a time: only the first was taken.';
    this.#send(file);
  }

  /** @param {File} file */
  #send(file) {
    this.#request?.abort();
    const request = (this.#request = new XMLHttpRequest());
    request.open('POST', `/api/storage/upload?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = ({ loaded }) => this.#progress(loaded, file.size);
    request.onload = () => this.#answered(request, file);
    request.onerror = () => this.#failed(`${file.name} could not be sent: the broker can’t be reached, or it closed the connection (is the file too large?).`);
    request.onabort = () => this.#failed('');
    this.#before = this.ref.value;
    this.ref.value = '';
    this.box.hidden = false;
    this.#progress(0, file.size);
    request.send(file);
  }

  /** @param {number} sent @param {number} all */
  #progress(sent, all) {
    this.bar.value = all ? sent / all : 1;
    this.text.textContent = sent < all ? `${sizeText(sent)} of ${sizeText(all)}` : 'Storing …';
  }

  /** @param {XMLHttpRequest} request @param {File} file */
  #answered(request, file) {
    const ref = request.responseText.trim();
    if (request.status !== 200 || !/^sha256:[0-9a-f]{64}$/.test(ref)) return this.#failed(`${file.name} was not taken: ${refusal(request)}`);
    this.#request = null;
    this.box.hidden = true;
    this.ref.value = ref;
    this.#label(file.name, ' is stored. Drop or choose another.');
    this.done({ file, ref });
  }

  /** What the field to drop on says. @param {string} strong @param {string} rest */
  #label(strong, rest) {
    const name = document.createElement('strong');
    name.textContent = strong;
    this.drop.querySelector('.call')?.replaceChildren(name, rest);
  }

  /** @param {string} reason */
  #failed(reason) {
    this.#request = null;
    this.box.hidden = true;
    this.input.value = '';
    this.ref.value ||= this.#before;
    this.error.textContent = reason;
  }

  #abort() {
    this.#request?.abort();
  }
}

/** @param {XMLHttpRequest} request */
function refusal(request) {
  const text = request.responseText.trim().slice(0, 300);
  return text || `the broker answered ${request.status} ${request.statusText}`;
}
