"""Packages for Python tasks: what is asked for is checked before pip sees it; what pip brings is kept by digest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from broker import python_packages
from broker.errors import Refused
from broker.pip import refusal
from broker.python_packages import PythonPackages, _hashed


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
