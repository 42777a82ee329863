"""The programs of the contract: WAT that does one thing each, and the committed ones of wasi-apps. Imports wasmtime."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from wasmtime import wat2wasm

APPS = Path(__file__).resolve().parents[2] / "wasi-apps"


def app(name: str) -> bytes:
    """A committed program, for example "testing/noop"."""
    return (APPS / f"{name}.wasm").read_bytes()


def _go() -> str | None:
    go = shutil.which("go")
    said = subprocess.run([go, "version"], capture_output=True, text=True).stdout if go else ""
    found = re.search(r"go1\.(\d+)", said)
    return go if found and int(found[1]) >= 22 else None


GO = _go()
"""Go 1.22 or newer. Its programs are too large to be committed; without it their cases are left out."""
BUILT = APPS.parent / "build/wasi-apps"


@cache
def built(name: str) -> bytes:
    """`app`, or a program in Go, which is built when its source is not what it was."""
    folder = APPS / name
    if not (folder / "go.mod").exists():
        return app(name)
    assert GO
    source = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    target = BUILT / f"{folder.name}-{hashlib.sha256(source).hexdigest()[:16]}.wasm"
    if not target.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="]
        wasi = os.environ | {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
        partial = target.with_suffix(f".{os.getpid()}")
        subprocess.run([GO, "build", *flags, "-o", partial, "."], cwd=folder, env=wasi, check=True, timeout=600)
        partial.rename(target)
    return target.read_bytes()


@cache
def wat(text: str) -> bytes:
    return bytes(wat2wasm(text))


@cache
def start(body: str, *more: str) -> bytes:
    """A module whose _start is this body; `more` are fields beside it."""
    return wat(f'(module {" ".join(more)} (func $program (export "_start") {body}))')


MEMORY = '(memory (export "memory") 1)'
FD_WRITE = '(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))'
PROC_EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))'
PATH_OPEN = (
    '(import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))'
)

RECURSION = wat('(module (func $deeper (export "_start") (call $deeper)))')
TRAP_IN_START_FUNCTION = wat('(module (func $begin unreachable) (start $begin) (func (export "_start")))')
CALL_TO_NULL = start("(call_indirect (i32.const 0))", "(table 1 funcref)")
CALL_OUT_OF_TABLE = start("(call_indirect (i32.const 5))", "(table 1 funcref)")
CALL_OF_OTHER_TYPE = start(
    "(call_indirect (i32.const 0))", "(table 1 funcref)", "(elem (i32.const 0) $other)", "(func $other (param i32))"
)
TRAP_AFTER_STDERR = start(
    "(drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 100))) unreachable",
    FD_WRITE,
    MEMORY,
    r'(data (i32.const 0) "\08\00\00\00\11\00\00\00last words of it\n")',
)
NO_MEMORY = start("(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))", FD_WRITE)
POINTER_OUTSIDE = start(
    "(drop (call $fd_write (i32.const 1) (i32.const 0x7ffffff0) (i32.const 1) (i32.const 8)))", FD_WRITE, MEMORY
)
EXIT_FROM_DEEP = wat(
    f"(module {PROC_EXIT} {MEMORY} (func $down (param i32)"
    " (if (i32.eqz (local.get 0)) (then (call $proc_exit (i32.const 77))))"
    " (call $down (i32.sub (local.get 0) (i32.const 1))))"
    ' (func (export "_start") (call $down (i32.const 100))))'
)
NEVER_STOPS_WRITING = start(
    "(loop $again (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $again))",
    FD_WRITE,
    MEMORY,
    r'(data (i32.const 0) "\10\00\00\00\00\80\00\00")',
)
FILLS_A_FILE = start(
    # path_open(3, 0, "bomb", CREATE, all rights) → fd at 16; then 32 KiB at a time, for ever
    "(drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 1)"
    " (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 16)))"
    "(loop $again (drop (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))"
    " (br $again))",
    FD_WRITE,
    PATH_OPEN,
    MEMORY,
    r'(data (i32.const 0) "\40\00\00\00\00\80\00\00")',
    '(data (i32.const 32) "bomb")',
)
