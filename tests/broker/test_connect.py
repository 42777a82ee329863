"""The Connect service over HTTP: protobuf and JSON, compression, timeouts, every refusal (WIRE.md §3)."""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import json
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession
from google.protobuf import json_format

from broker import bodies
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import METHODS, WASM, World, output, task, until, world

PROTO, JSON = "application/proto", "application/json"
Wasip1 = pb.Task.Wasip1
LIMIT = 1 << 20


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world(max_body=LIMIT) as found:
        yield found


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def error(self) -> tuple[int, str, str]:
        assert self.headers["Content-Type"] == JSON
        said = json.loads(self.body)
        assert set(said) == {"code", "message"}
        return self.status, said["code"], said["message"]


async def post(w: World, body: bytes, type: str = PROTO, method: str = "RunWasip1", **headers: str) -> Answer:
    others = {name.replace("_", "-"): text for name, text in headers.items()}
    given = {"Content-Type": type, "Accept-Encoding": "identity"} | others
    url = w.broker.url + METHODS + method
    async with (
        ClientSession(auto_decompress=False) as session,
        session.post(url, data=io.BytesIO(body), headers=given) as response,
    ):
        return Answer(response.status, response.headers, await response.read())


TASK = {"info": {"id": "mine"}, "params": {"binary": {"ref": "app"}, "args": ["app", "é"]}}


# What works


async def test_protobuf(w: World):
    w.serve(await w.provider("who"), b"")
    for headers in ({}, {"X_Other": "1"}):
        answer = await post(w, task("app", "é", id="mine").SerializeToString(), **headers)
        assert (answer.status, answer.headers["Content-Type"]) == (200, PROTO)
        response = Wasip1.Response.FromString(answer.body)
        assert response.info == pb.Task.Metadata(id="mine", provider="who", attempt=1)
        assert (response.ok.HasField("status"), response.ok.status, response.ok.stdout) == (True, 0, "é".encode())


@pytest.mark.parametrize("type", [JSON, "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
async def test_json(w: World, type: str):
    w.serve(await w.provider("who"), b"")
    answer = await post(w, json.dumps(TASK).encode(), type)
    assert (answer.status, answer.headers["Content-Type"]) == (200, JSON)
    assert json.loads(answer.body) == {
        "info": {"id": "mine", "provider": "who"},
        "ok": {"status": 0, "stdout": "YXBwIMOp"},
    }


@pytest.mark.parametrize("headers", [{}, {"X_Other": "1"}])
async def test_a_task_that_fails_is_an_answer_like_any_other(w: World, headers: dict[str, str]):
    provider = await w.provider()
    asked = asyncio.create_task(post(w, task("app").SerializeToString(), **headers))
    sequence, request = await provider.run()
    await provider.answer(sequence, Wasip1.Response(error="bad wasm"))
    answer = await asked
    assert answer.status == 200
    response = Wasip1.Response.FromString(answer.body)
    assert (response.error, response.info.id, response.info.provider) == ("bad wasm", request.info.id, "p")


async def test_python(w: World):
    provider = await w.provider()
    body = json.dumps({"params": {"script": "print(1)", "packages": ["numpy"]}}).encode()
    asked = asyncio.create_task(post(w, body, JSON, "RunPyodide"))
    sequence, request = await provider.asked(pb.Task.Pyodide.Request)
    assert request.params.script == "print(1)"
    await provider.answer(sequence, pb.Task.Pyodide.Response(ok=pb.Task.Pyodide.Output(version="0.1")))
    assert json.loads((await asked).body)["ok"] == {"version": "0.1"}


async def test_upload_then_run_then_inline(w: World):
    w.serve(await w.provider())
    other = WASM + b"\0\x02\x01x"
    upload = pb.Filesystem.Upload.Request(upload=pb.File(blob=other, ref="other", media="application/wasm"))
    answer = await post(w, upload.SerializeToString(), method="Upload")
    ref = pb.Filesystem.Upload.Response.FromString(answer.body).ref
    assert ref == w.broker.blobs.resolve("other")
    assert (await post(w, task("other").SerializeToString())).status == 200
    inline = Wasip1.Request(params=Wasip1.Params(binary=pb.File(blob=WASM + b"\0\x02\x01y")))
    assert (await post(w, inline.SerializeToString())).status == 200
    assert len(w.broker.blobs) == 3


async def test_a_trace_tells_every_step(w: World):
    w.serve(await w.provider())
    for headers in ({}, {"X_Other": "1"}):
        request = task("app", info=pb.Task.Metadata(trace=pb.Task.Trace(created=1)))
        answer = await post(w, request.SerializeToString(), **headers)
        events = Wasip1.Response.FromString(answer.body).info.trace.events
        assert [e.event for e in events] == [21, 22, 23, 24, 25, 26]
        assert all(e.unixnano for e in events)


async def test_the_version_may_be_told(w: World):
    w.serve(await w.provider())
    assert (await post(w, json.dumps(TASK).encode(), JSON, Connect_Protocol_Version="1")).status == 200
    for version in ("2", "", "1.0", "x" * 1000):
        answer = await post(w, json.dumps(TASK).encode(), JSON, Connect_Protocol_Version=version)
        assert answer.error[:2] == (400, "invalid_argument")
        assert "Connect-Protocol-Version" in answer.error[2]


async def test_many_at_once(w: World):
    w.serve(await w.provider(slots=16), b"")
    bodies_ = [task("app", str(n), id=str(n)).SerializeToString() for n in range(100)]
    answers = await asyncio.gather(*(post(w, body) for body in bodies_))
    for number, answer in enumerate(answers):
        response = Wasip1.Response.FromString(answer.body)
        assert (response.info.id, response.ok.stdout) == (str(number), str(number).encode())


# Compression


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "identity"])
async def test_requests_may_be_compressed(w: World, encoding: str):
    w.serve(await w.provider(), b"")
    body = task("app", "x" * 3000).SerializeToString()
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding.lower()](body)
    answer = await post(w, packed, Content_Encoding=encoding)
    assert Wasip1.Response.FromString(answer.body).ok.stdout == b"x" * 3000


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", 1), ("br, GZIP;q=0.5", 1), ("*", 1), ("identity", 0), ("gzip;q=0", 0), ("br", 0), ("", 0)],
)
@pytest.mark.parametrize("type", [PROTO, JSON])
async def test_large_responses_are_compressed_for_those_who_accept_it(w: World, accepted: str, packed: int, type: str):
    w.serve(await w.provider(), b"x" * 3000)
    body = task("app").SerializeToString() if type == PROTO else json.dumps(TASK).encode()
    answer = await post(w, body, type, Accept_Encoding=accepted, X_Other="1")
    assert (answer.headers.get("Content-Encoding") == "gzip") == packed
    plain = gzip.decompress(answer.body) if packed else answer.body
    stdout = Wasip1.Response.FromString(plain).ok.stdout if type == PROTO else json.loads(plain)["ok"]["stdout"]
    assert len(stdout) == (3000 if type == PROTO else 4000)


async def test_small_responses_are_not_compressed(w: World):
    w.serve(await w.provider())
    answer = await post(w, json.dumps(TASK).encode(), JSON, Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 100])
async def test_other_encodings_are_not_taken(w: World, encoding: str):
    answer = await post(w, b"x", Content_Encoding=encoding)
    # Some are refused by aiohttp, before it looks for a route.
    assert answer.status in (400, 501)
    assert b"content-encoding" in answer.body.lower()


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(bytes(1000))[:-9], gzip.compress(b"x")[:-1] + b"?"])
async def test_a_body_that_is_not_what_its_encoding_says(w: World, body: bytes):
    answer = await post(w, body, Content_Encoding="gzip")
    assert answer.error[:2] == (400, "invalid_argument")


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_is_not_unpacked(w: World, layers: int):
    bomb = gzip.compress(bytes(64 << 20), 9)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb)
    began = time.process_time()
    answer = await post(w, bomb, Content_Encoding="gzip")
    assert answer.error[0] in (400, 429)
    if layers == 1:
        assert answer.error[:2] == (429, "resource_exhausted")
        assert time.process_time() - began < 0.5


@pytest.mark.parametrize("door", ["http", "ws"])
async def test_large_json_leaves_room_for_others(w: World, door: str, monkeypatch: pytest.MonkeyPatch):
    """It is decoded beside the loop, which answers others meanwhile."""
    w.serve(await w.provider(), b"x" * 700_000)
    said = {"params": {"binary": {"ref": "app"}, "args": ["x"] * 60_000}}
    payload = {"@type": "x/wasimoff.v1.Task.Wasip1.Request", **said}
    envelope = json.dumps({"sequence": 1, "type": "Request", "payload": payload})
    large, other = await w.client(json=True), await w.client()
    decoding, decoded = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly(decode: Callable[..., Any], text: str | bytes, *more: Any) -> Any:
        if len(text) < 100_000 or b"args" not in (text if isinstance(text, bytes) else text.encode()):
            return decode(text, *more)
        loop.call_soon_threadsafe(decoding.set)
        assert decoded.wait(60), "nobody else is answered while it is decoded"
        return decode(text, *more)

    for name in ("from_json", "decode_json"):
        monkeypatch.setattr(codec, name, functools.partial(slowly, getattr(codec, name)))

    async def ask() -> int:
        if door == "http":
            return len((await post(w, json.dumps(said).encode(), JSON, Accept_Encoding="gzip")).body)
        await large.ws.send_str(envelope)
        return len((await large.answer()).ok.stdout)

    asked = asyncio.create_task(ask())
    await decoding.wait()
    await other.run(pb.Ping())
    decoded.set()
    assert 1000 < await asked <= 700_000


# Refusals


REFUSALS: dict[str, tuple[Any, int, str, str]] = {
    "no params": ({}, 400, "invalid_argument", "the task has no params"),
    "no binary": ({"params": {}}, 400, "invalid_argument", "the task has no binary"),
    "unknown ref": ({"params": {"binary": {"ref": "nothing"}}}, 404, "not_found", "Ref not found in storage: binary 'nothing'"),
    "both": ({"params": {"binary": {"ref": "app", "blob": "AA=="}}}, 400, "invalid_argument", "binary has both ref and blob"),
    "neither": ({"params": {"binary": {}}}, 400, "invalid_argument", "binary has neither ref nor blob"),
    "not wasm": ({"params": {"binary": {"blob": "AAAA"}}}, 400, "invalid_argument", ""),
    "now": (TASK | {"qos": {"immediate": True}}, 503, "unavailable", "no slot is free now"),
    "past": (TASK | {"qos": {"deadline": "2001-01-01T00:00:00Z"}}, 504, "deadline_exceeded", "the deadline had passed"),
    "not JSON": (b"{", 400, "invalid_argument", "not a JSON wasimoff.v1.Task.Wasip1.Request"),
    "not UTF-8": (b'{"info": {"id": "\xff"}}', 400, "invalid_argument", "not a JSON"),
    "too deep": (b"[" * 100_000, 400, "invalid_argument", "not a JSON"),
    "wrong type": ({"params": 5}, 400, "invalid_argument", "not a JSON"),
    "a bad deadline": ({"qos": {"deadline": "tomorrow"}}, 400, "invalid_argument", "not a JSON"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_refusals_in_json(w: World, name: str):
    said, status, code, message = REFUSALS[name]
    answer = await post(w, said if isinstance(said, bytes) else json.dumps(said).encode(), JSON)
    assert answer.error[:2] == (status, code)
    assert message in answer.error[2]


@pytest.mark.parametrize("headers", [{}, {"X_Other": "1"}])
@pytest.mark.parametrize("name", [name for name, case in REFUSALS.items() if "not a JSON" not in case[3]])
async def test_refusals_in_protobuf_are_json_all_the_same(w: World, name: str, headers: dict[str, str]):
    said, status, code, message = REFUSALS[name]
    body = json_format.ParseDict(said, Wasip1.Request()).SerializeToString()
    answer = await post(w, body, **headers)
    assert answer.error[:2] == (status, code)
    assert message in answer.error[2]


@pytest.mark.parametrize("method", ["RunWasip1", "RunPyodide", "RunWasip1Job", "Upload"])
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff", b"{}"])
async def test_a_body_that_does_not_decode(w: World, method: str, body: bytes):
    answer = await post(w, body, method=method)
    assert answer.error[:2] == (400, "invalid_argument")
    assert "the body does not decode as wasimoff.v1." in answer.error[2]


async def test_a_full_queue_tells_when_to_come_again():
    async with world(queue_limit=1) as w:
        client = await w.client()
        await client.request(task("app"))
        await until(lambda: w.state.waiting == 1)
        for type, headers in ((PROTO, {}), (PROTO, {"X_Other": "1"}), (JSON, {})):
            body = task("app").SerializeToString() if type == PROTO else json.dumps(TASK).encode()
            answer = await post(w, body, type, **headers)
            assert answer.error[:2] == (429, "resource_exhausted")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_refused_everywhere_is_unavailable(w: World):
    provider = await w.provider()
    asked = asyncio.create_task(post(w, task("app").SerializeToString()))
    await provider.run()
    await provider.announce(0)
    await w.broker.dispatcher.drain(0)
    assert (await asked).error[:2] == (503, "unavailable")


# HTTP


@pytest.mark.parametrize("type", ["text/plain", "application/grpc", "application/connect+proto", "", "application/x-protobuf"])
async def test_other_types_are_not_taken(w: World, type: str):
    answer = await post(w, b"x", type)
    assert answer.status == 415
    assert answer.headers["Accept-Post"] == f"{PROTO}, {JSON}"
    assert PROTO in answer.body.decode()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_only_post(w: World, method: str):
    async with w.http.request(method, w.broker.url + METHODS + "RunWasip1") as response:
        assert response.status == 405
        assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("method", ["RunWasip2", "runwasip1", "RunWasip1/", "", "../Tasks/x", "RunWasip1%00"])
async def test_unknown_methods(w: World, method: str):
    answer = await post(w, b"", method=method)
    assert answer.status == 404
    assert json.loads(answer.body)["code"] in ("not_found", "unimplemented")


@pytest.mark.parametrize("headers", [{}, {"X_Other": "1"}, {"Content_Encoding": "gzip"}])
async def test_a_body_over_the_limit(w: World, headers: dict[str, str]):
    request = task("app")
    request.params.stdin = bytes(LIMIT)
    body = request.SerializeToString()
    answer = await post(w, gzip.compress(body) if "Content_Encoding" in headers else body, **headers)
    status, code, message = answer.error
    assert (status, code) == (429, "resource_exhausted")
    assert str(LIMIT) in message


async def test_a_body_at_the_limit(w: World):
    w.serve(await w.provider())
    request = task("app")
    request.params.stdin = bytes(LIMIT - len(request.SerializeToString()) - 20)
    assert (await post(w, request.SerializeToString())).status == 200


async def test_a_chunked_body(w: World):
    w.serve(await w.provider(), b"")
    body = task("app", "chunked").SerializeToString()

    async def chunks() -> AsyncIterator[bytes]:
        for byte in body:
            await asyncio.sleep(0)
            yield bytes((byte,))

    async with w.http.post(w.broker.url + METHODS + "RunWasip1", data=chunks(), headers={"Content-Type": PROTO}) as response:
        assert Wasip1.Response.FromString(await response.read()).ok.stdout == b"chunked"


async def test_a_body_that_stops_arriving(w: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.1)
    host, port = w.broker.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {METHODS}RunWasip1 HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTO}\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b"half")
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
    assert b" 504 " in answer.splitlines()[0]
    assert b"deadline_exceeded" in answer
    writer.close()


# Time


async def test_a_timeout_ends_the_task(w: World):
    provider = await w.provider()
    asked = asyncio.create_task(post(w, task("app").SerializeToString(), Connect_Timeout_Ms="100"))
    sequence, request = await provider.run()
    answer = await asked
    assert answer.error == (504, "deadline_exceeded", "the deadline passed while the task was running")
    _, cancel = await provider.cancel()
    assert cancel.id == request.info.id
    await provider.answer(sequence, output(request))
    await until(lambda: w.state.roster.idle)


async def test_the_earlier_of_timeout_and_deadline_counts(w: World):
    later = TASK | {"qos": {"deadline": "2999-01-01T00:00:00Z"}}
    assert (await post(w, json.dumps(later).encode(), JSON, Connect_Timeout_Ms="50")).status == 504
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time())) + ".000Z"
    body = json.dumps(TASK | {"qos": {"deadline": soon}}).encode()
    assert (await post(w, body, JSON, Connect_Timeout_Ms="9999999999")).status == 504


@pytest.mark.parametrize("text", ["0", "00"])
async def test_no_time_at_all(w: World, text: str):
    await w.provider()
    assert (await post(w, task("app").SerializeToString(), Connect_Timeout_Ms=text)).error[:2] == (504, "deadline_exceeded")


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "+1", "1e3", "12345678901", "\u0661", "1 2", "1,2"])
@pytest.mark.parametrize("method", ["RunWasip1", "RunPyodide", "RunWasip1Job"])
async def test_timeouts_that_are_none(w: World, text: str, method: str):
    answer = await post(w, b"", method=method, Connect_Timeout_Ms=text)
    assert answer.error[:2] == (400, "invalid_argument")
    assert "Connect-Timeout-Ms" in answer.error[2]


@pytest.mark.parametrize("type", [PROTO, JSON])
async def test_a_client_that_goes_away_cancels_its_task(w: World, type: str):
    provider = await w.provider()
    body = task("app").SerializeToString() if type == PROTO else json.dumps(TASK).encode()
    asked = asyncio.create_task(post(w, body, type))
    _, request = await provider.run()
    asked.cancel()
    _, cancel = await provider.cancel()
    assert (cancel.id, cancel.reason) == (request.info.id, "the client went away")
    await until(lambda: not w.state.running)


async def test_a_client_that_goes_away_while_it_sends_does_no_harm(w: World, caplog: pytest.LogCaptureFixture):
    async def half() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError

    with pytest.raises((ClientConnectionError, ConnectionResetError)):
        await w.http.post(w.broker.url + METHODS + "RunWasip1", data=half(), headers={"Content-Type": PROTO})
    w.serve(await w.provider())
    assert (await post(w, task("app").SerializeToString())).status == 200
    assert not [record for record in caplog.records if record.exc_info]
