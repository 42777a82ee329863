"""Programs of others against our broker: a client and a provider written from the public protocol alone, and curl.

Nothing of our own wire code is used here but the generated classes, and of those only public fields.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from google.protobuf import json_format

from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import running

WASM = b"\0asm\x01\0\0\0"
PROTOBUF, JSON = "wasimoff_provider_v1_protobuf", "wasimoff_provider_v1_json"


class Wire:
    """Envelopes over one WebSocket, strict as an unmodified program may be."""

    def __init__(self, ws: ClientWebSocketResponse) -> None:
        self.ws = ws
        self.requests = 0
        self.events = 0

    async def send(self, kind: int, sequence: int, payload: object = None, error: str | None = None) -> None:
        envelope = pb.Envelope(sequence=sequence, type=kind, error=error)  # type: ignore[arg-type]
        if payload is not None:
            envelope.payload.Pack(payload, type_url_prefix="wasimoff/")  # type: ignore[arg-type]
        if self.ws.protocol == JSON:
            await self.ws.send_str(json_format.MessageToJson(envelope))
        else:
            await self.ws.send_bytes(envelope.SerializeToString())

    async def receive(self) -> tuple[pb.Envelope, str]:
        """The next envelope and the name of its payload."""
        async with asyncio.timeout(20):  # in Python 3.11 wait_for may swallow that it is cancelled
            message = await self.ws.receive()
        if self.ws.protocol == JSON:
            assert message.type is WSMsgType.TEXT, message
            envelope = json_format.Parse(message.data, pb.Envelope())
        else:
            assert message.type is WSMsgType.BINARY, message
            envelope = pb.Envelope.FromString(message.data)
        assert envelope.HasField("sequence"), "always set, says the protocol"
        assert not envelope.batch, "own additions are for those who have shown that they know them"
        url = envelope.payload.type_url
        assert not url or url.startswith("wasimoff/wasimoff.v1.")
        return envelope, url.removeprefix("wasimoff/wasimoff.v1.")


class Provider(Wire):
    """What the prototype's providers do: one worker more than `slots` queued, results with their own idea of metadata."""

    def __init__(self, ws: ClientWebSocketResponse, slots: int) -> None:
        super().__init__(ws)
        self.slots = slots
        self.seen: list[str] = []
        self.held = 0
        self.most = 0
        self._last = 0
        self._heard: dict[str, int] = {}
        self._answers: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        await self.send(3, 0, pb.Event.ProviderResources(concurrency=self.slots, tasks=0))
        while True:
            envelope, name = await self.receive()
            self.seen.append(name)
            if envelope.type == pb.Envelope.Request:
                assert envelope.sequence > self._last, "requests are counted up"
                self._last = envelope.sequence
                await self.answer(envelope, name)
            elif envelope.type == pb.Envelope.Event:
                assert name in ("Event.ClusterInfo", "Event.Throughput"), "an unknown Event may crash an unmodified peer"
            else:
                pytest.fail(f"a provider asked nothing and got {name}")

    async def answer(self, envelope: pb.Envelope, name: str) -> None:
        if name == "Filesystem.Listing.Request":
            assert envelope.sequence == 1
            await self.send(2, envelope.sequence, pb.Filesystem.Listing.Response(files=[]))
        elif name == "Ping":
            await self.send(2, envelope.sequence, pb.Ping())
        elif name == "Task.Cancel":
            cancel = pb.Task.Cancel()
            envelope.payload.Unpack(cancel)
            await self.send(2, envelope.sequence, cancel)
        elif name == "Task.Wasip1.Request":
            request = pb.Task.Wasip1.Request()
            envelope.payload.Unpack(request)
            self.held += 1
            self.most = max(self.most, self.held)
            running = asyncio.create_task(self.run(envelope.sequence, request))
            self._answers.add(running)
            running.add_done_callback(self._answers.discard)
        else:
            await self.send(2, envelope.sequence, error=f"unknown request {name}")

    async def run(self, sequence: int, request: pb.Task.Wasip1.Request) -> None:
        await asyncio.sleep(0.001)
        args = list(request.params.args)
        self.held -= 1
        if args[:1] == ["refuse"]:
            return await self.send(2, sequence, error="worker crashed")
        # As the prototype has it: the request's metadata goes back with the provider's name and trace in it.
        response = pb.Task.Wasip1.Response(info=request.info)
        response.info.provider = "myself"
        if args[:1] == ["fail"]:
            response.error = "CompileError: bad magic"
        else:
            response.ok.CopyFrom(pb.Task.Wasip1.Output(status=len(args), stdout=" ".join(args).encode(), stderr=b""))
        await self.send(2, sequence, response)


class Broker:
    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = url
        self.http = session
        self.serving: list[asyncio.Task[None]] = []
        self.sockets: list[ClientWebSocketResponse] = []

    async def dial(self, path: str, protocols: list[str]) -> ClientWebSocketResponse:
        ws = await self.http.ws_connect(self.url.replace("http", "ws", 1) + path, protocols=protocols, max_msg_size=0)
        self.sockets.append(ws)
        return ws

    async def provide(self, slots: int, protocol: str = PROTOBUF) -> Provider:
        provider = Provider(await self.dial("/api/provider/ws?id=deno", [protocol]), slots)
        self.serving.append(asyncio.create_task(provider.serve()))
        return provider

    async def client(self, protocol: str = PROTOBUF) -> Wire:
        return Wire(await self.dial("/api/client/ws", [protocol]))


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running(max_refusals=2) as ours, ClientSession() as session:
        found = Broker(ours.url, session)
        async with session.post(ours.url + "/api/storage/upload?name=app", data=WASM) as response:
            assert (await response.text()).strip() == response.headers["X-Wasimoff-Ref"]
        yield found
        for serving in found.serving:
            assert not serving.done() or serving.result() is None
            serving.cancel()
        await asyncio.gather(*found.serving, return_exceptions=True)
        await asyncio.gather(*(ws.close() for ws in found.sockets))


def task(*args: str, **info: str) -> pb.Task.Wasip1.Request:
    params = pb.Task.Wasip1.Params(binary=pb.File(ref="app"), args=args)
    return pb.Task.Wasip1.Request(info=pb.Task.Metadata(**info), params=params)  # type: ignore[arg-type]


@pytest.mark.parametrize("provider_speaks", [PROTOBUF, JSON])
@pytest.mark.parametrize("client_speaks", [PROTOBUF, JSON])
async def test_a_client_and_a_provider_written_from_the_protocol(broker: Broker, client_speaks: str, provider_speaks: str):
    provider = await broker.provide(2, provider_speaks)
    client = await broker.client(client_speaks)
    for number in range(20):
        await client.send(1, number, task("app", f"{number}", id=f"t{number}"))
    seen = {}
    for _ in range(20):
        envelope, name = await client.receive()
        assert (envelope.type, name) == (pb.Envelope.Response, "Task.Wasip1.Response")
        response = pb.Task.Wasip1.Response()
        envelope.payload.Unpack(response)
        assert (response.info.id, response.info.provider) == (f"t{envelope.sequence}", "deno")
        assert (response.ok.HasField("status"), response.ok.status) == (True, 2)
        seen[envelope.sequence] = response.ok.stdout
    assert seen == {number: f"app {number}".encode() for number in range(20)}
    assert provider.seen[0] == "Filesystem.Listing.Request"
    assert provider.most <= 4, "so many as it runs, and as many again to hide the round trip"


@pytest.mark.parametrize("client_speaks", [PROTOBUF, JSON])
async def test_what_goes_wrong(broker: Broker, client_speaks: str):
    await broker.provide(1)
    client = await broker.client(client_speaks)
    cases: list[tuple[pb.Task.Wasip1.Request, str, str]] = [
        (task("fail"), "", "CompileError: bad magic"),
        (task("refuse"), "worker crashed", ""),
        (pb.Task.Wasip1.Request(), "params", ""),
        (pb.Task.Wasip1.Request(params=pb.Task.Wasip1.Params(binary=pb.File(ref="gone"))), "Ref not found in storage", ""),
    ]
    for number, (request, error, failed) in enumerate(cases):
        await client.send(1, number, request)
        envelope, _ = await client.receive()
        assert envelope.sequence == number
        assert error in envelope.error
        assert bool(envelope.error) == bool(error)
        if failed:
            response = pb.Task.Wasip1.Response()
            envelope.payload.Unpack(response)
            assert response.error == failed


async def test_a_cancel_from_an_unmodified_client(broker: Broker):
    client = await broker.client()
    await client.send(1, 1, task("app", id="mine"))
    await client.send(1, 2, pb.Task.Cancel(id="mine", reason="changed my mind"))
    found = {(await client.receive())[0].sequence: None for _ in range(2)}
    assert set(found) == {1, 2}


async def test_an_upload_over_the_socket(broker: Broker):
    client = await broker.client()
    await client.send(1, 1, pb.Filesystem.Upload.Request(upload=pb.File(media="application/wasm", blob=WASM + b"\0\x02\x01x")))
    envelope, name = await client.receive()
    response = pb.Filesystem.Upload.Response()
    assert name == "Filesystem.Upload.Response"
    envelope.payload.Unpack(response)
    async with broker.http.get(f"{broker.url}/api/storage/{response.ref}") as stored:
        assert await stored.read() == WASM + b"\0\x02\x01x"


async def curl(*arguments: str, data: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, as curl saw them."""
    command = ["curl", "--silent", "--show-error", "--max-time", "10", "--include", *arguments]
    if data is not None:
        command += ["--data-binary", "@-"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    out, error = await process.communicate(data or b"")
    assert process.returncode == 0, error
    head, _, body = out.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    return int(line.split()[1]), {n.lower(): v for n, _, v in (text.partition(": ") for text in lines)}, body


METHOD = "/api/client/wasimoff.v1.Tasks/"
AS_JSON = ("--header", "Content-Type: application/json")
AS_PROTO = ("--header", "Content-Type: application/proto")


async def test_curl_with_json(broker: Broker, tmp_path: Path):
    await broker.provide(1)
    status, _, body = await curl(broker.url + "/api/storage/upload?name=other", data=WASM)
    assert status == 200
    ref = body.decode().strip()
    said = {"info": {"id": "mine"}, "params": {"binary": {"ref": ref}, "args": ["other", "ä"]}}
    status, headers, body = await curl(*AS_JSON, broker.url + METHOD + "RunWasip1", data=json.dumps(said).encode())
    assert (status, headers["content-type"]) == (200, "application/json")
    found = json.loads(body)
    assert found["info"] == {"id": "mine", "provider": "deno"}
    assert found["ok"]["status"] == 2
    assert base64.b64decode(found["ok"]["stdout"]).decode() == "other ä"
    job = {"parent": {"binary": {"ref": "other"}}, "tasks": [{"args": ["1"]}, {"args": ["2"]}, {"args": ["fail"]}]}
    status, _, body = await curl(*AS_JSON, broker.url + METHOD + "RunWasip1Job", data=json.dumps(job).encode())
    results = json.loads(body)["tasks"]
    outputs = [r.get("error") or base64.b64decode(r["ok"]["stdout"]).decode() for r in results]
    assert outputs == ["1", "2", "CompileError: bad magic"]


async def test_curl_with_protobuf(broker: Broker):
    await broker.provide(1)
    version, wait = ("--header", "Connect-Protocol-Version: 1"), ("--header", "Expect: 100-continue")
    for extra in ((), ("--compressed",), version, ("--http1.0",), wait):
        status, headers, body = await curl(
            *AS_PROTO, *extra, broker.url + METHOD + "RunWasip1", data=task("app", "x").SerializeToString()
        )
        if status == 100:
            body = body.partition(b"\r\n\r\n")[2]
        else:
            assert (status, headers["content-type"]) == (200, "application/proto")
        assert pb.Task.Wasip1.Response.FromString(body).ok.stdout == b"app x"


async def test_curl_is_told_what_is_wrong(broker: Broker):
    for arguments, data, expected, word in (
        (AS_JSON, b"{", 400, "invalid_argument"),
        (AS_JSON, b'{"params": {"binary": {"ref": "gone"}}}', 404, "not_found"),
        ((*AS_JSON, "--header", "Connect-Timeout-Ms: 50"), b'{"params": {"binary": {"ref": "app"}}}', 504, "deadline_exceeded"),
        (AS_JSON, b'{"params": {"binary": {"ref": "app"}}, "qos": {"immediate": true}}', 503, "unavailable"),
        (("--header", "Content-Type: text/plain"), b"x", 415, "application/proto"),
    ):
        status, _, body = await curl(*arguments, broker.url + METHOD + "RunWasip1", data=data)
        assert status == expected
        assert word in body.decode()


async def test_curl_as_cgi(broker: Broker):
    await broker.provide(1)
    status, headers, body = await curl("--header", "X-Args: a 'b c'", broker.url + "/api/client/run/app", data=b"in")
    assert (status, headers["x-wasimoff-result"], headers["x-wasimoff-status"]) == (200, "Ok", "3")
    assert headers["x-wasimoff-provider"] == "deno"
    assert body == b"app a b c"


async def test_curl_finds_the_small_things(broker: Broker):
    assert (await curl(broker.url + "/healthz"))[2] == b"OK"
    version = json.loads((await curl(broker.url + "/api/version"))[2])
    assert version["name"] == "wasimoff"


def test_curl_is_here():
    assert subprocess.run(["curl", "--version"], capture_output=True, check=True).stdout.startswith(b"curl")
