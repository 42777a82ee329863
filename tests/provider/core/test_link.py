"""Connecting, losing, leaving: a test per guard."""

from __future__ import annotations

import pytest

from pyodide_provider.core import backoff
from pyodide_provider.core import events as e
from pyodide_provider.core import instructions as i
from pyodide_provider.core.run import Broken, Ended, Exited
from pyodide_provider.core.status import status_of

from .world import connected, knowing, make_world


def test_resources_come_first_and_the_listing_when_all_workers_are_up() -> None:
    world = make_world(2)
    world.feed(e.ConnectWanted())
    world.feed(e.LinkOpened())
    assert world.resources == [i.SendResources(2, 0)]
    world.feed(e.ListingAsked(1))
    world.become_ready(1)
    assert world.listings == []
    world.become_ready(2)
    assert world.listings == [1]


def test_the_listing_does_not_wait_for_a_worker_that_keeps_dying() -> None:
    world = make_world(2)
    world.feed(e.ConnectWanted())
    world.feed(e.LinkOpened())
    world.feed(e.ListingAsked(1))
    world.become_ready(1)
    world.lose(2)
    assert world.listings == [1]


def test_the_listing_waits_while_no_worker_starts() -> None:
    world = make_world(1)
    world.feed(e.ConnectWanted())
    world.feed(e.LinkOpened())
    world.feed(e.ListingAsked(1))
    world.lose(1)
    assert world.listings == []
    world.remind(e.SlotDue)
    world.all_ready()
    assert world.listings == [1]


def test_a_listing_is_answered_with_no_workers_wanted() -> None:
    world = connected(0)
    world.feed(e.ListingAsked(1))
    assert world.listings == [1]


def test_a_listing_that_was_asked_on_a_lost_link_is_not_answered_on_the_next() -> None:
    world = make_world(1)
    world.feed(e.ConnectWanted())
    world.feed(e.LinkOpened())
    world.feed(e.ListingAsked(1))
    world.feed(e.LinkLost("gone"))
    world.remind(e.ReconnectDue)
    world.feed(e.LinkOpened())
    world.all_ready()
    assert world.listings == []


def test_waits_grow_and_end_with_a_link_that_stayed() -> None:
    world = make_world(1)
    world.feed(e.ConnectWanted())
    delays = []
    for _ in range(8):
        world.feed(e.LinkLost("refused"))
        delays.append(world.reminders[-1].delay)
        world.remind(e.ReconnectDue)
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30]
    world.feed(e.LinkOpened())
    world.now += 4.9
    world.feed(e.LinkLost("too soon"))
    assert world.reminders[-1].delay == 30
    world.remind(e.ReconnectDue)
    world.feed(e.LinkOpened())
    world.now += 5.0
    world.feed(e.LinkLost("restarted"))
    assert world.reminders[-1].delay == 0.5


def test_jitter_picks_from_the_whole_wait() -> None:
    assert backoff.delay(3, 0.0) == 0.0
    assert backoff.delay(3, 0.5) == 1.0
    assert backoff.delay(10**6, 1.0) == 30.0


def test_connect_wanted_ends_a_wait_and_its_reminder_is_stale() -> None:
    world = make_world(1)
    world.feed(e.ConnectWanted())
    world.feed(e.LinkLost("refused"))
    world.feed(e.ConnectWanted())
    assert world.link == "opening"
    world.feed(e.LinkLost("refused"))
    stale = world.reminders[0]
    world.feed(stale.event)
    assert world.link == "none"
    world.remind(e.ReconnectDue)
    assert world.link == "opening"


def test_losing_the_link_drops_its_runs_and_kills_busy_slots_only() -> None:
    world = knowing(connected(3), 0.0001)
    world.ask(2, 3)
    busy = [slot for slot, runs in world.slots.items() if runs]
    world.feed(e.LinkLost("reset by peer"))
    assert all(i.StopSlot(slot) in world.last for slot in busy)
    assert len(world.slots) == 3
    assert status_of(world.state).running == ()
    assert "reset by peer" in status_of(world.state).reason


def test_an_outcome_of_the_old_link_is_not_sent_on_the_new_one() -> None:
    world = connected(1)
    world.ask(1)
    world.feed(e.LinkLost("gone"))
    world.remind(e.ReconnectDue)
    world.feed(e.LinkOpened())
    world.all_ready()
    world.ask(1)
    world.feed(e.RunsEnded(1, (Ended(1, Exited(99)),)))
    assert world.answers == []
    world.end(2)
    assert world.outcomes() == {1: Exited(0)}


def test_resources_are_announced_on_every_link() -> None:
    world = connected(1)
    world.feed(e.LinkLost("gone"))
    world.remind(e.ReconnectDue)
    world.feed(e.LinkOpened())
    assert world.resources == [i.SendResources(1, 0)] * 2


def test_a_faulty_peer_is_left_with_1011_and_tried_again() -> None:
    world = connected(1)
    world.ask(1)
    world.feed(e.PeerFaulted("frame of 3 bytes is not an Envelope"))
    assert world.closed == [i.CloseLink(1011, "frame of 3 bytes is not an Envelope")]
    assert status_of(world.state).running == ()
    world.remind(e.ReconnectDue)
    assert world.link == "opening"


def test_disconnect_stays_away_until_connect() -> None:
    world = connected(1)
    world.ask(1)
    world.feed(e.DisconnectWanted())
    assert world.closed[-1].code == 1001
    assert status_of(world.state).link == "idle"
    assert world.answers == []
    world.feed(e.ConnectWanted())
    assert world.link == "opening"


@pytest.mark.parametrize("event", [e.LinkOpened(), e.LinkLost("late"), e.ReconnectDue(1), e.PeerFaulted("x")])
def test_what_comes_after_disconnect_changes_nothing(event: e.Event) -> None:
    world = connected(1)
    world.feed(e.DisconnectWanted())
    assert world.state.handle(event, world.now) == []
    assert status_of(world.state).link == "idle"


class TestDrain:
    def test_it_takes_no_more_ends_what_runs_and_finishes(self) -> None:
        world = connected(1)
        world.ask(1, 2)
        world.feed(e.DrainWanted())
        assert world.resources[-1] == i.SendResources(0, 1)
        assert world.outcomes() == {2: Broken("the provider is leaving")}
        assert status_of(world.state).link == "draining"
        world.ask(3)
        assert world.outcomes()[3] == Broken("the provider is leaving")
        assert not world.finished
        world.end(1)
        assert world.outcomes()[1] == Exited(0)
        assert world.closed == [i.CloseLink(1001, "the provider is leaving")]
        assert world.finished

    def test_the_last_outcome_goes_before_the_close(self) -> None:
        world = connected(1)
        world.ask(1)
        world.feed(e.DrainWanted())
        world.end(1)
        kinds = [type(told) for told in world.last]
        assert kinds.index(i.SendOutcome) < kinds.index(i.CloseLink) < kinds.index(i.Finish)

    def test_idle_it_finishes_at_once(self) -> None:
        world = connected(2)
        world.feed(e.DrainWanted())
        assert world.finished

    def test_before_anything_it_finishes_at_once(self) -> None:
        world = make_world(2)
        world.feed(e.DrainWanted())
        assert world.finished
        assert world.slots == {}

    def test_without_a_link_it_finishes_at_once(self) -> None:
        world = connected(1)
        world.feed(e.LinkLost("gone"))
        world.feed(e.DrainWanted())
        assert world.finished

    def test_losing_the_link_meanwhile_finishes(self) -> None:
        world = connected(1)
        world.ask(1)
        world.feed(e.DrainWanted())
        world.feed(e.LinkLost("gone"))
        assert world.finished

    def test_a_worker_that_dies_meanwhile_is_not_replaced(self) -> None:
        world = connected(2)
        world.ask(1, 2)
        world.feed(e.DrainWanted())
        world.lose(1)
        assert list(world.slots) == [2]

    def test_it_does_not_wait_for_a_cancelled_run(self) -> None:
        world = knowing(connected(1), 0.0001)
        world.ask(2, 3)
        world.feed(e.CancelAsked(9, "task3", "no more"))
        world.feed(e.DrainWanted())
        world.end(1)
        assert world.finished

    def test_nothing_happens_after_it_but_a_new_start(self) -> None:
        world = connected(1)
        world.feed(e.DrainWanted())
        assert world.feed(e.WorkersWanted(3)) == []
        world.connect()
        assert len(world.slots) == 1
        world.ask(1)
        assert sum(map(len, world.slots.values())) == 1
