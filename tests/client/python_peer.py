"""A broker and providers in one, for Python tasks: it really runs each in a Python of its own, as docs/python.md says.

Where there is another Python than this one on the machine, that runs them: what is sent must not depend on which.
"""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

from .peer import Link, Peer, serve

PYODIDE = pb.Task.Pyodide
CHILD = """
import io, pickle, sys, traceback
data, blobs = pickle.load(sys.stdin.buffer)
class Unpickler(pickle.Unpickler):
    def persistent_load(self, pid):
        kind, ref = pid
        assert kind == "wasimoff.shared", pid
        return pickle.loads(blobs[ref])
out, sys.stdout = sys.stdout.buffer, sys.stderr
try:
    function, args, kwargs = Unpickler(io.BytesIO(data)).load()
    answer = pickle.dumps(function(*args, **kwargs))
except BaseException:
    out.write(b"-" + traceback.format_exc().encode())
else:
    out.write(b"+" + answer)
"""


def other_python() -> str:
    """An interpreter of another version than ours, when there is one that works."""
    for minor in range(14, 10, -1):
        if minor == sys.version_info[1]:
            continue
        for path in (shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")):
            if path and ".pyenv/shims" not in str(path):
                return str(path)
    return sys.executable


PYTHON = other_python()


class PythonPeer(Peer):
    """`slots` tasks at a time, each in a process that is killed when the task is cancelled."""

    def __init__(self, slots: int = 2) -> None:
        super().__init__()
        self.python_tasks: list[pb.Task.Pyodide.Params] = []
        self.most_at_once = 0
        self.killed = 0
        self.hold: asyncio.Event | None = None
        """When set: tasks wait for it before they run."""
        self.forged: bytes | None = None
        """When set: the answer to every task, as a hostile provider would give it."""
        self.refuse: str = ""
        self._slots = asyncio.Semaphore(slots)
        self._runs: dict[str, asyncio.Task[None]] = {}

    @property
    def now(self) -> int:
        """Tasks that are here."""
        return len(self._runs)

    async def _take(self, link: Link, envelope: pb.Envelope) -> None:
        payload = codec.unpack(envelope)
        if isinstance(payload, pb.Task.Cancel) and payload.id in self._runs:
            self._runs[payload.id].cancel()
        if not isinstance(payload, PYODIDE.Request):
            return await super()._take(link, envelope)
        self.python_tasks.append(payload.params)
        run = asyncio.create_task(self._run(link, envelope.sequence, payload))
        self._runs[payload.info.id] = run
        run.add_done_callback(lambda _: self._runs.pop(payload.info.id, None))
        self.most_at_once = max(self.most_at_once, self.now)

    async def _run(self, link: Link, sequence: int, request: PYODIDE.Request) -> None:
        missing = [file.ref for file in request.params.shared if file.ref not in self.blobs]
        if missing:
            await link.send(codec.failure(sequence, f"not_found: Ref not found in storage: shared {missing[0]!r}"))
            return
        info = pb.Task.Metadata(id=request.info.id, provider="peer")
        if self.hold is not None:
            await self.hold.wait()
        async with self._slots:
            answer = b"-" + self.refuse.encode() if self.refuse else await self._execute(request.params)
        if answer[:1] == b"+":
            output = PYODIDE.Output(pickle=self.forged or answer[1:], version="peer")
            response = PYODIDE.Response(info=info, ok=output)
        else:
            response = PYODIDE.Response(info=info, error=answer[1:].decode())
        await link.send(codec.response(sequence, response))

    async def _execute(self, params: PYODIDE.Params) -> bytes:
        blobs = {file.ref: self.blobs[file.ref] for file in params.shared}
        env = dict(pair.split("=", 1) for pair in params.envs)
        pipe = subprocess.PIPE
        # asyncio's own subprocesses are left behind when they are cancelled while they start.
        process = subprocess.Popen([PYTHON, "-I", "-c", CHILD], stdin=pipe, stdout=pipe, stderr=pipe, env=env)  # noqa: ASYNC220
        ended = asyncio.ensure_future(asyncio.to_thread(process.communicate, pickle.dumps((params.pickle, blobs))))
        try:
            out, err = await asyncio.shield(ended)
        except asyncio.CancelledError:
            self.killed += 1
            process.kill()
            await ended
            raise
        return out if out else b"-the process died: " + err

    async def _upload(self, request: web.Request) -> web.Response:
        if request.query.get("media") != "application/octet-stream":
            return await super()._upload(request)
        body = await request.read()
        self.uploads += 1
        ref = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.blobs[ref] = body
        return web.Response(text=f"{ref}\n", headers={"X-Wasimoff-Ref": ref})


@asynccontextmanager
async def serve_python() -> AsyncIterator[PythonPeer]:
    """A peer on a free port, that leaves no process behind."""
    async with serve(PythonPeer()) as peer:
        try:
            yield peer
        finally:
            runs = list(peer._runs.values())
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)
