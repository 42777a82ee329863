"""A client's WebSocket: requests in, responses out, many at once. Imports the wire and the tasks' door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from broker.core.outcome import Answered, Outcome
from broker.core.task import Task
from broker.errors import Refused
from broker.following import MAX_INPUT, Feed, Follower
from broker.jobs import Jobs
from broker.replies import Request, address, asked
from broker.sockets import Socket
from broker.tasks import Inline, Tasks
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError

log = logging.getLogger("broker")

MAX_UNREAD = 1 << 20
"""Bytes that a client may leave unread before it is told no more of what its tasks write: their answers hold it all."""
OVERFED = f"more than {MAX_INPUT} bytes of input came that the task has not read: wait for it, or give stdin_file instead"
MAX_CHORES = 64
"""Uploads, jobs and tasks with inline files that one connection may have under way; more are refused."""


class ClientSocket:
    """One connected client. Its tasks are cancelled when it goes."""

    def __init__(self, socket: Socket, requester: str, tasks: Tasks, jobs: Jobs) -> None:
        self._socket = socket
        self._outbox = socket.outbox
        self._requester = requester
        self._tasks = tasks
        self._jobs = jobs
        self._open: dict[Task, str] = {}
        self._named: dict[str, Task] = {}
        self._feeds: dict[int, Feed] = {}
        """Of interactive tasks, by the sequence of their request."""
        self._events = 0
        self._chores: dict[asyncio.Task[None], tuple[int, str]] = {}
        """What can't be done at once, with its sequence and the name that a Cancel would use."""
        self._handlers: dict[type, Callable[[int, Any, int], None]] = {
            pb.Task.Wasip1.Request: self._run,
            pb.Task.Pyodide.Request: self._run,
            pb.Task.Wasip1.JobRequest: self._job,
            pb.Task.Cancel: self._cancel,
            pb.Filesystem.Upload.Request: self._upload,
            pb.Ping: self._ping,
        }

    async def serve(self) -> None:
        """Until the client goes."""
        try:
            await self._socket.pump(self.receive)
        finally:
            self.leave()
            await self._socket.finish()

    async def settle(self, seconds: float) -> None:
        """Wait for so long until what is done beside the reading is answered."""
        if self._chores:
            await asyncio.wait(self._chores, timeout=seconds)

    def drop(self, code: int, reason: str) -> None:
        self._socket.drop(code, reason)

    def receive(self, envelope: pb.Envelope) -> None:
        """One request, or more input for a task; a client's responses and other events mean nothing to us."""
        sequence = envelope.sequence
        if envelope.type != codec.REQUEST:
            if envelope.type == codec.EVENT:
                self._told(envelope)
            elif envelope.type != codec.RESPONSE:
                self._outbox.send(codec.failure(sequence, "Envelope without a type"))
            return
        if not envelope.HasField("sequence"):
            return self._outbox.send(codec.failure(0, "a Request needs a sequence: the Response carries the same"))
        try:
            payload = codec.unpack(envelope)
            handler = self._handlers.get(type(payload))
            if handler is None:
                raise Refused("invalid_argument", f"{payload.DESCRIPTOR.full_name} is not something to ask a broker")
            handler(sequence, payload, len(envelope.payload.value))
        except (Refused, PeerError) as error:
            self._feeds.pop(sequence, None)
            self._outbox.send(codec.failure(sequence, str(error)))

    def _told(self, envelope: pb.Envelope) -> None:
        try:
            event = codec.unpack(envelope)
        except PeerError:
            return
        if not isinstance(event, pb.Event.TaskInput):
            return
        feed = self._feeds.get(event.request)
        if feed is None:
            return
        held = feed.held
        taken = feed.put(event.stdin, event.end)
        if feed.task is None:
            return
        if not taken:
            self._tasks.cancel(feed.task, OVERFED)
        elif feed.held != held:
            self._tasks.grew(feed.task, feed.held - held)

    def _run(self, sequence: int, request: Request, weight: int) -> None:
        if request.qos.interactive:
            self._feeds[sequence] = Feed(partial(self._tell_read, sequence))
        try:
            self._submit(sequence, request, weight)
        except Inline:
            self._chore(sequence, request.info.id, self._store_and_run(sequence, request, weight))

    async def _store_and_run(self, sequence: int, request: Request, weight: int) -> None:
        await self._tasks.store(request.params)
        self._submit(sequence, request, weight)

    def _submit(self, sequence: int, request: Request, weight: int) -> None:
        info = request.info
        name = info.id
        reply = _SocketReply(self, sequence, name, asked(info))
        follower = feed = None
        if request.qos.follow:
            follower = Follower(partial(self._tell, sequence), self._tasks.most_output)
        if request.qos.interactive:
            feed = self._feeds.get(sequence)
        if feed is not None and feed.over:
            raise Refused("resource_exhausted", OVERFED)
        weight += 0 if feed is None else feed.held
        task = self._tasks.submit(request, self._requester, weight, reply, None, follower, feed)
        if feed is not None:
            feed.task = task
            self._tell_read(sequence, 0)
        if not reply.resolved:
            self._open[task] = name
            if name:
                self._named[name] = task

    def _tell(self, sequence: int, stdout: bytes, stderr: bytes) -> bool:
        """What the task of that request writes; False when the client doesn't read."""
        if self._outbox.unread() > MAX_UNREAD:
            return False
        written = pb.Event.TaskOutput(request=sequence)
        if stdout:
            written.stdout = stdout
        if stderr:
            written.stderr = stderr
        self._events += 1
        self._outbox.send(codec.event(self._events, written))
        return True

    def _tell_read(self, sequence: int, count: int) -> None:
        """Of the input of that request's task so much is read."""
        self._events += 1
        self._outbox.send(codec.event(self._events, pb.Event.TaskInputTaken(request=sequence, taken=count)))

    def resolved(self, task: Task, sequence: int, envelope: bytes) -> None:
        """A task of this client ended."""
        if self._feeds:
            self._feeds.pop(sequence, None)
        name = self._open.pop(task, "")
        if name and self._named.get(name) is task:
            del self._named[name]
        self._outbox.send(envelope)

    def _cancel(self, sequence: int, cancel: pb.Task.Cancel, _: int) -> None:
        reason = cancel.reason[:500]
        task = self._named.get(cancel.id)
        if task is not None:
            self._tasks.cancel(task, reason or "cancelled by the client")
        elif cancel.id:
            self._cancel_chores(cancel.id, reason or "cancelled by the client")
        self._outbox.send(codec.response(sequence, pb.Task.Cancel(id=cancel.id, reason=reason)))

    def _cancel_chores(self, name: str, reason: str) -> None:
        for chore, (sequence, known) in list(self._chores.items()):
            if known == name and not chore.done():
                self._chores[chore] = sequence, ""  # told once
                chore.cancel()
                self._outbox.send(codec.failure(sequence, f"canceled: {reason}"))

    def _ping(self, sequence: int, ping: pb.Ping, _: int) -> None:
        self._outbox.send(codec.response(sequence, ping))

    def _upload(self, sequence: int, request: pb.Filesystem.Upload.Request, _: int) -> None:
        self._chore(sequence, "", self._store(sequence, request))

    async def _store(self, sequence: int, request: pb.Filesystem.Upload.Request) -> None:
        self._outbox.send(codec.response(sequence, await self._jobs.upload(request)))

    def _job(self, sequence: int, request: pb.Task.Wasip1.JobRequest, size: int) -> None:
        self._chore(sequence, request.info.id, self._run_job(sequence, request, size))

    async def _run_job(self, sequence: int, request: pb.Task.Wasip1.JobRequest, size: int) -> None:
        self._outbox.send(codec.response(sequence, await self._jobs.run(request, self._requester, size)))

    def _chore(self, sequence: int, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do what can't be done at once, beside the reading; a Cancel of that name stops it."""
        if len(self._chores) >= MAX_CHORES:
            work.close()
            text = f"{MAX_CHORES} uploads and jobs of this connection are under way; wait for one"
            raise Refused("resource_exhausted", text, 1)
        chore = asyncio.create_task(work)
        self._chores[chore] = sequence, name
        chore.add_done_callback(self._chore_ended)

    def _chore_ended(self, chore: asyncio.Task[None]) -> None:
        sequence, _ = self._chores.pop(chore)
        error = None if chore.cancelled() else chore.exception()
        if chore.cancelled() or error is not None:
            self._feeds.pop(sequence, None)
        if isinstance(error, Refused):
            self._outbox.send(codec.failure(sequence, str(error)))
        elif error is not None:
            log.error("a request of a client failed", exc_info=error)
            self._outbox.send(codec.failure(sequence, "internal: something went wrong in the broker; its log says what"))

    def leave(self) -> None:
        """The client is gone: nobody waits for its tasks any more."""
        for chore in list(self._chores):
            chore.cancel()
        for task in list(self._open):
            self._tasks.cancel(task, "the client went away")


class _SocketReply:
    __slots__ = ("_asked", "_client", "_name", "_sequence", "resolved")

    def __init__(self, client: ClientSocket, sequence: int, name: str, asked: pb.Task.Metadata | None) -> None:
        self._client = client
        self._sequence = sequence
        self._name = name
        self._asked = asked
        self.resolved = False

    def resolve(self, task: Task, outcome: Outcome) -> None:
        self.resolved = True
        if isinstance(outcome, Answered):
            envelope = codec.response(self._sequence, address(outcome, self._name or task.id, self._asked))
        else:
            again = f" (retry after {outcome.retry_after} s)" if outcome.retry_after else ""
            envelope = codec.failure(self._sequence, f"{outcome.code}: {outcome.message}{again}")
        self._client.resolved(task, self._sequence, envelope)
