"""The workers: how many live, which are replaced, which takes the next run. Pure."""

from __future__ import annotations

from collections.abc import Callable

from . import backoff
from .events import Event, SlotDue, SlotLost, SlotReady
from .instructions import Instruction, Remind, StartSlot, StopSlot
from .slot import MAX_AHEAD, MAX_POSTED, READY, RESTING, STARTING, Posted, Slot

TABLE: dict[tuple[str, type[Event]], str] = {
    (RESTING, SlotDue): STARTING,
    (STARTING, SlotReady): READY,
}
"""(state, event) → state; SlotLost and StopSlot end any of them, and a new slot takes the place."""


class Pool:
    def __init__(self, jitter: Callable[[], float]) -> None:
        self.slots: dict[int, Slot] = {}
        self._jitter = jitter
        self._last = 0

    @property
    def usable(self) -> int:
        return sum(slot.usable for slot in self.slots.values())

    @property
    def starting(self) -> bool:
        """Whether a first start is still awaited (not one after deaths: those may go on for ever)."""
        return any(slot.state == STARTING and slot.usable for slot in self.slots.values())

    @property
    def ready(self) -> int:
        return sum(slot.state == READY and not slot.retiring for slot in self.slots.values())

    def handle(self, event: SlotReady | SlotDue, out: list[Instruction]) -> bool:
        """Take one step; true when a slot's state changed."""
        slot = self.slots.get(event.slot)
        target = TABLE.get((slot.state, type(event))) if slot else None
        if slot is None or target is None:
            return False
        slot.state = target
        if target == STARTING:
            out.append(StartSlot(slot.number))
        return True

    def lost(self, event: SlotLost, target: int, out: list[Instruction]) -> Slot | None:
        """The slot that died, replaced if it's still wanted; None when it was stopped or replaced before."""
        slot = self.slots.pop(event.slot, None)
        if slot is not None and not slot.retiring and len(self._staying()) < target:
            # Dying at work says nothing about the next one; dying idle or at the start does.
            self._add(slot.deaths if slot.posted else slot.deaths + 1, out)
        return slot

    def kill(self, slot: Slot, out: list[Instruction]) -> list[Posted]:
        """Stop a slot at once; gives what was posted there. `resize` replaces it."""
        del self.slots[slot.number]
        if slot.state != RESTING:
            out.append(StopSlot(slot.number))
        return list(slot.posted)

    def resize(self, target: int, out: list[Instruction]) -> None:
        """Start, retire or stop slots until `target` of them stay; busy ones end what they have."""
        staying = self._staying()
        for slot in list(self.slots.values()):
            if len(staying) < target and slot.retiring:
                slot.retiring = False
                staying.append(slot)
        for _ in range(len(staying), target):
            self._add(0, out)
        # Of those that go: first the ones that do least.
        staying.sort(key=lambda slot: (len(slot.posted), slot.state == READY))
        for slot in staying[: max(len(staying) - target, 0)]:
            slot.retiring = True
        for slot in list(self.slots.values()):
            if slot.retiring and not slot.posted:
                self.kill(slot, out)

    def choose(self, estimate: float, now: float) -> Slot | None:
        """The slot for a run of about so many seconds: an idle one, else for a short run the one with least to do."""
        best: Slot | None = None
        least = MAX_AHEAD - estimate
        for slot in self.slots.values():
            if slot.state != READY or slot.retiring:
                continue
            if not slot.posted:
                return slot
            left = slot.left(now)
            if left <= least and len(slot.posted) < MAX_POSTED:
                best, least = slot, left
        return best

    @property
    def uneven(self) -> bool:
        """Whether runs wait behind another while a slot has nothing to do."""
        slots = self.slots.values()
        idle = any(not slot.posted and slot.state == READY and not slot.retiring for slot in slots)
        return idle and any(len(slot.posted) > 1 and slot.behind() for slot in slots)

    def take_back(self, now: float) -> list[Posted]:
        """What waits behind a head that takes longer than all there was expected to. The slot runs it all the same if its head
        ever ends, for what was posted can't be unsaid; nobody hears of that."""
        taken: list[Posted] = []
        for slot in self.slots.values():
            if len(slot.posted) > 1 and now - slot.since >= MAX_AHEAD:
                taken += slot.behind()
        return taken

    def _staying(self) -> list[Slot]:
        return [slot for slot in self.slots.values() if not slot.retiring]

    def _add(self, deaths: int, out: list[Instruction]) -> None:
        self._last += 1
        slot = Slot(self._last, RESTING if deaths else STARTING, deaths)
        self.slots[slot.number] = slot
        if deaths:
            out.append(Remind(backoff.delay(deaths, self._jitter()), SlotDue(slot.number)))
        else:
            out.append(StartSlot(slot.number))
