"""Property tests: whatever joins, leaves, answers, refuses, cancels or stays silent, every task is resolved exactly once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core import events as e
from broker.core import instructions as i
from broker.core.outcome import Answered
from broker.core.policy import Policy
from broker.core.state import State
from broker.core.task import KINDS, OWN, Phase, Provider, Task

WASIP1 = frozenset({"wasip1"})
PICK = st.integers(0, 10**6)


class Brokerage(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = State(Policy(queue_limit=12, max_refusals=3, max_losses=3, ping_seconds=5, run_seconds=40, cancel_grace=8))
        self.now = 0.0
        self.due = float("inf")
        self.tasks: list[Task] = []
        self.resolved: dict[str, int] = {}
        self.providers: list[Provider] = []
        self.out_there: dict[int, dict[int, Task]] = {}

    def tell(self, event: e.Event) -> None:
        for instruction in self.state.handle(event, self.now):
            if isinstance(instruction, i.Resolve):
                self.resolved[instruction.task.id] = self.resolved.get(instruction.task.id, 0) + 1
                if isinstance(instruction.outcome, Answered):
                    assert instruction.outcome.answer == f"answer {instruction.task.id}", "somebody else's answer"
            elif isinstance(instruction, i.Assign):
                run = instruction.run
                assert run.provider.number in self.state.providers, "assigned to nobody"
                assert run.sequence not in self.out_there[run.provider.number], "a sequence used twice"
                self.out_there[run.provider.number][run.sequence] = run.task
            elif isinstance(instruction, i.WakeAt):
                self.due = instruction.when
            elif isinstance(instruction, i.Drop):
                self.out_there.pop(instruction.provider.number, None)

    @rule(slots=st.integers(0, 3), own=st.booleans(), python=st.booleans())
    def join(self, slots: int, own: bool, python: bool) -> None:
        if len(self.state.providers) > 4:
            return
        provider = Provider(len(self.providers) + 1, f"p{len(self.providers)}", "", self.now)
        self.providers.append(provider)
        self.out_there[provider.number] = {}
        self.tell(e.ProviderConnected(provider))
        self.tell(e.ResourcesAnnounced(provider, slots, own, "", KINDS if python else frozenset({"wasip1"})))
        self.tell(e.FilesAnnounced(provider, sequence=1))

    @rule(
        requester=st.sampled_from("abc"),
        module=st.sampled_from(["m", "n", ""]),
        needs=st.sampled_from([WASIP1, WASIP1, frozenset({"pyodide"}), WASIP1 | {OWN}, WASIP1 | {"wasip1-threads"}]),
        priority=st.booleans(),
        immediate=st.sampled_from([False, False, True]),
        deadline=st.none() | st.floats(-1, 60),
    )
    def submit(
        self, requester: str, module: str, needs: frozenset[str], priority: bool, immediate: bool, deadline: float | None
    ) -> None:
        name = f"t{len(self.tasks)}"
        until = None if deadline is None else self.now + deadline
        task = Task(name, requester, needs, module, "payload", None, 1, priority, immediate, until)
        self.tasks.append(task)
        self.tell(e.TaskSubmitted(task))

    def some_run(self, pick: int) -> tuple[Provider, int, Task] | None:
        runs = [
            (p, sequence, task)
            for p in self.state.providers.values()
            for sequence, task in self.out_there.get(p.number, {}).items()
        ]
        return runs[pick % len(runs)] if runs else None

    @rule(pick=PICK, failed=st.booleans(), keep=st.sampled_from([False, False, True]))
    def answer(self, pick: int, failed: bool, keep: bool) -> None:
        """`keep`: the answer will come a second time."""
        found = self.some_run(pick)
        if found:
            provider, sequence, task = found
            if not keep:
                del self.out_there[provider.number][sequence]
            self.tell(e.RunAnswered(provider, sequence, task.id, f"answer {task.id}", failed))

    @rule(pick=PICK)
    def refuse(self, pick: int) -> None:
        found = self.some_run(pick)
        if found:
            provider, sequence, _ = found
            del self.out_there[provider.number][sequence]
            self.tell(e.RunRefused(provider, sequence, "no"))

    @rule(pick=PICK)
    def lie(self, pick: int) -> None:
        found = self.some_run(pick)
        if found:
            provider, sequence, _ = found
            self.tell(e.RunAnswered(provider, sequence, "another", "a lie", False))
            if provider.number not in self.state.providers:
                self.out_there.pop(provider.number, None)

    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        if self.state.providers:
            provider = list(self.state.providers.values())[pick % len(self.state.providers)]
            self.tell(e.ProviderLost(provider, "gone"))
            self.out_there.pop(provider.number, None)

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        if self.tasks:
            self.tell(e.TaskCancelled(self.tasks[pick % len(self.tasks)], "no more"))

    @rule(pick=PICK, slots=st.integers(0, 3))
    def resize(self, pick: int, slots: int) -> None:
        if self.state.providers:
            provider = list(self.state.providers.values())[pick % len(self.state.providers)]
            self.tell(e.ResourcesAnnounced(provider, slots))

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.0, 6.0, 20.0]), alive=st.booleans())
    def wait(self, seconds: float, alive: bool) -> None:
        until = self.now + seconds
        while self.due <= until:
            self.now, self.due = max(self.due, self.now), float("inf")
            self.tell(e.TimePassed())
            if alive:
                for provider in list(self.state.providers.values()):
                    self.tell(e.PongArrived(provider, provider.ping))
        self.now = until

    @precondition(lambda self: len(self.tasks) > 25)
    @rule()
    def drain(self) -> None:
        self.tell(e.DrainStarted())

    @invariant()
    def holds(self) -> None:
        self.state.validate()
        for task in self.tasks:
            assert self.resolved.get(task.id, 0) == (task.phase is Phase.ENDED), f"{task.id} resolved wrongly"

    def teardown(self) -> None:
        """In the end a patient provider comes, and everything that waits is answered."""
        for provider in list(self.state.providers.values()):
            self.tell(e.ProviderLost(provider, "the end"))
        self.out_there.clear()
        provider = Provider(10**6, "last", "", self.now)
        self.out_there[provider.number] = {}
        self.tell(e.ProviderConnected(provider))
        self.tell(e.ResourcesAnnounced(provider, 2, True, "", KINDS | {"wasip1-threads"}))
        self.tell(e.FilesAnnounced(provider, sequence=1))
        self.wait(6.0, alive=True)
        for _ in range(200):
            for sequence, task in list(self.out_there[provider.number].items()):
                del self.out_there[provider.number][sequence]
                self.tell(e.RunAnswered(provider, sequence, task.id, f"answer {task.id}", False))
        assert all(task.phase is Phase.ENDED for task in self.tasks), "a task never ends"
        self.holds()


TestBrokerage = Brokerage.TestCase
TestBrokerage.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
