"""Cases that look at records of WASI byte by byte, and at names that no argument can hold. Pure data."""

from __future__ import annotations

import struct

from . import programs as p
from . import zips as z
from .case import Case

IMPORTS = "".join(
    f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {kind} (result i32)))'
    for name, kind in {
        "fd_fdstat_get": "(param i32 i32)",
        "fd_prestat_dir_name": "(param i32 i32 i32)",
        "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32)",
        "path_create_directory": "(param i32 i32 i32)",
        "path_symlink": "(param i32 i32 i32 i32 i32)",
        "path_filestat_get": "(param i32 i32 i32 i32 i32)",
        "fd_write": "(param i32 i32 i32 i32)",
    }.items()
)


def shows(size: int, *calls: str, data: str = "") -> bytes:
    """A program that makes calls and shows their errnos, a byte each, and so many bytes behind these: from 1000 on."""
    first = 1000 - len(calls)
    made = "".join(f"(i32.store8 (i32.const {first + place}) {call})" for place, call in enumerate(calls))
    return p.start(
        f"(memory.fill (i32.const 1000) (i32.const 46) (i32.const 1000)) {made}"
        f"(i32.store (i32.const 0) (i32.const {first})) (i32.store (i32.const 4) (i32.const {len(calls) + size}))"
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))",
        IMPORTS,
        p.MEMORY,
        f'(data (i32.const 16) "{data}")',
    )


def numbers(*values: int) -> str:
    return "".join(f"(i32.const {value})" for value in values)


def opened(name: int, length: int, rights: int, flags: int = 0) -> str:
    return (
        f"(call $path_open {numbers(3, 0, name, length, flags)} (i64.const {rights}) (i64.const {rights})"
        f" {numbers(0)} (i32.const 1900))"
    )


def fdstat(kind: int, base: int, inheriting: int) -> bytes:
    """A `fdstat`, behind the errno of the one call; what is between its fields is not written."""
    return b"\0" + struct.pack("<BcH4sQQ", kind, b".", 0, b"....", base, inheriting)


def named(name: str, length: int, errnos: tuple[int, ...], said: str) -> Case:
    """Four calls that name a file."""
    calls = (
        opened(16, length, 2),
        f"(call $path_create_directory {numbers(3, 16, length)})",
        f"(call $path_filestat_get {numbers(3, 0, 16, length, 512)})",
        f"(call $path_symlink {numbers(16, length, 3, 48, 1)})",
    )
    return Case(said, shows(0, *calls, data=name), rootfs=z.make_zip({"file": b"text"}), stdout=bytes(errnos))


ZERO, NO_TEXT = (28,) * 4, (25,) * 4
"""INVAL and ILSEQ."""

RECORDS = {
    "records": [
        *(
            Case(
                f"the rights of descriptor {number}",
                shows(24, f"(call $fd_fdstat_get {numbers(number, 1000)})"),
                stdout=fdstat(*told),
            )
            for number, told in enumerate(((0, 2, 2), (0, 0x40, 0x40), (0, 0x40, 0x40), (3, 0x7B7FE00, 0xFF7FFFF)))
        ),
        Case(
            "a longer place for the name of the preopen",
            shows(5, f"(call $fd_prestat_dir_name {numbers(3, 1000, 5)})"),
            stdout=b"\0/....",
        ),
        named("file\\00", 5, ZERO, "a name that ends with a zero byte"),
        named("file\\00x", 6, ZERO, "a name with a zero byte in it"),
        named("fi\\ffle", 5, NO_TEXT, "a name that is not UTF-8"),
        named("f\\ed\\a0\\80", 4, NO_TEXT, "a name with half of a pair"),
    ]
}
