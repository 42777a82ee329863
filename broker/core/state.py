"""The broker's state machine: who waits, who runs where, who is connected. Pure: standard library and this package only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import events as e
from . import instructions as i
from . import invariants
from .admission import GOING_DOWN, grow, refusal
from .alarms import Alarms
from .balance import stuck
from .note import note
from .outcome import Answered, Denied, Outcome
from .policy import UNKNOWN, Estimates, Policy
from .queue import Queue
from .roster import Roster
from .task import OWN, Phase, Provider, Run, Standing, Task


class State:
    """`handle(event, now)` takes what happened, in any monotonic seconds, and gives what to do.

    Every submitted task is resolved exactly once. Nothing is looked at twice: a task costs O(1) however many wait.
    """

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008  (frozen)
        self.policy = policy
        self.roster = Roster(policy)
        self.providers = self.roster.connected
        self.queues: dict[frozenset[str], Queue] = {}
        """By what the tasks in it need."""
        self.estimates = Estimates()
        self.draining = False
        self.waiting = 0
        self.running = 0
        self.held_bytes = 0
        self.done = 0
        self.failed = 0
        """Of those that are done: ended by their own fault."""
        self.denied = 0
        self.strays = 0
        """Answers to nothing that was asked: late, doubled or invented; ignored."""
        self._deadlines = Alarms()
        self.rests = Alarms()
        self._out: list[i.Instruction] = []
        self._next_tick = 0.0
        self._wake_at = float("inf")
        """The time that the shell was last asked to wake us."""
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            e.ProviderConnected: self._provider_connected,
            e.ProviderLost: self._provider_lost,
            e.ResourcesAnnounced: self._resources_announced,
            e.FilesAnnounced: self._files_announced,
            e.PongArrived: self._pong_arrived,
            e.RunAnswered: self._run_answered,
            e.RunRefused: self._run_refused,
            e.TaskSubmitted: self._task_submitted,
            e.TaskGrew: self._task_grew,
            e.TaskCancelled: self._task_cancelled,
            e.TimePassed: self._time_passed,
            e.DrainStarted: self._drain_started,
        }

    def handle(self, event: e.Event, now: float) -> list[i.Instruction]:
        self._handlers[type(event)](event, now)
        out, self._out = self._out, []
        return out

    def _wake(self, when: float) -> None:
        """Ask for TimePassed at that time, unless an earlier one is coming already."""
        if when < self._wake_at:
            self._wake_at = when
            self._out.append(i.WakeAt(when))

    # Tasks

    def _task_submitted(self, event: e.TaskSubmitted, now: float) -> None:
        task = event.task
        self.held_bytes += task.weight
        denied = refusal(self, task, now)
        if denied:
            return self._end(task, denied)
        if task.deadline is not None:
            self._deadlines.set(task, task.deadline)
            self._wake(task.deadline)
        queue = self.queues.get(task.needs)
        if not queue or task.immediate:
            provider = self.roster.choose(task)
            if provider is not None:
                return self._assign(task, provider, now)
        if queue is None:
            queue = self.queues[task.needs] = Queue()
        self._enqueue(task, queue.push)
        self._schedule(now)

    def _enqueue(self, task: Task, push: Callable[[Task], None]) -> None:
        task.phase = Phase.QUEUED
        self.waiting += 1
        push(task)

    def _task_grew(self, event: e.TaskGrew, now: float) -> None:
        if denied := grow(self, event.task, event.size):
            self._stop(event.task, denied, denied.message, now)

    def _task_cancelled(self, event: e.TaskCancelled, now: float) -> None:
        if event.task.phase is not Phase.ENDED:
            self._stop(event.task, Denied("canceled", event.reason or "cancelled by the client"), event.reason, now)

    def _stop(self, task: Task, outcome: Denied, reason: str, now: float) -> None:
        """End a task that is not answered yet, wherever it is."""
        if task.run is not None:
            self._cancel(task.run, reason, now)
        self._leave(task)
        self._end(task, outcome)

    def _cancel(self, run: Run, reason: str, now: float) -> None:
        run.provider.sequence += 1
        run.cancelled = now
        self._out.append(i.Cancel(run, run.provider.sequence, reason))

    def _leave(self, task: Task) -> None:
        """Take a task out of the phase it is in."""
        if task.phase is Phase.QUEUED:
            self.queues[task.needs].remove(task)
            self.waiting -= 1
        elif task.phase is Phase.RESTING:
            self.rests.clear(task)
            self.waiting -= 1
        elif task.phase is Phase.RUNNING:
            self.running -= 1
            task.run = None

    def _end(self, task: Task, outcome: Outcome) -> None:
        task.phase = Phase.ENDED
        if task.deadline is not None:
            self._deadlines.clear(task)
        self.held_bytes -= task.weight
        task.payload = None
        if type(outcome) is Answered:
            self.done += 1
        else:
            self.denied += 1
        self._out.append(i.Resolve(task, outcome))

    # Scheduling

    def _schedule(self, now: float) -> None:
        """Hand out waiting tasks while anybody has room."""
        roster = self.roster
        if not self.waiting or not (roster.idle or roster.spare):
            return
        for queue in self.queues.values():
            passed: list[Task] = []
            while queue and (roster.idle or roster.spare) and len(passed) < 64:
                task = queue.pop()
                provider = self.roster.choose(task)
                if provider is None:
                    passed.append(task)
                    if not task.avoid:
                        break
                else:
                    self.waiting -= 1
                    self._assign(task, provider, now)
            for task in passed:
                queue.put_back(task)

    def _assign(self, task: Task, provider: Provider, now: float) -> None:
        provider.sequence = sequence = provider.sequence + 1
        task.attempts = attempt = task.attempts + 1
        estimate = self.estimates.get(task.module) if task.feed is None else UNKNOWN
        run = Run(task, provider, sequence, attempt, now, len(provider.runs) + 1, estimate)
        task.run = run
        task.phase = Phase.RUNNING
        self.running += 1
        provider.runs[sequence] = run
        provider.load += estimate
        if task.module:
            provider.remember(task.module, self.policy.modules)
        self.roster.index(provider, now)
        self._out.append(i.Assign(run))

    # Runs

    def _take_run(self, provider: Provider, sequence: int) -> Run | None:
        run = provider.runs.pop(sequence, None)
        if run is None:
            self.strays += 1
            return None
        provider.load = provider.load - run.estimate if provider.runs else 0.0
        return run

    def _run_answered(self, event: e.RunAnswered, now: float) -> None:
        provider = event.provider
        run = self._take_run(provider, event.sequence)
        if run is None:
            return
        provider.heard = now
        provider.strikes = 0
        task = run.task
        if run.cancelled is None:
            if event.task and event.task != task.id:
                provider.runs[event.sequence] = run
                self._drop(provider, 1008, f"answered for task {event.task[:80]!r}, which it was not given", now)
                return self._schedule(now)
            provider.cpu_seconds += event.cpu_seconds
            if event.failed:
                provider.failed += 1
                self.failed += 1
            else:
                provider.done += 1
            waves = -(-run.depth // provider.concurrency) if provider.concurrency else 1
            seconds = max(now - run.assigned - provider.round_trip, 1e-6) / waves
            if task.module and task.feed is None:
                self.estimates.learn(task.module, seconds)
            self._leave(task)
            self._end(task, Answered(event.answer, provider.name, run.attempt))
        self.roster.index(provider, now)
        self._schedule(now)

    def _run_refused(self, event: e.RunRefused, now: float) -> None:
        provider = event.provider
        provider.heard = now
        run = self._take_run(provider, event.sequence)
        if run is None:
            return
        task = run.task
        if run.cancelled is None:
            provider.failed += 1
            provider.strikes += 1
            if provider.strikes > 1:
                provider.cool_until = now + min(30.0, 0.1 * 2**provider.strikes)
            self.roster.index(provider, now)
            self._leave(task)
            self._try_again(task, provider, event.error, now)
        else:
            self.roster.index(provider, now)
        self._schedule(now)

    def _try_again(self, task: Task, provider: Provider, reason: str, now: float) -> None:
        """Queue a task whose attempt came to nothing, or end it when it has had its share."""
        gone = provider.standing is Standing.GONE
        if gone:
            task.losses += 1
        task.reasons = task.reasons or []
        task.reasons.append(f"attempt {task.attempts} at {provider.name}: {reason[:300]}")
        refusals = task.attempts - task.losses
        if refusals >= self.policy.max_refusals or task.losses >= self.policy.max_losses:
            return self._end(task, Denied("unavailable", f"lost after {task.attempts} attempts: {'; '.join(task.reasons)}"))
        if self.draining:
            return self._end(task, GOING_DOWN)
        task.avoid = task.avoid or set()
        task.avoid.add(provider.number)
        queue = self.queues.setdefault(task.needs, Queue())
        if gone or self.roster.has_other(task):
            return self._enqueue(task, queue.put_back)
        task.phase = Phase.RESTING
        self.waiting += 1
        until = now + min(5.0, 0.1 * 2**task.attempts)
        self.rests.set(task, until)
        self._wake(until)

    # Providers

    def _provider_connected(self, event: e.ProviderConnected, now: float) -> None:
        provider = event.provider
        provider.heard = provider.pinged = now
        if not self.providers:
            self._next_tick = now + self._tick_seconds()
            self._wake(self._next_tick)
        self.providers[provider.number] = provider
        provider.sequence = 1
        self._out.append(i.AskListing(provider, 1))
        self._out.append(i.TellCluster(len(self.providers)))

    def _provider_lost(self, event: e.ProviderLost, now: float) -> None:
        if event.provider.standing is not Standing.GONE:
            self._forget(event.provider, event.reason, now)
            self._schedule(now)

    def _drop(self, provider: Provider, code: int, reason: str, now: float) -> None:
        self._out.append(i.Drop(provider, code, reason))
        self._forget(provider, reason, now)

    def _forget(self, provider: Provider, reason: str, now: float) -> None:
        provider.standing = Standing.GONE
        del self.providers[provider.number]
        self.roster.index(provider, now)
        runs = list(provider.runs.values())
        provider.runs.clear()
        for run in runs:
            if run.cancelled is None:
                self._leave(run.task)
                self._try_again(run.task, provider, f"lost ({reason})", now)
        self._out.append(i.TellCluster(len(self.providers)))

    def _resources_announced(self, event: e.ResourcesAnnounced, now: float) -> None:
        provider = event.provider
        provider.heard = now
        provider.lend(event.concurrency)
        provider.own = provider.own or event.own
        provider.engine = event.engine or provider.engine
        if event.own:
            provider.offers = event.offers | {OWN}
        self.roster.index(provider, now)
        self._schedule(now)

    def _files_announced(self, event: e.FilesAnnounced, now: float) -> None:
        provider = event.provider
        provider.heard = now
        for ref in event.added[: self.policy.modules]:
            provider.remember(ref, self.policy.modules)
        for ref in event.removed:
            provider.modules.pop(ref, None)
        if event.sequence == 1 and provider.standing is Standing.GREETING:
            provider.standing = Standing.READY
            self.roster.index(provider, now)
            self._schedule(now)

    def _pong_arrived(self, event: e.PongArrived, now: float) -> None:
        event.provider.heard = now
        event.provider.ponged(event.sequence, now)

    # Time

    def _tick_seconds(self) -> float:
        return self.policy.ping_seconds / 5

    def _time_passed(self, _: e.TimePassed, now: float) -> None:
        for task in self._deadlines.due(now):
            if task.phase is not Phase.ENDED:
                text = f"the deadline passed while the task was {task.phase.value}"
                why = f" ({note(self)})" if task.phase is Phase.QUEUED else ""
                self._stop(task, Denied("deadline_exceeded", text + why), "deadline exceeded", now)
        for task in self.rests.due(now):
            self.waiting -= 1
            self._enqueue(task, self.queues[task.needs].put_back)
        if self.providers and now >= self._next_tick:
            self._next_tick = now + self._tick_seconds()
            for provider in list(self.providers.values()):
                self._look_after(provider, now)
            self._even_out(now)
        self._schedule(now)
        self._wake_at = float("inf")
        times = (self._deadlines.next(), self.rests.next(), self._next_tick if self.providers else None)
        self._wake(min((t for t in times if t is not None), default=float("inf")))

    def _look_after(self, provider: Provider, now: float) -> None:
        """Ping, cool down, and notice silence and runs without end."""
        policy = self.policy
        # Counted in pings, not in seconds: after a pause of our own everybody seems to have been silent.
        unanswered = provider.unanswered if provider.heard < provider.pinged else 0
        if unanswered >= 2 and now - provider.pinged >= self._tick_seconds():
            return self._drop(provider, 1001, f"silent for {now - provider.heard:.0f} s", now)
        if now - provider.pinged >= policy.ping_seconds:
            provider.unanswered = unanswered + 1
            provider.sequence += 1
            provider.ping = provider.sequence
            provider.pinged = now
            self._out.append(i.SendPing(provider, provider.sequence))
        provider.settle()
        for run in list(provider.runs.values()):
            if run.cancelled is not None:
                if now - run.cancelled > policy.cancel_grace:
                    text = f"task {run.task.id} was cancelled {policy.cancel_grace:.0f} s ago and not answered"
                    return self._drop(provider, 1008, text, now)
            elif policy.run_seconds and now - run.assigned > policy.run_seconds:
                text = f"no answer from {provider.name} within {policy.run_seconds:g} s, the limit of one run"
                self._stop(run.task, Denied("deadline_exceeded", text), "run limit", now)
        self.roster.index(provider, now)

    def _even_out(self, now: float) -> None:
        """Take back what is stuck behind long runs; it goes where a slot is free, unless somebody waits for that already."""
        if self.waiting or not self.roster.idle:
            return
        for run in stuck(self.roster, now):
            task = run.task
            self._cancel(run, "a slot is free elsewhere", now)
            self._leave(task)
            task.losses += 1
            task.reasons = task.reasons or []
            task.reasons.append(f"attempt {task.attempts} at {run.provider.name}: held behind long runs")
            self._enqueue(task, self.queues.setdefault(task.needs, Queue()).put_back)

    def _drain_started(self, _: e.DrainStarted, now: float) -> None:
        self.draining = True
        for queue in self.queues.values():
            for task in list(queue):
                self._stop(task, GOING_DOWN, "", now)
        for task in self.rests.due(float("inf")):
            self.waiting -= 1
            self._end(task, GOING_DOWN)

    # For people and tests

    story = staticmethod(invariants.story)
    validate = invariants.validate
