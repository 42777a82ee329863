"""Output to a client while its task runs, input from it: routed to the right ones, bounded, and never in the answer's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from broker.client_socket import MAX_UNREAD, OVERFED
from broker.core.note import note
from broker.following import LOST, MAX_INPUT, Feed, Follower
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import WASM, Client, Provider, Run, World, output, task, until, world

Output = pb.Event.TaskOutput
Input = pb.Event.TaskInput
Taken = pb.Event.TaskInputTaken
OWN = {"extension": 1, "runs": ["wasip1", "interactive"]}


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        yield found


def followed(*args: str, **qos: bool) -> Run:
    request = task("app", *args)
    request.qos.follow = True
    request.qos.MergeFrom(pb.Task.QoS(**qos))
    return request


def interactive(**fields: str) -> Run:
    request = task("app", **fields)
    request.qos.interactive = True
    return request


async def says(peer: Client | Provider, *events: Output | Input | Taken) -> None:
    await peer.send(*(codec.event(number, event) for number, event in enumerate(events)))


async def hears(client: Client) -> Output:
    envelope = await client.next()
    assert envelope.type == codec.EVENT
    payload = codec.unpack(envelope)
    assert isinstance(payload, Output)
    return payload


async def reads(client: Client) -> Taken:
    payload = codec.unpack(await client.next())
    assert isinstance(payload, Taken)
    return payload


# Output


@pytest.mark.parametrize("json", [False, True])
async def test_output_comes_before_the_answer_under_the_clients_own_sequence(w: World, json: bool):
    provider, client = await w.provider(slots=2, **OWN), await w.client(json=json)
    await client.request(pb.Ping())
    await client.next()
    if json:
        (envelope,) = codec.decode(codec.request(mine := 7, followed()))
        await client.ws.send_str(json_format.MessageToJson(envelope))
    else:
        mine = await client.request(followed())
    sequence, run = await provider.run()
    assert run.qos.follow
    await says(provider, Output(request=sequence, stdout=b"a"), Output(request=sequence, stderr=b"b"))
    assert await hears(client) == Output(request=mine, stdout=b"a")
    assert await hears(client) == Output(request=mine, stderr=b"b")
    await provider.answer(sequence, output(run, b"a", stderr=b"b"))
    answer = await client.answer()
    assert (answer.ok.stdout, answer.ok.stderr) == (b"a", b"b")


async def test_output_of_nothing_of_others_and_of_what_is_over_goes_nowhere(w: World):
    first, other = await w.provider("first", **OWN), await w.provider("other", 2, **OWN)
    client = await w.client()
    await client.request(followed())
    sequence, run = await first.run()
    await says(other, *(Output(request=n, stdout=b"lie") for n in (0, 1, sequence, sequence + 1, 2**64 - 1)))
    await first.answer(sequence, output(run))
    assert (await client.answer()).info.provider == "first"
    await says(first, Output(request=sequence, stdout=b"late"))
    assert codec.unpack(await client.run(pb.Ping())) == pb.Ping()


async def test_who_does_not_ask_is_told_nothing(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    await client.request(task("app"))
    sequence, run = await provider.run()
    await says(provider, Output(request=sequence, stdout=b"unasked"))
    await provider.answer(sequence, output(run))
    assert (await client.answer()).ok.stdout == b"out"


async def test_a_door_that_can_not_tell_asks_for_nothing(w: World):
    provider = await w.provider(**OWN)
    posted = asyncio.create_task(w.post("RunWasip1", followed()))
    sequence, run = await provider.run()
    assert not run.qos.follow
    await provider.answer(sequence, output(run))
    assert (await posted)[0] == 200


async def test_a_cancelled_task_is_followed_no_more(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    request = followed()
    request.info.id = "mine"
    await client.request(request)
    sequence, _ = await provider.run()
    await client.request(pb.Task.Cancel(id="mine"))
    assert (await client.next()).error.startswith("canceled")
    assert isinstance(codec.unpack(await client.next()), pb.Task.Cancel)
    await provider.cancel()
    await says(provider, Output(request=sequence, stdout=b"late"))
    assert codec.unpack(await client.run(pb.Ping())) == pb.Ping()


async def test_another_attempt_tells_only_what_was_not_told(w: World):
    lost, client = await w.provider("lost", **OWN), await w.client()
    mine = await client.request(followed())
    sequence, _ = await lost.run()
    await says(lost, Output(request=sequence, stdout=b"hello ", stderr=b"!"))
    assert (await hears(client)).stdout == b"hello "
    again = await w.provider("again", **OWN)
    await lost.lose()
    sequence, run = await again.run()
    parts = [Output(request=sequence, stdout=text) for text in (b"hel", b"lo wor", b"ld")]
    await says(again, *parts)
    assert await hears(client) == Output(request=mine, stdout=b"wor")
    assert await hears(client) == Output(request=mine, stdout=b"ld")
    await again.answer(sequence, output(run, b"hello world"))
    assert (await client.answer()).ok.stdout == b"hello world"


async def test_a_client_that_does_not_read_loses_output_but_no_answer(w: World):
    provider, client = await w.provider(slots=2, **OWN), await w.client()
    await client.request(followed("flood"))
    sequence, run = await provider.run()
    part = bytes(60_000)
    transport = client.ws._response.connection and client.ws._response.connection.transport
    assert transport is not None
    transport.pause_reading()
    (known,) = w.broker._clients
    for _ in range(400):
        await says(provider, Output(request=sequence, stdout=part))
    await until(lambda: known._outbox.unread() > MAX_UNREAD)
    await provider.answer(sequence, output(run, b"the answer"))
    await until(lambda: not w.state.running)
    assert known._outbox.unread() < 2 * MAX_UNREAD
    transport.resume_reading()
    told = 0
    while (envelope := await client.next()).type == codec.EVENT:
        told += 1
    answer = codec.unpack(envelope)
    assert isinstance(answer, pb.Task.Wasip1.Response)
    assert answer.ok.stdout == b"the answer"
    assert 0 < told < 400


async def test_more_than_a_task_may_write_is_not_told():
    async with world(limit_output=10) as w:
        provider, client = await w.provider(**OWN), await w.client()
        await client.request(followed())
        sequence, run = await provider.run()
        await says(provider, *(Output(request=sequence, stdout=b"12345678") for _ in range(3)))
        await provider.answer(sequence, output(run))
        assert (await hears(client)).stdout == b"12345678"
        assert (await client.answer()).ok.stdout == b"out"


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6), max_size=5),
    st.integers(0, 20),
)
def test_what_is_told_is_always_the_beginning(attempts: list[list[tuple[int, int]]], room: int):
    whole = (bytes(range(100)), bytes(range(100, 200)))
    told = [b"", b""]

    def tell(stdout: bytes, stderr: bytes) -> bool:
        if len(told[0]) + len(told[1]) > room:
            return False
        told[0] += stdout
        told[1] += stderr
        return True

    follower = Follower(tell, 100)
    for attempt, parts in enumerate(attempts, 1):
        place = [0, 0]
        for sizes in parts:
            out, err = (whole[n][place[n] : place[n] + sizes[n]] for n in (0, 1))
            place = [place[n] + sizes[n] for n in (0, 1)]
            follower.written(attempt, out, err)
            assert [whole[n][: len(told[n])] for n in (0, 1)] == told
            assert follower.told == [len(told[0]), len(told[1])]
            assert follower.over or all(len(told[n]) >= place[n] for n in (0, 1))


# Input


async def fed(provider: Provider, count: int) -> list[Input]:
    """Pings make the provider read on."""
    while len(found := [event for event in provider.told if isinstance(event, Input)]) < count:
        envelope = await provider.next()
        if envelope.type == codec.EVENT:
            provider.told.append(codec.unpack(envelope))
    return found


async def test_input_reaches_the_run_wherever_it_is_in_order(w: World):
    client = await w.client()
    mine = await client.request(interactive())
    await says(client, Input(request=mine, stdin=b"before "), Input(request=mine, stdin=b"it runs"))
    await until(lambda: w.state.waiting)
    assert await reads(client) == Taken(request=mine, taken=0)
    codec.unpack(await client.run(pb.Ping()))
    lost = await w.provider("lost", **OWN)
    sequence, run = await lost.run()
    assert run.qos.interactive
    assert await fed(lost, 1) == [Input(request=sequence, stdin=b"before it runs", end=False)]
    await says(client, Input(request=mine, stdin=b", more"), Input(request=mine, end=True))
    assert (await fed(lost, 3))[1:] == [
        Input(request=sequence, stdin=b", more", end=False),
        Input(request=sequence, stdin=b"", end=True),
    ]
    again = await w.provider("again", **OWN)
    await lost.lose()
    sequence, run = await again.run()
    assert await fed(again, 1) == [Input(request=sequence, stdin=b"before it runs, more", end=True)]
    await says(client, Input(request=mine, stdin=b"after the end"))
    await again.answer(sequence, output(run))
    assert (await client.answer()).ok.stdout == b"out"


async def test_input_between_two_attempts_goes_to_the_second_only(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    mine = await client.request(interactive())
    first, _ = await provider.run()
    await provider.send(codec.failure(first, "no network"))
    await until(lambda: not w.state.running)
    await says(client, Input(request=mine, stdin=b"hello"))
    second, run = await provider.run()
    assert await fed(provider, 1) == [Input(request=second, stdin=b"hello", end=False)]
    await provider.answer(second, output(run))
    await client.answer()


async def test_input_for_nothing_is_nothing(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    mine = await client.request(task("app"))
    sequence, run = await provider.run()
    await says(client, *(Input(request=n, stdin=b"x") for n in (0, mine, mine + 1, sequence, 2**64 - 1)))
    assert codec.unpack(await client.run(pb.Ping())) == pb.Ping()
    await provider.answer(sequence, output(run))
    await client.answer()
    await says(client, Input(request=mine, stdin=b"late"))
    assert codec.unpack(await client.run(pb.Ping())) == pb.Ping()
    assert not [event for event in provider.told if isinstance(event, Input)]
    (known,) = w.broker._clients
    assert not known._feeds


async def test_more_input_than_is_kept_ends_the_task(w: World):
    client = await w.client()
    mine = await client.request(interactive())
    for _ in range(9):
        await says(client, Input(request=mine, stdin=bytes(MAX_INPUT // 8)))
    assert await reads(client) == Taken(request=mine, taken=0)
    error = (await client.next()).error
    assert error == f"canceled: {OVERFED}"
    (known,) = w.broker._clients
    assert not known._feeds


async def test_input_counts_among_the_bytes_that_may_be_held():
    async with world(queue_bytes=6 << 20) as w:
        provider, client = await w.provider(**OWN), await w.client()
        mine = [await client.request(interactive()) for _ in range(2)]
        assert [(await reads(client)).request for _ in mine] == mine
        sequence, run = await provider.run()
        for request in mine:
            await says(client, *(Input(request=request, stdin=bytes(1 << 20)) for _ in range(4)))
        error = await client.next()
        assert error.sequence == mine[1]
        assert error.error.startswith("resource_exhausted: waiting tasks hold ")
        await provider.answer(sequence, output(run))
        await client.answer()
        assert w.state.held_bytes == 0


async def test_what_is_read_is_told_to_who_sends(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    mine = await client.request(interactive())
    assert await reads(client) == Taken(request=mine, taken=0)
    sequence, run = await provider.run()
    other = await w.provider("other", **OWN)
    await says(client, Input(request=mine, stdin=bytes(MAX_INPUT)))
    await fed(provider, 1)
    await says(other, *(Taken(request=number, taken=4) for number in range(9)))
    await says(provider, Taken(request=sequence + 1, taken=3), Taken(request=sequence, taken=2**64 - 1))
    assert await reads(client) == Taken(request=mine, taken=MAX_INPUT)
    await says(client, Input(request=mine, stdin=bytes(MAX_INPUT)))
    assert [len(event.stdin) for event in await fed(provider, 2)] == [MAX_INPUT] * 2
    await provider.answer(sequence, output(run))
    await client.answer()


async def test_what_is_not_kept_ends_a_task_that_would_have_to_begin_anew(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    mine = await client.request(interactive())
    sequence, _ = await provider.run()
    await says(client, Input(request=mine, stdin=bytes(MAX_INPUT)))
    await fed(provider, 1)
    await says(provider, Taken(request=sequence, taken=1))
    assert [(await reads(client)).taken for _ in range(2)] == [0, 1]
    await says(client, Input(request=mine, stdin=b"x"))
    await fed(provider, 2)
    await w.provider("second", **OWN)
    await provider.lose()
    assert (await client.next()).error == f"canceled: {LOST}"


async def test_only_who_can_take_input_gets_such_a_task(w: World):
    plain, client = await w.provider("plain", extension=1, runs=["wasip1"]), await w.client()
    await client.request(interactive())
    await until(lambda: w.state.waiting)
    assert "interactive" in note(w.state)
    able = await w.provider("able", **OWN)
    await able.run()
    assert not [event for event in plain.told if isinstance(event, Input)]


async def test_a_door_that_brings_no_input_says_so(w: World):
    status, body = await w.post("RunWasip1", interactive())
    assert (status, b"an interactive task needs a client's WebSocket" in body) == (501, True)


async def test_a_refused_interactive_task_leaves_nothing_behind(w: World):
    client = await w.client()
    for params in ({"ref": "unknown"}, {"blob": b"nonsense"}):
        request = interactive()
        request.params.binary.CopyFrom(pb.File(**params))
        assert (await client.run(request)).error
    (known,) = w.broker._clients
    assert not known._feeds


@pytest.mark.parametrize("how", ["refused", "cancelled"])
async def test_an_interactive_task_that_never_began_leaves_nothing_behind(w: World, how: str, monkeypatch: pytest.MonkeyPatch):
    if how == "refused":
        monkeypatch.setattr("broker.client_socket.MAX_CHORES", 0)
    client = await w.client()
    request = interactive()
    request.info.id = "mine"
    request.params.binary.CopyFrom(pb.File(blob=WASM))
    mine = await client.request(request)
    # In one burst with it, so that it has not begun to be stored.
    await client.request(pb.Task.Cancel(id="mine"))
    answers = {(await client.next()).sequence for _ in range(2)}
    assert mine in answers
    (known,) = w.broker._clients
    await until(lambda: not known._chores)
    assert not known._feeds


def test_a_feed_takes_as_much_as_is_read_and_then_begins_no_more():
    told: list[int] = []
    got: list[int] = []
    feed = Feed(told.append)
    assert feed.begin(lambda part, end: got.append(len(part)))
    for _ in range(3):
        assert feed.put(bytes(MAX_INPUT), False)
        feed.was_read(feed.size)
    feed.was_read(5)
    assert told == [MAX_INPUT, 2 * MAX_INPUT, 3 * MAX_INPUT]
    assert got == [MAX_INPUT] * 3
    assert not feed._parts, "what can't be given again is not kept"
    assert not feed.begin(lambda part, end: None)
    assert feed.put(bytes(MAX_INPUT), False)
    assert not feed.put(b"x", False)


def test_no_more_is_read_than_came():
    told: list[int] = []
    feed = Feed(told.append)
    feed.was_read(2**64 - 1)
    assert feed.put(b"abc", False)
    feed.was_read(2**64 - 1)
    assert told == [3]


def test_a_feed_keeps_what_it_is_given_and_no_more():
    feed = Feed(lambda count: None)
    assert feed.put(bytes(MAX_INPUT), False)
    assert not feed.put(b"x", False)
    assert feed.over
    assert not feed.put(b"", True)
    got: list[tuple[int, bool]] = []
    feed.begin(lambda part, end: got.append((len(part), end)))
    assert got == [(MAX_INPUT, False)]
