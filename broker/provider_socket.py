"""A provider's WebSocket: its envelopes become events of the core. Imports the wire, the dispatcher and aiohttp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from broker.core import events as e
from broker.core.task import KINDS, Provider
from broker.dispatcher import Dispatcher
from broker.replies import Response
from broker.sockets import Socket
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from pyodide_provider.wire.errors import PeerError

ANSWERS: dict[type, type] = {
    pb.Task.Wasip1.Request: pb.Task.Wasip1.Response,
    pb.Task.Pyodide.Request: pb.Task.Pyodide.Response,
}
OUTPUT_FILES: dict[type, tuple[str, ...]] = {
    pb.Task.Wasip1.Output: ("artifacts", "stdout_file", "stderr_file"),
    pb.Task.Pyodide.Output: ("artifacts",),
}
MAX_CPU_SECONDS = 1e7
"""Believed of one run."""
MAX_REFS = 256
"""Of a listing or an update that are read."""
REF_LENGTH = len("sha256:") + 64
MAX_CONCURRENCY = 4096
"""Believed of one provider."""


class ProviderSocket:
    """One connected provider."""

    def __init__(self, socket: Socket, provider: Provider, dispatcher: Dispatcher, holds: Callable[[str], bool]) -> None:
        """`holds` tells whether our storage has a ref."""
        self.outbox = socket.outbox
        self.events = 0
        self._socket = socket
        self._provider = provider
        self._dispatcher = dispatcher
        self._handle = dispatcher.handle
        self._holds = holds
        self._answered: dict[type, Callable[[int, Any], None]] = {
            pb.Task.Wasip1.Response: self._run_answered,
            pb.Task.Pyodide.Response: self._run_answered,
            pb.Filesystem.Listing.Response: self._listed,
            pb.Ping: self._ponged,
        }
        self._told: dict[type, Callable[[Any], None]] = {
            pb.Event.ProviderResources: self._resources,
            pb.Event.FileSystemUpdate: self._files,
            pb.Event.TaskOutput: self._written,
            pb.Event.TaskInputTaken: self._taken,
        }

    async def serve(self) -> None:
        """Until the provider goes."""
        provider = self._provider
        self._dispatcher.links[provider.number] = self
        reason = "connection lost"
        try:
            self._handle(e.ProviderConnected(provider))
            reason = await self._socket.pump(self.receive)
        finally:
            del self._dispatcher.links[provider.number]
            self._handle(e.ProviderLost(provider, reason))
            await self._socket.finish()

    def drop(self, code: int, reason: str) -> None:
        self._socket.drop(code, reason)

    def receive(self, envelope: pb.Envelope) -> None:
        """One envelope. Raises PeerError when it breaks the protocol."""
        kind = envelope.type
        if kind == codec.RESPONSE:
            self._response(envelope)
        elif kind == codec.EVENT:
            payload = codec.unpack(envelope)
            tell = self._told.get(type(payload))
            if tell is not None:
                tell(payload)
        elif kind == codec.REQUEST:
            self._request(envelope)
        else:
            raise PeerError("Envelope without a type")
        if not self._provider.own:
            self._socket.acknowledge_quickly()

    def _response(self, envelope: pb.Envelope) -> None:
        sequence = envelope.sequence
        if envelope.error:
            if sequence == 1:
                raise PeerError(f"could not list its files: {envelope.error[:200]}")
            return self._handle(e.RunRefused(self._provider, sequence, envelope.error[:1000]))
        payload = codec.unpack(envelope)
        handler = self._answered.get(type(payload))
        if handler is not None:
            handler(sequence, payload)

    def _run_answered(self, sequence: int, response: Response) -> None:
        run = self._provider.runs.get(sequence)
        if run is not None and run.cancelled is None and type(response) is not ANSWERS[type(run.task.payload)]:
            return self._handle(e.RunRefused(self._provider, sequence, f"answered with a {response.DESCRIPTOR.full_name}"))
        result = response.WhichOneof("result")
        if result is None:
            return self._handle(e.RunRefused(self._provider, sequence, "answered with neither a result nor an error"))
        failed = result == "error"
        if run is not None and run.task.by_reference and not failed and (missing := self._missing(response.ok)):
            return self._handle(e.RunRefused(self._provider, sequence, missing))
        cpu = 0.0
        if self._provider.own and response.HasField("usage"):
            cpu = min(response.usage.cpu_us / 1e6, MAX_CPU_SECONDS)
        self._handle(e.RunAnswered(self._provider, sequence, response.info.id, response, failed, cpu))

    def _missing(self, output: pb.Task.Wasip1.Output | pb.Task.Pyodide.Output) -> str:
        """What is said of an output that refers to a file which we don't have; "" when all is here."""
        for name in OUTPUT_FILES[type(output)]:
            if output.HasField(name):
                ref = getattr(output, name).ref
                if ref and not self._holds(ref):
                    return f"answered with {name} {ref[:80]!r}, which is not in storage"
        return ""

    def _written(self, output: pb.Event.TaskOutput) -> None:
        """Of a run that is over, or that nobody follows, nobody wants to know it."""
        run = self._provider.runs.get(output.request)
        if run is not None and run.cancelled is None and run.task.follower is not None:
            run.task.follower.written(run.attempt, output.stdout, output.stderr)

    def _taken(self, told: pb.Event.TaskInputTaken) -> None:
        run = self._provider.runs.get(told.request)
        if run is not None and run.cancelled is None and run.task.feed is not None:
            run.task.feed.was_read(told.taken)

    def _listed(self, sequence: int, listing: pb.Filesystem.Listing.Response) -> None:
        self._handle(e.FilesAnnounced(self._provider, _refs(listing.files), sequence=sequence))

    def _ponged(self, sequence: int, _: pb.Ping) -> None:
        self._handle(e.PongArrived(self._provider, sequence))

    def _request(self, envelope: pb.Envelope) -> None:
        payload = codec.unpack(envelope)
        if isinstance(payload, pb.Ping):
            self.outbox.send(codec.response(envelope.sequence, payload))
        else:
            text = f"{payload.DESCRIPTOR.full_name} is not something a provider may ask"
            self.outbox.send(codec.failure(envelope.sequence, text))

    def _resources(self, resources: pb.Event.ProviderResources) -> None:
        own = resources.extension > 0
        if own and not self._provider.own:
            self.outbox.batch()
        self._handle(
            e.ResourcesAnnounced(
                self._provider,
                min(resources.concurrency, MAX_CONCURRENCY),
                own,
                resources.engine[:200],
                frozenset(kind[:20] for kind in resources.runs[:16]) or KINDS,
            )
        )

    def _files(self, update: pb.Event.FileSystemUpdate) -> None:
        self._handle(e.FilesAnnounced(self._provider, _refs(update.added), _refs(update.removed)))


def _refs(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names[:MAX_REFS] if name.startswith("sha256:") and len(name) == REF_LENGTH)
