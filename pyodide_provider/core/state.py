"""The provider's rules: `State.handle(event, now)` gives the instructions for its shell. Pure; imports only this package.

Every run asked for on a living link is answered exactly once with SendOutcome. What a link was owed dies with it:
sequences start anew on each link, so slots that are busy when it goes are killed and nothing of it is heard later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from . import events as e
from . import instructions as i
from .backlog import MAX_BYTES, MAX_RUNS, Backlog
from .costs import Costs
from .input import FULL, Inputs
from .invariants import validate
from .link import Link
from .pool import Pool
from .run import Broken, Ended, Exited, Failed, Outcome, Returned, Run, Usage
from .slot import MAX_AHEAD, Posted, Slot
from .story import Story

MAX_WORKERS = 512
UNWANTED_GRACE = 0.03
"""Seconds that a cancelled run may still take, if it was expected to be short."""
LONGEST_WAIT = 86_400.0
"""Seconds of one reminder, at most: the platforms' timers take no more than some weeks."""
SOONEST_WAIT = 0.001
"""Seconds by which a timer may be early."""

Out: TypeAlias = list[i.Instruction]


class State:
    """`workers` slots, one link, the runs between them. `jitter` gives numbers in 0 … 1 for the back-offs."""

    def __init__(
        self,
        workers: int,
        jitter: Callable[[], float],
        *,
        max_runs: int = MAX_RUNS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.workers = _clamp(workers)
        self.link = Link(jitter)
        self.pool = Pool(jitter)
        self.backlog = Backlog(max_runs, max_bytes)
        self.inputs = Inputs()
        self.costs = Costs()
        self.draining = False
        self.finished = False
        self.done = 0
        self.failed = 0
        self._story = Story()
        self._refusal = "the provider is starting"
        self._death = ""
        self._listings: list[int] = []
        self._announced = -1
        self._unsettled = False
        self._balancing = False

    def handle(self, event: e.Event, now: float) -> list[i.Instruction]:
        """What to do about an event, in order. `now` is monotonic, in seconds."""
        out: list[i.Instruction] = []
        if self.finished and not isinstance(event, e.ConnectWanted):
            return out
        _HANDLERS[type(event)](self, event, now, out)
        if self._unsettled:
            self._settle(now, out)
        elif self.backlog.queue:
            self._assign(now, out)
        return out

    def story(self, task: str) -> list[str]:
        """What happened lately to a task, a line each."""
        return self._story.of(task)

    def validate(self) -> None:
        """Raise AssertionError, in words, when an invariant does not hold. For tests, after every step."""
        validate(self)

    # What happens, event by event.

    def _connect(self, event: e.ConnectWanted, now: float, out: list[i.Instruction]) -> None:
        self.draining = self.finished = False
        self._move_link(event, now, out)

    def _move_link(self, event: e.Event, now: float, out: list[i.Instruction]) -> None:
        was_up = self.link.up
        if self.link.handle(event, now, out):
            self._unsettled = True
            if was_up:
                self._forget_link(now, out)

    def _forget_link(self, now: float, out: list[i.Instruction]) -> None:
        for run in self.backlog.runs.values():
            self._story.tell(now, run.task, run.sequence, "dropped with the link")
        self.backlog.clear()
        self.inputs.clear()
        self._listings.clear()
        self._announced = -1
        for slot in list(self.pool.slots.values()):
            if slot.posted:
                self.pool.kill(slot, out)

    def _workers(self, event: e.WorkersWanted, now: float, out: list[i.Instruction]) -> None:
        self.workers = _clamp(event.count)
        self._unsettled = True

    def _drain(self, event: e.DrainWanted, now: float, out: list[i.Instruction]) -> None:
        self.draining = self._unsettled = True

    def _listing(self, event: e.ListingAsked, now: float, out: list[i.Instruction]) -> None:
        if self.link.up:
            self._listings.append(event.sequence)
            self._unsettled = True

    def _offer(self, event: e.OfferChanged, now: float, out: list[i.Instruction]) -> None:
        self._announced = -1
        self._unsettled = True

    def _run(self, event: e.RunAsked, now: float, out: list[i.Instruction]) -> None:
        if not self.link.up:
            return
        run = event.run
        refusal = self._refusal or self.backlog.add(run)
        self._story.tell(now, run.task, run.sequence, f"refused: {refusal}" if refusal else "asked for")
        if refusal:
            out.append(i.SendOutcome(run, Broken(refusal)))
        elif run.params.interactive:
            self.inputs.open(run)

    def _input(self, event: e.InputArrived, now: float, out: list[i.Instruction]) -> None:
        told = self.inputs.arrived(event.sequence, event.data, event.end)
        if isinstance(told, int):
            out.append(i.PostInput(told, event.sequence, event.data, event.end))
        elif told is not None:
            run = self.backlog.runs[event.sequence]
            self._stop(run, Broken(told) if told is FULL else Failed(told), told, now, out)

    def _taken(self, event: e.InputTaken, now: float, out: list[i.Instruction]) -> None:
        taken = self.inputs.taken(event.sequence, event.taken)
        if taken is not None:
            out.append(i.SendTaken(event.sequence, taken))

    def _cancel(self, event: e.CancelAsked, now: float, out: list[i.Instruction]) -> None:
        if not self.link.up:
            return
        for run in self.backlog.of_task(event.task):
            self._stop(run, Broken(f"cancelled: {event.reason}"), "cancelled", now, out)
        out.append(i.SendCancelled(event.sequence, event.task, event.reason))

    def _stop(self, run: Run, outcome: Outcome, what: str, now: float, out: list[i.Instruction]) -> None:
        """Answer a run before its end, wherever it is."""
        queued = run.sequence in self.backlog.queue
        self._answer(run, outcome, what, now, out)
        if not queued:
            self._abandon(run, now, out)

    def _abandon(self, run: Run, now: float, out: list[i.Instruction]) -> None:
        """A cancelled run at a slot: one that is not known to be short is killed if it runs, others may end first."""
        for slot in self.pool.slots.values():
            for place, posted in enumerate(slot.posted):
                if posted.run is run and posted.wanted:
                    posted.wanted = False
                    if place == 0 and posted.estimate <= MAX_AHEAD:
                        self._let_end(slot, out)
                    elif place == 0:
                        self._kill(slot, now, out)
                    return

    def _let_end(self, slot: Slot, out: list[i.Instruction]) -> None:
        # A new worker takes longer to start than a short run to end.
        out.append(i.Remind(UNWANTED_GRACE, e.UnwantedDue(slot.number, slot.posted[0].run.sequence)))

    def _unwanted(self, event: e.UnwantedDue, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.slots.get(event.slot)
        if slot and slot.posted and slot.posted[0].run.sequence == event.sequence and not slot.posted[0].wanted:
            self._kill(slot, now, out)

    def _kill(self, slot: Slot, now: float, out: list[i.Instruction]) -> None:
        self._put_back(self.pool.kill(slot, out), now)
        self._unsettled = True

    def _put_back(self, posted: list[Posted], now: float) -> None:
        runs = [entry.run for entry in posted if entry.wanted]
        self.backlog.put_back(runs)
        for run in runs:
            self._story.tell(now, run.task, run.sequence, "put back")

    def _balance(self, event: e.BalanceDue, now: float, out: list[i.Instruction]) -> None:
        self._balancing = False
        if self.pool.uneven:
            taken = self.pool.take_back(now)
            self._put_back(taken, now)
            for posted in taken:
                posted.wanted = False
            self._assign(now, out)
            self._watch_balance(out)

    def _watch_balance(self, out: list[i.Instruction]) -> None:
        """Look again whether runs are stuck behind a long one, while others have nothing to do."""
        if not self._balancing and not self.backlog.queue and self.pool.uneven:
            self._balancing = True
            out.append(i.Remind(MAX_AHEAD, e.BalanceDue()))

    def _slot_moved(self, event: e.SlotReady | e.SlotDue, now: float, out: list[i.Instruction]) -> None:
        if self.pool.handle(event, out):
            self._unsettled = True

    def _slot_lost(self, event: e.SlotLost, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.lost(event, self.target, out)
        if slot is None:
            return
        self._unsettled = True
        out.append(i.Note(f"worker {slot.number} died: {event.reason}"))
        self._death = event.reason
        posted = list(slot.posted)
        if posted and posted[0].wanted:
            outcome = event.ended.outcome if event.ended else Broken(f"worker died: {event.reason}")
            self._answer(posted[0].run, outcome, f"died with slot {slot.number}", now, out, event.ended)
        self._put_back(posted[1:], now)

    def _slot_spent(self, event: e.SlotSpent, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.slots.get(event.slot)
        if slot:
            self._kill(slot, now, out)

    def _began(self, event: e.RunBegan, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.slots.get(event.slot)
        head = slot.head(event.sequence) if slot else None
        if slot and head and head.began is None and head.run.params.limits.wall > 0:
            head.began = slot.since = now
            self._limit(slot, head, now, out)

    def _wall(self, event: e.WallDue, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.slots.get(event.slot)
        head = slot.head(event.sequence) if slot else None
        if slot and head and head.began is not None:
            self._limit(slot, head, now, out)

    def _limit(self, slot: Slot, head: Posted, now: float, out: list[i.Instruction]) -> None:
        """Look again when the time of a run is over; if it is, stop the run with its slot."""
        assert head.began is not None
        most, ran = head.run.params.limits.wall, now - head.began
        if most - ran > SOONEST_WAIT:
            out.append(i.Remind(min(most - ran, LONGEST_WAIT), e.WallDue(slot.number, head.run.sequence)))
            return
        outcome = Failed(f"time limit exceeded: ran for {ran:.1f} s, at most {most:g} s")
        head.wanted = False
        ended = Ended(head.run.sequence, outcome, ran, Usage())
        self._answer(head.run, outcome, "stopped at its limit of time", now, out, ended, slot.number)
        self._kill(slot, now, out)

    def _written(self, event: e.OutputWritten, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.slots.get(event.slot)
        head = slot.head(event.sequence) if slot else None
        if head and head.run.params.follow:
            out.append(i.SendOutput(head.run, event.stdout, event.stderr))

    def _ended(self, event: e.RunsEnded, now: float, out: list[i.Instruction]) -> None:
        slot = self.pool.slots.get(event.slot)
        if slot is None:
            return
        for ended in event.ended:
            if not slot.posted or slot.posted[0].run.sequence != ended.sequence:
                out.append(i.StopSlot(slot.number))
                reason = f"it answered for run {ended.sequence}, which was not its turn"
                return self._slot_lost(e.SlotLost(slot.number, reason), now, out)
            self._take_end(slot, ended, now, out)
        slot.deaths = 0
        if not slot.posted:
            self._watch_balance(out)
        elif not slot.posted[0].wanted:
            self._let_end(slot, out)
        if self.draining or slot.retiring:
            self._unsettled = True

    def _take_end(self, slot: Slot, ended: Ended, now: float, out: list[i.Instruction]) -> None:
        head = slot.pop(now)
        if isinstance(ended.outcome, Exited):
            self.costs.learn(head.run, ended.seconds)
        if head.wanted:
            self._answer(head.run, ended.outcome, f"ended at slot {slot.number}", now, out, ended)

    def _answer(
        self, run: Run, outcome: Outcome, what: str, now: float, out: Out, ended: Ended | None = None, slot: int | None = None
    ) -> None:
        """`slot`: which still does it."""
        self.backlog.answered(run)
        if run.params.interactive:
            ended = self.inputs.close(run.sequence, ended)
        if isinstance(outcome, Exited | Returned):
            self.done += 1
        elif isinstance(outcome, Failed):
            self.failed += 1
        self._story.tell(now, run.task, run.sequence, what)
        out.append(i.SendOutcome(run, outcome, ended, slot))

    # What follows from a change.

    @property
    def target(self) -> int:
        """Slots that are to be there."""
        return 0 if self.draining else self.workers

    def _assign(self, now: float, out: list[i.Instruction]) -> None:
        """First come, first served: as long as the first in line finds a slot."""
        queue = self.backlog.queue
        while queue:
            run = next(iter(queue.values()))
            estimate = self.costs.estimate(run)
            slot = self.pool.choose(estimate, now)
            if slot is None:
                return
            del queue[run.sequence]
            slot.post(run, estimate, now)
            self._story.tell(now, run.task, run.sequence, f"posted to slot {slot.number}")
            out.append(i.Post(slot.number, (run,)))
            if run.params.interactive:
                kept, end = self.inputs.posted(run.sequence, slot.number)
                if kept or end:
                    out.append(i.PostInput(slot.number, run.sequence, kept, end))

    def _settle(self, now: float, out: list[i.Instruction]) -> None:
        self._unsettled = False
        self.pool.resize(self.target, out)
        self._set_refusal()
        if self._refusal:
            for run in list(self.backlog.queue.values()):
                self._answer(run, Broken(self._refusal), "handed back", now, out)
        self._assign(now, out)
        self._watch_balance(out)
        self._announce(out)
        if self.draining and not self.backlog.runs:
            self._finish(out)

    def _set_refusal(self) -> None:
        if self.draining:
            self._refusal = "the provider is leaving"
        elif not self.workers:
            self._refusal = "the provider is set to run nothing"
        elif self.pool.usable:
            self._refusal = ""
        else:
            self._refusal = f"no worker of the provider starts: {self._death}"

    def _announce(self, out: list[i.Instruction]) -> None:
        if not self.link.up:
            return
        usable = 0 if self._refusal else self.pool.usable
        if usable != self._announced:
            self._announced = usable
            out.append(i.SendResources(usable, len(self.backlog.runs)))
        if self._listings and not self.pool.starting and (self.pool.ready or not self.target):
            out.extend(i.SendListing(sequence) for sequence in self._listings)
            self._listings.clear()

    def _finish(self, out: list[i.Instruction]) -> None:
        for slot in list(self.pool.slots.values()):
            self.pool.kill(slot, out)
        self.link.close("the provider is leaving", out)
        self._listings.clear()
        self._announced = -1
        self.finished = True
        out.append(i.Finish())


def _clamp(workers: int) -> int:
    return max(0, min(workers, MAX_WORKERS))


_HANDLERS: dict[type[e.Event], Callable[[State, Any, float, list[i.Instruction]], None]] = {
    e.ConnectWanted: State._connect,
    e.DisconnectWanted: State._move_link,
    e.WorkersWanted: State._workers,
    e.DrainWanted: State._drain,
    e.LinkOpened: State._move_link,
    e.LinkLost: State._move_link,
    e.PeerFaulted: State._move_link,
    e.ReconnectDue: State._move_link,
    e.ListingAsked: State._listing,
    e.OfferChanged: State._offer,
    e.RunAsked: State._run,
    e.InputArrived: State._input,
    e.InputTaken: State._taken,
    e.CancelAsked: State._cancel,
    e.SlotReady: State._slot_moved,
    e.SlotLost: State._slot_lost,
    e.SlotSpent: State._slot_spent,
    e.SlotDue: State._slot_moved,
    e.UnwantedDue: State._unwanted,
    e.BalanceDue: State._balance,
    e.RunBegan: State._began,
    e.WallDue: State._wall,
    e.OutputWritten: State._written,
    e.RunsEnded: State._ended,
}
