"""The one door that every task passes, whichever way it came: checks it, resolves what it refers to, submits it."""

from __future__ import annotations

import asyncio
import secrets
import time
from itertools import count
from typing import TYPE_CHECKING

from broker.core import events as e
from broker.core.outcome import Answered, Outcome
from broker.core.task import Task
from broker.dispatcher import Dispatcher
from broker.errors import Refused
from broker.following import Feed, Follower
from broker.inlining import Inlining
from broker.modules import Modules
from broker.params import (
    DATA,
    HARMLESS,
    PLAIN,
    Caps,
    Params,
    check_texts,
    inline,
    interactively,
    is_plain,
    look,
    needs,
    networked,
)
from broker.replies import Reply, Request, Response, address, asked
from broker.trace import Event, stamp
from pyodide_provider.wire import messages_pb2 as pb

if TYPE_CHECKING:
    from broker.blobs import Blobs

NOTHING: dict[type, str] = {
    pb.Task.Wasip1.Request: "the task has no params: give at least params.binary",
    pb.Task.Pyodide.Request: "the task has nothing to run: give params.script or params.pickle",
}
NOT_FOUND = "Ref not found in storage"


class Inline(Exception):
    """A request carries files inline: `Tasks.store` them, then submit it again."""


class Tasks:
    """`submit` is synchronous and meant for the hot path; `run` waits for the answer."""

    def __init__(self, dispatcher: Dispatcher, blobs: Blobs, caps: Caps, inlining: Inlining) -> None:
        self._dispatcher = dispatcher
        self._inlining = inlining
        self._blobs = blobs
        self._caps = caps
        self.most_output = caps.output
        """Bytes of stdout and stderr that a task may write."""
        self._modules = Modules()
        self._loop = asyncio.get_running_loop()
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)
        self._most = dispatcher.state.policy.queue_bytes

    @property
    def full(self) -> bool:
        """Whether a task that came now would be refused, since others hold what may be held."""
        state = self._dispatcher.state
        return not state.draining and (state.held_bytes > self._most or state.waiting >= state.policy.queue_limit)

    async def store(self, params: Params) -> None:
        """Put files that came inline into the storage, and refer to them instead. Raises Refused when one can't be kept."""
        for what, file in inline(params):
            if file.ref:
                raise Refused("invalid_argument", "a File has both ref and blob: give exactly one")
            if what in DATA:
                blob = await self._blobs.put(file.blob, anything=True)
            else:
                blob = await self._blobs.put(file.blob, file.media or None)
            file.CopyFrom(pb.File(ref=blob.ref, media=blob.media))

    def submit(
        self,
        request: Request,
        requester: str,
        weight: int,
        reply: Reply,
        deadline: float | None = None,
        follower: Follower | None = None,
        feed: Feed | None = None,
    ) -> Task:
        """Check a request and hand it to the core; `reply` is resolved once, maybe before this returns.

        `weight` is its size in bytes, `deadline` one of the transport's own, in the loop's time. `follower` is told what the
        task writes, `feed` brings its standard input: only doors that carry such things have them. Raises Refused, or
        Inline when files must be stored first; `reply` is not called then.
        """
        module, needed = self._check(request)
        if weight > HARMLESS:
            check_texts(request)
        if weight > self._most:
            text = f"the task holds {weight} bytes; all that wait may hold {self._most}: upload files and refer to them"
            raise Refused("resource_exhausted", text)
        info = request.info
        task_id = f"{self._prefix}-{next(self._numbers)}"
        info.id = task_id
        if not info.requester:
            info.requester = requester
        else:
            requester = info.requester
        task = Task(task_id, requester, needed, module, request, reply, weight)
        if request.HasField("qos"):
            self._apply_qos(task, request.qos, follower, feed)
        if deadline is not None:
            task.deadline = deadline if task.deadline is None else min(deadline, task.deadline)
        if info.HasField("trace"):
            stamp(info.trace, Event.BrokerReceivedClientRequest)
            stamp(info.trace, Event.BrokerQueueTask)
        self._dispatcher.handle(e.TaskSubmitted(task))
        return task

    def _check(self, request: Request) -> tuple[str, frozenset[str]]:
        """The digest of the program ("": none), and what the task needs; its files are resolved, its limits cut."""
        params = request.params
        own = False
        if isinstance(params, pb.Task.Wasip1.Params) and is_plain(params):
            module = self._resolve(params.binary, "binary")
        else:
            if not request.HasField("params"):
                raise Refused("invalid_argument", NOTHING[type(request)])
            files, own = look(params)
            module, *_ = [self._resolve(file, what) for what, file in files] or [""]
            if self._inlining.concerns(request):
                own = own or not self._inlining.fits(request)
        self._caps.apply(params)
        if isinstance(params, pb.Task.Pyodide.Params):
            needed = needs("pyodide", own, False)
            return "", networked(needed) if params.network else needed
        threads = self._modules.threaded.get(module)
        if threads is None:
            threads = self._threaded(module)
        return module, needs("wasip1", own, threads) if own or threads else PLAIN

    def _threaded(self, module: str) -> bool:
        """Whether a program that was never looked at starts threads."""
        blob = self._blobs.blob(module)
        return blob is not None and self._modules.look(blob)

    def _resolve(self, file: pb.File, what: str) -> str:
        name = file.ref
        if file.HasField("blob"):
            if not name:
                raise Inline
            raise Refused("invalid_argument", f"{what} has both ref and blob: give exactly one")
        if not name:
            raise Refused("invalid_argument", f"{what} has neither ref nor blob: give exactly one")
        ref = self._blobs.resolve(name)
        if ref is None:
            raise Refused("not_found", f"{NOT_FOUND}: {what} {name[:100]!r}; upload it first")
        if ref != name:
            file.ref = ref
        return ref

    def _apply_qos(self, task: Task, qos: pb.Task.QoS, follower: Follower | None, feed: Feed | None) -> None:
        task.priority = qos.priority
        task.immediate = qos.immediate
        if qos.HasField("deadline"):
            left = qos.deadline.seconds + qos.deadline.nanos / 1e9 - time.time()
            task.deadline = self._loop.time() + left
        task.by_reference = qos.by_reference
        if qos.interactive:
            if feed is None:
                raise Refused("unimplemented", "an interactive task needs a client's WebSocket: other ways bring no input")
            task.feed = feed
            task.needs = interactively(task.needs)
        if follower is not None:
            task.follower = follower
        elif qos.follow:
            qos.follow = False

    def grew(self, task: Task, size: int) -> None:
        """A task holds so many bytes more; that may be too much, and its end."""
        self._dispatcher.handle(e.TaskGrew(task, size))

    def cancel(self, task: Task, reason: str) -> None:
        self._dispatcher.handle(e.TaskCancelled(task, reason))

    async def run(
        self,
        request: Request,
        requester: str,
        weight: int,
        deadline: float | None = None,
        follower: Follower | None = None,
    ) -> Response:
        """Submit and wait. Raises Refused when there is no answer; cancelling the wait cancels the task."""
        reply = _FutureReply(self._loop, request.info.id, asked(request.info))
        try:
            task = self.submit(request, requester, weight, reply, deadline, follower)
        except Inline:
            await self.store(request.params)
            task = self.submit(request, requester, weight, reply, deadline, follower)
        try:
            return await reply.future
        except asyncio.CancelledError:
            self.cancel(task, "the client went away")
            raise

    async def run_wasip1(
        self, request: pb.Task.Wasip1.Request, requester: str, follower: Follower | None = None
    ) -> pb.Task.Wasip1.Response:
        """`run` for a WASI task."""
        response = await self.run(request, requester, request.ByteSize(), None, follower)
        assert isinstance(response, pb.Task.Wasip1.Response)
        return response


class _FutureReply:
    """For a door that waits."""

    __slots__ = ("_asked", "_id", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop, client_id: str, asked: pb.Task.Metadata | None) -> None:
        self.future: asyncio.Future[Response] = loop.create_future()
        self._id = client_id
        self._asked = asked

    def resolve(self, task: Task, outcome: Outcome) -> None:
        if self.future.done():
            return
        if isinstance(outcome, Answered):
            self.future.set_result(address(outcome, self._id or task.id, self._asked))
        else:
            self.future.set_exception(Refused(outcome.code, outcome.message, outcome.retry_after))
