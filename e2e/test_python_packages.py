"""Packages of Pyodide's own index in a tab: wheels with extension modules, shared libraries, and both mixed with others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from broker.pip import PLATFORM
from broker.settings import PUBLIC_INDEX
from e2e.chromium import Tab, Watch
from e2e.processes import BrokerProcess
from e2e.python import ask, value
from tests.broker.wheels import entry, lock, wheel

PURE = "py3-none-any"
NUMPY = """
import numpy
from numpy.linalg import solve
[float(x) for x in solve(numpy.array([[3.0, 1.0], [1.0, 2.0]]), numpy.array([9.0, 8.0]))]
"""
PIP = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real wheel with an extension module for Pyodide."""
    folder = tmp_path_factory.mktemp("native")
    tags = ["--platform", PLATFORM, "--python-version", "3.14", "--implementation", "cp", "--abi", "cp314"]
    got = subprocess.run([*PIP, *tags, "--dest", str(folder), "msgpack"], capture_output=True, text=True, timeout=120)
    if got.returncode:
        pytest.skip(f"pip reaches no index here: {got.stderr[-200:]}")
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def url(chromium: Browser, native: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with an index of its own and one tab: `mixed` (by pip) needs `pyfast`, which needs msgpack and a library."""
    folder, elsewhere = tmp_path_factory.mktemp("index"), tmp_path_factory.mktemp("elsewhere")
    shutil.copy(native, folder)
    library = folder / "libfast-0.3.zip"
    with zipfile.ZipFile(native) as archive, zipfile.ZipFile(library, "w") as made:
        (extension,) = (name for name in archive.namelist() if name.endswith(".so"))
        made.writestr("libfast.so", archive.read(extension))
        spread = {"pyfast.py": b"import msgpack", "pyfast.libs/libinner.so": archive.read(extension)}
    spread |= {"pyfast-2.0.data/purelib/pyfast_more.py": b"more = 7", "pyfast-2.0.data/data/share/pyfast.txt": b"data"}
    pyfast = wheel(folder, "pyfast", "2.0", files=spread)
    lock(folder, entry(folder / native.name), entry(pyfast, "msgpack", "libfast"), entry(library, library=True))
    wheel(elsewhere, "mixed", "1.0", "pyfast", tag=PURE, files={"mixed.py": b"import pyfast"})
    environ = {"WASIMOFF_PYODIDE_INDEX": str(folder), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(elsewhere)}
    broker = BrokerProcess(environ=environ)
    context = chromium.new_context()
    watch = Watch(context)
    Tab(context.new_page()).open(broker.url).lending()
    yield broker.url
    context.close()
    broker.close()
    watch.check()


def test_an_extension_module_of_the_index(url: str) -> None:
    script = "import msgpack\nfrom msgpack import _cmsgpack\nmsgpack.unpackb(_cmsgpack.Packer().pack([1, 'a']))"
    assert value(ask(url, script=script, packages=["msgpack"])) == [1, "a"]


def test_all_of_a_wheel_is_where_an_installer_puts_it(url: str) -> None:
    script = """
import sys, pathlib, importlib.metadata, pyfast_more, pyfast
(pyfast_more.more, pathlib.Path(sys.prefix, "share/pyfast.txt").read_text(), importlib.metadata.version("pyfast"))
"""
    assert value(ask(url, script=script, packages=["pyfast"])) == (7, "data", "2.0")


def test_shared_libraries_are_found_by_the_linker(url: str) -> None:
    script = "import ctypes\nhasattr(ctypes.CDLL('libfast.so'), 'PyInit__cmsgpack')"
    assert value(ask(url, script=script, packages=["pyfast"])) is True


def test_what_pip_brings_and_the_index_has_mixed(url: str) -> None:
    assert value(ask(url, script="import mixed, msgpack\nmixed.pyfast.msgpack is msgpack", packages=["mixed"])) is True


def test_what_is_nowhere_ends_the_task_and_not_the_provider(url: str) -> None:
    response = ask(url, script="1", packages=["msgpack", "nowhere"])
    assert "no package nowhere for Pyodide: looked with pip" in response.error
    assert "index" in response.error
    assert value(ask(url, script="2")) == 2


def test_modules_that_pyodide_once_left_out(url: str) -> None:
    script = """
import hashlib, lzma, sqlite3, ssl, zoneinfo
(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone(), lzma.decompress(lzma.compress(b"a")), ssl.OPENSSL_VERSION[:7])
"""
    assert value(ask(url, script=script)) == ((42,), b"a", "OpenSSL")


@pytest.mark.skipif(os.environ.get("WASIMOFF_PYODIDE_INDEX", PUBLIC_INDEX) != PUBLIC_INDEX, reason="another index is set")
def test_numpy_of_the_public_index(chromium: Browser) -> None:
    try:
        urllib.request.urlopen(f"{PUBLIC_INDEX}pyodide-lock.json", timeout=10).close()
    except OSError as error:
        pytest.skip(f"{PUBLIC_INDEX} can't be reached from here: {error}")
    broker = BrokerProcess()
    context = chromium.new_context()
    Tab(context.new_page()).open(broker.url).lending()
    assert value(ask(broker.url, script=NUMPY, packages=["numpy"])) == pytest.approx([2.0, 3.0])
    context.close()
    broker.close()
