"""/api/client/run: headers in, a task out; the answer as headers and a body; clients that go away."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession
from multidict import CIMultiDict

from broker import bodies, run_api
from broker.blobs import Blobs
from broker.errors import Refused
from broker.settings import Settings
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.doors import answer, connected, serving
from tests.broker.samples import WASM, ZIP, ref_of, wasm

Response = pb.Task.Wasip1.Response
Answering = Callable[[pb.Task.Wasip1.Request], Response]


def ok(**output: object) -> Response:
    info = pb.Task.Metadata(id="1", provider="tab")
    return Response(info=info, ok=pb.Task.Wasip1.Output(**{"status": 0, **output}))


class GatedDoor:
    """Takes tasks, answers as it was told to; while `gate` is closed, it waits."""

    def __init__(self) -> None:
        self.taken: list[pb.Task.Wasip1.Request] = []
        self.requesters: list[str] = []
        self.answering: Answering = lambda _: ok(stdout=b"out\n", stderr=b"err\n")
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def run_wasip1(self, request: pb.Task.Wasip1.Request, requester: str) -> Response:
        self.taken.append(request)
        self.requesters.append(requester)
        self.arrived.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.answering(request)

    @property
    def params(self) -> pb.Task.Wasip1.Params:
        assert len(self.taken) == 1
        return self.taken[0].params


@pytest.fixture
def settings() -> Settings:
    return Settings(filestorage=None, max_body=100_000)


@pytest.fixture
async def blobs(settings: Settings) -> AsyncIterator[Blobs]:
    blobs = await Blobs.open(settings)
    await blobs.put(WASM, name="app.wasm")
    yield blobs
    await blobs.close()


@pytest.fixture
async def door() -> GatedDoor:
    return GatedDoor()


@pytest.fixture
async def url(door: GatedDoor, blobs: Blobs, settings: Settings) -> AsyncIterator[str]:
    async with serving(run_api.routes(door, blobs, settings), settings) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[ClientSession]:
    async with ClientSession(url) as session:
        yield session


RUN = "/api/client/run/app.wasm"


# The request


async def test_a_request_becomes_a_task(http: ClientSession, door: GatedDoor):
    headers = CIMultiDict(
        {"X-Args": "read 'two words' \"a b\" c\\ d", "X-Env-Lang": "C", "x-env-PATH": "/bin", "X-RootFS-Ref": "files"}
    )
    headers.add("X-Artifact", "/out.txt")
    headers.add("X-Artifact", "/a, b")
    headers.add("Content-Type", "text/csv")
    async with http.post(RUN, data=b"in\0put", headers=headers) as ran:
        assert ran.status == 200
    assert door.params == pb.Task.Wasip1.Params(
        binary=pb.File(ref=ref_of(WASM)),
        args=["app.wasm", "read", "two words", "a b", "c d"],
        envs=["LANG=C", "PATH=/bin", "CONTENT_LENGTH=6", "CONTENT_TYPE=text/csv"],
        stdin=b"in\0put",
        rootfs=pb.File(ref="files"),
        artifacts=["/out.txt", "/a, b"],
    )
    assert door.requesters == ["127.0.0.1"]


async def test_a_bare_request(url: str, door: GatedDoor):
    async with connected(url) as (reader, writer):
        writer.write(f"POST /api/client/run/{ref_of(WASM)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await answer(reader)).status == 200
    assert door.params == pb.Task.Wasip1.Params(binary=pb.File(ref=ref_of(WASM)), args=[ref_of(WASM)], stdin=b"")


async def test_content_variables_win_and_the_first_of_doubled_ones(http: ClientSession, door: GatedDoor):
    headers = CIMultiDict([("X-Env-Content_Length", "9"), ("X-Env-A", "1"), ("X-Env-A", "2"), ("X-Env-B", "x=y")])
    async with http.post(RUN, data=b"abc", headers=headers) as ran:
        assert ran.status == 200
    assert list(door.params.envs) == ["A=1", "B=x=y", "CONTENT_LENGTH=3", "CONTENT_TYPE=application/octet-stream"]


async def test_text_in_headers_is_utf8(url: str, door: GatedDoor):
    async with connected(url) as (reader, writer):
        writer.write("POST /api/client/run/app.wasm HTTP/1.1\r\nHost: x\r\nX-Args: grüße 日本\r\n\r\n".encode())
        assert (await answer(reader)).status == 200
    assert list(door.params.args) == ["app.wasm", "grüße", "日本"]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("X-Args: 'open", "X-Args can't be split into words as a shell would: no closing quotation in \"'open\""),
        ("X-Args: end\\", "X-Args can't be split into words as a shell would: no escaped character"),
        ("X-Args: \xff", "X-Args is not UTF-8"),
        ("X-Env-A: \xff", "X-Env-A is not UTF-8"),
        ("X-Artifact: \xff", "X-Artifact is not UTF-8"),
        ("X-RootFS-Ref: \xff", "X-RootFS-Ref is not UTF-8"),
        ("Content-Type: \xff", "Content-Type is not UTF-8"),
        ("X-Env-: a", "the header X-Env- names no variable"),
    ],
)
async def test_headers_that_can_not_be_used(url: str, door: GatedDoor, header: str, text: str):
    async with connected(url) as (reader, writer):
        writer.write(f"POST {RUN} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode("latin-1"))
        got = await answer(reader)
    assert got.status == 400
    assert got.body.decode().startswith(text)
    assert door.taken == []


@pytest.mark.parametrize("name", ["other", f"sha256:{'0' * 64}", "%FF", "a%2Fb"])
async def test_an_unknown_program_is_404(http: ClientSession, door: GatedDoor, name: str):
    async with http.post(f"/api/client/run/{name}", headers={"Accept": "application/json"}) as ran:
        assert (ran.status, (await ran.json())["code"]) in ((404, "not_found"), (400, "invalid_argument"))
    assert door.taken == []


async def test_get_is_not_a_way_to_run(http: ClientSession, door: GatedDoor):
    async with http.get(RUN) as ran:
        assert (ran.status, ran.headers["Allow"]) == (405, "POST")
    assert door.taken == []


async def test_standard_input_is_bounded(http: ClientSession, door: GatedDoor):
    async with http.post(RUN, data=bytes(100_000)) as ran:
        assert ran.status == 200

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(10_000)

    for data in (bytes(100_001), streamed()):
        async with http.post(RUN, data=data) as ran:
            assert (ran.status, "raise WASIMOFF_MAX_BODY" in await ran.text()) == (413, True)
    assert [len(task.params.stdin) for task in door.taken] == [100_000]


async def test_a_body_over_the_limit_is_refused_before_it_arrives(url: str, door: GatedDoor):
    async with connected(url) as (reader, writer):
        writer.write(f"POST {RUN} HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n".encode())
        assert (await answer(reader)).status == 413
    assert door.taken == []


async def test_a_body_that_stops_arriving_is_given_up(url: str, door: GatedDoor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.2)
    async with connected(url) as (reader, writer):
        writer.write(f"POST {RUN} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc".encode())
        assert (await answer(reader)).status == 408
    assert door.taken == []


# The answer


async def test_an_answer(http: ClientSession, door: GatedDoor):
    door.answering = lambda _: ok(status=3, stdout=b"out\xff", stderr=b"err\n", artifacts=pb.File(blob=ZIP))
    async with http.post(RUN) as ran:
        assert (ran.status, await ran.read()) == (200, b"err\nout\xff")
        assert ran.headers["X-Wasimoff-Provider"] == "tab"
        assert ran.headers["X-Wasimoff-Result"] == "Ok"
        assert ran.headers["X-Wasimoff-Status"] == "3"
        assert base64.b64decode(ran.headers["X-Wasimoff-Artifacts"]) == ZIP
        assert ran.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert ran.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in ran.headers["Content-Security-Policy"]


async def test_status_zero_is_said(http: ClientSession):
    async with http.post(RUN) as ran:
        assert ran.headers["X-Wasimoff-Status"] == "0"
        assert "X-Wasimoff-Artifacts" not in ran.headers


async def test_the_fault_of_a_task_is_an_answer(http: ClientSession, door: GatedDoor):
    door.answering = lambda _: Response(info=pb.Task.Metadata(provider="tab"), error="trap: unreachable")
    async with http.post(RUN) as ran:
        assert (ran.status, await ran.text()) == (200, "trap: unreachable")
        assert (ran.headers["X-Wasimoff-Result"], ran.headers["X-Wasimoff-Provider"]) == ("Error", "tab")
        assert "X-Wasimoff-Status" not in ran.headers


async def test_artifacts_too_long_for_a_header_go_by_ref(http: ClientSession, door: GatedDoor, blobs: Blobs):
    largest, larger = ZIP + bytes(45_000 - len(ZIP)), ZIP + bytes(45_001 - len(ZIP))
    door.answering = lambda _: ok(artifacts=pb.File(blob=largest))
    async with ClientSession(http._base_url, max_field_size=70_000) as patient, patient.post(RUN) as ran:
        assert base64.b64decode(ran.headers["X-Wasimoff-Artifacts"]) == largest
    door.answering = lambda _: ok(artifacts=pb.File(blob=larger))
    async with http.post(RUN) as ran:
        assert "X-Wasimoff-Artifacts" not in ran.headers
        blob = blobs.blob(ran.headers["X-Wasimoff-Artifacts-Ref"])
    assert blob is not None
    assert blob.data == larger


async def test_artifacts_that_are_stored_already(http: ClientSession, door: GatedDoor):
    door.answering = lambda _: ok(artifacts=pb.File(ref="sha256:abc"))
    async with http.post(RUN) as ran:
        assert ran.headers["X-Wasimoff-Artifacts-Ref"] == "sha256:abc"


async def test_artifacts_that_can_not_be_kept_do_not_hide_the_result(http: ClientSession, door: GatedDoor):
    door.answering = lambda _: ok(stdout=b"out", artifacts=pb.File(blob=b"no zip" + bytes(50_000)))
    async with http.post(RUN) as ran:
        assert (ran.status, await ran.text(), ran.headers["X-Wasimoff-Result"]) == (200, "out", "Ok")
        assert "neither a WebAssembly module" in ran.headers["X-Wasimoff-Artifacts-Error"]


async def test_a_provider_can_not_write_headers_of_ours(http: ClientSession, door: GatedDoor):
    name = "evil\r\nSet-Cookie: a=b\0\u202e" + "x" * 9000
    door.answering = lambda _: Response(info=pb.Task.Metadata(provider=name), error="no")
    async with http.post(RUN) as ran:
        assert ran.headers["X-Wasimoff-Provider"].startswith("evil??Set-Cookie: a=b??xxx")
        assert len(ran.headers["X-Wasimoff-Provider"]) == 500
        assert "Set-Cookie" not in ran.headers


async def test_an_answer_without_a_result_is_an_error(http: ClientSession, door: GatedDoor):
    door.answering = lambda _: Response()
    async with http.post(RUN) as ran:
        assert (ran.status, "neither with a result" in await ran.text()) == (500, True)


@pytest.mark.parametrize(
    ("code", "status"), [("resource_exhausted", 429), ("unavailable", 503), ("deadline_exceeded", 504), ("canceled", 499)]
)
async def test_refusals(http: ClientSession, door: GatedDoor, code: str, status: int):
    def refuse(_: pb.Task.Wasip1.Request) -> Response:
        raise Refused(code, "because", retry_after=7)

    door.answering = refuse
    async with http.post(RUN) as ran:
        assert (ran.status, await ran.text(), ran.headers["Retry-After"]) == (status, "because\n", "7")
    async with http.post(RUN, headers={"Accept": "application/json"}) as ran:
        assert await ran.json() == {"code": code, "message": "because"}


async def test_what_nobody_foresaw_is_told_without_a_traceback(http: ClientSession, door: GatedDoor, caplog):
    def fail(_: pb.Task.Wasip1.Request) -> Response:
        raise ZeroDivisionError("secret")

    door.answering = fail
    async with http.post(RUN) as ran:
        assert (ran.status, await ran.text()) == (500, "something went wrong in the broker; its log says what\n")
    assert "ZeroDivisionError: secret" in caplog.text


# Going away


async def test_a_client_that_goes_away_cancels_its_task(url: str, door: GatedDoor):
    door.gate.clear()
    async with connected(url) as (_, writer):
        writer.write(f"POST {RUN} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        await asyncio.wait_for(door.arrived.wait(), 5)
        await asyncio.sleep(0.05)
        assert not door.cancelled.is_set()
    await asyncio.wait_for(door.cancelled.wait(), 5)


async def test_the_next_request_of_a_connection_is_served_too(http: ClientSession, door: GatedDoor):
    for n in range(20):
        async with http.post(RUN, data=wasm(20, n)) as ran:
            assert await ran.read() == b"err\nout\n"
    assert [task.params.stdin for task in door.taken] == [wasm(20, n) for n in range(20)]
