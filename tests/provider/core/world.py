"""A shell for the provider's core that only keeps books: what it was told to do, and what it still owes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pyodide_provider.core import events as e
from pyodide_provider.core import instructions as i
from pyodide_provider.core.run import NO_LIMITS, Ended, Exited, File, Limits, Outcome, Params, Run, Usage
from pyodide_provider.core.slot import MAX_POSTED
from pyodide_provider.core.state import LONGEST_WAIT, State


def make_run(
    sequence: int,
    task: str = "",
    ref: str = "sha256:aa",
    stdin: bytes = b"",
    wall: float = 0.0,
    follow: bool = False,
    interactive: bool = False,
) -> Run:
    limits = Limits(wall) if wall else NO_LIMITS
    params = Params(File(ref=ref), ("prog",), stdin=stdin, limits=limits, follow=follow, interactive=interactive)
    return Run(sequence, task or f"task{sequence}", 1, params)


@dataclass
class World:
    """Feeds events to a State, obeys its instructions, and fails when they make no sense."""

    state: State
    now: float = 100.0
    link: str = "none"
    slots: dict[int, list[Run]] = field(default_factory=dict)
    ready: set[int] = field(default_factory=set)
    owed: dict[int, Run] = field(default_factory=dict)
    answers: list[tuple[Run, Outcome]] = field(default_factory=list)
    written: list[i.SendOutput] = field(default_factory=list)
    typed: dict[int, bytes] = field(default_factory=dict)
    """What interactive runs were given, by sequence, since they were posted."""
    typed_out: set[int] = field(default_factory=set)
    """Those that were given the end."""
    cancelled: list[i.SendCancelled] = field(default_factory=list)
    resources: list[i.SendResources] = field(default_factory=list)
    listings: list[int] = field(default_factory=list)
    reminders: list[i.Remind] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    closed: list[i.CloseLink] = field(default_factory=list)
    finished: bool = False
    last: list[i.Instruction] = field(default_factory=list)

    def feed(self, event: e.Event) -> list[i.Instruction]:
        if isinstance(event, (e.LinkLost, e.PeerFaulted)):
            self.link = "none" if isinstance(event, e.LinkLost) else self.link
            self.owed.clear()
        if isinstance(event, e.LinkOpened):
            self.link = "open"
        if isinstance(event, e.RunAsked) and event.run.sequence not in self.owed:
            self.owed[event.run.sequence] = event.run
        self.last = self.state.handle(event, self.now)
        for instruction in self.last:
            self._obey(instruction)
        self.state.validate()
        return self.last

    def _obey(self, instruction: i.Instruction) -> None:
        getattr(self, f"_{type(instruction).__name__}")(instruction)

    def _OpenLink(self, instruction: i.OpenLink) -> None:
        assert self.link == "none", "opened a second link"
        self.link = "opening"

    def _CloseLink(self, instruction: i.CloseLink) -> None:
        assert self.link != "none", "closed a link that is not there"
        self.link = "none"
        self.owed.clear()
        self.closed.append(instruction)

    def _StartSlot(self, instruction: i.StartSlot) -> None:
        assert instruction.slot not in self.slots, "a slot number was used twice"
        self.slots[instruction.slot] = []

    def _StopSlot(self, instruction: i.StopSlot) -> None:
        del self.slots[instruction.slot]
        self.ready.discard(instruction.slot)

    def _Post(self, instruction: i.Post) -> None:
        assert instruction.slot in self.ready, "posted to a slot that is not ready"
        self.slots[instruction.slot].extend(instruction.runs)
        assert len(self.slots[instruction.slot]) <= MAX_POSTED

        for run in instruction.runs:
            if run.params.interactive:
                assert len(self.slots[instruction.slot]) == 1, "an interactive run shares a slot"
                self.typed[run.sequence] = b""
                self.typed_out.discard(run.sequence)

    def _PostInput(self, instruction: i.PostInput) -> None:
        (run,) = self.slots[instruction.slot]
        assert run.sequence == instruction.sequence, "input for a run that is not there"
        assert run.sequence not in self.typed_out, "input after the end"
        self.typed[run.sequence] += instruction.data
        if instruction.end:
            self.typed_out.add(run.sequence)

    def _SendListing(self, instruction: i.SendListing) -> None:
        assert self.link == "open"
        assert self.resources, "the listing went before the resources"
        self.listings.append(instruction.sequence)

    def _SendOutcome(self, instruction: i.SendOutcome) -> None:
        assert self.link == "open", "answered on a link that is gone"
        if self.owed.get(instruction.run.sequence) is instruction.run:
            del self.owed[instruction.run.sequence]
        else:
            assert all(run is not instruction.run for run, _ in self.answers), "answered twice"
        self.answers.append((instruction.run, instruction.outcome))

    def _SendOutput(self, instruction: i.SendOutput) -> None:
        assert self.link == "open", "told output on a link that is gone"
        assert self.owed.get(instruction.run.sequence) is instruction.run, "told output of a run that is answered"
        assert instruction.run.params.follow, "told output that nobody asked for"
        self.written.append(instruction)

    def _SendTaken(self, instruction: i.SendTaken) -> None:
        assert self.link == "open", "told what was read on a link that is gone"
        assert self.owed[instruction.sequence].params.interactive, "told of a run that has no such input"

    def _SendCancelled(self, instruction: i.SendCancelled) -> None:
        assert self.link == "open"
        self.cancelled.append(instruction)

    def _SendResources(self, instruction: i.SendResources) -> None:
        assert self.link == "open"
        self.resources.append(instruction)

    def _Remind(self, instruction: i.Remind) -> None:
        assert 0 <= instruction.delay <= (LONGEST_WAIT if isinstance(instruction.event, e.WallDue) else 30)
        self.reminders.append(instruction)

    def _Note(self, instruction: i.Note) -> None:
        self.notes.append(instruction.text)

    def _Finish(self, instruction: i.Finish) -> None:
        assert not self.slots
        assert self.link == "none"
        self.finished = True

    # What tests say often.

    def connect(self) -> None:
        self.feed(e.ConnectWanted())
        self.feed(e.LinkOpened())
        self.all_ready()

    def all_ready(self) -> None:
        for slot in sorted(self.slots.keys() - self.ready):
            self.become_ready(slot)

    def become_ready(self, slot: int) -> None:
        self.ready.add(slot)
        self.feed(e.SlotReady(slot))

    def lose(self, slot: int, reason: str = "killed by signal 9", outcome: Outcome | None = None) -> None:
        self.slots.pop(slot, None)
        self.ready.discard(slot)
        posted = self.state.pool.slots[slot].posted if slot in self.state.pool.slots else ()
        ended = Ended(posted[0].run.sequence, outcome, 0.5, Usage(cpu=0.25)) if outcome and posted else None
        self.feed(e.SlotLost(slot, reason, ended))

    def ask(self, *sequences: int, ref: str = "sha256:aa", task: str = "") -> None:
        for sequence in sequences:
            self.feed(e.RunAsked(make_run(sequence, task, ref)))

    def begin(self, slot: int, sequence: int) -> None:
        self.feed(e.RunBegan(slot, sequence))

    def end(self, slot: int, count: int = 1, seconds: float = 0.001, outcome: Outcome | None = None) -> None:
        """The slot ends its first `count` runs."""
        ended, self.slots[slot] = self.slots[slot][:count], self.slots[slot][count:]
        outcome = outcome or Exited(0)
        self.feed(e.RunsEnded(slot, tuple(Ended(run.sequence, outcome, seconds) for run in ended)))

    def remind(self, kind: type[e.Event]) -> None:
        """The latest reminder of that kind falls due."""
        reminder = next(r for r in reversed(self.reminders) if isinstance(r.event, kind))
        self.reminders.remove(reminder)
        self.now += reminder.delay
        self.feed(reminder.event)

    def posted(self, slot: int) -> list[int]:
        return [run.sequence for run in self.slots[slot]]

    def outcomes(self) -> dict[int, Outcome]:
        return {run.sequence: outcome for run, outcome in self.answers}


def make_world(workers: int = 2, jitter: Callable[[], float] = lambda: 1.0, **limits: int) -> World:
    return World(State(workers, jitter, **limits))


def connected(workers: int = 2, **limits: int) -> World:
    world = World(State(workers, lambda: 1.0, **limits))
    world.connect()
    return world


def knowing(world: World, seconds: float, ref: str = "sha256:aa") -> World:
    """The same world, once it has seen that a run of this binary takes so long."""
    world.ask(1, ref=ref)
    (slot,) = [slot for slot, runs in world.slots.items() if runs]
    world.end(slot, seconds=seconds)
    return world
