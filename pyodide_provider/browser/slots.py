"""The slots: Web Workers, spoken to through the JavaScript pool. Imports the core's data and events, and ports.

A slot's Python is a worker of its own, which comes and goes with each run; to the core both are the slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.events import Event, InputTaken, OutputWritten, RunBegan, RunsEnded, SlotLost, SlotReady, SlotSpent
from ..core.input import MAX_INPUT
from ..core.run import PythonParams, Run
from ..ports import Clock
from ..slot_messages import ended, output, read_header, runs_message, start_header
from .host import JsBytes, JsHost, Keep
from .interpreters import BrowserInterpreters


class BrowserSlots:
    """`ports.Slots` on Web Workers; `feed` gets what they say. `greet` gives the messages a new one is sent first."""

    def __init__(
        self,
        js_host: JsHost,
        keep: Keep,
        storage: str,
        limits: dict[str, int],
        greet: Callable[[], Sequence[tuple[str, bytes]]],
        clock: Clock,
    ) -> None:
        js_pool = self._js_pool = js_host.pool
        self._room = js_host.room
        self._start, self._stop, self._post = js_pool.start, js_pool.stop, js_pool.post
        self._python = BrowserInterpreters(js_host, keep, clock)
        self._header = start_header(storage, limits)
        self._greet = greet
        self._alive: set[int] = set()
        self.feed: Callable[[Event], None] = _nobody
        heard = keep(self._heard)
        js_pool.listen(heard, keep(self._lost))
        js_host.interpreters.listen(heard)

    def start(self, slot: int) -> None:
        self._alive.add(slot)
        self._python.workers(len(self._alive))
        self._start(slot, self._header)
        for header, body in self._greet():
            self._send(slot, header, body)

    def stop(self, slot: int) -> None:
        self._alive.discard(slot)
        self._stop(slot)
        self._python.stop(slot)

    def post(self, slot: int, runs: Sequence[Run]) -> None:
        params = runs[0].params
        if isinstance(params, PythonParams):
            # It is alone: how long it takes is not known, so the core posts nothing behind it, and it behind nothing.
            self._python.post(slot, runs[0])
        else:
            if params.interactive:
                # Alone, too.
                assert isinstance(params.stdin, bytes)
                self._js_pool.open(slot, runs[0].sequence, len(params.stdin) + MAX_INPUT)
                self.put(slot, runs[0].sequence, params.stdin, False)
            self._send(slot, *runs_message(runs))

    def cpu(self, slot: int, seconds: float) -> float:
        # It can't be asked while it computes, but its sleep can be seen where we share memory.
        return max(seconds - self._js_pool.slept(slot), 0.0)

    def put(self, slot: int, sequence: int, data: bytes, end: bool) -> None:
        self._js_pool.put(slot, sequence, self._js_bytes(data), end)

    def tell_all(self, header: str, body: bytes) -> None:
        """Send a message to every worker."""
        for slot in self._alive:
            self._send(slot, header, body)

    def _send(self, slot: int, header: str, body: bytes) -> None:
        if body:
            self._post(slot, header, self._js_bytes(body))
        else:
            self._post(slot, header)

    def _js_bytes(self, body: bytes) -> JsBytes:
        js_body = self._room(len(body))
        js_body.assign(body)
        return js_body

    def _heard(self, slot: int, header: str, js_body: JsBytes | None) -> None:
        report = read_header(header)
        if "ended" in report:
            self._python.ended(slot)
            self.feed(RunsEnded(slot, ended(report["ended"], js_body.to_bytes() if js_body is not None else b"")))
        elif "began" in report:
            self.feed(RunBegan(slot, report["began"]))
        elif "output" in report:
            self.feed(OutputWritten(slot, *output(report["output"], js_body.to_bytes() if js_body is not None else b"")))
        elif "taken" in report:
            self.feed(InputTaken(slot, *report["taken"]))
        elif "spent" in report:
            self.feed(SlotSpent(slot))
        elif "ready" in report:
            self.feed(SlotReady(slot))

    def _lost(self, slot: int, reason: str) -> None:
        self._alive.discard(slot)
        self.feed(SlotLost(slot, reason))


def _nobody(event: Event) -> None:
    raise AssertionError(f"{type(event).__name__} before the runtime was there")
