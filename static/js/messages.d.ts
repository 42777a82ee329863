/** The shapes of all messages between the page, the provider worker and the slots (docs/slot-protocol.md). Types only. */

// ---- provider worker → slot

/** [offset, length] in the body of the same message. */
export type Slice = [number, number];

export type FileField = { ref: string } | { blob: Slice };

export interface RunField {
  key: number;
  binary: FileField;
  args: string[];
  envs?: string[];
  stdin?: Slice | { ref: string };
  rootfs?: FileField | null;
  artifacts?: string[];
  /** More zips, each with the absolute path where it is mounted; later ones cover earlier ones and the rootfs. */
  roots?: [string, FileField][];
  /** Instead of those of the start. */
  limits?: Partial<RunLimits>;
  /** Tell what it writes while it runs. */
  follow?: boolean;
  /** What is large may be stored with the broker and come back as a ref. */
  by_reference?: boolean;
  /** Its stdin comes while it runs, through the memory of the input message before. */
  interactive?: boolean;
}

export interface RunLimits extends Limits {
  /** Seconds of running; kept by the provider, which kills the slot: it only wants to hear when the program begins. */
  wall: number;
  /** Bytes of linear memory. */
  memory: number;
  threads: number;
}

export interface Limits {
  /** Bytes of stdout and stderr together. */
  output: number;
  /** Bytes that a run may write, and that a rootfs may have unpacked. */
  files: number;
  /** Bytes of linear memory; all that can be addressed when it is left out. */
  memory?: number;
}

export interface StartField {
  /** Where blobs are: `${storage}/sha256:…`. */
  storage: string;
  limits: Limits;
}

export interface SlotOrder {
  start?: StartField;
  runs?: RunField[];
  blobs?: Record<string, Slice>;
  /** The key of an interactive run that is to come: its standard input is in the message's memory (shared/input.js). */
  input?: number;
}

/** A Python run, as a slot gets it. */
export interface PythonField {
  key: number;
  script?: string;
  pickle?: FileField;
  packages?: string[];
  envs?: string[];
  stdin?: Slice;
  rootfs?: FileField;
  artifacts?: string[];
  /** Refs of blobs that the pickle names. */
  shared?: string[];
  limits?: Partial<RunLimits>;
  /** The version that it needs: "3.14". */
  python?: string;
  network?: boolean;
  follow?: boolean;
}

// ---- provider worker → interpreter

/** The run with its limits filled in. Its bytes come as parts. */
export interface PythonOrder extends Omit<PythonField, 'limits'> {
  limits: { output: number; files: number; memory: number; wall?: number };
}

export interface PythonParts {
  pickle?: Uint8Array;
  stdin?: Uint8Array;
  rootfs?: Uint8Array;
  wheels: Uint8Array[];
  libraries: Uint8Array[];
  refs: string[];
  /** In the order of refs. */
  shared: Uint8Array[];
}

/** What tasks have in common before they begin. */
export interface Kit {
  packages: string[];
  envs: string[];
  limits: { files: number; memory: number };
}

export interface PythonStart {
  pieces: import('./python/task.js').Pieces;
  network: boolean;
}

export interface PythonTask {
  order: PythonOrder;
  parts: PythonParts;
}

export interface PythonKit {
  kit: Kit;
  parts: PythonParts;
}

// ---- interpreter → provider worker: { ready } when it has started, and when it is equipped; { began }, { stdout, stderr }, { end: PythonEnd } or { failed: string }

export interface PythonEnd {
  value?: Uint8Array;
  artifacts?: Uint8Array;
  stdout?: Uint8Array;
  stderr?: Uint8Array;
  version?: string;
  /** Bytes of memory at the end. */
  memory?: number;
  error?: string;
  /** Name of the exception's type. */
  kind?: string;
  exception?: Uint8Array;
}

// ---- slot → provider worker

export interface EndField {
  key: number;
  seconds: number;
  status?: number;
  stdout?: Slice | { ref: string };
  stderr?: Slice | { ref: string };
  artifacts?: Slice | { ref: string };
  error?: string;
  broken?: string;
  usage?: Usage;
}

/** Seconds and bytes; what is 0 may be left out. */
export interface Usage {
  cpu?: number;
  memory?: number;
  bytes_in?: number;
  bytes_out?: number;
  compile?: number;
  cached?: boolean;
}

export interface SlotReport {
  ready?: { engine: string };
  ended?: EndField[];
  /** The program of a run with a limit of time begins. */
  began?: number;
  /** The key of an interactive run, and how many bytes of its standard input are taken. */
  taken?: [number, number];
  /** What a run with `follow` has written since the last one. */
  output?: { key: number; stdout: Slice; stderr: Slice };
}

/** Both directions: a JSON header and the bytes that it points into; with an input, or the beginning of a run, memory for it. */
export type SlotMessage = [header: string, body: Uint8Array<ArrayBuffer> | null, memory?: SharedArrayBuffer];

// ---- page → provider worker: its settings in its address, as JSON behind the #; then commands

/** Directories below static/vendor/. */
export interface Manifest {
  pyodide: string;
  python: string;
  /** The worker that starts Python, and the memory of a Python that has all of `python` imported: worker.js, snapshot.bin. */
  provider: string;
  /** What a Python task runs in: worker.js, open.js, native.js, snapshot.bin. */
  tasks: string;
  /** Scripts and styles of the pages. */
  page: string;
  wasi: string;
}

export interface Settings {
  /** The broker's WebSocket, as an absolute URL. */
  transport: string;
  /** Where blobs are, as an absolute URL without a slash at its end. */
  storage: string;
  /** Absolute URL of static/vendor/. */
  vendor: string;
  manifest: Manifest;
  /** Whether Python may be restored from its memory snapshot. */
  snapshot: boolean;
  /** Whether what that needs was kept here: where it was not, looking for it would only take time. */
  kept: boolean;
  workers: number;
  connect: boolean;
  limits: Limits;
  /** For people: which browser this is. */
  engine: string;
}

export type Command =
  | { type: 'connect' }
  | { type: 'disconnect' }
  | { type: 'drain' }
  | { type: 'workers'; count: number };

// ---- provider worker → page

export type Link = 'idle' | 'connecting' | 'connected' | 'waiting' | 'draining';

export interface Status {
  link: Link;
  workers: number;
  ready: number;
  running: string[];
  queued: number;
  done: number;
  failed: number;
  peers: number;
  throughput: number;
  reason: string;
}

export type Report =
  /** `slow`: why Python had to be started without its snapshot; empty when it was not. */
  | { type: 'booted'; seconds: number; slow: string }
  /** The next start finds all that it needs here. */
  | { type: 'kept' }
  | { type: 'status'; status: Status }
  | { type: 'log'; line: string }
  | { type: 'finished' }
  | { type: 'failed'; reason: string };

/** What a worker's global scope has: the DOM's library has no types for it beside those of a page. */
export interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
}

declare global {
  /** Set when the WASI worker is bundled. */
  const SHIM_VERSION: string;
}
