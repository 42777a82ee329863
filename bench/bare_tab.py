"""A program in Chromium with nothing around it: workers that run one compiled module with the stock shim, in a loop.

What a tab could give at most: no broker, no provider, no Python, no messages. Imports the launcher's Chromium and tab.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from playwright.async_api import async_playwright

from wasimoff.chromium import launch
from wasimoff.tab import Tab

ROOT = Path(__file__).resolve().parent.parent
SHIM = ROOT / "node_modules/@bjorn3/browser_wasi_shim/dist"

WORKER = """
import { ConsoleStdout, Fd, WASI } from '/shim/index.js';

class Input extends Fd {
  constructor(bytes) { super(); this.rest = bytes; }
  fd_read(size) {
    const data = this.rest.slice(0, size);
    this.rest = this.rest.slice(data.length);
    return { ret: 0, data };
  }
}

// Memories are given back between turns only: a worker that never pauses runs out of address space.
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

self.onmessage = async ({ data: { module, args, stdin, seconds } }) => {
  const once = () => {
    const sink = () => new ConsoleStdout(() => {});
    const wasi = new WASI(args, [], [new Input(stdin), sink(), sink()], { debug: false });
    wasi.start(new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.wasiImport }));
  };
  for (let i = 0; i < 3; i++) once();
  const began = performance.now();
  let count = 0;
  while (performance.now() - began < seconds * 1000) {
    try {
      once();
      count++;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      await pause();
    }
  }
  self.postMessage(count / ((performance.now() - began) / 1000));
};
self.postMessage('ready');
"""

MEASURE = """async (workers, seconds, args) => {
  const [module, stdin] = await Promise.all([
    WebAssembly.compileStreaming(fetch('/program.wasm')),
    fetch('/stdin').then(async (answer) => new Uint8Array(await answer.arrayBuffer())),
  ]);
  const started = Array.from({ length: workers }, () => new Worker('/worker.js', { type: 'module' }));
  const said = (worker) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message || 'a worker does not start'));
  });
  await Promise.all(started.map(said));
  const rates = started.map(said);
  for (const worker of started) worker.postMessage({ module, args, stdin, seconds });
  return (await Promise.all(rates)).reduce((sum, rate) => sum + rate, 0);
}"""


def _app(binary: bytes, stdin: bytes) -> web.Application:
    files = {
        "/": (b"<!doctype html><title>bare</title>", "text/html"),
        "/worker.js": (WORKER.encode(), "text/javascript"),
        "/program.wasm": (binary, "application/wasm"),
        "/stdin": (stdin, "application/octet-stream"),
    }

    async def serve(request: web.Request) -> web.Response:
        body, media = files[request.path]
        return web.Response(body=body, content_type=media)

    app = web.Application()
    app.add_routes([web.get(path, serve) for path in files])
    app.router.add_static("/shim", SHIM)
    return app


async def _rate(binary: bytes, args: Sequence[str], stdin: bytes, workers: int, seconds: float) -> float:
    runner = web.AppRunner(_app(binary, stdin))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with async_playwright() as playwright:
            browser, _ = await launch(playwright)
            try:
                tab = await Tab.open(browser, print)
                await tab.go(f"http://127.0.0.1:{runner.addresses[0][1]}/")
                asked = f"({MEASURE})({workers}, {seconds}, {json.dumps(list(args))})"
                return float(await tab.evaluate(asked, seconds + 60))
            finally:
                await browser.close()
    finally:
        await runner.cleanup()


def bare_rate(binary: bytes, args: Sequence[str], stdin: bytes, workers: int, seconds: float) -> float:
    """Tasks per second of `workers` workers together."""
    return asyncio.run(_rate(binary, args, stdin, workers, seconds))
