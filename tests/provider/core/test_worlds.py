"""Worlds of joins, drops, cancels, lost slots and reorderings: every run on a living link is answered exactly once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyodide_provider.core import events as e
from pyodide_provider.core.run import Broken, Exited, Failed

from .world import World, make_run, make_world

REFS = ["", "sha256:quick", "sha256:slow"]
OUTCOMES = [Exited(0), Failed("unreachable"), Broken("no network")]
STALE = [e.ReconnectDue(1), e.SlotDue(1), e.SlotReady(1), e.UnwantedDue(1, 1), e.WallDue(1, 1), e.BalanceDue()]
SECONDS = [0.0, 0.0001, 0.001, 0.004, 0.02, 3.0]


class Worlds(RuleBasedStateMachine):
    world: World
    sequence = 0

    @initialize(workers=st.integers(0, 4), runs=st.sampled_from([5, 4096]))
    def begin(self, workers: int, runs: int) -> None:
        self.world = make_world(workers, lambda: 0.5, max_runs=runs)
        self.world.feed(e.ConnectWanted())

    @property
    def busy(self) -> list[int]:
        return [slot for slot, runs in self.world.slots.items() if runs]

    @precondition(lambda self: self.world.link == "opening")
    @rule(up=st.booleans())
    def answer_open(self, up: bool) -> None:
        self.world.feed(e.LinkOpened() if up else e.LinkLost("refused"))
        self.sequence = 0

    @precondition(lambda self: self.world.link == "open")
    @rule(fault=st.booleans())
    def drop_link(self, fault: bool) -> None:
        self.world.feed(e.PeerFaulted("garbage") if fault else e.LinkLost("reset"))

    @precondition(lambda self: self.world.link == "open")
    @rule(
        ref=st.sampled_from(REFS),
        count=st.integers(1, 20),
        twins=st.booleans(),
        wall=st.sampled_from([0.0, 0.0, 0.5, 1e16]),
        follow=st.booleans(),
        interactive=st.booleans(),
    )
    def ask(self, ref: str, count: int, twins: bool, wall: float, follow: bool, interactive: bool) -> None:
        for _ in range(count):
            self.sequence += 1
            run = make_run(self.sequence, "twin" if twins else "", ref, b"", wall, follow, interactive)
            self.world.feed(e.RunAsked(run))

    @precondition(lambda self: self.world.link == "open" and self.sequence)
    @rule(data=st.data(), size=st.sampled_from([0, 1, 3 << 20]), end=st.booleans())
    def types(self, data: st.DataObject, size: int, end: bool) -> None:
        sequence = data.draw(st.integers(1, self.sequence + 1))
        self.world.feed(e.InputArrived(sequence, bytes(size), end))

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), place=st.integers(0, 2), writes=st.booleans())
    def slot_says(self, data: st.DataObject, place: int, writes: bool) -> None:
        """That a run has begun, or what it has written: mostly the head, sometimes one whose turn it is not."""
        slot = data.draw(st.sampled_from(self.busy))
        runs = self.world.slots[slot]
        sequence = runs[place % len(runs)].sequence
        self.world.feed(e.OutputWritten(slot, sequence, b"o", b"e") if writes else e.RunBegan(slot, sequence))

    @precondition(lambda self: self.world.link == "open" and self.sequence)
    @rule(data=st.data())
    def ask_with_a_used_sequence(self, data: st.DataObject) -> None:
        sequence = data.draw(st.integers(1, self.sequence))
        self.world.feed(e.RunAsked(make_run(sequence, "impostor")))

    @precondition(lambda self: self.world.link == "open")
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.sequence + 1))
        task = data.draw(st.sampled_from([f"task{number}", "twin", "nobody"]))
        before = len(self.world.cancelled)
        self.world.feed(e.CancelAsked(1000 + before, task, "enough"))
        assert len(self.world.cancelled) == before + 1

    @precondition(lambda self: self.world.slots.keys() - self.world.ready)
    @rule(data=st.data())
    def slot_ready(self, data: st.DataObject) -> None:
        self.world.become_ready(data.draw(st.sampled_from(sorted(self.world.slots.keys() - self.world.ready))))

    @precondition(lambda self: self.world.slots)
    @rule(data=st.data(), outcome=st.sampled_from([None, Failed("output limit")]))
    def slot_lost(self, data: st.DataObject, outcome: Failed | None) -> None:
        self.world.lose(data.draw(st.sampled_from(sorted(self.world.slots))), outcome=outcome)

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), seconds=st.sampled_from(SECONDS), outcome=st.sampled_from(OUTCOMES))
    def end(self, data: st.DataObject, seconds: float, outcome: Exited) -> None:
        slot = data.draw(st.sampled_from(self.busy))
        count = data.draw(st.integers(1, len(self.world.slots[slot])))
        self.world.now += seconds
        self.world.end(slot, count, seconds, outcome)

    @rule(count=st.integers(0, 5))
    def workers(self, count: int) -> None:
        self.world.feed(e.WorkersWanted(count))

    @rule(event=st.sampled_from([e.ConnectWanted(), e.DisconnectWanted(), e.ListingAsked(1)]))
    def person(self, event: e.Event) -> None:
        self.world.feed(event)

    @rule(event=st.sampled_from(STALE))
    def stale(self, event: e.Event) -> None:
        if not (isinstance(event, e.SlotReady) and event.slot in self.world.slots):
            self.world.feed(event)

    @precondition(lambda self: self.world.reminders)
    @rule(data=st.data())
    def remind(self, data: st.DataObject) -> None:
        reminder = self.world.reminders.pop(data.draw(st.integers(0, len(self.world.reminders) - 1)))
        self.world.now += reminder.delay
        self.world.feed(reminder.event)

    @rule(seconds=st.sampled_from([0.001, 0.1, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @precondition(lambda self: not self.world.finished)
    @rule()
    def drain(self) -> None:
        self.world.feed(e.DrainWanted())

    @precondition(lambda self: self.world.finished)
    @rule()
    def start_again(self) -> None:
        self.world.finished = False
        self.world.feed(e.ConnectWanted())

    @invariant()
    def owed_is_what_the_core_thinks(self) -> None:
        if hasattr(self, "world"):
            assert self.world.owed == self.world.state.backlog.runs

    def teardown(self) -> None:
        """Let everything end that still runs: then nothing may be owed."""
        if not hasattr(self, "world"):
            return
        for _ in range(200_000):
            if not self.world.owed:
                return
            if self.world.slots.keys() - self.world.ready:
                self.world.all_ready()
            elif self.busy:
                self.world.end(self.busy[0])
            else:
                self.world.remind(e.SlotDue)
        raise AssertionError(f"never answered: {sorted(self.world.owed)}")


Worlds.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorlds = Worlds.TestCase
