"""Pages and static files over real sockets: what is sent, in which form, with which headers; and what is not."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import os
import platform
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from broker import pages
from broker.settings import Settings
from tests.broker.doors import answer, connected, serving

HASHED = "vendor/pyodide-314.0.7-0123456789abcdef"
FOR_EVER = "public, max-age=31536000, immutable"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for directory in ("templates", "static/js", f"static/{HASHED}", "static/vendor/.staging-1"):
        (root / directory).mkdir(parents=True)
    static = root / "static"
    (root / "templates" / "index.html").write_text("<!doctype html><title>lend</title> {{ version }} {{ '<b>' }}")
    (root / "templates" / "run.html").write_text("<!doctype html><title>run</title>")
    (static / "js" / "page.js").write_text("export {};\n")
    (static / "vendor" / "manifest.json").write_text("{}")
    (static / "vendor" / ".staging-1" / "secret").write_text("not yet")
    script = b"let a = 1;\n" * 1000
    (static / HASHED / "pyodide.mjs").write_bytes(script)
    (static / HASHED / "pyodide.mjs.gz").write_bytes(gzip.compress(script))
    (static / HASHED / "pyodide.mjs.br").write_bytes(b"pretend this is brotli")
    for name in ("a.wasm", "a.zip", "a.whl", "a.svg", "a.json", "a.css", "a.unknown", "a"):
        (static / HASHED / name).write_bytes(b"x")
    (root / "outside.txt").write_text("outside")
    return root


@pytest.fixture
async def url(checkout: Path) -> AsyncIterator[str]:
    settings = Settings(allowed_origins=("https://other.example", "lab.example:4080"))
    async with serving(pages.routes(settings, "1.2.3", checkout), settings) as url:
        yield url


@pytest.fixture
async def http(url: str) -> AsyncIterator[ClientSession]:
    async with ClientSession(url, auto_decompress=False, skip_auto_headers={"Accept-Encoding"}) as session:
        yield session


# Pages


async def test_the_pages(http: ClientSession):
    async with http.get("/") as page:
        assert (page.status, await page.text()) == (200, "<!doctype html><title>lend</title> 1.2.3 &lt;b&gt;")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-cache"
    async with http.get("/run") as page:
        assert "<title>run</title>" in await page.text()
    async with http.head("/run") as page:
        assert (page.status, await page.read()) == (200, b"")


async def test_a_page_names_what_was_built(http: ClientSession, checkout: Path):
    """Its own scripts and styles by an address that never changes what it gives; all else as it stands in the file."""
    built = {"wasi": "wasi-1/", "page": "page-0123456789abcdef/"}
    (checkout / "static" / "vendor" / "manifest.json").write_text(json.dumps(built))
    (checkout / "templates" / "run.html").write_text('<script src="{{ own }}run.js"></script><meta content="{{ manifest }}">')
    async with http.get("/run") as page:
        text = html.unescape(await page.text())
    assert 'src="/static/vendor/page-0123456789abcdef/run.js"' in text
    assert f'content="{json.dumps(built)}"' in text


async def test_the_pages_of_this_checkout_are_there():
    """The real templates, with a build that is pretended where it has not run yet."""
    assert (pages.CHECKOUT / "templates" / "index.html").is_file()
    assert (pages.CHECKOUT / "static" / "js").is_dir()
    settings = Settings()
    async with serving(pages.routes(settings, "1.2.3"), settings) as url, ClientSession(url) as http:
        for path in ("/", "/run"):
            async with http.get(path) as page:
                built = (pages.CHECKOUT / "static" / "vendor" / "manifest.json").exists()
                assert page.status == (200 if built else 503)
                assert "<h1" in await page.text()


@pytest.mark.parametrize("path", ["/", "/static/js/page.js", f"/static/{HASHED}/a.wasm"])
async def test_pages_and_scripts_are_isolated(http: ClientSession, path: str):
    async with http.get(path) as page:
        headers = page.headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in headers["Content-Security-Policy"]


async def test_the_page_may_speak_to_the_brokers_that_are_allowed_and_no_others(http: ClientSession):
    async with http.get("/") as page:
        policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["connect-src"].split() == [
        "'self'",
        *("https://other.example", "wss://other.example"),
        *("http://lab.example:4080", "ws://lab.example:4080", "https://lab.example:4080", "wss://lab.example:4080"),
    ]
    everyone = pages.security_headers(Settings(allowed_origins=("*",)))["Content-Security-Policy"]
    assert "connect-src 'self' http: https: ws: wss:;" in everyone
    nobody = pages.security_headers(Settings())["Content-Security-Policy"]
    assert "connect-src 'self';" in nobody


async def test_without_a_build_the_page_says_what_to_do(http: ClientSession, checkout: Path):
    (checkout / "static" / "vendor" / "manifest.json").unlink()
    for path in ("/", "/run"):
        async with http.get(path) as page:
            assert (page.status, page.content_type) == (503, "text/html")
            assert "run “make setup” in the checkout" in await page.text()
    async with http.get("/static/vendor/manifest.json") as missing:
        assert (missing.status, await missing.text()) == (404, "static/vendor is not built: run `make setup`\n")
    (checkout / "static" / "vendor" / "manifest.json").write_text("{}")
    async with http.get("/") as page:
        assert page.status == 200, "built meanwhile: no restart needed"


async def test_without_a_checkout_the_page_says_so(tmp_path: Path):
    settings = Settings()
    async with serving(pages.routes(settings, "1", tmp_path), settings) as url, ClientSession(url) as http:
        async with http.get("/") as page:
            assert (page.status, "install it from a checkout" in await page.text()) == (503, True)
        async with http.get("/healthz") as health:
            assert await health.text() == "OK"
        async with http.get("/static/js/page.js") as missing:
            assert missing.status == 404


async def test_a_missing_template_is_named(http: ClientSession, checkout: Path):
    (checkout / "templates" / "run.html").unlink()
    async with http.get("/run") as page:
        assert (page.status, "templates/run.html is missing" in await page.text()) == (503, True)


async def test_health_and_version(http: ClientSession):
    async with http.get("/healthz") as health:
        assert (health.status, await health.text()) == (200, "OK")
    async with http.get("/api/version") as version:
        about = {"name": "wasimoff", "version": "1.2.3", "extension": 1, "python": platform.python_version()}
        assert await version.json() == about


# Nothing there


async def test_an_unknown_place_is_a_page_for_people_and_json_for_programs(http: ClientSession):
    for method, path, status in (("GET", "/nowhere<b>", 404), ("GET", "/static/js/none.js", 404), ("POST", "/run", 405)):
        async with http.request(method, path, headers=HTML) as page:
            text = await page.text()
            assert (page.status, page.content_type) == (status, "text/html")
            assert "<b>" not in text
            assert path.split("<")[0] in text
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        async with http.request(method, path) as told:
            assert (told.status, told.content_type) == (status, "application/json")
            assert (await told.json())["code"] == ("not_found" if status == 404 else "unimplemented")
    async with http.post("/run") as told:
        assert (told.headers["Allow"], (await told.json())["message"]) == ("GET, HEAD", "POST is not for /run: use GET, HEAD.")


# Static files


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("pyodide.mjs", "text/javascript; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.zip", "application/zip"),
        ("a.whl", "application/zip"),
        ("a.svg", "image/svg+xml"),
        ("a.json", "application/json"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
async def test_media_types(http: ClientSession, name: str, media: str):
    async with http.get(f"/static/{HASHED}/{name}", headers={"Accept-Encoding": "br, gzip"}) as file:
        assert (file.status, file.headers["Content-Type"]) == (200, media)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip;q=0", None),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("identity, br;q=0.5", None),
        ("GZIP;Q=1.0", "gzip"),
        ("zstd", None),
    ],
)
async def test_precompressed_forms(http: ClientSession, checkout: Path, accepted: str | None, coding: str | None):
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    plain = checkout / "static" / HASHED / "pyodide.mjs"
    chosen = plain if coding is None else plain.with_name(plain.name + {"br": ".br", "gzip": ".gz"}[coding])
    async with http.get(f"/static/{HASHED}/pyodide.mjs", headers=headers) as file:
        assert await file.read() == chosen.read_bytes()
        assert file.headers.get("Content-Encoding") == coding
        assert file.headers["Vary"] == "Accept-Encoding"
        assert file.headers["Content-Length"] == str(chosen.stat().st_size)
        assert file.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_zstandard_is_liked_best_where_it_was_built(http: ClientSession, checkout: Path):
    (checkout / "static" / HASHED / "pyodide.mjs.zst").write_bytes(b"pretend this is zstandard")
    for accepted, coding in (("gzip, deflate, br, zstd", "zstd"), ("gzip, br", "br"), ("zstd;q=0.1, br", "br")):
        async with http.get(f"/static/{HASHED}/pyodide.mjs", headers={"Accept-Encoding": accepted}) as file:
            assert file.headers["Content-Encoding"] == coding


async def test_files_in_directories_named_by_content_are_kept_for_ever_and_others_asked_for(http: ClientSession):
    kept = {HASHED + "/pyodide.mjs": FOR_EVER, "js/page.js": "no-cache", "vendor/manifest.json": "no-cache"}
    for name, caching in kept.items():
        async with http.get(f"/static/{name}") as file:
            assert file.headers["Cache-Control"] == caching
            tag = file.headers["ETag"]
        async with http.get(f"/static/{name}", headers={"If-None-Match": tag}) as file:
            assert (file.status, await file.read()) == (304, b"")
            assert file.headers["Cache-Control"] == caching


async def test_a_changed_file_is_seen(http: ClientSession, checkout: Path):
    async with http.get("/static/js/page.js") as file:
        tag = file.headers["ETag"]
    (checkout / "static" / "js" / "page.js").write_text("export let a;")
    async with http.get("/static/js/page.js", headers={"If-None-Match": tag}) as file:
        assert (file.status, await file.text()) == (200, "export let a;")


async def test_the_forms_of_a_file_have_different_tags(http: ClientSession):
    tags = set()
    for accepted in ("br", "gzip", "identity"):
        async with http.get(f"/static/{HASHED}/pyodide.mjs", headers={"Accept-Encoding": accepted}) as file:
            tags.add(file.headers["ETag"])
    assert len(tags) == 3


async def test_head_and_ranges(http: ClientSession):
    async with http.head("/static/js/page.js") as file:
        assert (file.headers["Content-Length"], await file.read()) == ("11", b"")
    async with http.get("/static/js/page.js", headers={"Range": "bytes=7-8"}) as file:
        assert (file.status, await file.text()) == (206, "{}")


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "js/../../outside.txt",
        "..%2Foutside.txt",
        "%2e%2e/outside.txt",
        "%2e%2e%2foutside.txt",
        "js/..%2f..%2foutside.txt",
        "..\\outside.txt",
        "%2Fetc%2Fpasswd",
        "/etc/passwd",
        "js//page.js",
        "js/./page.js",
        "js",
        "js/",
        ".",
        "",
        "js/page.js/",
        "js/page.js%00",
        "js/page.js%00.css",
        "%ff",
        "vendor/.staging-1/secret",
        "link.txt",
        "linked/outside.txt",
        "loop",
        "pipe",
        "x" * 4000,
        "a/" * 1500 + "a",
    ],
)
async def test_ways_out_lead_nowhere(url: str, checkout: Path, path: str):
    static = checkout / "static"
    (static / "link.txt").symlink_to(checkout / "outside.txt")
    (static / "linked").symlink_to(checkout)
    (static / "loop").symlink_to("loop")
    os.mkfifo(static / "pipe")
    async with connected(url) as (reader, writer):
        writer.write(f"GET /static/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        got = await asyncio.wait_for(answer(reader), 5)
    assert got.status in (404, 400)
    assert b"outside\n" not in got.body
    assert b"not yet" not in got.body


async def test_a_compressed_sibling_that_leads_out_is_not_followed(http: ClientSession, checkout: Path):
    (checkout / "static" / "js" / "page.js.br").symlink_to(checkout / "outside.txt")
    async with http.get("/static/js/page.js", headers={"Accept-Encoding": "br"}) as file:
        assert await file.text() == "export {};\n"


async def test_links_within_and_a_linked_root_work(tmp_path: Path, checkout: Path):
    (checkout / "static" / "js" / "same.js").symlink_to("page.js")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "static").symlink_to(checkout / "static")
    settings = Settings()
    async with (
        serving(pages.routes(settings, "1", tmp_path / "linked"), settings) as url,
        ClientSession(url) as http,
        http.get("/static/js/same.js") as file,
    ):
        assert await file.text() == "export {};\n"
