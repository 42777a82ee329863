"""What a slot must do, whatever it is made of: programs, what they are given, how they end. Pure data.

Each host runs all cases in this order on one slot with LIMITS, binaries and archives inline unless `ref` says otherwise:
some cases look for what an earlier one left behind.
"""

from __future__ import annotations

from . import programs as p
from . import zips as z
from .bounds import BOUNDS
from .case import Case, check
from .engine import ENGINE
from .packings import PACKINGS
from .records import RECORDS
from .threads import THREADS
from .transcripts import TRANSCRIPTS

__all__ = ["CASES", "GROUPS", "LIMITS", "Case", "check"]

LIMITS = {"output": 1 << 20, "files": 8 << 20}
"""Given to the slot at its start; bytes."""
NOBODYS_REF = "sha256:" + "0" * 64
"""Not in the storage."""


def hello(language: str, *args: str) -> bytes:
    lines = [f"Hello from {language}!", *(f"arg {number}: {arg}" for number, arg in enumerate(args))]
    return "".join(f"{line}\n" for line in lines).encode()


RUST, GO, C, WAT = (p.app(f"helloworld/helloworld-{name}") for name in ("rust", "go", "c", "wat"))
SCRIPT = p.app("testing/script")
TREE = z.make_zip({"notes/": b"", "notes/today.txt": b"Buy bread.\n", "top.txt": b"top\n", "ünï.txt": b"name\n"})
NOISE = bytes(range(256)) * 2000

ENDINGS = [
    Case("noop", p.app("testing/noop")),
    *(
        Case(f"exit {code}", p.app("testing/exitcode"), ("exitcode", str(code)), status=code & 0xFF)
        for code in (0, 1, 42, 125, 126, 127, 128, 255, 256, 4294967295)
    ),
    Case("exit from within", p.EXIT_FROM_DEEP, status=77),
    Case("exit in Go", GO, ("go", "exit:200"), status=200, stdout=hello("Go", "go", "exit:200")),
    Case("exit in AssemblyScript", SCRIPT, ("script", "exit", "200"), status=200, stdout=b"Error: leaving\n"),
    Case(
        "an error in AssemblyScript", SCRIPT, ("script", "throw"), status=255, stderr=b"abort: on purpose in script.ts(35:5)\n"
    ),
    Case("exit in Rust", RUST, ("rs", "exit:130"), status=130, stdout=hello("Rust", "rs", "exit:130")),
]

STREAMS = [
    *(
        Case(f"arguments in {language}", binary, ("a", "", "b c", "ünï €"), stdout=hello(language, "a", "", "b c", "ünï €"))
        for language, binary in (("Rust", RUST), ("Go", GO), ("C", C), ("WAT", WAT))
    ),
    Case(
        "environment",
        WAT,
        ("p",),
        ("A=1", "B=", "C=x=y", "Ü=ü"),
        stdout=hello("WAT", "p") + "env A=1\nenv B=\nenv C=x=y\nenv Ü=ü\n".encode(),
    ),
    Case("no environment leaks in", C, ("p",), stdout=hello("C", "p")),
    Case("stdin to stdout, every byte", p.app("testing/cat"), stdin=NOISE, stdout=NOISE),
    Case("stdin that an earlier run had is gone", p.app("testing/cat")),
    Case("stdin in Rust", RUST, ("p", "stdin"), stdin=b"from outside", stdout=hello("Rust", "p", "stdin") + b"from outside"),
    Case(
        "stderr and a code",
        C,
        ("p", "cat:/none"),
        status=1,
        stdout=hello("C", "p", "cat:/none"),
        stderr=b"helloworld: cannot read /none: no such file or directory\n",
    ),
    Case("no output at all is empty", p.app("testing/bigout"), ("bigout", "0")),
]

LIMITED = [
    Case(
        "output over its limit",
        p.app("testing/bigout"),
        ("bigout", str((1 << 20) + 1)),
        error="output limit exceeded: more than 1048576 bytes",
    ),
    Case(
        "stderr counts as output",
        p.app("testing/bigout"),
        ("bigout", str(2 << 20), "stderr"),
        error="output limit exceeded: more than 1048576 bytes",
    ),
    Case("output without end", p.NEVER_STOPS_WRITING, error="output limit exceeded: more than 1048576 bytes"),
    Case("a file without end", p.FILLS_A_FILE, error="files limit exceeded: more than 8388608 bytes"),
    Case("the slot works after that", p.app("testing/noop")),
]

FILES = [
    Case("the root is empty", C, ("p", "ls:/"), stdout=hello("C", "p", "ls:/")),
    Case(
        "a file is written",
        C,
        ("p", "write:/left.txt", "mine"),
        stdout=hello("C", "p", "write:/left.txt", "mine") + b"wrote 5 bytes to /left.txt\n",
    ),
    Case("no later run sees it", C, ("p", "ls:/"), stdout=hello("C", "p", "ls:/")),
    Case(
        "a rootfs is listed",
        RUST,
        ("p", "ls:/", "ls:/notes"),
        rootfs=TREE,
        stdout=hello("Rust", "p", "ls:/", "ls:/notes") + "notes/\ntop.txt\nünï.txt\ntoday.txt\n".encode(),
    ),
    Case(
        "a rootfs is read",
        GO,
        ("p", "cat:/notes/today.txt"),
        rootfs=TREE,
        stdout=hello("Go", "p", "cat:/notes/today.txt") + b"Buy bread.\n",
    ),
    Case(
        "a rootfs is written to",
        RUST,
        ("p", "write:/top.txt", "changed", "cat:/top.txt"),
        rootfs=TREE,
        stdout=hello("Rust", "p", "write:/top.txt", "changed", "cat:/top.txt") + b"wrote 8 bytes to /top.txt\nchanged\n",
    ),
    Case(
        "the next run has it unchanged",
        RUST,
        ("p", "cat:/top.txt"),
        rootfs=TREE,
        stdout=hello("Rust", "p", "cat:/top.txt") + b"top\n",
    ),
    Case(
        "a stored rootfs",
        C,
        ("p", "cat:/a"),
        rootfs=z.make_zip({"a": b"plain"}, 0),
        stdout=hello("C", "p", "cat:/a") + b"plain",
    ),
    Case("an empty rootfs", C, ("p", "ls:/"), rootfs=z.make_zip({}), stdout=hello("C", "p", "ls:/")),
    Case(
        "folders that the archive does not list",
        C,
        ("p", "cat:/a/b/c"),
        rootfs=z.make_zip({"a/b/c": b"deep"}),
        stdout=hello("C", "p", "cat:/a/b/c") + b"deep",
    ),
]

ARTIFACTS = [
    Case(
        "a file comes back",
        C,
        ("p", "write:/out.txt", "hi"),
        artifacts=("out.txt",),
        files={"out.txt": b"hi\n"},
        stdout=hello("C", "p", "write:/out.txt", "hi") + b"wrote 3 bytes to /out.txt\n",
    ),
    Case(
        "paths are taken as they are meant",
        C,
        ("p", "write:/notes/x", "hi"),
        rootfs=TREE,
        artifacts=("/notes/./x", "notes/x"),
        files={"notes/x": b"hi\n"},
        stdout=hello("C", "p", "write:/notes/x", "hi") + b"wrote 3 bytes to /notes/x\n",
    ),
    Case(
        "a folder comes back with what was written",
        C,
        ("p", "write:/notes/x", "hi"),
        rootfs=z.make_zip({"notes/": b""}),
        artifacts=("notes",),
        files={"notes/": b"", "notes/x": b"hi\n"},
        stdout=hello("C", "p", "write:/notes/x", "hi") + b"wrote 3 bytes to /notes/x\n",
    ),
    Case(
        "the root comes back with what was written",
        C,
        ("p", "write:/x", "hi"),
        artifacts=("/",),
        files={"x": b"hi\n"},
        stdout=hello("C", "p", "write:/x", "hi") + b"wrote 3 bytes to /x\n",
    ),
    Case(
        "missing ones are named and left out",
        p.app("testing/noop"),
        rootfs=TREE,
        artifacts=("top.txt", "none/x", "y"),
        files={"top.txt": b"top\n"},
        stderr=b"wasimoff: artifact not found: none/x\nwasimoff: artifact not found: y\n",
    ),
    Case(
        "none leads outside",
        p.app("testing/noop"),
        rootfs=TREE,
        artifacts=("../etc/passwd", "notes/../top.txt"),
        files={},
        stderr=b"wasimoff: artifact not found: ../etc/passwd\nwasimoff: artifact not found: notes/../top.txt\n",
    ),
    Case(
        "they come with any exit code",
        C,
        ("p", "write:/o", "x", "exit:9"),
        artifacts=("o",),
        files={"o": b"x\n"},
        status=9,
        stdout=hello("C", "p", "write:/o", "x", "exit:9") + b"wrote 2 bytes to /o\n",
    ),
    Case("none after a trap", p.app("testing/trap"), artifacts=("o",), error="unreachable"),
]

TRAPS = [
    Case("unreachable", p.app("testing/trap"), error="unreachable"),
    Case("in the start function", p.TRAP_IN_START_FUNCTION, error="unreachable"),
    Case("load outside", p.start("(drop (i32.load (i32.const 70000)))", p.MEMORY), error="out of bounds memory access"),
    Case("store outside", p.start("(i32.store (i32.const -4) (i32.const 1))", p.MEMORY), error="out of bounds memory access"),
    Case("divide by zero", p.start("(drop (i32.div_s (i32.const 1) (i32.const 0)))"), error="integer divide by zero"),
    Case("remainder by zero", p.start("(drop (i64.rem_u (i64.const 1) (i64.const 0)))"), error="integer divide by zero"),
    Case("quotient too large", p.start("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"), error="integer overflow"),
    Case(
        "float too large",
        p.start("(drop (i32.trunc_f32_s (f32.const 3e38)))"),
        # V8 has one text for what no integer can hold, wasmtime tells too large from not a number.
        error=("integer overflow", "invalid conversion to integer"),
    ),
    Case("not a number", p.start("(drop (i32.trunc_f32_s (f32.const nan)))"), error="invalid conversion to integer"),
    Case("endless recursion", p.RECURSION, error="stack overflow"),
    Case("call to null", p.CALL_TO_NULL, error="indirect call"),
    Case("call of another type", p.CALL_OF_OTHER_TYPE, error="indirect call type mismatch"),
    Case("call outside of the table", p.CALL_OUT_OF_TABLE, error="undefined element: out of bounds table access"),
    Case("a trap tells the last of stderr", p.TRAP_AFTER_STDERR, error="unreachable", error_has=("last words of it",)),
    Case("the slot works after traps", p.app("testing/noop")),
]

MODULES = [
    Case("empty", b"", error="not a WebAssembly module"),
    Case("text", b"(module)", error="not a WebAssembly module"),
    Case("an ELF binary", b"\x7fELF" + bytes(100), error="not a WebAssembly module"),
    Case("cut off", p.app("testing/cat")[:100], error="not a WebAssembly module"),
    Case("garbage after the header", b"\0asm\1\0\0\0" + b"\xff" * 50, error="not a WebAssembly module"),
    Case(
        "does not validate",
        b"\0asm\1\0\0\0" + bytes.fromhex("01040160000003020100070a01065f737461727400000a05010300 6a0b"),
        error="not a WebAssembly module",
    ),
    Case("a component", b"\0asm\x0d\0\1\0", error="this is a WebAssembly component"),
    Case(
        "unknown imports, by name",
        p.wat(
            '(module (import "env" "foo" (func)) (import "wasi_snapshot_preview1" "fd_wrong" (func))'
            ' (import "env" "memory" (memory 1)) (func (export "_start")))'
        ),
        error="unknown import: env.foo (function), wasi_snapshot_preview1.fd_wrong (function), env.memory (memory)",
    ),
    Case("no _start", p.wat('(module (func (export "main")))'), error="no _start function"),
    Case("_start is no function", p.wat('(module (memory (export "_start") 1))'), error="no _start function"),
    Case("no memory for WASI", p.NO_MEMORY, error="the module exports no memory"),
    Case("a pointer outside", p.POINTER_OUTSIDE, error="out of bounds memory access"),
    Case("not in the storage", ref=NOBODYS_REF, error=f"Ref not found in storage: {NOBODYS_REF}"),
    Case("the slot works after bad modules", p.app("testing/noop")),
]

NOOP = p.app("testing/noop")
ARCHIVES = [
    Case("not a zip", NOOP, rootfs=b"something else", error="rootfs: not a zip archive"),
    Case("an empty blob", NOOP, rootfs=b"", error="rootfs: not a zip archive"),
    Case("a name with dots", NOOP, rootfs=z.with_name(b"../../evil"), error='rootfs: the entry "../../evil" leads outside'),
    Case("dots in the middle", NOOP, rootfs=z.with_name(b"a/../../evil"), error="rootfs: the entry"),
    Case("an absolute name", NOOP, rootfs=z.with_name(b"/etc/evil"), error='rootfs: the entry "/etc/evil" leads outside'),
    Case("a name for Windows", NOOP, rootfs=z.with_name(b"..\\evil"), error="rootfs: the entry"),
    Case("a drive", NOOP, rootfs=z.with_name(b"C:evil"), error="rootfs: the entry"),
    Case("a name with NUL", NOOP, rootfs=z.with_name(b"ev\0il"), error="rootfs: the entry"),
    Case("a symbolic link", NOOP, rootfs=z.with_symlink("etc", "/etc"), error='rootfs: "etc" is a symbolic link'),
    Case("a bomb", NOOP, rootfs=z.bomb(9 << 20), error="rootfs: files limit exceeded: 9437184 bytes unpacked, at most 8388608"),
    Case("a lie about the size", NOOP, rootfs=z.claiming(4 << 20), error="rootfs: the zip archive is damaged"),
    Case("a small lie about the size", NOOP, rootfs=z.claiming(2), error="rootfs: the zip archive is damaged"),
    Case("wrong content", NOOP, rootfs=z.with_wrong_content(), error="rootfs: the zip archive is damaged"),
    Case("cut in the middle", NOOP, rootfs=z.truncated(), error="rootfs: the zip archive is damaged"),
    Case("encrypted", NOOP, rootfs=z.encrypted(), error='rootfs: "a" is encrypted'),
    Case("packed some other way", NOOP, rootfs=z.with_method(12), error='rootfs: "a" is packed with method 12'),
    Case("a file that is a folder too", NOOP, rootfs=z.make_zip({"a": b"", "a/b": b""}), error="rootfs: "),
    Case("too many entries", NOOP, rootfs=z.make_zip({f"{number:x}": b"" for number in range(65_600)}, 0), error="rootfs: "),
    Case("not in the storage", NOOP, rootfs_ref=NOBODYS_REF, error=f"Ref not found in storage: {NOBODYS_REF}"),
    Case("the slot works after bad archives", NOOP),
]

GROUPS = {
    "endings": ENDINGS,
    "streams": STREAMS,
    "limits": LIMITED,
    "files": FILES,
    "artifacts": ARTIFACTS,
    "traps": TRAPS,
    "modules": MODULES,
    "archives": ARCHIVES,
    "packings": PACKINGS,
    "bounds": BOUNDS,
    **ENGINE,
    **RECORDS,
    **THREADS,
    **TRANSCRIPTS,
}
CASES = [(f"{group}: {case.name}", case) for group, cases in GROUPS.items() for case in cases]
