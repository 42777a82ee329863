"""One loop for both platforms: frames and events in, the core's instructions performed. Imports core, ports, wire.

Synchronous and safe to re-enter. What one turn produces is gathered: at its end each slot gets one message and the broker
one frame — if it is of our own kind, which it shows by sending a batch; any other gets an envelope per frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from .batches import batched
from .core import events as e
from .core import instructions as i
from .core.run import Run
from .core.state import State
from .core.status import Status, status_of
from .errors import PeerError, TaskFault, UsageError
from .ports import Blobs, Clock, Slots, StatusSink, Transport
from .traces import Event as Traced
from .traces import Traces
from .translate import MAX_EXACT, answer_of, fault, python_run_of, run_of, too_large
from .wire import codec
from .wire import messages_pb2 as pb

SILENCE = 20.0
"""Seconds without a frame after which a broker is given up; it pings every 5."""
STATUS_EVERY = 0.25
MAX_MESSAGE = 64 << 20
"""Bytes of a frame that a broker takes; it would close the link over a larger one, and lose all that runs here."""
MAX_UNSENT = 1 << 20
"""Bytes that wait to leave, above which what tasks write is not told as they write it: their ends hold all of it."""
WASIP1, THREADS = "wasip1", "wasip1-threads"
PYTHON, PYTHON_NETWORK = "pyodide", "pyodide-network"
"""The kinds of tasks that providers take; those with THREADS are of WASIP1, too, those with PYTHON_NETWORK of PYTHON."""
INTERACTIVE = "interactive"
"""Among the kinds: standard input may come while a task runs."""


class Runtime:
    """Drives a `State`. The platform feeds it with events and frames; its ports must not be used by anyone else."""

    def __init__(
        self,
        state: State,
        transport: Transport,
        slots: Slots,
        blobs: Blobs,
        clock: Clock,
        sink: StatusSink,
        engine: str,
        kinds: Sequence[str] = (WASIP1, INTERACTIVE),
    ) -> None:
        """`engine` is for people, for example "wasmtime 50.0.1, CPython 3.11.7"; `kinds` are those the slots take."""
        self.state = state
        self._transport = transport
        self._slots = slots
        self._blobs = blobs
        self._clock = clock
        self._sink = sink
        self._engine = engine
        self._kinds = kinds
        self._inbox: deque[bytes | e.Event] = deque()
        self._turning = False
        self._own = False
        self._heard = False
        self._links = 0
        self._events_sent = 0
        self._envelopes: list[bytes] = []
        self._posts: dict[int, list[Run]] = {}
        self._inputs: list[i.PostInput] = []
        self._traces = Traces()
        self._told_bytes = 0
        """Of output in `_envelopes`."""
        self._untold: set[int] = set()
        """Runs whose output is not told any more, since some of it was left out."""
        self._peers = 0
        self._throughput = 0.0
        self._shown: Status | None = None
        self._shown_at = float("-inf")
        self._show_due = False

    def feed(self, event: e.Event) -> None:
        """Something happened."""
        self._inbox.append(event)
        self._turn()

    def receive(self, frame: bytes) -> None:
        """A binary frame came from the broker."""
        self._inbox.append(frame)
        self._turn()

    def offer(self, kinds: Sequence[str], engine: str) -> None:
        """Take tasks of these kinds from now on."""
        self._kinds, self._engine = kinds, engine
        self.feed(e.OfferChanged())

    def status(self) -> Status:
        return replace(status_of(self.state), peers=self._peers, throughput=self._throughput)

    def _turn(self) -> None:
        if self._turning:
            return
        self._turning = True
        try:
            while self._inbox:
                while self._inbox:
                    item = self._inbox.popleft()
                    if isinstance(item, bytes):
                        self._read(item)
                    else:
                        self._handle(item)
                self._flush()
        finally:
            self._turning = False
        self._show_soon()

    # Frames.

    def _read(self, frame: bytes) -> None:
        if not self.state.link.up:
            return
        self._heard = True
        if codec.is_batch(frame):
            self._own = True
        try:
            for envelope in codec.decode(frame):
                self._open(envelope)
        except PeerError as error:
            self._handle(e.PeerFaulted(str(error)))

    def _open(self, envelope: pb.Envelope) -> None:
        if envelope.type == codec.REQUEST:
            self._request(envelope)
        elif envelope.type == codec.EVENT:
            self._told(envelope)
        elif envelope.type != codec.RESPONSE:
            raise PeerError(f"Envelope of unknown type {envelope.type}")
        # We ask the broker nothing: a Response is nobody's.

    def _request(self, envelope: pb.Envelope) -> None:
        sequence = envelope.sequence
        try:
            if not sequence and not envelope.HasField("sequence"):
                raise PeerError("a Request needs a sequence")
            if sequence > MAX_EXACT:
                raise PeerError(f"sequence {sequence} is too large, at most {MAX_EXACT} is taken")
            payload = codec.unpack(envelope)
            answer = _ANSWERS.get(type(payload))
            if answer is None:
                raise PeerError(f"a provider does not answer {payload.DESCRIPTOR.full_name}")
            answer(self, sequence, payload)
        except (PeerError, UsageError) as error:
            self._envelopes.append(codec.failure(sequence, str(error)))

    def _told(self, envelope: pb.Envelope) -> None:
        try:
            event = codec.unpack(envelope)
        except PeerError:
            return
        if isinstance(event, pb.Event.ClusterInfo):
            self._peers = event.providers
        elif isinstance(event, pb.Event.Throughput):
            self._throughput = event.overall
        elif isinstance(event, pb.Event.TaskInput):
            self._handle(e.InputArrived(event.request, event.stdin, event.end))
        elif isinstance(event, pb.Event.GenericMessage):
            self._sink.log(f"the broker says: {event.message[:500]}")

    def _reply(self, sequence: int, payload: Message) -> None:
        self._envelopes.append(codec.response(sequence, payload))

    # Requests, kind by kind.

    def _wasip1(self, sequence: int, request: pb.Task.Wasip1.Request) -> None:
        if request.qos.interactive and INTERACTIVE not in self._kinds:
            raise UsageError("this provider takes no input while a task runs")
        try:
            run = run_of(sequence, request)
        except TaskFault as error:
            self._envelopes.append(fault(sequence, request, str(error)))
        else:
            self._ask(run, request.info)

    def _pyodide(self, sequence: int, request: pb.Task.Pyodide.Request) -> None:
        if PYTHON not in self._kinds:
            raise UsageError("this provider runs no Python tasks")
        try:
            run = python_run_of(sequence, request)
        except TaskFault as error:
            self._envelopes.append(fault(sequence, request, str(error)))
        else:
            self._ask(run, request.info)

    def _ask(self, run: Run, info: pb.Task.Metadata) -> None:
        if info.HasField("trace"):
            self._traces.begin(run.sequence, info.trace)
        self._handle(e.RunAsked(run))

    def _cancel(self, sequence: int, request: pb.Task.Cancel) -> None:
        self._handle(e.CancelAsked(sequence, request.id, request.reason[:500]))

    def _listing(self, sequence: int, request: pb.Filesystem.Listing.Request) -> None:
        self._handle(e.ListingAsked(sequence))

    def _probe(self, sequence: int, request: pb.Filesystem.Probe.Request) -> None:
        self._reply(sequence, pb.Filesystem.Probe.Response(ok=self._blobs.has(request.file)))

    def _upload(self, sequence: int, request: pb.Filesystem.Upload.Request) -> None:
        file = request.upload
        if not file.HasField("blob"):
            raise UsageError("an Upload needs a blob")
        ref = self._blobs.put(file.blob, file.media)
        if file.ref.startswith("sha256:") and file.ref != ref:
            raise UsageError(f"the uploaded blob is {ref}, not {file.ref[:80]}")
        self._reply(sequence, pb.Filesystem.Upload.Response(ref=ref))

    def _download(self, sequence: int, request: pb.Filesystem.Download.Request) -> None:
        self._reply(sequence, pb.Filesystem.Download.Response(err="a provider gives out no blobs, ask the broker"))

    def _ping(self, sequence: int, request: pb.Ping) -> None:
        self._reply(sequence, request)

    # Instructions.

    def _handle(self, event: e.Event) -> None:
        if isinstance(event, e.LinkOpened):
            self._begin_link()
        elif isinstance(event, e.LinkLost):
            self._links += 1
            self._envelopes.clear()
        for instruction in self.state.handle(event, self._clock.now()):
            _PERFORM[type(instruction)](self, instruction)

    def _begin_link(self) -> None:
        self._own = False
        self._heard = True
        self._events_sent = 0
        self._traces.clear()
        self._untold.clear()
        self._links += 1
        self._watch(self._links)

    def _watch(self, link: int) -> None:
        """Give a silent broker up: its socket may be gone without a word."""
        if link == self._links and not self._heard:
            self.feed(e.PeerFaulted(f"the broker was silent for {SILENCE:.0f} s"))
        elif link == self._links:
            self._heard = False
            self._clock.call_later(SILENCE, lambda: self._watch(link))

    def _open_link(self, told: i.OpenLink) -> None:
        self._transport.open()

    def _close_link(self, told: i.CloseLink) -> None:
        self._links += 1
        self._flush()
        self._transport.close(told.code, told.reason)

    def _start_slot(self, told: i.StartSlot) -> None:
        self._slots.start(told.slot)

    def _stop_slot(self, told: i.StopSlot) -> None:
        self._posts.pop(told.slot, None)
        self._slots.stop(told.slot)

    def _post(self, told: i.Post) -> None:
        self._posts.setdefault(told.slot, []).extend(told.runs)
        if self._traces:
            for run in told.runs:
                self._traces.mark(run.sequence, Traced.ProviderGetWorker)

    def _post_input(self, told: i.PostInput) -> None:
        self._inputs.append(told)

    def _send_listing(self, told: i.SendListing) -> None:
        self._reply(told.sequence, pb.Filesystem.Listing.Response(files=self._blobs.refs()))

    def _send_outcome(self, told: i.SendOutcome) -> None:
        run, ended = told.run, told.ended
        if told.slot is not None and ended and ended.usage:
            ended = replace(ended, usage=replace(ended.usage, cpu=self._slots.cpu(told.slot, ended.seconds)))
        answer = answer_of(run, told.outcome, ended, self._engine)
        if self._traces:
            answer = self._traces.finish(run.sequence, answer, ended)
        if run.params.follow:
            self._untold.discard(run.sequence)
        if len(answer) > MAX_MESSAGE:
            answer = too_large(run, len(answer), MAX_MESSAGE)
        self._envelopes.append(answer)

    def _send_output(self, told: i.SendOutput) -> None:
        sequence = told.run.sequence
        if not self._own or sequence in self._untold:
            return
        if self._told_bytes + self._transport.unsent() >= MAX_UNSENT:
            self._untold.add(sequence)
            return
        self._told_bytes += len(told.stdout) + len(told.stderr)
        self._event(pb.Event.TaskOutput(request=sequence, stdout=told.stdout or None, stderr=told.stderr or None))

    def _send_taken(self, told: i.SendTaken) -> None:
        self._event(pb.Event.TaskInputTaken(request=told.sequence, taken=told.taken))

    def _send_cancelled(self, told: i.SendCancelled) -> None:
        self._reply(told.sequence, pb.Task.Cancel(id=told.task, reason=told.reason))

    def _send_resources(self, told: i.SendResources) -> None:
        resources = pb.Event.ProviderResources(
            concurrency=told.concurrency,
            tasks=told.tasks,
            extension=codec.EXTENSION,
            engine=self._engine,
            runs=self._kinds,
        )
        self._event(resources)

    def _event(self, payload: Message) -> None:
        self._envelopes.append(codec.event(self._events_sent, payload))
        self._events_sent += 1

    def _remind(self, told: i.Remind) -> None:
        self._clock.call_later(told.delay, lambda: self.feed(told.event))

    def _note(self, told: i.Note) -> None:
        self._sink.log(told.text)

    def _finish(self, told: i.Finish) -> None:
        self._show()
        self._sink.finished()

    # The end of a turn.

    def _flush(self) -> None:
        posts, self._posts = self._posts, {}
        for slot, runs in posts.items():
            self._slots.post(slot, runs)
            if self._traces:
                for run in runs:
                    self._traces.mark(run.sequence, Traced.ProviderPostToWorker)
        inputs, self._inputs = self._inputs, []
        for told in inputs:
            self._slots.put(told.slot, told.sequence, told.data, told.end)
        envelopes, self._envelopes = self._envelopes, []
        self._told_bytes = 0
        for frame in batched(envelopes) if self._own else envelopes:
            self._transport.send(frame)

    def _show_soon(self) -> None:
        if self._show_due:
            return
        wait = self._shown_at + STATUS_EVERY - self._clock.now()
        if wait <= 0:
            self._show()
        else:
            self._show_due = True
            self._clock.call_later(wait, self._show)

    def _show(self) -> None:
        self._show_due = False
        self._shown_at = self._clock.now()
        status = self.status()
        if status != self._shown:
            self._shown = status
            self._sink.show(status)


_ANSWERS: dict[type[Message], Callable[[Runtime, int, Any], None]] = {
    pb.Task.Wasip1.Request: Runtime._wasip1,
    pb.Task.Pyodide.Request: Runtime._pyodide,
    pb.Task.Cancel: Runtime._cancel,
    pb.Filesystem.Listing.Request: Runtime._listing,
    pb.Filesystem.Probe.Request: Runtime._probe,
    pb.Filesystem.Upload.Request: Runtime._upload,
    pb.Filesystem.Download.Request: Runtime._download,
    pb.Ping: Runtime._ping,
}

_PERFORM: dict[type[i.Instruction], Callable[[Runtime, Any], None]] = {
    i.OpenLink: Runtime._open_link,
    i.CloseLink: Runtime._close_link,
    i.StartSlot: Runtime._start_slot,
    i.StopSlot: Runtime._stop_slot,
    i.Post: Runtime._post,
    i.PostInput: Runtime._post_input,
    i.SendListing: Runtime._send_listing,
    i.SendOutcome: Runtime._send_outcome,
    i.SendOutput: Runtime._send_output,
    i.SendTaken: Runtime._send_taken,
    i.SendCancelled: Runtime._send_cancelled,
    i.SendResources: Runtime._send_resources,
    i.Remind: Runtime._remind,
    i.Note: Runtime._note,
    i.Finish: Runtime._finish,
}
