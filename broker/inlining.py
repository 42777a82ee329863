"""Standard input by reference, for providers of other makes: they know only of what is in the request itself.

Such a request is put together when it is sent, in a thread. Imports the wire, blobs and the core's data.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeGuard

from broker.core.task import Run
from broker.errors import Refused
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

if TYPE_CHECKING:
    from broker.blobs import Blobs
    from broker.replies import Request

AT_A_TIME = 2
"""Requests whose stdin is in memory between the storage and a socket."""


class Inlining:
    def __init__(self, blobs: Blobs, max_message: int) -> None:
        """`max_message`: bytes of the largest message that a peer is sent."""
        self._blobs = blobs
        self._most = max_message
        self._turn = asyncio.Semaphore(AT_A_TIME)

    def fits(self, request: pb.Task.Wasip1.Request) -> bool:
        """Whether a request fits into one message with its stdin, whose ref is resolved."""
        blob = self._blobs.blob(request.params.stdin_file.ref)
        return blob is not None and blob.size + request.ByteSize() <= self._most

    @staticmethod
    def concerns(request: Request) -> TypeGuard[pb.Task.Wasip1.Request]:
        return isinstance(request, pb.Task.Wasip1.Request) and request.params.HasField("stdin_file")

    async def envelope(self, run: Run) -> bytes:
        """A run's request with its stdin; b"" when the run is over meanwhile. Raises Refused when it can't be had."""
        async with self._turn:
            if run.task.run is not run:
                return b""
            request = pb.Task.Wasip1.Request()
            request.CopyFrom(run.task.payload)
            blob = self._blobs.blob(request.params.stdin_file.ref)
            if blob is None:
                raise Refused("not_found", "its stdin is no longer in storage")
            request.params.ClearField("stdin_file")
            return await self._blobs.read(blob, lambda stdin: _encoded(run.sequence, request, stdin))


def _encoded(sequence: int, request: pb.Task.Wasip1.Request, stdin: bytes) -> bytes:
    request.params.stdin = stdin
    return codec.request(sequence, request)
