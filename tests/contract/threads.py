"""Cases of programs with threads: wasi-threads, and how its runs end. Pure data."""

from __future__ import annotations

from pyodide_provider.core.run import Limits

from . import programs as p
from . import thread_libraries, thread_stdin
from .case import Case
from .thread_programs import BOMB, COMPUTING, HOUR, RETURNING, SHARED, SPAWN, threaded, times

ROUNDS = 20
STARTED = "(call $await (i32.const 4) (i32.const 1))"
READS = "(i32.store (i32.const 240) (i32.const 260)) (i32.store (i32.const 244) (i32.const 2))"


def busy(name: str, thread: str, main: str = STARTED, **ended: object) -> Case:
    """Threads that do something while the first one ends."""
    return Case(name, threaded(f"(call $signal (i32.const 4)) {thread}", f"(call $start (i32.const 1)) {main}"), **ended)  # type: ignore[arg-type]


def exits(status: int) -> str:
    return f"{STARTED} (call $proc_exit (i32.const {status}))"


LINES = b"".join(b"line %d\n" % number for number in range(9))

SPAWNING = [
    Case(
        "a thread gets its argument",
        threaded(
            "(i32.store (i32.const 8) (local.get $argument)) (call $signal (i32.const 4))",
            "(call $start (i32.const 42)) (call $await (i32.const 4) (i32.const 1)) (call $proc_exit (i32.load (i32.const 8)))",
        ),
        status=42,
    ),
    Case(
        "and its id",
        threaded(
            "(i32.store (i32.const 8) (local.get $id)) (call $signal (i32.const 4))",
            "(local.set $n (call $spawn (i32.const 0))) (call $await (i32.const 4) (i32.const 1))"
            "(call $must (i32.and (i32.gt_s (local.get $n) (i32.const 0)) (i32.lt_s (local.get $n) (i32.const 0x20000000))))"
            "(call $must (i32.eq (local.get $n) (i32.load (i32.const 8))))",
        ),
    ),
    Case(
        "many threads at once",
        threaded(
            "(call $signal (i32.const 4)) (call $await (i32.const 8) (i32.const 1))"
            "(drop (i32.atomic.rmw.add (i32.const 12) (local.get $argument))) (call $signal (i32.const 16))",
            f"{times(16, '(call $start (local.get $n))')} (call $await (i32.const 4) (i32.const 16))"
            "(call $signal (i32.const 8)) (call $await (i32.const 16) (i32.const 16))"
            "(call $proc_exit (i32.load (i32.const 12)))",
        ),
        status=120,
    ),
    Case(
        "three at once have ids of their own, which spawning them gave",
        threaded(
            "(i32.store offset=300 (i32.mul (local.get $argument) (i32.const 4)) (local.get $id)) (call $signal (i32.const 4))"
            "(call $await (i32.const 8) (i32.const 1))"
            "(i32.store offset=320 (i32.mul (local.get $argument) (i32.const 4)) (i32.add (local.get $argument) (i32.const 8)))"
            "(call $signal (i32.const 16))",
            times(3, "(i32.store offset=340 (i32.mul (local.get $n) (i32.const 4)) (call $spawn (local.get $n)))")
            + "(call $await (i32.const 4) (i32.const 3)) (call $signal (i32.const 8))"
            + "(call $await (i32.const 16) (i32.const 3))"
            + times(
                3,
                "(call $must (i32.eq (i32.load offset=300 (i32.mul (local.get $n) (i32.const 4)))"
                " (i32.load offset=340 (i32.mul (local.get $n) (i32.const 4)))))"
                "(call $must (i32.eq (i32.load offset=320 (i32.mul (local.get $n) (i32.const 4)))"
                " (i32.add (local.get $n) (i32.const 8))))",
            )
            + "".join(
                f"(call $must (i32.ne (i32.load (i32.const {one})) (i32.load (i32.const {other}))))"
                for one, other in ((300, 304), (304, 308), (300, 308))
            ),
        ),
    ),
    Case(
        "one after the other, more than may run at once",
        threaded(
            "(call $signal (i32.const 4))",
            times(
                ROUNDS,
                "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.add (local.get $n) (i32.const 1)))",
            ),
        ),
        limits=Limits(threads=2),
    ),
    Case(
        "a thread of a thread",
        threaded(
            "(if (local.get $argument) (then (call $start (i32.sub (local.get $argument) (i32.const 1))))"
            " (else (call $signal (i32.const 4))))",
            "(call $start (i32.const 5)) (call $await (i32.const 4) (i32.const 1))",
        ),
    ),
    Case(
        "memory that a thread grows",
        threaded(
            "(call $must (i32.eq (memory.grow (i32.const 3)) (i32.const 2)))"
            "(i32.store (i32.const 300000) (i32.const 33)) (call $signal (i32.const 4))",
            "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1))"
            "(call $must (i32.eq (memory.size) (i32.const 5))) (call $proc_exit (i32.load (i32.const 300000)))",
        ),
        status=33,
    ),
    Case(
        "WASI reads memory that was grown just now",
        threaded(
            "(call $must (i32.gt_s (memory.grow (i32.const 1)) (i32.const 0)))"
            "(i32.store (i32.const 240) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 2)))"
            "(i32.store (i32.const 244) (i32.const 2)) (i32.store16 (i32.load (i32.const 240)) (i32.const 0x0a61))"
            "(call $must (i32.eqz (call $fd_write (i32.const 1) (i32.const 240) (i32.const 1) (i32.const 248))))"
            "(call $signal (i32.const 4))",
            times(ROUNDS, "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.add (local.get $n) (i32.const 1)))"),
        ),
        stdout=b"a\n" * ROUNDS,
    ),
    Case(
        "globals are each thread's own",
        threaded(
            "(global.set $mine (i32.const 7)) (call $signal (i32.const 4))",
            "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1)) (call $proc_exit (global.get $mine))",
            "(global $mine (mut i32) (i32.const 3))",
        ),
        status=3,
    ),
    Case(
        "clock, random numbers and arguments in a thread",
        threaded(
            "(call $must (i32.eqz (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64))))"
            "(call $must (i64.ne (i64.load (i32.const 64)) (i64.const 0)))"
            "(call $must (i32.eqz (call $random_get (i32.const 80) (i32.const 16))))"
            "(call $must (i64.ne (i64.load (i32.const 80)) (i64.load (i32.const 88))))"
            "(call $must (i32.eqz (call $args_sizes_get (i32.const 8) (i32.const 12)))) (call $signal (i32.const 4))",
            "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.const 1)) (call $proc_exit (i32.load (i32.const 8)))",
        ),
        ("prog", "two"),
        status=2,
    ),
]

SHARING = [
    Case(
        "a file that one opens, another writes, a third reads",
        threaded(
            # 1 opens "f" (its descriptor is at 220), 2 writes two bytes and goes back, 3 reads them.
            "(if (i32.eq (local.get $argument) (i32.const 1)) (then"
            " (i32.store8 (i32.const 200) (i32.const 102))"
            " (call $must (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 200) (i32.const 1) (i32.const 9)"
            "  (i64.const 0x66) (i64.const 0x66) (i32.const 0) (i32.const 220))))))"
            "(if (i32.eq (local.get $argument) (i32.const 2)) (then"
            f" {READS} (i32.store16 (i32.const 260) (i32.const 0x6968))"
            " (call $must (i32.eqz (call $fd_write (i32.load (i32.const 220)) (i32.const 240) (i32.const 1) (i32.const 248))))"
            " (call $must (i32.eqz (call $fd_seek (i32.load (i32.const 220)) (i64.const 0) (i32.const 0) (i32.const 248))))"
            " (i32.store16 (i32.const 260) (i32.const 0))))"
            "(if (i32.eq (local.get $argument) (i32.const 3)) (then"
            f" {READS}"
            " (call $must (i32.eqz (call $fd_read (i32.load (i32.const 220)) (i32.const 240) (i32.const 1) (i32.const 248))))"
            " (call $must (i32.eq (i32.load16_u (i32.const 260)) (i32.const 0x6968)))))"
            "(call $signal (i32.const 4))",
            times(
                3,
                "(call $start (i32.add (local.get $n) (i32.const 1)))"
                "(call $await (i32.const 4) (i32.add (local.get $n) (i32.const 1)))",
            ),
        ),
        artifacts=("f",),
        files={"f": b"hi"},
    ),
    Case(
        "what one closes is closed for all",
        threaded(
            "(call $must (i32.eqz (call $fd_close (i32.const 1)))) (call $signal (i32.const 4))",
            f"(call $start (i32.const 0)) {STARTED}"
            "(call $proc_exit (call $fd_write (i32.const 1) (i32.const 240) (i32.const 0) (i32.const 248)))",
        ),
        status=8,
    ),
    Case(
        "stdin is read by all",
        threaded(
            f"{READS} (call $must (i32.eqz (call $fd_read (i32.const 0) (i32.const 240) (i32.const 1) (i32.const 248))))"
            "(call $say (i32.load8_u (i32.const 261))) (call $signal (i32.const 4))",
            times(
                3,
                "(call $start (i32.const 0)) (call $await (i32.const 4) (i32.add (local.get $n) (i32.const 1)))",
            ),
        ),
        stdin=b"1a2b3c",
        stdout=b"a\nb\nc\n",
    ),
    Case(
        "threads that write in turns",
        threaded(
            "(call $await (i32.const 8) (local.get $argument))"
            "(call $say (i32.add (i32.const 97) (local.get $argument))) (call $signal (i32.const 8))",
            f"{times(8, '(call $start (local.get $n))')} (call $await (i32.const 8) (i32.const 8))",
        ),
        stdout=b"a\nb\nc\nd\ne\nf\ng\nh\n",
    ),
    Case(
        "one sleeps while another writes",
        threaded(
            f"(if (local.get $argument) (then (call $signal (i32.const 4)) (call $sleep (i32.const 2048) {HOUR})))"
            "(call $say (i32.const 97)) (call $signal (i32.const 8))",
            f"(call $start (i32.const 1)) {STARTED} (call $sleep (i32.const 4096) (i64.const 20_000_000))"
            "(call $start (i32.const 0)) (call $await (i32.const 8) (i32.const 1)) (call $say (i32.const 98))",
        ),
        stdout=b"a\nb\n",
    ),
]

ENDING = [
    busy("the first returns while another spins", "(call $spin)"),
    busy("the first returns while another waits", "(call $forever)"),
    busy("the first returns while another sleeps", f"(call $sleep (i32.const 2048) {HOUR})"),
    busy(
        "the first returns while another asks the time",
        "(loop $l (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64))) (br $l))",
    ),
    busy(
        "the first returns while another reads",
        f"{READS} (loop $l (drop (call $fd_read (i32.const 0) (i32.const 240) (i32.const 1) (i32.const 248))) (br $l))",
    ),
    busy("the first exits while another spins", "(call $spin)", exits(99), status=99),
    busy("the first exits while another waits", "(call $forever)", exits(99), status=99),
    busy("the first exits while another sleeps", f"(call $sleep (i32.const 2048) {HOUR})", exits(99), status=99),
    busy("another exits while the first waits", "(call $proc_exit (i32.const 99))", "(call $forever)", status=99),
    busy("another exits while the first spins", "(call $proc_exit (i32.const 300))", "(call $spin)", status=44),
    busy(
        "another exits while the first sleeps",
        "(call $proc_exit (i32.const 99))",
        f"(call $sleep (i32.const 2048) {HOUR})",
        status=99,
    ),
    busy("another traps while the first waits", "unreachable", "(call $forever)", error="unreachable: in thread"),
    busy(
        "another traps while the first spins",
        "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
        "(call $spin)",
        error="integer divide by zero: in thread",
    ),
    busy(
        "another traps while the first sleeps",
        "(drop (i32.load (i32.const -4)))",
        f"(call $sleep (i32.const 2048) {HOUR})",
        error="out of bounds memory access: in thread",
    ),
    busy(
        "another recurses without end", "(call $thread (i32.const 1) (i32.const 1))", "(call $forever)", error="stack overflow"
    ),
    busy("the first traps while another spins", "(call $spin)", f"{STARTED} unreachable", error="unreachable: in main"),
    busy(
        "another gives WASI a pointer outside",
        "(drop (call $fd_write (i32.const 1) (i32.const -16) (i32.const 1) (i32.const 8)))",
        "(call $forever)",
        error="out of bounds memory access: a pointer given to WASI",
    ),
    Case(
        "what was written before the end is kept",
        threaded("(call $say (i32.const 97)) (call $proc_exit (i32.const 7))", "(call $start (i32.const 0)) (call $forever)"),
        status=7,
        stdout=b"a\n",
    ),
    Case("the slot works after threads", p.app("testing/noop")),
]

BOUNDS = [
    Case(
        "as many threads as are allowed",
        threaded("(call $forever)", f"{times(2, '(call $start (i32.const 0))')} (call $proc_exit (i32.const 5))"),
        limits=Limits(threads=3),
        status=5,
    ),
    Case(
        "one more",
        threaded("(call $forever)", f"{times(3, '(call $start (i32.const 0))')} (call $proc_exit (i32.const 5))"),
        limits=Limits(threads=3),
        error="threads limit exceeded: more than 3",
    ),
    Case("a fork of 10 000 threads", BOMB, error="threads limit exceeded: more than 64"),
    Case("a fork of threads that compute", COMPUTING, error="threads limit exceeded: more than 64"),
    Case("a fork after threads that have returned", RETURNING, error="threads limit exceeded: more than 64"),
    Case("the slot works after a fork", p.app("testing/noop")),
    Case(
        "memory that is refused",
        threaded(
            "(i32.store (i32.const 8) (memory.grow (i32.const 40))) (call $signal (i32.const 4))",
            f"(call $start (i32.const 0)) {STARTED} (call $proc_exit (i32.eq (i32.load (i32.const 8)) (i32.const -1)))",
        ),
        limits=Limits(memory=1 << 20),
        status=1,
    ),
    Case(
        "memory that is too large from the start",
        threaded("", "", memory=SHARED.replace("2 64", "40 64")),
        limits=Limits(memory=1 << 20),
        error="memory limit exceeded: 2.5 MiB of at most 1.0 MiB needed to begin",
    ),
    Case(
        "output of a thread",
        threaded("(loop $l (call $say (i32.const 97)) (br $l))", "(call $start (i32.const 0)) (call $forever)"),
        limits=Limits(output=100_000),
        error="output limit exceeded: more than 100000 bytes",
    ),
]

IMPORTED = '(import "env" "memory" (memory 1 1 shared))'
C = p.app("testing/threads")
IN_C = [
    Case("a sum under a lock", C, ("threads", "sum", "8", "2000"), stdout=b"16000\n"),
    Case("a file", C, ("threads", "file", "9"), artifacts=("lines",), stdout=LINES, files={"lines": LINES}),
    Case("exit", C, ("threads", "exit", "201"), status=201),
    Case("a trap", C, ("threads", "trap"), error="unreachable"),
    Case("a fork", C, ("threads", "fork"), limits=Limits(threads=20), error="threads limit exceeded: more than 20"),
]

ENTRY = '(func (export "wasi_thread_start") (param i32 i32))'
START = '(func (export "_start"))'
MODULES = [
    Case(
        "no memory to share",
        p.wat(f'(module {SPAWN} (memory (export "memory") 1) {ENTRY} {START})'),
        error="it imports wasi.thread-spawn, but no shared memory for its threads",
    ),
    Case(
        "no entry for threads",
        p.wat(f"(module {IMPORTED} {SPAWN} {START})"),
        error="it imports wasi.thread-spawn, but has no wasi_thread_start function for its threads",
    ),
    Case(
        "an entry of another type",
        p.wat(f'(module {IMPORTED} {SPAWN} {START} (func (export "wasi_thread_start") (param i32)))'),
        error="its wasi_thread_start function does not take two i32 and return nothing",
    ),
    Case(
        "a shared memory, and no threads", p.wat(f'(module (memory (export "memory") (import "foo" "bar") 0 0 shared) {START})')
    ),
    Case(
        "an import that nobody has",
        p.wat(f'(module (import "env" "other" (func)) {IMPORTED} {SPAWN} {ENTRY} {START})'),
        error="unknown import: env.other (function)",
    ),
    Case(
        "a memory of its own beside",
        threaded("", "", "(memory 1)"),
        error="a program with threads has one memory, the shared one that it imports",
    ),
    Case(
        "the first snapshot of WASI",
        p.wat(f'(module (import "wasi_unstable" "fd_seek" (func (param i32 i64 i32 i32) (result i32))) {SHARED} {START})'),
        error="it shares its memory and imports wasi_unstable: threads are of WASI preview 1",
    ),
    Case(
        "slashes behind the name of a directory",
        p.wat(
            f"(module {IMPORTED}"
            ' (import "wasi_snapshot_preview1" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))'
            ' (import "wasi_snapshot_preview1" "path_remove_directory" (func $remove (param i32 i32 i32) (result i32)))'
            f' {p.PROC_EXIT} (export "memory" (memory 0)) (data (i32.const 16) "d//")'
            ' (func (export "_start") (call $proc_exit (i32.or (call $make (i32.const 3) (i32.const 16) (i32.const 1))'
            "  (call $remove (i32.const 3) (i32.const 16) (i32.const 3))))))"
        ),
    ),
    Case("a shared memory that is not imported", p.wat(f'(module (memory (export "memory") 1 2 shared) {START})')),
]

THREADS = {
    "threads": SPAWNING,
    "threads share": SHARING,
    "threads end": ENDING,
    "threads without stdin": thread_stdin.WITHOUT,
    "threads at limits": BOUNDS,
    "threads in C": IN_C,
    "threads in Rust": thread_libraries.IN_RUST,
    "threads in C's library": thread_libraries.IN_C,
    "threads in modules": MODULES,
}
