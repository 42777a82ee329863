"""What a module needs is read from its imports, whatever bytes it is made of."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from broker.modules import HEADER, MAX_SECTIONS, REMEMBERED, Modules
from broker.store.catalogue import Blob

SPAWN = b"\x01\x04wasi\x0cthread-spawn\x00\x00"


def blob(data: bytes, ref: str = "sha256:x") -> Blob:
    return Blob(ref, "application/wasm", len(data), 0.0, None, data)


def section(kind: int, body: bytes) -> bytes:
    size = len(body)
    return bytes((kind, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14)) + body


def threaded(*sections: bytes) -> bool:
    return Modules().look(blob(HEADER + b"".join(sections)))


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ((section(2, SPAWN),), True),
        ((section(0, b"\x04name" + bytes(9)), section(1, b"\x01\x60\0\0"), section(2, SPAWN)), True),
        ((section(1, SPAWN), section(2, b"\0")), False),
        ((section(3, b"\0"), section(2, SPAWN)), False),
        ((section(2, b"\x01\x03env\x0cthread-spawn\x00\x00"),), False),
        ((section(0, b"\0") * (MAX_SECTIONS + 1), section(2, SPAWN)), False),
        ((), False),
    ],
)
def test_the_import_section_says_it(sections: tuple[bytes, ...], expected: bool):
    assert threaded(*sections) is expected


@given(st.binary(max_size=200))
@example(b"\x02\xff\xff\xff\xff\xff")
@example(b"\x02\xff\xff\xff\xff\x0f")
@example(b"\x00\x80\x80\x80\x80\x00" * 100)
def test_any_bytes_are_read(data: bytes):
    assert Modules().look(blob(HEADER + data)) in (True, False)
    assert Modules().look(blob(data)) in (True, False)


def test_a_component_and_a_file_that_is_gone_need_nothing(tmp_path):
    assert not imports_threads_of(b"\0asm\x0d\0\1\0" + section(2, SPAWN))
    assert not Modules().look(Blob("sha256:x", "", 3, 0.0, tmp_path / "gone"))


def imports_threads_of(data: bytes) -> bool:
    return Modules().look(blob(data))


def test_what_is_known_is_bounded():
    modules = Modules()
    for number in range(REMEMBERED + 10):
        modules.look(blob(HEADER, f"sha256:{number}"))
    assert "sha256:0" not in modules.threaded
    assert modules.threaded["sha256:10"] is False
