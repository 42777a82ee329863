"""Performs what the core decides: the only place that holds the state, the clock and the sockets' outboxes together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from broker.core import events as e
from broker.core import instructions as i
from broker.core.policy import Policy
from broker.core.state import State
from broker.core.task import Provider, Run
from broker.errors import Refused
from broker.following import LOST
from broker.inlining import Inlining
from broker.outbox import Outbox
from broker.trace import Event, stamp
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

log = logging.getLogger("broker")

THROUGHPUT_SECONDS = 1.0
CLUSTER_SECONDS = 0.2


class Link(Protocol):
    """A provider's socket, as the dispatcher sees it."""

    outbox: Outbox
    events: int
    """Sequence of the last event sent."""

    def drop(self, code: int, reason: str) -> None:
        """Close the socket soon, with a close code and a reason."""
        ...


class Dispatcher:
    """`handle(event)` runs the core and does what it says, at once. All of it on the event loop's thread."""

    def __init__(self, policy: Policy, inlining: Inlining) -> None:
        self.state = State(policy)
        self._inlining = inlining
        self._packing: dict[Run, asyncio.Task[None]] = {}
        """Runs whose request is being put together."""
        self.links: dict[int, Link] = {}
        self.started = time.time()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._cluster_timer: asyncio.TimerHandle | None = None
        self._throughput = self._loop.call_later(THROUGHPUT_SECONDS, self._tell_throughput)
        self._counted: dict[int, int] = {}
        self._counted_all = 0
        self._quiet = True
        self._idle_waiter: asyncio.Future[None] | None = None
        self._todo: list[i.Instruction] = []
        self._performing = False
        self._perform: dict[type, Callable[[Any], None]] = {
            i.Assign: self._assign,
            i.Cancel: self._cancel,
            i.Resolve: self._resolve,
            i.AskListing: self._ask_listing,
            i.SendPing: self._send_ping,
            i.Drop: self._drop,
            i.WakeAt: self._wake_at,
            i.TellCluster: self._tell_cluster,
        }

    def handle(self, event: e.Event) -> None:
        """What a reply leads to in the middle of this (its client's next task) comes after all that was decided before."""
        todo = self._todo
        todo += self.state.handle(event, self._loop.time())
        if self._performing:
            return
        self._performing = True
        perform = self._perform
        try:
            for instruction in todo:
                perform[type(instruction)](instruction)
        finally:
            todo.clear()
            self._performing = False

    def now(self) -> float:
        """The core's time: the loop's."""
        return self._loop.time()

    def _ring(self) -> None:
        self._timer = None
        self.handle(e.TimePassed())

    # Instructions

    def _assign(self, instruction: i.Assign) -> None:
        run = instruction.run
        request = run.task.payload
        info = request.info
        info.attempt = run.attempt
        if info.HasField("trace"):
            stamp(info.trace, Event.BrokerScheduleTask, run.provider.name)
            stamp(info.trace, Event.BrokerTransmitProviderTask, run.provider.name)
        if not run.provider.own and self._inlining.concerns(request):
            self._packing[run] = self._loop.create_task(self._pack(run))
            return
        self._send(run.provider, codec.request(run.sequence, request))
        if run.task.feed is not None and not run.task.feed.begin(partial(self._feed, run)):
            self._loop.call_soon(self.handle, e.TaskCancelled(run.task, LOST))

    async def _pack(self, run: Run) -> None:
        """Send a run with its stdin, if it is still wanted then."""
        try:
            envelope = await self._inlining.envelope(run)
        except Refused as refused:
            envelope, why = b"", refused.message
        else:
            why = "cancelled before it was sent"
        finally:
            del self._packing[run]
        if envelope and run.task.run is run:
            self._send(run.provider, envelope)
        elif run.provider.number in self.links:
            self.handle(e.RunRefused(run.provider, run.sequence, why))

    def _feed(self, run: Run, part: bytes, end: bool) -> None:
        """More standard input for a run, as long as it is the one that its task has."""
        link = self.links.get(run.provider.number)
        if link is not None and run.task.run is run:
            self.tell(link, pb.Event.TaskInput(request=run.sequence, stdin=part, end=end))

    def _cancel(self, instruction: i.Cancel) -> None:
        if instruction.run in self._packing:
            return
        cancel = pb.Task.Cancel(id=instruction.run.task.id, reason=instruction.reason)
        self._send(instruction.run.provider, codec.request(instruction.sequence, cancel))

    def _resolve(self, instruction: i.Resolve) -> None:
        task = instruction.task
        task.reply.resolve(task, instruction.outcome)
        if self._idle_waiter is not None and not self.state.running and not self._idle_waiter.done():
            self._idle_waiter.set_result(None)

    def _ask_listing(self, instruction: i.AskListing) -> None:
        self._send(instruction.provider, codec.request(instruction.sequence, pb.Filesystem.Listing.Request()))

    def _send_ping(self, instruction: i.SendPing) -> None:
        self._send(instruction.provider, codec.request(instruction.sequence, pb.Ping()))

    def _drop(self, instruction: i.Drop) -> None:
        link = self.links.get(instruction.provider.number)
        if link is not None:
            link.drop(instruction.code, instruction.reason)

    def _wake_at(self, instruction: i.WakeAt) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(instruction.when, self._ring)

    def _send(self, provider: Provider, envelope: bytes) -> None:
        link = self.links.get(provider.number)
        if link is not None:
            link.outbox.send(envelope)

    # Events for everyone

    def tell(self, link: Link, payload: pb.Event.ClusterInfo | pb.Event.Throughput | pb.Event.TaskInput) -> None:
        """Send an event to one provider; events are counted apart from requests."""
        link.events += 1
        link.outbox.send(codec.event(link.events, payload))

    def _tell_cluster(self, _: i.TellCluster) -> None:
        """Soon, so that a thousand providers that come at once don't cost a million messages."""
        if self._cluster_timer is None:
            self._cluster_timer = self._loop.call_later(CLUSTER_SECONDS, self._tell_cluster_now)

    def _tell_cluster_now(self) -> None:
        self._cluster_timer = None
        info = pb.Event.ClusterInfo(providers=len(self.state.providers))
        for link in self.links.values():
            self.tell(link, info)

    def _tell_throughput(self) -> None:
        self._throughput = self._loop.call_later(THROUGHPUT_SECONDS, self._tell_throughput)
        overall = (self.state.done - self._counted_all) / THROUGHPUT_SECONDS
        if not overall and self._quiet:
            return
        self._quiet = not overall
        self._counted_all = self.state.done
        counted: dict[int, int] = {}
        for number, link in self.links.items():
            provider = self.state.providers.get(number)
            if provider is not None:
                counted[number] = total = provider.done + provider.failed
                yours = (total - self._counted.get(number, 0)) / THROUGHPUT_SECONDS
                self.tell(link, pb.Event.Throughput(overall=overall, yours=yours))
        self._counted = counted

    # The end

    async def drain(self, seconds: float) -> None:
        """Take nothing new, hand back what waits, let what runs finish for so long; then everything is cancelled."""
        self.handle(e.DrainStarted())
        if self.state.running:
            self._idle_waiter = self._loop.create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._idle_waiter
            except TimeoutError:
                log.warning("%d runs did not end within %g s and are cancelled", self.state.running, seconds)
        for provider in list(self.state.providers.values()):
            self._drop(i.Drop(provider, 1001, "the broker is shutting down"))
            self.handle(e.ProviderLost(provider, "the broker is shutting down"))

    def close(self) -> None:
        for packing in self._packing.values():
            packing.cancel()
        for handle in (self._timer, self._cluster_timer, self._throughput):
            if handle is not None:
                handle.cancel()
