"""Cases of what an engine does apart from WASI: features, memory, traps by name, imports that do not fit. Pure data."""

from __future__ import annotations

from . import programs as p
from .case import Case
from .unstable import UNSTABLE

SAY = p.FD_WRITE + p.MEMORY
"""For `say`."""


def say(text: str) -> str:
    """Instructions that write it; beside SAY."""
    data = "".join(f"(i32.store8 (i32.const {16 + at}) (i32.const {byte}))" for at, byte in enumerate(text.encode()))
    return (
        f"(i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const {len(text.encode())})) {data}"
        "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    )


def holds(condition: str, *more: str) -> bytes:
    """A program that says yes when the condition is not zero, no otherwise."""
    return p.start(f"(if {condition} (then {say('yes')}) (else {say('no')}))", SAY, *more)


TRAPS = [
    Case(
        "in a function with a name",
        p.wat('(module (func $fails unreachable) (func (export "_start") (call $fails)))'),
        error="unreachable: in fails",
    ),
    Case("in _start", p.start("unreachable"), error="unreachable: in program"),
    Case(
        "in a function without a name",
        p.wat('(module (func unreachable) (func (export "_start") (call 0)))'),
        error="unreachable",
    ),
    Case(
        "memory.fill outside",
        p.start("(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))", p.MEMORY),
        error="out of bounds memory access",
    ),
    Case(
        "memory.copy outside",
        p.start("(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))", p.MEMORY),
        error="out of bounds memory access",
    ),
    Case(
        "memory.init outside",
        p.start("(memory.init $d (i32.const 0) (i32.const 1) (i32.const 3))", p.MEMORY, '(data $d "abc")'),
        error="out of bounds memory access",
    ),
    Case(
        "a segment of data outside",
        p.start("", p.MEMORY, '(data (i32.const 65534) "abc")'),
        error="out of bounds memory access",
    ),
    Case(
        "table.get outside",
        p.start("(drop (table.get (i32.const 9)))", "(table 3 funcref)"),
        error="undefined element: out of bounds table access",
    ),
    Case(
        "a segment of elements outside",
        p.start("", "(table 1 funcref)", "(elem (i32.const 1) $program)"),
        error="undefined element: out of bounds table access",
    ),
    Case("a null reference", p.start("(call_ref $t (ref.null $t))", "(type $t (func))"), error="null reference"),
    Case("an exception that nobody catches", p.start("(throw $oops)", "(tag $oops)"), error="uncaught exception"),
    Case(
        "an atomic that is not aligned", p.start("(drop (i32.atomic.load (i32.const 1)))", p.MEMORY), error="unaligned atomic"
    ),
    Case(
        "a panic in Rust",
        p.app("testing/std"),
        ("std", "panic"),
        error="unreachable",
        error_has=("panicked at", "at the disco"),
    ),
    Case(
        "an index in Rust",
        p.app("testing/std"),
        ("std", "index"),
        error="unreachable",
        error_has=("the len is 3 but the index is",),
    ),
    Case("the end of the stack in Rust", p.app("testing/std"), ("std", "deep"), error="out of bounds memory access"),
    Case("abort in Rust", p.app("testing/std"), ("std", "abort"), error="unreachable"),
    Case("abort in C", p.app("testing/posix"), ("posix", "abort"), error="unreachable"),
    Case("what was written before is not kept", p.start(f"{say('text')} unreachable", SAY), error="unreachable"),
]

EXIT_IN_START_FUNCTION = p.wat(
    f"(module {p.PROC_EXIT} {p.MEMORY} (func $begin (call $proc_exit (i32.const 5))) (start $begin)"
    ' (func (export "_start") unreachable))'
)
EXITS = [
    Case(
        "an error in Rust",
        p.app("testing/std"),
        ("std", "error"),
        status=1,
        stderr=b'Error: Custom { kind: Other, error: "it went wrong" }\n',
    ),
    Case("process::exit", p.app("testing/std"), ("std", "exit"), status=17),
    Case("exit in the start function", EXIT_IN_START_FUNCTION, status=5),
    Case(
        "exit is no exception",
        p.start(
            "(block $caught (try_table (catch_all $caught) (call $proc_exit (i32.const 3)))) (call $proc_exit (i32.const 4))",
            p.PROC_EXIT,
            p.MEMORY,
        ),
        status=3,
    ),
    Case(
        "a trap is no exception",
        p.start("(block $caught (try_table (catch_all $caught) unreachable))"),
        error="unreachable",
    ),
    Case(
        "a limit is no exception",
        p.start(
            "(loop $again (block $caught (try_table (catch_all $caught)"
            " (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))) (br $again))",
            p.FD_WRITE,
            p.MEMORY,
            r'(data (i32.const 0) "\10\00\00\00\00\80\00\00")',
        ),
        error="output limit exceeded",
    ),
    Case(
        "an exception that is caught",
        p.start(
            "(block $caught (try_table (catch $oops $caught) (throw $oops)) unreachable) (call $proc_exit (i32.const 9))",
            "(tag $oops)",
            p.PROC_EXIT,
            p.MEMORY,
        ),
        status=9,
    ),
]

DOWN = (
    "(func $down (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))"
    " (return_call $down (i32.sub (local.get 0) (i32.const 1))))"
)
FEATURES = [
    Case(
        "vectors",
        holds("(i32x4.extract_lane 2 (i32x4.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 0 0 -2 0)))"),
        stdout=b"yes",
    ),
    Case("tail calls", holds("(call $down (i32.const 100000))", DOWN), stdout=b"yes"),
    Case(
        "several results",
        holds("(i32.sub (call $two))", "(func $two (result i32 i32) (i32.const 5) (i32.const 4))"),
        stdout=b"yes",
    ),
    Case("structs", holds("(struct.get $s 0 (struct.new $s (i32.const 7)))", "(type $s (struct (field i32)))"), stdout=b"yes"),
    Case("a second memory", holds("(i32.eq (memory.size 1) (i32.const 2))", "(memory $other 2)"), stdout=b"yes"),
    Case("atomics on one's own memory", holds("(i32.eqz (i32.atomic.rmw.add (i32.const 64) (i32.const 1)))"), stdout=b"yes"),
]

MEMORIES = [
    Case("grows", p.app("testing/grow"), ("grow", "30"), stdout=b"grew 30 MiB\n"),
    Case(
        "grows to its own maximum",
        p.start(
            f"(if (i32.eq (memory.grow (i32.const 1)) (i32.const 1)) (then {say('first')}))"
            f"(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then {say('last')}))",
            p.FD_WRITE,
            '(memory (export "memory") 1 2)',
        ),
        stdout=b"firstlast",
    ),
    Case("does not grow beyond 32 bits", holds("(i32.eq (memory.grow (i32.const 65536)) (i32.const -1))"), stdout=b"yes"),
    Case("is zero at first", holds("(i32.eqz (i32.load (i32.const 65532)))"), stdout=b"yes"),
    Case(
        "a table grows",
        holds("(i32.eq (table.grow (ref.null func) (i32.const 1000)) (i32.const 1))", "(table 1 funcref)"),
        stdout=b"yes",
    ),
    Case(
        "a table has an end",
        holds("(i32.eq (table.grow (ref.null func) (i32.const 10000001)) (i32.const -1))", "(table 1 funcref)"),
        stdout=b"yes",
    ),
]

ACCEPT = '(import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))'
OLD = '(import "wasi_unstable" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))'
IMPORTS = [
    Case("wasi_unstable", p.start(say("old"), OLD, p.MEMORY), stdout=b"old"),
    Case(
        "a global that is imported",
        p.wat('(module (import "env" "g" (global i32)) (func (export "_start")))'),
        error="unknown import: env.g (global)",
    ),
    Case(
        "a table that is imported",
        p.wat('(module (import "env" "t" (table 1 funcref)) (func (export "_start")))'),
        error="unknown import: env.t (table)",
    ),
    Case(
        "WASI's function of another type",
        p.wat(
            f'(module (import "wasi_snapshot_preview1" "sched_yield" (func (param f64))) {p.MEMORY} (func (export "_start")))'
        ),
        error="incompatible import type",
    ),
    Case("a module that is only a library", p.wat('(module (func (export "_initialize")))'), error="no _start function"),
    Case(
        "_start that takes something",
        p.wat('(module (func (export "_start") (param i32)))'),
        error="the _start function takes or returns something",
    ),
    Case(
        "_start that returns something",
        p.wat('(module (func (export "_start") (result i32) (i32.const 1)))'),
        error="the _start function takes or returns something",
    ),
    Case("imports that are never called", p.start("", ACCEPT, p.MEMORY)),
    Case("proc_exit needs no memory", p.start("(call $proc_exit (i32.const 6))", p.PROC_EXIT), status=6),
    Case("a version to come", b"\0asm\2\0\0\0", error="not a WebAssembly module"),
    Case("no bytes after the header", b"\0asm\1\0\0\0", error="no _start function"),
]

NUMBERS = [
    Case(f"no enum has it: {call}", p.app("testing/calls"), ("calls", call), error="Invalid enum value")
    for call in ("fd_seek 1 0 nowhere", "fd_advise 1 0 10 6", "clock_time_get 9", "clock_res_get 9")
]

ARGUMENTS = [
    Case("none at all", p.app("testing/calls"), ()),
    Case(
        "a large one",
        p.app("testing/calls"),
        ("calls", "args_sizes_get", "random_get 0" + " " * 100_000),
        stdout=b"args_sizes_get => SUCCESS count 3 bytes 100034\nrandom_get 0" + b" " * 100_000 + b" => SUCCESS\n",
    ),
    Case("many", p.app("testing/calls"), ("calls", *["sched_yield"] * 3000), stdout=b"sched_yield => SUCCESS\n" * 3000),
    Case("an empty name", p.app("helloworld/helloworld-wat"), ("",), stdout=b"Hello from WAT!\narg 0: \n"),
    Case(
        "beyond the first plane",
        p.app("testing/calls"),
        ("calls", "path_create_directory 3 😀", "list 3 1000"),
        stdout="path_create_directory 3 😀 => SUCCESS\nlist 3 1000 => SUCCESS .:directory ..:directory 😀:directory\n".encode(),
    ),
]

ENGINE = {
    "traps by name": TRAPS,
    "exits": EXITS,
    "features": FEATURES,
    "memory": MEMORIES,
    "imports": IMPORTS,
    "unstable": UNSTABLE,
    "numbers": NUMBERS,
    "arguments": ARGUMENTS,
}
