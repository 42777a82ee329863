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
MAX_FRAMES = 16
MAX_NAME = 200


def stop_text(error: Trap | WasmtimeError) -> str:
    """The kind, and in which functions, the innermost first, a line each, as far as the module names them."""
    code = error.trap_code if isinstance(error, Trap) else None
    kind = KINDS.get(code) if code else None
    if kind is None:
        kind = cause(error)
        kind = next((text for words, text in BY_WORDS.items() if words in kind), kind)
    names = [frame.func_name for frame in error.frames] if isinstance(error, Trap) else []
    lines = [f"in {_printable(name)}" for name in names if name][:MAX_FRAMES]
    return ": ".join([kind, "\n  ".join(lines)]) if lines else kind


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name[:MAX_NAME])


def cause(error: Trap | WasmtimeError) -> str:
    """The innermost of wasmtime's chain of causes, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "Caused by:" in lines:
        lines = lines[-1:]
    return re.sub(r"^\d+: ", "", " ".join(lines))[:MAX_TEXT]


def module_fault(error: WasmtimeError) -> str:
    """What is wrong with a module, and at which byte of it."""
    text = cause(error).removeprefix("Invalid input WebAssembly code ")
    found = re.fullmatch(r"(.*) \(at offset 0x([0-9a-f]+)\)", text)
    return f"at offset {int(found[2], 16)}: {found[1]}" if found else text
