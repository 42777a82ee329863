"""Pickles that take far more memory than they have bytes for are refused, wherever that is in them; honest ones are not."""

from __future__ import annotations

import array
import collections
import decimal
import pickle
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasimoff import UntrustedResult, answers
from wasimoff.answers import Trust
from wasimoff.memo import bloats

HUGE = 2**31 - 1
BEFORE = {
    "nothing": b"",
    "text": b"\x8c\x01r0",
    "bytes of eight digits": b"\x8e\x03\0\0\0\0\0\0\0rrr0",
    "bytes": b"B\x02\0\0\0..0",
    "a name": b"cbuiltins\nint\n0",
    "a float": b"G" + b"r" * 8 + b"0",
    "a long": b"\x8a\x02rr0",
    "a frame": b"\x95\x10\0\0\0\0\0\0\0",
    "lines": b"Vtext.\n0I5\n0",
}
PUTS = {
    "binary": b"Nr" + struct.pack("<I", HUGE) + b"0N.",
    "text": b"Np%d\n0N." % HUGE,
    "other text": b"Np +000000000000000002_147_483_647\0x\n0N.",
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("put", PUTS)
def test_a_number_larger_than_its_pickle_is_found(before: str, put: str) -> None:
    data = b"\x80\x04" + BEFORE[before] + PUTS[put]
    assert bloats(data)
    with pytest.raises(UntrustedResult, match="more memory than it has bytes for"):
        answers.load(data, {}, Trust())


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from(["r" * 9, b"rp99999999"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_honest_pickles_are_not_suspected(value: Any, protocol: int) -> None:
    assert not bloats(pickle.dumps(value, protocol))


def test_those_with_many_numbers_neither() -> None:
    value = [[text] for text in map(str, range(100_000))]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert not bloats(pickle.dumps(value, protocol))


COPIERS = [b"ccollections\ndeque\n", b"ccollections\nOrderedDict\n", b"ccollections\nCounter\n"]


@pytest.mark.parametrize("copier", COPIERS)
def test_what_is_copied_very_often_is_refused(copier: bytes) -> None:
    pairs = b"(" + (b"(K\x01K\x02t" if b"Ordered" in copier else b"N") * 10_000 + b"l\x94"
    data = b"\x80\x04" + pairs + copier + b"\x94(" + b"h\x01(h\x00tR" * 1000 + b"l."
    with pytest.raises(UntrustedResult, match="copies far more than it has bytes for"):
        answers.load(data, {}, Trust())


def test_many_copies_of_what_is_there_are_made() -> None:
    value = [
        (collections.Counter("abc" * n), bytearray(n), decimal.Decimal(f"1.{n}"), array.array("d", [n])) for n in range(2000)
    ]
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):
        assert answers.load(pickle.dumps(value, protocol), {}, Trust()) == value


@given(st.binary())
def test_it_is_total(data: bytes) -> None:
    bloats(b"r\xff\xff\xff\xff" + data)
    bloats(data)
