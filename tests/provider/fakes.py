"""Ports held by a test: a link of real frames, slots and a clock that do what the test says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from pyodide_provider.core import events as e
from pyodide_provider.core.run import Ended, Exited, Outcome, Run
from pyodide_provider.core.state import State
from pyodide_provider.core.status import Status
from pyodide_provider.errors import UsageError
from pyodide_provider.runtime import WASIP1, Runtime
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb


@dataclass
class Link:
    opened: int = 0
    frames: list[bytes] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    on_send: Callable[[bytes], None] | None = None
    on_close: Callable[[], None] | None = None
    waiting: int = 0

    def open(self) -> None:
        self.opened += 1

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        if self.on_send:
            self.on_send(frame)

    def unsent(self) -> int:
        return self.waiting

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
        if self.on_close:
            self.on_close()

    def take(self) -> list[pb.Envelope]:
        """The envelopes sent since the last call."""
        frames, self.frames = self.frames, []
        return [envelope for frame in frames for envelope in codec.decode(frame)]


@dataclass
class Workers:
    alive: set[int] = field(default_factory=set)
    posts: list[tuple[int, list[Run]]] = field(default_factory=list)
    puts: list[tuple[int, int, bytes, bool]] = field(default_factory=list)

    def start(self, slot: int) -> None:
        self.alive.add(slot)

    def stop(self, slot: int) -> None:
        self.alive.remove(slot)

    def post(self, slot: int, runs: Sequence[Run]) -> None:
        assert slot in self.alive
        self.posts.append((slot, list(runs)))

    def cpu(self, slot: int, seconds: float) -> float:
        assert slot in self.alive
        return seconds / 2

    def put(self, slot: int, sequence: int, data: bytes, end: bool) -> None:
        assert any(run.sequence == sequence for at, runs in self.posts if at == slot for run in runs), "input before its run"
        self.puts.append((slot, sequence, data, end))


@dataclass
class Shelf:
    blobs: dict[str, bytes] = field(default_factory=dict)

    def refs(self) -> Sequence[str]:
        return list(self.blobs)

    def has(self, ref: str) -> bool:
        return ref in self.blobs

    def put(self, blob: bytes, media: str) -> str:
        if len(blob) > 1000:
            raise UsageError("the blob is too large to keep")
        ref = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self.blobs[ref] = blob
        return ref


@dataclass
class Hands:
    """A clock that stands still until told."""

    time: float = 50.0
    waiting: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.waiting.append((self.time + delay, callback))

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while due := [entry for entry in self.waiting if entry[0] <= end]:
            entry = min(due, key=lambda waiting: waiting[0])
            self.waiting.remove(entry)
            self.time = max(self.time, entry[0])
            entry[1]()
        self.time = end


@dataclass
class Screen:
    shown: list[Status] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ended: bool = False

    def show(self, status: Status) -> None:
        self.shown.append(status)

    def log(self, line: str) -> None:
        self.lines.append(line)

    def finished(self) -> None:
        self.ended = True


class Bench:
    """A runtime with its ports."""

    def __init__(self, workers: int = 2, kinds: Sequence[str] = (WASIP1,)) -> None:
        self.link, self.workers, self.shelf, self.hands, self.screen = Link(), Workers(), Shelf(), Hands(), Screen()
        self.state = State(workers, lambda: 1.0)
        self.runtime = Runtime(self.state, self.link, self.workers, self.shelf, self.hands, self.screen, "testing 1.0", kinds)

    def connect(self) -> Bench:
        self.runtime.feed(e.ConnectWanted())
        self.runtime.feed(e.LinkOpened())
        for slot in sorted(self.workers.alive):
            self.runtime.feed(e.SlotReady(slot))
        self.link.take()
        return self

    def say(self, *envelopes: bytes, batch: bool = False) -> list[pb.Envelope]:
        """The broker sends; gives what the provider answers at once."""
        if batch:
            self.runtime.receive(codec.batch(envelopes))
        else:
            for envelope in envelopes:
                self.runtime.receive(envelope)
        return self.link.take()

    def ask(self, sequence: int, payload: Message) -> list[pb.Envelope]:
        return self.say(codec.request(sequence, payload))

    def end(self, slot: int, sequences: Iterable[int], outcome: Outcome | None = None) -> list[pb.Envelope]:
        ended = tuple(Ended(sequence, outcome or Exited(0), 0.0001) for sequence in sequences)
        self.runtime.feed(e.RunsEnded(slot, ended))
        return self.link.take()


def task(name: str, ref: str = "sha256:" + "0a" * 32) -> pb.Task.Wasip1.Request:
    request = pb.Task.Wasip1.Request()
    request.info.id = name
    request.params.binary.ref = ref
    request.params.args[:] = ["prog"]
    return request
