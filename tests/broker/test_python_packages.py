"""Packages for Python tasks: what is asked for is checked before pip sees it; what pip brings is kept by digest."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from broker import pip, python_packages
from broker.errors import Refused, StorageFull
from broker.pip import refusal
from broker.python_packages import PythonPackages, _hashed
from tests.broker.running import until


@pytest.mark.parametrize(
    "bad",
    ["", "-r/etc/passwd", "--index-url=http://x", "./x.whl", "https://x/y.whl", "a b", "a;b", "a@http://x", "a\n", "x" * 200],
)
async def test_what_is_no_name_of_a_package_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(Refused, match="is not a package"):
        await PythonPackages(tmp_path).resolve([bad])


async def test_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="at most 32"):
        await PythonPackages(tmp_path).resolve(["a"] * 33)


async def test_a_real_wheel_is_found_and_kept(tmp_path: Path) -> None:
    packages = PythonPackages(tmp_path)
    try:
        (wheel,) = await packages.resolve(["msgpack"])
    except Refused as refused:
        pytest.skip(f"pip reaches no index here: {refused}")
    assert wheel.name.startswith("msgpack-")
    assert wheel.name.endswith("pyemscripten_2026_0_wasm32.whl")
    path = packages.path(wheel.sha256, wheel.name)
    assert path is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == wheel.sha256
    assert await packages.resolve(["msgpack"]) == [wheel]
    path.unlink()
    assert await packages.resolve(["msgpack"]) == [wheel], "one that is gone is fetched again"
    assert os.listdir(tmp_path) == [wheel.sha256]


def test_only_wheels_are_given_out(tmp_path: Path) -> None:
    packages = PythonPackages(tmp_path / "wheels")
    (tmp_path / "secret.whl").write_text("")
    assert packages.path("..", "secret.whl") is None
    assert packages.path("a" * 64, "../../secret.whl") is None


def test_what_is_missing_is_named() -> None:
    said = "ERROR: Could not find a version of scipy\nERROR: No matching distribution found for scipy"
    refused = refusal(("scipy",), said)
    assert refused.code == "not_found"
    assert "no package scipy for Pyodide: looked with pip" in str(refused)
    assert "no package a for Pyodide: this broker has no pip" in str(refusal(("a",), "python: No module named pip"))
    said = "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.\nERROR: Resol"
    assert "no set of packages fits: Cannot install a==1 and b==2" in str(refusal(("a",), said))
    assert "could not get a" in str(refusal(("a",), "ERROR: something else"))


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_packages, "KEPT_BYTES", 100)
    packages = PythonPackages(tmp_path)
    names = []
    for number in range(3):
        incoming = tmp_path / f".incoming-{number}"
        incoming.mkdir()
        (incoming / f"p{number}-1-py3-none-any.whl").write_bytes(bytes([number]) * 60)
        names += [wheel.sha256 for wheel in packages._keep(incoming, _hashed(incoming), [])]
        incoming.rmdir()
    assert {entry.name for entry in tmp_path.iterdir()} == {names[-1]}


# Of a package that has no end, at a real index over HTTP

MIB = 1 << 20


@pytest.fixture
async def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """pip's index has `huge`, a wheel of 1 GiB, which comes at 10 MiB/s; pip's own folders are below `tmp_path`."""

    async def listed(request: web.Request) -> web.Response:
        return web.Response(text='<a href="/huge-1-py3-none-any.whl">huge</a>', content_type="text/html")

    async def wheel(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1 << 30
        await response.prepare(request)
        for _ in range(1024):
            await response.write(bytes(MIB))
            await asyncio.sleep(0.1)
        return response

    app = web.Application()
    app.add_routes([web.get("/simple/huge/", listed), web.get("/huge-1-py3-none-any.whl", wheel)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{runner.addresses[0][1]}/simple/")
    for name in ("TMPDIR", "PIP_CACHE_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    yield
    await runner.cleanup()


def left(tmp_path: Path) -> list[str]:
    """Files in any of the folders that were used."""
    return [file for _, _, files in os.walk(tmp_path) for file in files]


async def test_pip_is_ended_when_it_has_brought_too_much_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endless: None
) -> None:
    monkeypatch.setattr(python_packages, "MOST_BYTES", 8 * MIB)
    packages = PythonPackages(tmp_path / "kept")
    with pytest.raises(Refused, match=f"the packages have more than {8 * MIB} bytes"):
        await packages.resolve(["huge"])
    assert left(tmp_path) == []
    await packages.close()


async def test_a_broker_that_stops_ends_pip_and_nothing_stays(tmp_path: Path, endless: None) -> None:
    packages = PythonPackages(tmp_path / "kept")
    asked = asyncio.ensure_future(packages.resolve(["huge"]))
    await until(lambda: left(tmp_path), 20)
    await packages.close()
    assert left(tmp_path) == []
    assert asked.cancelled() or asked.done()


async def test_pip_that_takes_too_long_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endless: None) -> None:
    monkeypatch.setattr(pip, "SECONDS", 3.0)
    with pytest.raises(Refused, match="pip did not find huge within 3 s"):
        await PythonPackages(tmp_path / "kept").resolve(["huge"])
    assert left(tmp_path) == []


def test_what_a_killed_broker_was_fetching_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".incoming-x" / "pip").mkdir(parents=True)
    (tmp_path / ("a" * 64)).mkdir()
    PythonPackages(tmp_path)
    assert os.listdir(tmp_path) == ["a" * 64]


async def test_a_disk_that_is_full_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pip, "download", full)
    with pytest.raises(StorageFull, match="the broker's disk is full"):
        await PythonPackages(tmp_path).resolve(["a"])
    with pytest.raises(OSError, match="No space left"):
        refusal(("a",), "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
