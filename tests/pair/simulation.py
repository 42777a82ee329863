"""Both real cores, joined by links that delay, lose and break, with workers that take time and die. A clock of its own.

No codec, no socket: what one core instructs becomes, after a delay, an event of the other.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from broker.core import events as be
from broker.core import instructions as bi
from broker.core.outcome import Answered, Outcome
from broker.core.policy import Policy
from broker.core.state import State as BrokerState
from broker.core.task import Provider, Task
from pyodide_provider.core import events as pe
from pyodide_provider.core import instructions as pi
from pyodide_provider.core.run import NO_LIMITS, Broken, Ended, Exited, Failed, File, Limits, Params, Run
from pyodide_provider.core.state import State as ProviderState

WALL = 0.5
"""Seconds; some runs take longer."""
LIMITED = "with a limit of time"


@dataclass(eq=False)
class Link:
    """One connection. Messages keep their order; what is under way when it breaks is lost."""

    host: Host
    seat: Provider
    alive: bool = True
    to_host: float = 0.0
    to_broker: float = 0.0


@dataclass(eq=False)
class Host:
    """A provider: its core, its workers, and its link of the moment."""

    name: str
    state: ProviderState
    link: Link | None = None
    posted: dict[int, list[Run]] = field(default_factory=dict)
    ran: Counter[tuple[str, int]] = field(default_factory=Counter)
    stopped: set[int] = field(default_factory=set)


class Simulation:
    """`random` decides delays and faults: the same one gives the same world."""

    def __init__(self, random: Random, hosts: int, workers: int) -> None:
        self.random = random
        self.now = 0.0
        self.faulty = True
        self.stopped = 0
        """Tasks that ended at their limit of time, counted by `check`."""
        self.policy = Policy(max_refusals=50, max_losses=50, ping_seconds=5, run_seconds=120, cancel_grace=20)
        self.broker = BrokerState(self.policy)
        self.outcomes: dict[str, list[Outcome]] = {}
        self.tasks: list[Task] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._numbers = count(1)
        self._wake = 0
        self.hosts = [Host(f"h{n}", ProviderState(workers, random.random)) for n in range(hosts)]
        for host in self.hosts:
            self.tell_host(host, pe.ConnectWanted())

    def at(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let everything happen that is due within so many seconds."""
        until = self.now + seconds
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, action = heapq.heappop(self._agenda)
            action()
        self.now = until

    # The broker's shell

    def tell_broker(self, event: be.Event) -> None:
        for instruction in self.broker.handle(event, self.now):
            self._perform_broker(instruction)
        self.broker.validate()

    def _perform_broker(self, instruction: bi.Instruction) -> None:
        match instruction:
            case bi.Assign(run):
                limits = Limits(WALL) if run.task.payload == LIMITED else NO_LIMITS
                asked = Run(run.sequence, run.task.id, run.attempt, Params(File(run.task.module), limits=limits))
                self._to_host(run.provider, lambda: pe.RunAsked(asked))
            case bi.Cancel(run, sequence, reason):
                self._to_host(run.provider, lambda: pe.CancelAsked(sequence, run.task.id, reason))
            case bi.Resolve(task, outcome):
                self.outcomes[task.id].append(outcome)
            case bi.AskListing(provider, sequence):
                self._to_host(provider, lambda: pe.ListingAsked(sequence))
            case bi.SendPing(provider, sequence):
                self._to_host(provider, lambda: sequence)
            case bi.Drop(provider, _, reason):
                link = self._link_of(provider)
                if link is not None:
                    self._break(link, reason, broker_knows=True)
            case bi.WakeAt(when):
                self._wake += 1
                wake = self._wake
                self.at(max(0.0, when - self.now), lambda: self._ring(wake))

    def _ring(self, wake: int) -> None:
        if wake == self._wake:
            self.tell_broker(be.TimePassed())

    def _link_of(self, seat: Provider) -> Link | None:
        return next((h.link for h in self.hosts if h.link is not None and h.link.seat is seat), None)

    def _to_host(self, seat: Provider, message: Callable[[], Any]) -> None:
        link = self._link_of(seat)
        if link is None or not link.alive:
            return
        link.to_host = max(link.to_host, self.now + self._latency())

        def arrive() -> None:
            if link.alive and link.host.link is link:
                event = message()
                if isinstance(event, int):
                    self._to_broker(link, be.PongArrived(seat, event))
                else:
                    self.tell_host(link.host, event)

        self.at(link.to_host - self.now, arrive)

    # The provider's shell

    def tell_host(self, host: Host, event: pe.Event) -> None:
        for instruction in host.state.handle(event, self.now):
            self._perform_host(host, instruction)
        host.state.validate()

    def _perform_host(self, host: Host, instruction: pi.Instruction) -> None:
        match instruction:
            case pi.OpenLink():
                self.at(self._latency(), lambda: self._open(host))
            case pi.CloseLink(_, reason):
                if host.link is not None:
                    self._break(host.link, reason, host_knows=True)
            case pi.StartSlot(slot):
                self.at(self.random.uniform(0.01, 0.3), lambda: self._slot_up(host, slot))
            case pi.StopSlot(slot):
                host.stopped.add(slot)
                host.posted.pop(slot, None)
            case pi.Post(slot, runs):
                assert slot in host.posted, "posted to a slot that is not up"
                idle = not host.posted[slot]
                host.posted[slot] += runs
                if idle:
                    self._work(host, slot)
            case pi.Remind(delay, event):
                self.at(delay, lambda: self.tell_host(host, event))
            case pi.SendListing(sequence):
                self._send(host, lambda seat: be.FilesAnnounced(seat, (), (), sequence))
            case pi.SendResources(concurrency, _):
                self._send(host, lambda seat: be.ResourcesAnnounced(seat, concurrency, True))
            case pi.SendOutcome(run, Broken(error)):
                self._send(host, lambda seat: be.RunRefused(seat, run.sequence, error))
            case pi.SendOutcome(run, outcome):
                failed = isinstance(outcome, Failed)
                self._send(host, lambda seat: be.RunAnswered(seat, run.sequence, run.task, outcome, failed))

    def _send(self, host: Host, event: Callable[[Provider], be.Event]) -> None:
        if host.link is not None:
            self._to_broker(host.link, event(host.link.seat))

    def _to_broker(self, link: Link, event: be.Event) -> None:
        if not link.alive:
            return
        link.to_broker = max(link.to_broker, self.now + self._latency())

        def arrive() -> None:
            if link.alive:
                self.tell_broker(event)

        self.at(link.to_broker - self.now, arrive)

    def _open(self, host: Host) -> None:
        if host.link is not None or host.state.link.state != "connecting":
            return
        if self.faulty and self.random.random() < 0.1:
            return self.tell_host(host, pe.LinkLost("refused"))
        number = next(self._numbers)
        seat = Provider(number, host.name, "", self.now)
        host.link = Link(host, seat)
        self.tell_broker(be.ProviderConnected(seat))
        self.tell_host(host, pe.LinkOpened())

    def _slot_up(self, host: Host, slot: int) -> None:
        if slot in host.stopped:
            return
        if self.faulty and self.random.random() < 0.05:
            return self.tell_host(host, pe.SlotLost(slot, "did not start"))
        host.posted[slot] = []
        self.tell_host(host, pe.SlotReady(slot))

    def _work(self, host: Host, slot: int) -> None:
        run = host.posted[slot][0]
        host.ran[run.task, run.attempt] += 1
        seconds = self.random.choice([0.0005, 0.002, 0.05, 1.0])
        if run.params.limits.wall:
            self.tell_host(host, pe.RunBegan(slot, run.sequence))

        def done() -> None:
            if slot not in host.posted or not host.posted[slot] or host.posted[slot][0] is not run:
                return
            if self.faulty and self.random.random() < 0.02:
                del host.posted[slot]
                host.stopped.add(slot)
                return self.tell_host(host, pe.SlotLost(slot, "died"))
            host.posted[slot].pop(0)
            more = bool(host.posted[slot])
            self.tell_host(host, pe.RunsEnded(slot, (Ended(run.sequence, Exited(0, run.task.encode()), seconds),)))
            if more and slot in host.posted:
                self._work(host, slot)

        self.at(seconds, done)

    # Faults

    def _latency(self) -> float:
        return self.random.choice([0.0001, 0.001, 0.03])

    def _break(self, link: Link, reason: str, *, broker_knows: bool = False, host_knows: bool = False) -> None:
        """Both sides learn of it by themselves, each in its own time."""
        if not link.alive:
            return
        link.alive = False
        host = link.host
        if not broker_knows:
            self.at(self.random.choice([0.0, 0.5, 8.0]), lambda: self.tell_broker(be.ProviderLost(link.seat, reason)))

        def host_learns() -> None:
            if host.link is link:
                host.link = None
                self.tell_host(host, pe.LinkLost(reason))

        if host_knows:
            host.link = None
        else:
            self.at(self.random.choice([0.0, 0.5, 8.0]), host_learns)

    def cut_some_link(self) -> None:
        links = [host.link for host in self.hosts if host.link is not None]
        if links:
            self._break(self.random.choice(links), "cut")

    def silence_some_link(self) -> None:
        """Nothing arrives any more and nobody is told: only missing pings can tell the broker."""
        links = [host.link for host in self.hosts if host.link is not None and host.link.alive]
        if links:
            link = self.random.choice(links)
            link.alive = False
            host = link.host

            def host_learns() -> None:
                if host.link is link:
                    host.link = None
                    self.tell_host(host, pe.LinkLost("silence"))

            self.at(25.0, host_learns)

    # Clients

    def submit(self, deadline: float | None = None) -> Task:
        name = f"t{len(self.tasks)}"
        until = None if deadline is None else self.now + deadline
        module = self.random.choice(["m", "n"])
        limited = self.random.choice([LIMITED, "no limit"])
        task = Task(name, self.random.choice("ab"), frozenset({"wasip1"}), module, limited, None, 1, deadline=until)
        self.tasks.append(task)
        self.outcomes[name] = []
        self.tell_broker(be.TaskSubmitted(task))
        return task

    def cancel_some_task(self) -> None:
        if self.tasks:
            self.tell_broker(be.TaskCancelled(self.random.choice(self.tasks), "no more"))

    def settle(self) -> None:
        """No more faults; all the time it takes."""
        self.faulty = False
        self.run(400.0)

    def check(self) -> None:
        """Every task resolved once, with its own answer, and no attempt done twice at one place."""
        for task in self.tasks:
            outcomes = self.outcomes[task.id]
            assert len(outcomes) == 1, f"{self.broker.story(task)}\nresolved {len(outcomes)} times"
            outcome = outcomes[0]
            if isinstance(outcome, Answered) and isinstance(outcome.answer, Failed):
                self.stopped += 1
            if isinstance(outcome, Answered) and isinstance(outcome.answer, Exited):
                assert outcome.answer.stdout == task.id.encode(), "somebody else's answer"
        assert not self.broker.running
        assert not self.broker.waiting
