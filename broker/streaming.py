"""What a task writes, over HTTP while it runs: as server-sent events, or as plain bytes. Imports following and aiohttp."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from broker.errors import Refused
from broker.following import Follower
from pyodide_provider.wire import messages_pb2 as pb

EVENTS = "text/event-stream"
MAX_WAITING = 1 << 20
"""Bytes that wait for a client to read; what comes then is sent at the end, out of the answer."""
HEAD_SECONDS = 0.5
"""For a task to be refused with a status of its own; after that, the answer begins."""
QUIET_SECONDS = 15.0
"""After which a comment is sent, so that nobody on the way takes the connection for dead."""
STALL_SECONDS = 60.0
"""Without anything read, after which a client is given up."""
CHUNK = 1 << 18

Run = Callable[[Follower], Awaitable[pb.Task.Wasip1.Response]]


class Form(Protocol):
    """How output and the end are put on the wire. Each gives bytes."""

    content_type: str
    comment: bytes

    def written(self, stdout: bytes, stderr: bytes) -> bytes: ...

    def end(self, response: pb.Task.Wasip1.Response) -> bytes: ...

    def refused(self, refused: Refused) -> bytes: ...


class Plain:
    """stderr and stdout as they come; an error as a text at the end."""

    content_type = "application/octet-stream"
    comment = b""

    def written(self, stdout: bytes, stderr: bytes) -> bytes:
        return stderr + stdout

    def end(self, response: pb.Task.Wasip1.Response) -> bytes:
        return response.error.encode()

    def refused(self, refused: Refused) -> bytes:
        return str(refused).encode()


class Events:
    """Server-sent events (WHATWG HTML §9.2): stdout and stderr as JSON strings, then `end` with a JSON object."""

    content_type = EVENTS
    comment = b":\n\n"

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._stdout, self._stderr = decoder("replace"), decoder("replace")

    def written(self, stdout: bytes, stderr: bytes, final: bool = False) -> bytes:
        texts = {"stdout": self._stdout.decode(stdout, final), "stderr": self._stderr.decode(stderr, final)}
        return b"".join(_event(name, text) for name, text in texts.items() if text)

    def end(self, response: pb.Task.Wasip1.Response) -> bytes:
        said: dict[str, object] = {"provider": response.info.provider}
        if response.HasField("error"):
            said["error"] = response.error
        else:
            said["status"] = response.ok.status
        if response.HasField("usage"):
            said["usage"] = {field.name: value for field, value in response.usage.ListFields()}
        return self.written(b"", b"", True) + _event("end", said)

    def refused(self, refused: Refused) -> bytes:
        return self.written(b"", b"", True) + _event("end", {"error": refused.message, "code": refused.code})


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def stream(request: web.Request, form: Form, most: int, headers: dict[str, str], run: Run) -> web.StreamResponse:
    """Run a task and tell what it writes; all of it is told in the end, also where no provider could tell it before.

    A task that is refused at once raises Refused; the client's going cancels it.
    """
    pipe = _Pipe()
    follower = Follower(pipe.tell, most)
    task = asyncio.ensure_future(run(follower))
    task.add_done_callback(pipe.wake)
    writer = _Writer(request, web.StreamResponse(headers=headers | {"Content-Type": form.content_type}))
    try:
        if not await pipe.wait(HEAD_SECONDS) or not task.done():
            await writer.begin()
        while not task.done():
            if await pipe.wait(QUIET_SECONDS):
                await writer.write(form.written(*pipe.take()))
            else:
                await writer.write(form.comment)
        return await _end(form, follower, pipe, writer, task)
    except ConnectionError:
        writer.abort()
        return writer.response
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def _end(
    form: Form, follower: Follower, pipe: _Pipe, writer: _Writer, task: asyncio.Future[pb.Task.Wasip1.Response]
) -> web.StreamResponse:
    try:
        response = task.result()
    except Refused as refused:
        if not writer.response.prepared:
            raise
        await writer.write(form.written(*pipe.take()) + form.refused(refused))
        await writer.finish(whole=isinstance(form, Events))
        return writer.response
    await writer.begin()
    await writer.write(form.written(*pipe.take()))
    stdout, stderr = (
        memoryview(part)[told:] for part, told in zip((response.ok.stdout, response.ok.stderr), follower.told, strict=True)
    )
    for start in range(0, max(len(stdout), len(stderr)), CHUNK):
        part = slice(start, start + CHUNK)
        await writer.write(form.written(bytes(stdout[part]), bytes(stderr[part])))
    await writer.write(form.end(response))
    await writer.finish(whole=True)
    return writer.response


class _Pipe:
    """What was written and is not sent yet."""

    def __init__(self) -> None:
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._news = asyncio.Event()

    def tell(self, stdout: bytes, stderr: bytes) -> bool:
        if len(self._stdout) + len(self._stderr) > MAX_WAITING:
            return False
        self._stdout += stdout
        self._stderr += stderr
        self._news.set()
        return True

    def wake(self, _: object) -> None:
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Whether there is news within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> tuple[bytes, bytes]:
        self._news.clear()
        taken = bytes(self._stdout), bytes(self._stderr)
        self._stdout.clear()
        self._stderr.clear()
        return taken


class _Writer:
    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self.response = response
        self._request = request

    async def begin(self) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone, or reads nothing for long."""
        if data:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self.response.write(data)
            except TimeoutError:
                raise ConnectionAbortedError("the client does not read") from None

    async def finish(self, whole: bool) -> None:
        """The end; one that is not `whole` is seen by the client as a connection that broke."""
        if whole:
            await self.response.write_eof()
        elif self._request.transport is not None:
            self._request.transport.close()

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
