/** What boot.cjs uses of Node. */
declare module 'node:fs';
declare module 'node:os';
declare module 'node:v8';
declare module 'node:vm';
declare const process: any;
declare function require(name: string): any;
declare function setImmediate(f: () => void): void;
