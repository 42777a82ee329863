"""Pickles that would have the unpickler make room for what they don't hold: ten bytes may ask for 30 GB. Standard library only.

What is to be found again gets a number, for which C's unpickler keeps a list as long as the largest of them. No honest pickle
has a number larger than its own length.
"""

from __future__ import annotations

import pickletools
import re

PUT, LONG_BINPUT, STOP = ord("p"), ord("r"), ord(".")
_SUSPECT = re.compile(rb"r(?=(?s:(....)))|p(?=[\s+]*[0-9][0-9_]{4})")
_KNOWN = {ord(opcode.code): opcode.arg for opcode in pickletools.opcodes}
_SIZES = {code: 0 if argument is None else argument.n for code, argument in _KNOWN.items()}
_TWO_LINES = {code for code, argument in _KNOWN.items() if argument and argument.name == "stringnl_noescape_pair"}
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def bloats(data: bytes) -> bool:
    """Whether unpickling it would take memory out of all proportion. Total: what is no pickle does not."""
    for found in _SUSPECT.finditer(data):
        if found[1] is None or int.from_bytes(found[1], "little") > len(data):
            return _largest(data) > len(data)
    return False


def _largest(data: bytes) -> int:
    """The largest number that something in a pickle gets."""
    at = largest = 0
    while at < len(data):
        code = data[at]
        at += 1
        size = _SIZES.get(code)
        if code == STOP or size is None:
            break
        if code == LONG_BINPUT:
            largest = max(largest, int.from_bytes(data[at : at + 4], "little"))
        elif code == PUT:
            largest = max(largest, _number(data[at : data.find(b"\n", at)]))
        if size >= 0:
            at += size
        elif size == pickletools.UP_TO_NEWLINE:
            for _ in range(2 if code in _TWO_LINES else 1):
                at = data.find(b"\n", at) + 1 or len(data)
        else:
            width = _WIDTHS[size]
            at += width + int.from_bytes(data[at : at + width], "little")
    return largest


def _number(text: bytes) -> int:
    """As C reads it."""
    try:
        return int(text.partition(b"\0")[0])
    except ValueError:
        return 0
