"""Compiles one WAT file to wasm: `python wat.py SOURCE.wat TARGET.wasm`. Needs wasmtime (PyPI).

Custom sections (names for debuggers) are left out, so that a test program is as small as it can be.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from wasmtime import WasmtimeError, wat2wasm

HEADER = b"\0asm\1\0\0\0"
CUSTOM_SECTION = 0


def leb128(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned LEB128 number at `at`, and the offset after it."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return number, at


def sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    """(section id, whole section with its header) in the module's order."""
    at = len(HEADER)
    while at < len(module):
        length, content = leb128(module, at + 1)
        yield module[at], module[at : content + length]
        at = content + length


def stripped(module: bytes) -> bytes:
    return HEADER + b"".join(section for kind, section in sections(module) if kind != CUSTOM_SECTION)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: wat.py SOURCE.wat TARGET.wasm", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        target.write_bytes(stripped(bytes(wat2wasm(source.read_text(encoding="utf-8")))))
    except (OSError, UnicodeDecodeError, WasmtimeError) as error:
        print(f"wat.py: {source}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
