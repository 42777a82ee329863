"""Pyodide's own index: what it lists comes from there, checked and kept; what it does not list, or can't give, comes by pip."""

from __future__ import annotations

import asyncio
import json
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from broker import pages, pip, pyodide_index, python_packages
from broker.errors import Refused, UsageError
from broker.pyodide_index import Distribution, PyodideIndex
from broker.python_packages import PythonPackages, Wheel
from broker.settings import PUBLIC_INDEX, Settings
from tests.broker.wheels import entry, lock, wheel

PURE = "py3-none-any"


@dataclass
class Served:
    """A folder as an index over HTTP, which counts what it is asked for and may be slow."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    slow: float = 0.0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.asked.append(name)
        if name.endswith((".whl", ".zip")):
            await asyncio.sleep(self.slow)
        path = self.folder / name
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """`numlike` needs `helper` and the shared library `libfast`; `other` is there in two versions nowhere."""
    folder = tmp_path / "index"
    numlike, helper = wheel(folder, "numlike", "2.4", "helper"), wheel(folder, "helper", "1.0", tag=PURE)
    library = folder / "libfast-0.3.zip"
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("libfast.so", b"\0asm")
    lock(folder, entry(numlike, "helper", "libfast"), entry(helper), entry(library, library=True))
    served = Served(folder)
    app = web.Application()
    app.add_routes([web.get("/full/{name}", served.serve)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/full/"
    yield served
    await runner.cleanup()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip sees: a folder of wheels."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def packages(tmp_path: Path, place: str | Path) -> PythonPackages:
    return PythonPackages(tmp_path / "kept", PyodideIndex(str(place), pip.PYTHON, pip.ABI))


def names(wheels: list[Wheel]) -> list[str]:
    return sorted(wheel.name for wheel in wheels)


ALL = ["helper-1.0-py3-none-any.whl", "libfast-0.3.zip", "numlike-2.4-cp314-cp314-pyemscripten_2026_0_wasm32.whl"]


async def test_a_package_comes_with_what_it_needs_and_is_kept(tmp_path: Path, served: Served) -> None:
    found = await packages(tmp_path, served.url).resolve(["numlike>=2"])
    assert names(found) == ALL
    assert [wheel.name for wheel in found if wheel.library] == ["libfast-0.3.zip"]
    assert sorted(served.asked) == sorted([*ALL, "pyodide-lock.json"])
    served.asked.clear()
    again = packages(tmp_path, served.url)
    assert await again.resolve(["Numlike"]) == found
    assert served.asked == ["pyodide-lock.json"], "another broker with this folder fetches nothing anew"
    path = again.path(found[0].sha256, found[0].name)
    assert path is not None
    path.unlink()
    assert await again.resolve(["Numlike"]) == found
    assert served.asked == ["pyodide-lock.json", found[0].name]


async def test_a_folder_is_an_index(tmp_path: Path, served: Served) -> None:
    assert names(await packages(tmp_path, served.folder).resolve(["numlike"])) == ALL
    assert served.asked == []


async def test_what_a_package_of_elsewhere_needs_may_be_here(tmp_path: Path, served: Served, elsewhere: Path) -> None:
    theirs = wheel(elsewhere, "theirs", "1.0", "numlike>=2", "pure", tag=PURE)
    pure = wheel(elsewhere, "pure", "3.1", tag=PURE)
    both = packages(tmp_path, served.url)
    assert names(await both.resolve(["theirs"])) == sorted([*ALL, theirs.name, pure.name])
    served.asked.clear()
    assert names(await both.resolve(["theirs", "helper"])) == sorted([*ALL, theirs.name, pure.name])
    assert served.asked == [], "what is here is not fetched by pip again"


async def test_one_version_of_a_package_is_given(tmp_path: Path, served: Served, elsewhere: Path) -> None:
    wheel(elsewhere, "helper", "9.0", tag=PURE)
    theirs = wheel(elsewhere, "theirs", "1.0", "helper", tag=PURE)
    found = await packages(tmp_path, served.url).resolve(["theirs", "numlike"])
    assert names(found) == sorted([*ALL, theirs.name]), "the one that Pyodide's packages were made with"
    assert names(await packages(tmp_path, served.url).resolve(["helper>1"])) == ["helper-9.0-py3-none-any.whl"]


async def test_what_is_nowhere_is_named_with_where_was_looked(tmp_path: Path, served: Served) -> None:
    with pytest.raises(Refused) as missing:
        await packages(tmp_path, served.url).resolve(["nowhere"])
    assert missing.value.code == "not_found"
    assert "no package nowhere for Pyodide: looked with pip" in missing.value.message
    assert served.url in missing.value.message
    with pytest.raises(Refused, match=r"no package numlike==1\.0 .*, which has numlike 2\.4"):
        await packages(tmp_path, served.url).resolve(["numlike==1.0"])


async def test_another_digest_is_not_taken(tmp_path: Path, served: Served, elsewhere: Path) -> None:
    wheel(served.folder, "numlike", "2.4", "helper", files={"numlike.py": b"evil"})
    with pytest.raises(Refused, match=rf"{ALL[2]} has another digest than Pyodide's lock file says"):
        await packages(tmp_path, served.url).resolve(["numlike"])
    wheel(elsewhere, "numlike", "2.4", files={"numlike.py": b"good"})
    (found,) = await packages(tmp_path, served.url).resolve(["numlike"])
    path = PythonPackages(tmp_path / "kept").path(found.sha256, found.name)
    assert path is not None
    assert b"good" in path.read_bytes()
    theirs = wheel(elsewhere, "theirs", "1.0", "numlike", tag=PURE)
    (elsewhere / found.name).unlink()
    with pytest.raises(Refused, match="numlike"):
        await packages(tmp_path, served.url).resolve(["theirs"])
    assert theirs.exists()


async def test_an_index_that_is_away_is_named_and_pip_is_asked(tmp_path: Path, unused_tcp_port: int, elsewhere: Path) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/full/"
    with pytest.raises(Refused) as missing:
        await packages(tmp_path, url).resolve(["numlike"])
    assert "no package numlike" in missing.value.message
    assert f"{url}pyodide-lock.json can't be used" in missing.value.message
    brought = wheel(elsewhere, "numlike", "1.0", tag=PURE)
    assert names(await packages(tmp_path, url).resolve(["numlike"])) == [brought.name]


async def test_a_file_that_is_gone(tmp_path: Path, served: Served) -> None:
    (served.folder / ALL[0]).unlink()
    with pytest.raises(Refused, match=rf"no package .*{ALL[0]} can't be had: the answer is 404"):
        await packages(tmp_path, served.url).resolve(["numlike"])


async def test_a_slow_index_is_not_waited_for(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyodide_index, "PATIENCE", aiohttp.ClientTimeout(total=0.2))
    served.slow = 60
    began = time.monotonic()
    with pytest.raises(Refused, match="can't be had: no answer in time"):
        await packages(tmp_path, served.url).resolve(["numlike"])
    assert time.monotonic() - began < 30


async def test_more_bytes_than_are_taken(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_packages, "MOST_BYTES", 600)
    wheels = packages(tmp_path, served.url)
    with pytest.raises(Refused, match="more than 600 bytes"):
        await wheels.resolve(["numlike"])
    assert not any("incoming" in path.name for path in (tmp_path / "kept").iterdir()), "nothing is left half done"


async def test_what_could_not_be_had_is_not_looked_for_again_at_once(
    tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_packages, "REFUSED_SECONDS", 0.1)
    (served.folder / "pyodide-lock.json").unlink()
    wheels = packages(tmp_path, served.url)
    for _ in range(3):
        with pytest.raises(Refused):
            await wheels.resolve(["nowhere"])
    assert served.asked == ["pyodide-lock.json"]
    await asyncio.sleep(0.2)
    with pytest.raises(Refused):
        await wheels.resolve(["nowhere"])
    assert served.asked == ["pyodide-lock.json"] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting"),
        ("[]", "no lock file of Pyodide"),
        ('{"info": {}, "packages": {"a": {}}}', "no lock file of Pyodide"),
        ('{"info": {"python": "3.12.1"}, "packages": {}}', r"for Python 3\.12\.1.*tasks run 3\.14"),
        ('{"info": {"python": "3.14.2", "abi_version": "2025_0"}, "packages": {}}', "ABI 2025_0"),
        (
            '{"info": {"python": "3.14.2"}, "packages": {"a": {"name": "a", "version": "1", "file_name": "x", "sha256": ""}}}',
            "entry of a has no usable file name",
        ),
    ],
)
def test_what_is_no_lock_file_of_this_pyodide(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Distribution.parse(text.encode(), pip.PYTHON, pip.ABI)


async def test_the_public_index_is_known_from_the_pyodide_of_the_pages() -> None:
    version = json.loads((pages.CHECKOUT / "package.json").read_text())["dependencies"]["pyodide"]
    assert f"/v{version}/" in PUBLIC_INDEX
    if not pages.pyodide_lock().exists():
        pytest.skip("static/vendor is not built")
    distribution = await PyodideIndex(PUBLIC_INDEX, pip.PYTHON, pip.ABI, pages.pyodide_lock()).distribution()
    assert {"scikit-learn", "numpy", "scipy", "threadpoolctl"} <= set(distribution.closure(["scikit_learn"]))


def test_the_setting(tmp_path: Path) -> None:
    def chosen(text: str) -> str:
        return Settings.from_environment({"WASIMOFF_PYODIDE_INDEX": text}).pyodide_index

    assert chosen("") == PUBLIC_INDEX
    assert chosen("no") == ""
    with pytest.raises(UsageError, match=r"WASIMOFF_PYODIDE_INDEX.*a folder that holds pyodide-lock.json"):
        chosen(str(tmp_path))
    assert chosen(str(lock(tmp_path))) == str(tmp_path)
