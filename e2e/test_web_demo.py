"""The smallest page of wasi-apps, served by nothing but files."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from e2e.chromium import Watch
from e2e.processes import ROOT


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address of a server, the folder that it serves)"""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path
        server.shutdown()
        thread.join()


def test_it_finds_the_trip(chromium: Browser, files: tuple[str, Path]) -> None:
    url, folder = files
    for name in ("wasi-apps", "node_modules"):
        (folder / name).symlink_to(ROOT / name)
    with chromium.new_context() as context:
        watch = Watch(context)
        page = context.new_page()
        page.goto(f"{url}/wasi-apps/web_demo/")
        page.get_by_role("button", name="Find the trip").click()
        expect(page.locator("#status")).to_contain_text("Exit code 0 after")
        expect(page.locator("#stdout")).to_contain_text("length 1740.881")
        watch.check()


def test_it_says_that_the_shim_is_missing(chromium: Browser, files: tuple[str, Path]) -> None:
    url, folder = files
    (folder / "wasi-apps").symlink_to(ROOT / "wasi-apps")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{url}/wasi-apps/web_demo/")
        expect(page.locator("#status")).to_contain_text("browser_wasi_shim is missing: run `make setup`")
