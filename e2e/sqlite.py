"""SQLite's shell, compiled for WASI from what npm's package `sqlite3` carries; a test that needs it skips without that."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from e2e.third_party import FOLDER, from_npm, npm_package, wheel

SOURCES = "sqlite-autoconf-3440200"
FILES = ("shell.c", "sqlite3.c", "sqlite3.h", "sqlite3ext.h")
PACKAGE, ZIG = "5.1.7", "0.16.0"
SECONDS = 280
DEFINED = ("THREADSAFE=0", "OMIT_LOAD_EXTENSION", "OMIT_WAL", "NOHAVE_SYSTEM", "OMIT_POPEN")
EMULATED = ("SIGNAL", "PROCESS_CLOCKS", "GETPID")
OPTIONS = (
    *(f"-DSQLITE_{name}" for name in DEFINED),
    *(f"-D_WASI_EMULATED_{name}" for name in EMULATED),
    *(f"-lwasi-emulated-{name.lower().replace('_', '-')}" for name in EMULATED),
    "-Wl,-z,stack-size=1048576",
    "-w",
)


@cache
def sqlite() -> bytes:
    """The program, which is built once."""
    target = FOLDER / f"{SOURCES}-{ZIG}.wasm"
    if not target.exists():
        folder = _sources()
        partial = target.with_suffix(f".{os.getpid()}")
        command = [_zig(), "cc", "-target", "wasm32-wasi", "-Os", "-s", "-o", partial, "shell.c", "sqlite3.c", *OPTIONS]
        environ = {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(FOLDER / "zig-cache"),
            "ZIG_LOCAL_CACHE_DIR": str(FOLDER / "zig-cache"),
        }
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode:
            pytest.skip(f"skipped: SQLite can't be compiled: {done.stderr.strip()[-300:]}")
        partial.rename(target)
    return target.read_bytes()


def _sources() -> Path:
    packed = from_npm(npm_package("sqlite3", PACKAGE), f"deps/{SOURCES}.tar.gz")
    folder = FOLDER / SOURCES
    folder.mkdir(exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for name in FILES:
            member = archive.extractfile(f"{SOURCES}/{name}")
            assert member, name
            (folder / name).write_bytes(member.read())
    return folder


def _zig() -> Path:
    """A C compiler with a WASI libc."""
    folder = FOLDER / f"ziglang-{ZIG}"
    program = folder / "ziglang/zig"
    if not program.exists():
        with zipfile.ZipFile(wheel("ziglang", ZIG)) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if not name.endswith("/zig")])
            rest = archive.read("ziglang/zig")
        program.write_bytes(rest)
        program.chmod(0o755)
    return program
