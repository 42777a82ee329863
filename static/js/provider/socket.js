/** The WebSocket to the broker, one at a time. Its frames go straight into Python. */

const OPEN_SECONDS = 15; // a connection that a policy forbids may fail without a word
const MAX_BUFFERED = 256 << 20;
const MAX_EARLY = 64; // frames that wait for Python
const MAX_EARLY_BYTES = 1 << 20;
const MAX_REASON = 120; // bytes of UTF-8 that a close frame has room for

export class Socket {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {{socket: WebSocket, heard: MessageEvent[]} | null} */
  #early = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #overdue;
  #opened = () => {};
  /** @type {(frame: Uint8Array) => void} */
  #frame = () => {};
  /** @type {(reason: string) => void} */
  #lost = () => {};

  /** @param {string} url @param {string} protocol */
  constructor(url, protocol) {
    this.url = url;
    this.protocol = protocol;
  }

  /** @param {() => void} opened @param {(frame: Uint8Array) => void} frame @param {(reason: string) => void} lost */
  listen(opened, frame, lost) {
    this.#opened = opened;
    this.#frame = frame;
    this.#lost = lost;
  }

  /** Connects already, for an `open` that is to come soon. What is said until then is kept. */
  prepare() {
    try {
      const socket = new WebSocket(this.url, [this.protocol]);
      /** @type {MessageEvent[]} */
      const heard = [];
      socket.binaryType = 'arraybuffer';
      let bytes = 0;
      socket.onmessage = (event) => {
        bytes += event.data.byteLength ?? event.data.length;
        if (heard.push(event) > MAX_EARLY || bytes > MAX_EARLY_BYTES) socket.close();
      };
      this.#early = { socket, heard };
    } catch {
      // open() will tell
    }
  }

  open() {
    this.#drop();
    const early = this.#early;
    this.#early = null;
    if (early && early.socket.readyState <= WebSocket.OPEN) return this.#use(early.socket, early.heard);
    try {
      this.#use(new WebSocket(this.url, [this.protocol]), []);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      queueMicrotask(() => this.#lost(reason)); // a page over https may not use ws:
    }
  }

  /** @param {WebSocket} socket @param {MessageEvent[]} heard what it has said already */
  #use(socket, heard) {
    this.#socket = socket;
    let up = false;
    this.#overdue = setTimeout(() => this.#lose(unanswered(this.url)), OPEN_SECONDS * 1000);
    socket.binaryType = 'arraybuffer';
    const opened = () => {
      up = true;
      clearTimeout(this.#overdue);
      this.#opened();
    };
    const message = (/** @type {MessageEvent} */ event) => {
      if (event.data instanceof ArrayBuffer) this.#frame(new Uint8Array(event.data));
      else this.#lose('the broker sent text where binary frames were agreed');
    };
    socket.onopen = opened;
    socket.onmessage = message;
    socket.onclose = (event) => this.#lose(reasonOf(event, up, this.url));
    if (socket.readyState !== WebSocket.OPEN) return;
    queueMicrotask(() => {
      for (const tell of [opened, ...heard.map((event) => () => message(event))]) if (this.#socket === socket) tell();
    });
  }

  /** @param {Uint8Array<ArrayBuffer>} frame */
  send(frame) {
    const socket = this.#socket;
    if (!socket) return;
    socket.send(frame);
    if (socket.bufferedAmount > MAX_BUFFERED) queueMicrotask(() => this.#socket === socket && this.#lose('the broker reads nothing'));
  }

  /** Bytes that wait to leave. */
  unsent() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param {number} code @param {string} reason */
  close(code, reason) {
    this.#early?.socket.close();
    this.#early = null;
    this.#drop(code, reason);
  }

  /** @param {string} reason */
  #lose(reason) {
    this.#drop();
    this.#lost(reason);
  }

  /** Nothing more is heard of the socket. @param {number} code @param {string} reason */
  #drop(code = 1000, reason = '') {
    clearTimeout(this.#overdue);
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(allowed(code), fitting(reason));
  }
}

/** Scripts may close with 1000 and 3000 to 4999 only: 1002 becomes 4002. @param {number} code */
function allowed(code) {
  return code === 1000 || (code >= 3000 && code <= 4999) ? code : 3000 + code;
}

/** @param {string} reason */
function fitting(reason) {
  const bytes = new TextEncoder().encode(reason);
  return bytes.length <= MAX_REASON ? reason : new TextDecoder().decode(bytes.subarray(0, MAX_REASON), { stream: true });
}

/** @param {CloseEvent} event @param {boolean} up @param {string} url */
function reasonOf(event, up, url) {
  if (event.reason) return event.reason;
  if (!up) return unanswered(url);
  return event.code === 1006 ? 'the connection to the broker broke' : `the broker closed the connection (code ${event.code})`;
}

/** @param {string} url */
function unanswered(url) {
  const ours = new URL(url).host === location.host;
  return `no broker answers at ${url}${ours ? '' : ', or this server allows no connection to it (WASIMOFF_ALLOWED_ORIGINS)'}`;
}
