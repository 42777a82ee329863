"""How one task is asked for, on one event loop: its files go first, then the request, again where that helps; what is large
of the answer is fetched. Imports aiohttp, the transports, the storage and `messages`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from dataclasses import replace

import aiohttp
from google.protobuf.message import Message

from . import messages, stdin
from .backoff import Patience
from .connect import ConnectLink
from .errors import BrokerError, BrokerUnavailable, QueueFull, TaskRejected
from .files import Files
from .kept import Kept
from .live import Live
from .result import Result
from .storage import Storage
from .task import AnyTask, PythonTask
from .transport import Transport
from .version import Version
from .websocket import WebSocketLink

REFUSALS = frozenset({"invalid_argument", "not_found", "unauthenticated", "permission_denied", "resource_exhausted"})
"""Codes of tasks that were not taken; any other code is how a task ended."""


class Asking:
    """One broker's door: a session, a transport, the storage. `max_download`: bytes that are fetched of one result."""

    def __init__(self, url: str, transport: str, patience: float, max_download: int) -> None:
        self._patience = patience
        self._max_download = max_download
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=256),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=True,
        )
        self.version = Version(self.session, url)
        self.transport: Transport = (
            WebSocketLink(self.session, url, patience, self.version)
            if transport == "websocket"
            else ConnectLink(self.session, url, patience)
        )
        self.storage = Storage(self.session, url)
        self._files = Files(self.storage)

    async def perform(
        self, task: AnyTask, index: int, patience: Patience, queue: Patience | None = None, live: Live | None = None
    ) -> Result:
        """Ask the broker, again when it says so: `queue` is the patience with a full queue."""
        id = f"{self._prefix}-{next(self._numbers)}"
        request = await self._request(task, id, live)
        once = live is not None and live.interactive
        uploaded_again = False
        now = asyncio.get_running_loop().time
        started = now()
        while True:
            try:
                response = await self.transport.call(request, id, live)
                result = messages.result(response, index, task.label, now() - started)
                large = messages.large(response)
                return await self._fetched(result, large) if large else result
            except BrokerError as error:
                if error.code == "not_found" and not uploaded_again and not once and self._forget(task):
                    uploaded_again = True
                    request = await self._request(task, id, live)
                    continue
                pause = None if once else _pause(error, task, patience, queue)
                if pause is None:
                    if error.code in REFUSALS or _is_refusal(error, task):
                        raise
                    return denied(task, index, str(error), error.code, id)
            await asyncio.sleep(pause)

    async def _request(self, task: AnyTask, id: str, live: Live | None) -> Message:
        return messages.request(
            task, id, await self._refs(task), follow=live is not None, interactive=live is not None and live.interactive
        )

    async def _refs(self, task: AnyTask) -> messages.Refs:
        ref = self._files.ref
        rootfs = "" if task.rootfs is None else await ref(task.rootfs)
        given = await stdin.placed(task, self.storage, self.version)
        if isinstance(task, PythonTask):
            return messages.Refs(rootfs=rootfs, stdin=given)
        binary = await ref(task.binary)
        roots = [(path, await ref(source)) for path, source in task.roots.items()]
        return messages.Refs(binary, rootfs, roots, given)

    def _forget(self, task: AnyTask) -> bool:
        """Whether some file of the task is ours to upload again."""
        own = [] if isinstance(task, PythonTask) else [task.binary, *task.roots.values()]
        forgotten = [self._files.forget(source) for source in (*own, task.rootfs)]
        return any(forgotten) or stdin.is_large(task)

    async def _fetched(self, result: Result, large: dict[str, str]) -> Result:
        """The Result with what it refers to; when that can't be had, one whose error says so."""
        left = self._max_download
        try:
            for name, ref in large.items():
                kept = await self._fetch(ref, left)
                left -= kept.size
                content: bytes | Kept = kept if name == "archive" else await asyncio.to_thread(kept.read)
                result = replace(result, **{name: content})  # type: ignore[arg-type]
        except (BrokerError, BrokerUnavailable) as error:
            what = "artifacts" if name == "archive" else name
            words = f"the program ended with exit code {result.status}, but its {what} can't be fetched: {error}"
            code = error.code if isinstance(error, BrokerError) else "unavailable"
            return replace(result, status=None, error=words, code=code)
        return result

    async def _fetch(self, ref: str, limit: int) -> Kept:
        """From the storage, again when the connection breaks."""
        patience = Patience(self._patience)
        while True:
            try:
                return await self.storage.fetch(ref, limit)
            except BrokerUnavailable:
                pause = patience.pause(asyncio.get_running_loop().time())
                if pause is None:
                    raise
            await asyncio.sleep(pause)


def denied(task: AnyTask, index: int, error: str, code: str, id: str = "") -> Result:
    """The Result of a task that the broker ended."""
    return Result(None, error=error, code=code, task=id, index=index, label=task.label)


def _pause(error: BrokerError, task: AnyTask, patience: Patience, queue: Patience | None) -> float | None:
    """Seconds after which to ask again; None: don't."""
    limit = queue if isinstance(error, QueueFull) else patience
    if limit is None or task.immediate or not isinstance(error, TaskRejected):
        return None
    if error.retry_after is None:
        return None
    pause = limit.pause(asyncio.get_running_loop().time())
    return None if pause is None else max(pause, min(error.retry_after, 30.0) * random.uniform(0.5, 1.0))


def _is_refusal(error: BrokerError, task: AnyTask) -> bool:
    """Unavailable is a refusal when nobody was free for an immediate task; else the task was lost too often."""
    return isinstance(error, TaskRejected) and (task.immediate or error.retry_after is not None)
