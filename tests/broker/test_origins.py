"""Which pages may use the broker: on every kind of route, with and without leave."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from broker import blobs_api
from broker.blobs import Blobs
from broker.errors import Refused
from broker.settings import Settings
from tests.broker.doors import serving
from tests.broker.samples import WASM

FRIEND = "https://friend.example"
STRANGER = "https://stranger.example"
UPLOAD = "/api/storage/upload"
RUN = "/api/client/wasimoff.v1.Tasks/RunWasip1"


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    settings = Settings(filestorage=None, allowed_origins=(FRIEND,))
    blobs = await Blobs.open(settings)
    await blobs.put(WASM, name="app")

    async def run(_: web.Request) -> web.Response:
        return web.json_response({})

    async def refuse(_: web.Request) -> web.Response:
        raise Refused("unavailable", "not now")

    async def raise_415(_: web.Request) -> web.Response:
        raise web.HTTPUnsupportedMediaType

    routes = [
        *blobs_api.routes(blobs, settings),
        web.post(RUN, run),
        web.post("/refuse", refuse),
        web.post("/raise", raise_415),
        web.get("/api/status", run),
    ]
    async with serving(routes, settings) as url, ClientSession(url) as session:
        yield session
    await blobs.close()


def own(http: ClientSession) -> str:
    return str(http._base_url).rstrip("/")


async def test_programs_send_no_origin_and_get_no_cors_headers(http: ClientSession):
    async with http.post(RUN) as ran:
        assert ran.status == 200
        assert "Access-Control-Allow-Origin" not in ran.headers


async def test_the_own_page_may_do_all(http: ClientSession):
    for path in (UPLOAD, RUN):
        async with http.post(path, data=WASM, headers={"Origin": own(http)}) as done:
            assert done.status == 200


async def test_an_allowed_page_may_do_all_and_read_the_answers(http: ClientSession):
    for path, status in ((UPLOAD, 200), (RUN, 200), ("/refuse", 503), ("/raise", 415), ("/api/nowhere", 404)):
        async with http.post(path, data=WASM, headers={"Origin": FRIEND}) as done:
            assert (done.status, done.headers["Access-Control-Allow-Origin"]) == (status, FRIEND)
            assert "X-Wasimoff-Status" in done.headers["Access-Control-Expose-Headers"]
            assert "Origin" in done.headers["Vary"]


@pytest.mark.parametrize("origin", [STRANGER, "null", "https://friend.example.evil.test", "http://friend.example", "garbage"])
async def test_a_strange_page_may_not_run_or_upload(http: ClientSession, origin: str):
    for path in (UPLOAD, RUN):
        async with http.post(path, data=WASM, headers={"Origin": origin, "Accept": "application/json"}) as done:
            assert (done.status, (await done.json())["code"]) == (403, "permission_denied")
            assert "Access-Control-Allow-Origin" not in done.headers
    async with http.get("/api/storage/app") as down:
        assert down.status == 200


async def test_anybody_may_download_also_the_reason_why_not(http: ClientSession):
    for name, status in (("app", 200), ("none", 404)):
        async with http.get(f"/api/storage/{name}", headers={"Origin": STRANGER}) as down:
            assert (down.status, down.headers.getall("Access-Control-Allow-Origin")) == (status, ["*"])
            assert "X-Wasimoff-Ref" in down.headers["Access-Control-Expose-Headers"]


async def test_a_strange_page_can_not_read_what_else_there_is(http: ClientSession):
    async with http.get("/api/status", headers={"Origin": STRANGER}) as status:
        assert "Access-Control-Allow-Origin" not in status.headers


def preflight(origin: str, method: str, headers: str = "content-type") -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}


@pytest.mark.parametrize("path", [UPLOAD, RUN, "/api/client/run/app"])
async def test_preflights(http: ClientSession, path: str):
    asked = preflight(FRIEND, "POST", "content-type, x-args, X-Env-Lang, x-env-b, x-evil")
    async with http.options(path, headers=asked) as allowed:
        assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (204, FRIEND)
        assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
        names = {name.strip().lower() for name in allowed.headers["Access-Control-Allow-Headers"].split(",")}
        assert {
            "content-type",
            "connect-protocol-version",
            "x-args",
            "x-rootfs-ref",
            "x-artifact",
            "x-env-lang",
            "x-env-b",
        } <= names
        assert "x-evil" not in names
    async with http.options(path, headers=preflight(STRANGER, "POST")) as refused:
        assert refused.status == 403
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_a_preflight_of_a_download_is_for_anybody(http: ClientSession):
    async with http.options("/api/storage/app", headers=preflight(STRANGER, "GET", "range")) as allowed:
        assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert "Range" in allowed.headers["Access-Control-Allow-Headers"]
    async with http.options("/api/storage/app", headers=preflight(STRANGER, "DELETE")) as refused:
        assert refused.status == 403
