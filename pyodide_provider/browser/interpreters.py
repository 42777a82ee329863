"""The interpreters for Python tasks in the tab: which wait, and which task gets which. Imports the core, and ports.

static/js/python/interpreters.js starts them and speaks to them, by numbers of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..core.run import PythonParams, Run
from ..core.spares import IDLE, PLAIN, Kit, Spares, kit_of
from ..ports import Clock
from ..slot_messages import python_message
from .host import JsBytes, JsHost, Keep

NOT_KEPT = 0
"""The number of one that is started for its task alone: it may use the network."""


@dataclass(slots=True)
class Busy:
    """What runs for a slot: its kit, the interpreter, and what that had before."""

    kit: Kit
    number: int
    had: Kit


class BrowserInterpreters:
    def __init__(self, js_host: JsHost, keep: Keep, clock: Clock) -> None:
        self._js = js_host.interpreters
        self._clock = clock
        self._room = js_host.room
        self._spares = Spares(0)
        self._busy: dict[int, Busy] = {}
        self._last = NOT_KEPT
        self._idle_since = 0.0
        self._watched = False
        """Whether a look is due at whether they are wanted still."""
        self._js.attend(keep(self._handed), keep(self._returned), keep(self._lost))

    def workers(self, count: int) -> None:
        self._spares.workers(count)

    def post(self, slot: int, run: Run) -> None:
        params = run.params
        assert isinstance(params, PythonParams)
        number, kit, had = NOT_KEPT, PLAIN, PLAIN
        if not params.network:
            kit = kit_of(params)
            found = self._spares.take(kit)
            number, had = found or (self._start(PLAIN), PLAIN)
            self._busy[slot] = Busy(kit, number, had)
        header, body = python_message(run)
        self._js.post(slot, number, had != PLAIN, header, self._bytes(body))

    def stop(self, slot: int) -> None:
        self._js.stop(slot)
        self.ended(slot)

    def ended(self, slot: int) -> None:
        """What runs for that slot, if it is Python, is over."""
        busy = self._busy.pop(slot, None)
        if busy is None:
            return
        self._spares.ended(busy.kit)
        if not self._busy:
            self._idle_since = self._clock.now()
            if not self._watched:
                self._watch(IDLE)

    def _watch(self, seconds: float) -> None:
        self._watched = True
        self._clock.call_later(seconds, self._look)

    def _look(self) -> None:
        self._watched = False
        if self._busy:
            return
        left = self._idle_since + IDLE - self._clock.now()
        if left > 0:
            self._watch(left)
            return
        for number in list(self._spares.waiting):
            self._drop(number)

    def _start(self, kit: Kit) -> int:
        self._last += 1
        self._js.start(self._last, "" if kit == PLAIN else json.dumps(kit._asdict()))
        return self._last

    def _drop(self, number: int) -> None:
        self._spares.drop(number)
        self._js.drop(number)

    def _handed(self, slot: int, spoiled: bool) -> None:
        """A task has its interpreter: time for the next one. `spoiled`: it is another one than it was to be, which broke."""
        busy = self._busy.get(slot)
        if spoiled and busy is not None:
            self._spares.failed(busy.had)
        starts, stops = self._spares.plan()
        for number in stops:
            self._drop(number)
        for kit in starts:
            self._spares.put(self._start(kit), kit)

    def _returned(self, slot: int) -> None:
        """The task of that slot came to nothing before its interpreter had heard of it."""
        busy = self._busy.get(slot)
        if busy is not None:
            self._spares.put(busy.number, busy.had)

    def _lost(self, number: int) -> None:
        """One that could not be started, or not be given its kit."""
        kit = self._spares.waiting.get(number)
        if kit is not None:
            self._spares.drop(number)
            self._spares.failed(kit)

    def _bytes(self, body: bytes) -> JsBytes:
        js_body = self._room(len(body))
        js_body.assign(body)
        return js_body
