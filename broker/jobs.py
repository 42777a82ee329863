"""Jobs: many tasks in one request, fed to the queue a window at a time, answered together and in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from broker.core.outcome import Answered, Outcome
from broker.core.task import Task
from broker.errors import Refused
from broker.replies import address
from broker.tasks import Tasks
from pyodide_provider.wire import messages_pb2 as pb

if TYPE_CHECKING:
    from broker.blobs import Blobs

MAX_RESULTS = 256 << 20
"""Bytes of results that one answer may carry; a task whose result would go past it has that as its error."""
WINDOW = 512
"""Tasks of one job that wait or run at a time: enough to keep everyone busy, few enough to leave others room."""
JOB_RETRY_SECONDS = 5
RETRY_SECONDS = 1.0
"""After which a job looks for room again in a queue that others have filled."""


class Jobs:
    """`run` answers a JobRequest; `upload` an Upload."""

    def __init__(self, tasks: Tasks, blobs: Blobs, max_tasks: int, max_bytes: int) -> None:
        """`max_bytes`: of all requests that are under way, unless it is one alone."""
        self._tasks = tasks
        self._blobs = blobs
        self._max_tasks = max_tasks
        self._max_bytes = max_bytes
        self._bytes = 0

    async def upload(self, request: pb.Filesystem.Upload.Request) -> pb.Filesystem.Upload.Response:
        """Keep the uploaded file; its `ref`, if given, becomes an alias. Raises Refused."""
        if not request.upload.HasField("blob"):
            raise Refused("invalid_argument", "an upload needs upload.blob")
        blob = await self._blobs.put(request.upload.blob, request.upload.media or None, request.upload.ref or None)
        return pb.Filesystem.Upload.Response(ref=blob.ref)

    async def run(
        self, request: pb.Task.Wasip1.JobRequest, requester: str, size: int, deadline: float | None = None
    ) -> pb.Task.Wasip1.JobResponse:
        """All tasks' results in order. A task that is refused or lost has its reason as `error`; cancelling cancels all.

        `size` is that of the request in bytes. Raises Refused.
        """
        if len(request.tasks) > self._max_tasks:
            raise Refused("invalid_argument", f"{len(request.tasks)} tasks in one job, at most {self._max_tasks} are taken")
        if self._bytes and self._bytes + size > self._max_bytes:
            text = f"jobs under way hold {self._bytes} bytes, this one has {size}, all together may have {self._max_bytes}"
            raise Refused("resource_exhausted", text, JOB_RETRY_SECONDS)
        self._bytes += size
        try:
            return await _Job(self._tasks, request, requester, deadline).run()
        finally:
            self._bytes -= size


class _Job:
    def __init__(self, tasks: Tasks, request: pb.Task.Wasip1.JobRequest, requester: str, deadline: float | None) -> None:
        self._tasks = tasks
        self._request = request
        self._requester = requester
        self._deadline = deadline
        self._parent = request.parent
        self._results: list[pb.Task.Wasip1.Response | None] = [None] * len(request.tasks)
        self._todo: deque[int] = deque()
        self._open: dict[Task, None] = {}
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._feeding = False
        self._bytes = 0
        self._later: asyncio.TimerHandle | None = None

    async def run(self) -> pb.Task.Wasip1.JobResponse:
        await self._store_inline()
        try:
            self._feed()
            await self._finished
        except asyncio.CancelledError:
            self._todo.clear()
            for task in list(self._open):
                self._tasks.cancel(task, "the job was cancelled")
            raise
        finally:
            if self._later is not None:
                self._later.cancel()
        response = pb.Task.Wasip1.JobResponse(info=self._request.info)
        response.tasks.extend(result for result in self._results if result is not None)
        return response

    async def _store_inline(self) -> None:
        """Inline files once, the parent's for all. Tasks whose own can't be kept are not run."""
        await self._tasks.store(self._parent)
        for index, params in enumerate(self._request.tasks):
            try:
                await self._tasks.store(params)
            except Refused as refused:
                self._results[index] = pb.Task.Wasip1.Response(error=str(refused))
            else:
                self._todo.append(index)

    def _feed(self) -> None:
        """Submit until the window is full. An answer that comes while we submit does not feed once more."""
        if self._feeding:
            return
        self._feeding = True
        while self._todo and len(self._open) < WINDOW and self._later is None:
            if self._tasks.full and self._may_wait():
                # Before a task is put together, which may be large.
                self._look_later()
            else:
                self._submit(self._todo.popleft())
        self._feeding = False
        if not self._todo and not self._open and not self._finished.done():
            self._finished.set_result(None)

    def _submit(self, index: int) -> None:
        request = pb.Task.Wasip1.Request(info=self._request.info, params=self._merged(index))
        if self._request.HasField("qos"):
            request.qos.CopyFrom(self._request.qos)
        request.info.ClearField("trace")
        reply = _JobReply(self, index)
        try:
            task = self._tasks.submit(request, self._requester, request.ByteSize(), reply, self._deadline)
        except Refused as refused:
            self._results[index] = pb.Task.Wasip1.Response(error=str(refused))
            return
        if not reply.resolved:
            self._open[task] = None

    def _merged(self, index: int) -> pb.Task.Wasip1.Params:
        """A task's params. Standard input is given in one of two ways: a task that gives it does not take the other."""
        own = self._request.tasks[index]
        params = merge(self._parent, own)
        if own.HasField("stdin") and not own.HasField("stdin_file"):
            params.ClearField("stdin_file")
        elif own.HasField("stdin_file") and not own.HasField("stdin"):
            params.ClearField("stdin")
        return params

    def resolved(self, index: int, task: Task, outcome: Outcome) -> None:
        self._open.pop(task, None)
        if isinstance(outcome, Answered):
            response = address(outcome, task.id, None)
            assert isinstance(response, pb.Task.Wasip1.Response)
            self._bytes += response.ByteSize()
            if self._bytes > MAX_RESULTS:
                text = f"the job's results exceed {MAX_RESULTS} bytes together: ask for fewer tasks at a time"
                response = pb.Task.Wasip1.Response(info=response.info, error=text)
            self._results[index] = response
        elif outcome.code == "resource_exhausted" and not self._finished.done():
            self._todo.appendleft(index)
            self._look_later()
            return
        else:
            self._results[index] = pb.Task.Wasip1.Response(error=f"{outcome.code}: {outcome.message}")
        self._feed_again()

    def _may_wait(self) -> bool:
        """Whether a task that is not taken now may be taken later."""
        qos = self._request.qos
        over = self._deadline is not None and self._deadline <= self._loop.time()
        late = qos.HasField("deadline") and qos.deadline.seconds + qos.deadline.nanos / 1e9 <= time.time()
        return not (qos.immediate or over or late)

    def _look_later(self) -> None:
        if self._later is None:
            self._later = self._loop.call_later(RETRY_SECONDS, self._feed_again)

    def _feed_again(self) -> None:
        """There may be room: a task of ours has ended, or time has passed."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._feed()


class _JobReply:
    __slots__ = ("_index", "_job", "resolved")

    def __init__(self, job: _Job, index: int) -> None:
        self._job = job
        self._index = index
        self.resolved = False

    def resolve(self, task: Task, outcome: Outcome) -> None:
        self.resolved = True
        self._job.resolved(self._index, task, outcome)


def merge(parent: pb.Task.Wasip1.Params, task: pb.Task.Wasip1.Params) -> pb.Task.Wasip1.Params:
    """A task's params; each field it leaves out is the parent's (lists are taken whole, never joined)."""
    merged = pb.Task.Wasip1.Params()
    merged.CopyFrom(task)
    for field, value in parent.ListFields():
        if field.is_repeated:
            if not getattr(merged, field.name):
                getattr(merged, field.name).MergeFrom(value)
        elif not merged.HasField(field.name):
            if field.message_type is not None:
                getattr(merged, field.name).CopyFrom(value)
            else:
                setattr(merged, field.name, value)
    return merged
