"""What made a program stop, in the words that browser providers use too. Imports wasmtime."""

from __future__ import annotations

import re

from wasmtime import Trap, TrapCode, WasmtimeError

KINDS: dict[TrapCode, str] = {
    TrapCode.STACK_OVERFLOW: "stack overflow",
    TrapCode.MEMORY_OUT_OF_BOUNDS: "out of bounds memory access",
    TrapCode.HEAP_MISALIGNED: "unaligned atomic",
    TrapCode.TABLE_OUT_OF_BOUNDS: "undefined element: out of bounds table access",
    TrapCode.INDIRECT_CALL_TO_NULL: "indirect call to null",
    TrapCode.BAD_SIGNATURE: "indirect call type mismatch",
    TrapCode.INTEGER_OVERFLOW: "integer overflow",
    TrapCode.INTEGER_DIVISION_BY_ZERO: "integer divide by zero",
    TrapCode.BAD_CONVERSION_TO_INTEGER: "invalid conversion to integer",
    TrapCode.UNREACHABLE: "unreachable",
    TrapCode.NULL_REFERENCE: "null reference",
}
BY_WORDS = {
    "missing required memory export": "the module exports no memory",
    "Pointer out of bounds": "out of bounds memory access: a pointer given to WASI is outside of the memory",
    "thrown Wasm exception": "uncaught exception",
}
"""What WASI's functions stop a program with has no code."""
MAX_TEXT = 1000


def stop_text(error: Trap | WasmtimeError) -> str:
    """The kind first, then in which function, as far as the module names them."""
    code = error.trap_code if isinstance(error, Trap) else None
    kind = KINDS.get(code) if code else None
    if kind is None:
        kind = cause(error)
        kind = next((text for words, text in BY_WORDS.items() if words in kind), kind)
    name = error.frames[0].func_name if isinstance(error, Trap) and error.frames else None
    return f"{kind}: in {name[:200]}" if name else kind


def cause(error: Trap | WasmtimeError) -> str:
    """The innermost of wasmtime's chain of causes, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "Caused by:" in lines:
        lines = lines[-1:]
    return re.sub(r"^\d+: ", "", " ".join(lines))[:MAX_TEXT]
