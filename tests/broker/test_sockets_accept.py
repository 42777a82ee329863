"""Both WebSockets: subprotocols, frames that are wrong, limits, origins, and a provider's first words (WIRE.md §2)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSServerHandshakeError

from broker import sockets
from broker.core.note import note
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import Closed, Peer, World, output, task, until, world

SOCKETS = ["/api/client/ws", "/api/provider/ws"]
BINARY, JSON = codec.SUBPROTOCOLS


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world(max_message=1 << 16) as found:
        yield found


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: bytes) -> bytes:
    """Byte by byte, as no library would; gives the response's head."""
    writer.write(
        b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: %b\r\n\r\n" % (path, BINARY.encode())
    )
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)


def masked(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client, with a mask of zeros."""
    return bytes((opcode, 0x80 | len(payload))) + bytes(4) + payload


# Subprotocols and frames


@pytest.mark.parametrize("provider_json", [False, True])
@pytest.mark.parametrize("client_json", [False, True])
async def test_json_and_protobuf_in_any_combination(w: World, client_json: bool, provider_json: bool):
    provider = await w.provider(json=provider_json)
    client = await w.client(json=client_json)
    sent = await client.request(task("app", "a", "é", id="mine"))
    sequence, request = await provider.run()
    assert (request.params.binary.ref, list(request.params.args)) == (w.ref, ["a", "é"])
    await provider.answer(sequence, output(request, b"\x00\xff"))
    envelope = await client.next()
    response = codec.unpack(envelope)
    assert (envelope.sequence, response.info.id, response.info.provider) == (sent, "mine", "p")
    assert (response.ok.status, response.ok.HasField("status"), response.ok.stdout) == (0, True, b"\x00\xff")


async def test_json_peers_see_no_own_fields(w: World):
    """WIRE.md promises only that unknown fields of the binary form are ignored."""
    provider = await w.provider(json=True)
    client = await w.client(json=True)
    await client.request(task("app"))
    text = await provider.ws.receive_str()
    while "Wasip1.Request" not in text:
        text = await provider.ws.receive_str()
    assert "attempt" not in text
    await provider.answer(int(json.loads(text)["sequence"]), pb.Task.Wasip1.Response(error="x"))
    assert "attempt" not in await client.ws.receive_str()


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize(
    ("offered", "chosen"), [([BINARY, JSON], BINARY), ([JSON, BINARY], JSON), (["x", JSON], JSON), ([BINARY], BINARY)]
)
async def test_the_first_offered_subprotocol_that_we_speak_is_taken(w: World, path: str, offered: list[str], chosen: str):
    ws = await w.connect(path, protocols=offered)
    assert ws.protocol == chosen
    await ws.close()


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("offered", [[], ["chat"], ["WASIMOFF_PROVIDER_V1_JSON"]], ids=str)
async def test_without_a_common_subprotocol_the_socket_is_accepted_and_closed(w: World, path: str, offered: list[str]):
    closed = await Peer(await w.connect(path, protocols=offered)).closed()
    assert closed.code == 1002
    assert BINARY in closed.reason
    assert JSON in closed.reason
    assert not w.state.providers


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("protocol", [BINARY, JSON])
async def test_the_wrong_type_of_frame_closes(w: World, path: str, protocol: str):
    ws = await w.connect(path, protocols=[protocol])
    await (ws.send_str("{}") if protocol == BINARY else ws.send_bytes(codec.request(1, pb.Ping())))
    closed = await Peer(ws).closed()
    assert closed.code == 1003
    assert protocol in closed.reason


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize(
    ("protocol", "frame", "reason"),
    [
        (BINARY, b"\xff\xff", "frame of 2 bytes is not an Envelope"),
        (BINARY, codec.batch([codec.batch([b""])]), "a batch may not hold another batch"),
        (JSON, "{", "not a JSON wasimoff.v1.Envelope"),
        (JSON, "[" * 50_000, "not a JSON wasimoff.v1.Envelope: "),
    ],
)
async def test_what_does_not_decode_closes_with_the_reason(w: World, path: str, protocol: str, frame: str | bytes, reason: str):
    ws = await w.connect(path, protocols=[protocol])
    await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))
    closed = await Peer(ws).closed()
    assert closed.code == 1011
    assert reason in closed.reason
    await until(lambda: not w.state.providers)


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_message_over_the_limit_closes(w: World, path: str, caplog: pytest.LogCaptureFixture):
    ws = await w.connect(path)
    await ws.send_bytes(bytes((1 << 16) + 1))
    assert (await Peer(ws).closed()).code == 1009
    await until(lambda: not w.state.providers)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_frame_that_is_not_of_the_protocol_closes(w: World, path: str, caplog: pytest.LogCaptureFixture):
    """Reserved bits set, text that is not UTF-8: what WebSocket itself forbids."""
    for frame, code in ((b"\xf2\x80\0\0\0\0", 1002), (b"\x81\x81\0\0\0\0\xff", 1007)):
        ws = await w.connect(path)
        assert ws._response.connection is not None
        transport = ws._response.connection.transport
        assert transport is not None
        transport.write(frame)  # type: ignore[attr-defined]
        assert (await Peer(ws).closed()).code == code
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_peer_that_vanishes_within_a_frame_is_forgotten(w: World, path: str, caplog: pytest.LogCaptureFixture):
    peer = Peer(await w.connect(path))
    assert peer.ws._response.connection is not None
    peer.ws._response.connection.transport.write(b"\x82\xfe\x10\x00\0\0\0\0half")  # type: ignore[union-attr]
    await asyncio.sleep(0.01)
    await peer.lose()
    await until(lambda: not w.state.providers and not w.broker._clients)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("path", SOCKETS)
async def test_a_peer_has_time_to_answer_a_close(w: World, path: str, answers: bool, monkeypatch: pytest.MonkeyPatch):
    """Until then what it sends is read: a connection that is closed over unread data loses the reason on its way."""
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 5 if answers else 0.2)
    reader, writer = await asyncio.open_connection(*w.broker.url.removeprefix("http://").split(":"))
    await shake_hands(reader, writer, path.encode())
    ping = codec.request(1, pb.Ping())
    writer.write(masked(0x82, b"\xff" * 3) + masked(0x82, ping) * 100)
    received = b""
    while b"\x88" not in received:
        received += await asyncio.wait_for(reader.read(4096), 20)
    assert received.endswith(b"\x03\xf3frame of 3 bytes is not an Envelope")
    writer.write(masked(0x82, ping) * 1000)
    if answers:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.write(masked(0x88, b"\x03\xf3"))
    rest = await asyncio.wait_for(reader.read(), 20)
    assert len(rest) < 10, "nothing but maybe a second close"
    writer.close()


async def test_a_reason_is_cut_between_letters(w: World):
    provider = await w.provider()
    client = await w.client()
    await client.request(task("app"))
    sequence, _ = await provider.run()
    await provider.answer(sequence, pb.Task.Wasip1.Response(info=pb.Task.Metadata(id="é" * 500)))
    await provider.answer(sequence, pb.Task.Wasip1.Response(info=pb.Task.Metadata(id="é" * 500), error="x"))
    sequence, _ = await provider.run()
    await provider.answer(sequence, pb.Task.Wasip1.Response(info=pb.Task.Metadata(id="x" + "é" * 500), error="x"))
    closed = await provider.closed()
    assert closed.code == 1008
    assert closed.reason.startswith("answered for task 'xéé")


async def test_a_websocket_ping_is_answered_and_a_close_too(w: World):
    client = await w.client()
    await client.ws.ping(b"x")
    assert (await client.run(pb.Ping())).type == codec.RESPONSE
    await client.ws.close(code=1000)
    assert client.ws.close_code == 1000
    await until(lambda: not w.broker._clients)


# Who may connect


@pytest.mark.parametrize("path", SOCKETS)
async def test_pages_of_other_origins_are_refused(w: World, path: str):
    with pytest.raises(WSServerHandshakeError) as refused:
        await w.connect(path, headers={"Origin": "https://elsewhere.example"})
    assert refused.value.status == 403


@pytest.mark.parametrize("path", SOCKETS)
async def test_the_own_origin_and_allowed_ones_are_welcome(path: str):
    async with world(allowed_origins=("https://*.example",)) as w:
        for origin in (w.broker.url, "https://lab.example"):
            ws = await w.connect(path, headers={"Origin": origin})
            await ws.close()
        with pytest.raises(WSServerHandshakeError):
            await w.connect(path, headers={"Origin": "null"})


@pytest.mark.parametrize(("path", "setting"), [(SOCKETS[0], "max_clients"), (SOCKETS[1], "max_providers")])
async def test_there_is_a_limit_of_connections(path: str, setting: str):
    async with world(**{setting: 2}) as w:
        first, second = await w.connect(path), await w.connect(path)
        with pytest.raises(WSServerHandshakeError) as refused:
            await w.connect(path)
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) > 0
        await first.close()
        await until(lambda: len(w.broker._clients) + len(w.state.providers) == 1)
        await w.connect(path)
        assert not second.closed


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_plain_request_to_a_socket_is_told_what_to_do(w: World, path: str):
    async with w.http.get(w.broker.url + path) as response:
        assert response.status in (400, 426)
        assert "websocket" in (await response.text()).lower()


# A provider's first words


async def test_a_provider_is_asked_for_its_files_first_and_gets_work_only_after_its_answer(w: World):
    client = await w.client()
    await client.request(task("app"))
    provider = await w.greeting()
    first = await provider.next()
    assert (first.sequence, first.type) == (1, codec.REQUEST)
    assert isinstance(codec.unpack(first), pb.Filesystem.Listing.Request)
    await provider.announce(4)
    await until(lambda: next(iter(w.state.providers.values())).concurrency == 4)
    await asyncio.sleep(0.05)
    assert w.state.running == 0
    await provider.answer(1, pb.Filesystem.Listing.Response(files=[w.ref]))
    sequence, request = await provider.run()
    assert sequence == 2
    await provider.answer(sequence, output(request))
    assert (await client.answer()).ok.stdout == b"out"


async def test_a_provider_that_has_not_told_its_resources_gets_nothing(w: World):
    provider = await w.greeting()
    sequence, _ = await provider.asked(pb.Filesystem.Listing.Request)
    await provider.answer(sequence, pb.Filesystem.Listing.Response())
    client = await w.client()
    await client.request(task("app"))
    await until(lambda: w.state.waiting == 1)
    await provider.announce(1)
    await provider.run()


async def test_a_provider_that_can_not_list_its_files_is_sent_away(w: World):
    provider = await w.greeting()
    await provider.send(codec.failure(1, "no disk"))
    closed = await provider.closed()
    assert (closed.code, closed.reason) == (1011, "could not list its files: no disk")


async def test_slots_may_be_taken_back_and_given_again(w: World):
    provider = await w.provider(slots=1)
    await provider.announce(0)
    await until(lambda: not w.state.roster.idle)
    client = await w.client()
    await client.request(task("app"))
    await until(lambda: w.state.waiting == 1)
    assert "no provider is ready yet" in note(w.state)
    await provider.announce(1)
    await provider.run()


async def hears_of(peer: Peer, providers: int) -> None:
    """Until it is told this number; events are counted from 1."""
    wanted = pb.Event.ClusterInfo(providers=providers)
    while peer.told[-1:] != [wanted]:
        envelope = await peer.next()
        assert (envelope.type, envelope.sequence) == (codec.EVENT, len(peer.told) + 1)
        peer.told.append(codec.unpack(envelope))


async def test_everyone_is_told_how_many_providers_there_are(w: World):
    one, two = await w.provider("one"), await w.provider("two")
    await hears_of(one, 2)
    await hears_of(two, 2)
    await two.ws.close()
    await hears_of(one, 1)


async def test_throughput_is_told_to_each(w: World):
    one, two = await w.provider("one"), await w.provider("two")
    client = await w.client()
    await client.request(task("app"))
    sequence, request = await one.run()
    await one.answer(sequence, output(request))
    await client.answer()
    heard = {}
    for name, provider in (("one", one), ("two", two)):
        while not isinstance(payload := codec.unpack(await provider.next()), pb.Event.Throughput):
            pass
        heard[name] = payload
    assert heard["one"] == pb.Event.Throughput(overall=1, yours=1)
    assert heard["two"] == pb.Event.Throughput(overall=1, yours=0)


async def test_names_are_not_unique_and_may_be_anything(w: World):
    one, two = await w.provider("same"), await w.provider("same")
    assert [p.name for p in w.state.providers.values()] == ["same", "same"]
    client = await w.client()
    for _ in range(2):
        await client.request(task("app"))
    for provider in (one, two):
        sequence, request = await provider.run()
        await provider.answer(sequence, output(request))
        assert (await client.answer()).info.provider == "same"


@pytest.mark.parametrize("name", [b"%ff%00%0d%0a", b"\xff\xfe", b"caf\xc3\xa9", b"%ed%a0%80", b"x" * 5000])
async def test_a_name_that_is_no_text_does_no_harm(w: World, name: bytes):
    reader, writer = await asyncio.open_connection(*w.broker.url.removeprefix("http://").split(":"))
    head = await shake_hands(reader, writer, b"/api/provider/ws?id=" + name)
    if b" 101 " in head:

        def send(envelope: bytes) -> None:
            writer.write(masked(0x82, envelope))

        send(codec.event(0, pb.Event.ProviderResources(concurrency=1)))
        send(codec.response(1, pb.Filesystem.Listing.Response()))
        await until(lambda: w.state.roster.idle)
        client = await w.client()
        await client.request(task("app"))
        await until(lambda: w.state.running == 1)
        send(codec.response(2, pb.Task.Wasip1.Response(error="short")))
        assert (await client.answer()).error == "short"
        async with w.http.get(w.broker.url + "/api/status") as response:
            assert len((await response.json())["providers"]) == 1
    else:
        assert b" 400 " in head
    writer.close()


# Pings


async def test_providers_are_pinged_and_those_that_stay_silent_are_dropped():
    async with world(ping_seconds=0.5) as w:
        mute, alive = await w.provider("mute"), await w.provider("alive")
        client = await w.client()
        for name in ("a", "b"):
            await client.request(task("app", name))
        mute.mute = True
        w.serve(alive, b"")
        await mute.run()
        with pytest.raises(Closed) as closed:
            await mute.run()
        assert closed.value.code == 1001
        assert "silent" in closed.value.reason
        assert mute.pings >= 2
        assert {(await client.answer()).ok.stdout for _ in range(2)} == {b"a", b"b"}
        await until(lambda: alive.pings >= 6)
        assert [p.name for p in w.state.providers.values()] == ["alive"]


async def test_a_pause_of_the_broker_itself_costs_nobody_the_connection():
    """A laptop that slept, a disk that stood still: nobody was asked in that time, so nobody was silent."""
    async with world(ping_seconds=0.4) as w:
        w.serve(await w.provider("alive"))
        time.sleep(1.2)  # noqa: ASYNC251 - the pause
        await asyncio.sleep(0.5)
        assert [p.name for p in w.state.providers.values()] == ["alive"]


async def test_a_provider_may_ping_too(w: World):
    provider = await w.provider()
    await provider.send(codec.request(77, pb.Ping()))
    envelope = await provider.next()
    while envelope.type != codec.RESPONSE:
        envelope = await provider.next()
    assert (envelope.sequence, codec.unpack(envelope)) == (77, pb.Ping())
