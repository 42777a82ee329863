"""The core of the WebSocket link: nothing is lost, nothing answered twice, nothing sent for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wasimoff.calls import Call, Calls


def call(name: str) -> Call[str, list[str]]:
    return Call(name, name, [])


def test_sequences_start_at_one_on_each_connection() -> None:
    calls: Calls[str, list[str]] = Calls()
    first, second = call("a"), call("b")
    calls.add(first)
    calls.add(second)
    assert calls.next() is first
    assert first.sequence == 1
    assert calls.lost("cut") == []
    assert calls.next() is first
    assert first.sequence == 1
    assert calls.next() is second
    assert second.sequence == 2
    assert calls.next() is None


def test_lost_calls_go_first_and_in_their_order() -> None:
    calls: Calls[str, list[str]] = Calls()
    made = [call(name) for name in "abcd"]
    for one in made:
        calls.add(one)
    for one in made[:3]:
        assert calls.next() is one
    assert calls.answered(2) is made[1]
    calls.lost("cut")
    assert [calls.next(), calls.next(), calls.next()] == [made[0], made[2], made[3]]


def test_a_call_is_given_up_after_its_last_send_with_every_reason() -> None:
    calls: Calls[str, list[str]] = Calls(max_sends=2)
    one = call("a")
    calls.add(one)
    calls.next()
    assert calls.lost("cut") == []
    calls.next()
    assert calls.lost("cut again") == [one]
    assert one.reasons == ["cut", "cut again"]
    assert len(calls) == 0


def test_only_a_call_that_was_sent_must_be_cancelled_at_the_peer() -> None:
    calls: Calls[str, list[str]] = Calls()
    sent, waiting, answered = call("sent"), call("waiting"), call("answered")
    calls.add(sent)
    calls.add(answered)
    calls.next()
    calls.next()
    calls.add(waiting)
    assert calls.answered(2) is answered
    assert calls.withdraw(sent)
    assert not calls.withdraw(waiting)
    assert not calls.withdraw(answered)
    assert calls.next() is None
    assert calls.answered(1) is None
    assert calls.strays == 1


def test_a_withdrawn_call_is_not_the_one_that_has_its_number_on_the_next_connection() -> None:
    calls: Calls[str, list[str]] = Calls()
    old, new = call("old"), call("new")
    calls.add(old)
    calls.next()
    calls.withdraw(old)
    calls.lost("cut")
    calls.add(new)
    calls.next()
    assert (old.sequence, new.sequence) == (1, 1)
    assert not calls.withdraw(old)
    assert calls.answered(1) is new


STEPS = st.lists(st.sampled_from(["add", "send", "answer", "late", "withdraw", "lost"]), max_size=60)


@given(STEPS, st.randoms(use_true_random=False))
def test_every_call_ends_exactly_once(steps: list[str], random: object) -> None:
    calls: Calls[str, list[str]] = Calls(max_sends=3)
    made: list[Call[str, list[str]]] = []
    ends: dict[str, int] = {}

    def end(one: Call[str, list[str]]) -> None:
        ends[one.id] = ends.get(one.id, 0) + 1

    for step in steps:
        if step == "add":
            made.append(call(str(len(made))))
            calls.add(made[-1])
        elif step == "send":
            calls.next()
        elif step in ("answer", "late"):
            open_ = [c for c in made if c.sequence and c.id not in ends]
            sequence = random.choice(open_).sequence if open_ and step == "answer" else 10**6  # type: ignore[attr-defined]
            answered = calls.answered(sequence)
            if answered is not None:
                end(answered)
        elif step == "withdraw":
            open_ = [c for c in made if c.id not in ends]
            if open_:
                chosen = random.choice(open_)  # type: ignore[attr-defined]
                calls.withdraw(chosen)
                end(chosen)
        else:
            for one in calls.lost("cut"):
                end(one)
    for one in calls.clear():
        end(one)
    assert ends == {one.id: 1 for one in made}
    assert len(calls) == 0
