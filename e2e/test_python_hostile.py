"""Python that means harm: it harms nobody, is told what became of it, and the next task runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from e2e.chromium import Tab
from e2e.conftest import Lender, Lent
from e2e.processes import TESTING, BrokerProcess
from e2e.python import ask, value
from pyodide_provider.wire import messages_pb2 as pb

MIB = 1 << 20
LIMITS = pb.Task.Limits(memory=256 * MIB, output=4 * MIB, files=32 * MIB, wall_ms=10_000)


@pytest.fixture
def ear() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine, and who has connected to it."""
    heard: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        try:
            while True:
                connection, _ = listening.accept()
                heard.append(connection.recv(100).decode("latin-1"))
                connection.close()
        except OSError:
            return

    thread = threading.Thread(target=listen)
    thread.start()
    yield listening.getsockname()[1], heard
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def alive(lender: Lender) -> None:
    assert value(ask(lender.broker.url, script="6 * 7")) == 42
    assert lender.client.run(TESTING / "noop.wasm").ok


HARM = {
    "exits": ("import os\nos._exit(3)", "exit code 3"),
    "leaves": ("import sys\nsys.exit(4)", "SystemExit: 4"),
    "aborts": ("import os\nos.abort()", ""),
    "wants 4 GB": ("x = []\nwhile True:\n    x.append(bytearray(50_000_000))", "memory limit exceeded"),
    "recurses": ("def f():\n    return f()\nf()", "RecursionError"),
    "breaks pickle": ("import pickle\npickle.dumps = pickle.loads = None\npickle.Pickler = 1\n7", ""),
    "signals its parent": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ""),
    "never ends its wait": ("import asyncio\nawait asyncio.wait_for(asyncio.Future(), 0.2)", "TimeoutError"),
    "breaks all of Python": ("import builtins\nfor n in dir(builtins): setattr(builtins, n, None)", "time limit exceeded"),
    "crashes C": ("import ctypes\nctypes.string_at(0xFFFFFF0, 100)", ""),
    "raises what can't be printed": ("class E(Exception):\n    def __str__(self):\n        raise self\nraise E()", "E"),
    "prints for ever": ("while True:\n    print('x' * 100_000)", "output limit exceeded"),
    "fills the disk": ("f = open('/tmp/big', 'wb')\nwhile True:\n    f.write(bytes(1 << 20))", "No space left"),
}


@pytest.mark.parametrize("name", HARM)
def test_it_comes_back_as_an_error(lender: Lender, name: str) -> None:
    script, told = HARM[name]
    response = ask(lender.broker.url, script=script, limits=LIMITS)
    if name != "breaks pickle":
        assert told in response.error
        assert response.error
    alive(lender)


def test_an_endless_loop_is_stopped_at_its_limit(lender: Lender) -> None:
    response = ask(lender.broker.url, script="while True: pass", limits=pb.Task.Limits(wall_ms=500))
    assert response.error.startswith("time limit exceeded")
    alive(lender)


ESCAPES = '''
import asyncio
tried = []
async def attempt(what, f):
    try:
        got = f()
        if hasattr(got, "__await__"):
            got = await asyncio.wait_for(got, 3)
        tried.append((what, "done", repr(got)[:60]))
    except BaseException as error:
        tried.append((what, type(error).__name__, str(error)[:80]))

import js, pyodide_js
from pyodide.code import run_js
url = "http://localhost:{port}/"
for scope_name, scope in [("js", js), ("module", pyodide_js._module), ("api", pyodide_js._api)]:
    for name in """fetch XMLHttpRequest WebSocket importScripts Worker EventSource indexedDB caches BroadcastChannel navigator
        postMessage self globalThis WebTransport close process require module Buffer global setImmediate
        WorkerGlobalScope""".split():
        tried.append((scope_name + "." + name, "there" if getattr(scope, name, None) is not None else "absent", ""))
await attempt("run_js fetch", lambda: run_js("fetch('" + url + "')"))
await attempt("run_js self", lambda: run_js("globalThis.fetch"))
await attempt("Function", lambda: js.Object.constructor("return fetch('" + url + "')")())
await attempt("pyfetch", lambda: __import__("pyodide.http", fromlist=["x"]).pyfetch(url))
await attempt("open_url", lambda: __import__("pyodide.http", fromlist=["x"]).open_url(url))
await attempt("loadPackage", lambda: pyodide_js.loadPackage(url + "x-1-py3-none-any.whl"))
import socket
def connect():
    s = socket.create_connection(("localhost", {port}), 2)
    s.sendall(b"hello")
await attempt("socket", connect)
for place in ("node:fs", "fs", "node:child_process", "node:net", "node:process", "node:module", "node:worker_threads"):
    for way in ("import('%s')", "globalThis.require('%s')", "globalThis.process.getBuiltinModule('%s')"):
        code = way % place
        await attempt("run_js " + code, lambda: run_js(code))
        await attempt("Function " + code, lambda: js.Object.constructor("return " + code)())
        await attempt("async " + code, lambda: run_js("(async () => { await null; return " + code + " })()"))
for reach in ("setTimeout", "console.log", "TextDecoder", "AbortController", "performance.now", "Object", "clearTimeout"):
    owner = js
    for part in reach.split("."):
        owner = getattr(owner, part)
    await attempt("process by " + reach, lambda: owner.constructor("return process")())
    await attempt("require by " + reach, lambda: owner.constructor("return require")())
for name in ("_stdout", "_stderr", "constructor.constructor('return process')"):
    got = "{ const it = globalThis.console." + name + "; if (!it) throw Error('absent'); it }"
    await attempt("console." + name, lambda: run_js(got))
import os
for path in ("/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/root", "/home/pyodide/.ssh", "/proc/self/fd"):
    await attempt("open " + path, lambda: open(path).read())
await attempt("kill", lambda: os.kill(os.getppid(), 9))
await attempt("system", lambda: __import__("subprocess").run(["id"]))
await attempt("fork", lambda: os.fork())
FS = pyodide_js._module.FS
await attempt("mount", lambda: FS.mount(FS.filesystems.NODEFS, run_js("({root: '/etc'})"), "/mnt"))
await attempt("urllib", lambda: __import__("urllib.request", fromlist=["x"]).urlopen(url, timeout=2).read())
tried
'''


def test_it_reaches_no_network_storage_or_other_worker(lender: Lender, ear: tuple[int, list[str]]) -> None:
    port, heard = ear
    tried = value(ask(lender.broker.url, script=ESCAPES.replace("{port}", str(port))))
    assert [entry for entry in tried if entry[1] in ("there", "done") and entry[0] != "loadPackage"] == []
    assert len(tried) > 150
    assert heard == []
    alive(lender)


def test_network_is_refused_unless_the_operator_gives_it(lent: Lent) -> None:
    response = ask(lent.broker.url, script="1", network=True)
    assert "asks for the network, which this broker does not give" in response.error


def test_the_sealed_worker_has_a_policy_of_its_own(lent: Lent) -> None:
    """Taking away functions is one wall; that the browser connects to nothing from there is the other."""
    page = lent.tab.page
    manifest = page.evaluate("fetch('/static/vendor/manifest.json').then(answer => answer.json())")
    asked = "async url => { const a = await fetch(url); return [a.status, a.headers.get('content-security-policy')]; }"
    status, policy = page.evaluate(asked, f"/static/vendor/{manifest['tasks']}worker.js")
    assert (status, policy) == (200, "default-src 'none'; script-src 'wasm-unsafe-eval'; connect-src 'none'")
    assert page.request.get(f"{lent.broker.url}/static/vendor/{manifest['tasks']}open.js").status == 403


def test_network_for_those_who_ask_where_the_operator_allows_it(chromium: Browser) -> None:
    broker = BrokerProcess(environ={"WASIMOFF_TASK_NETWORK": "yes"})
    context = chromium.new_context()
    try:
        Tab(context.new_page()).open(broker.url).lending()
        fetch = f"from pyodide.http import pyfetch\nawait (await pyfetch('{broker.url}/healthz')).string()"
        assert value(ask(broker.url, script=fetch, network=True)) == "OK"
        assert "pyfetch" in ask(broker.url, script=fetch).error
    finally:
        context.close()
        broker.close()
