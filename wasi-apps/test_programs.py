"""Runs every committed program under wasmtime and compares what it does with what its README says.

Needs pytest and wasmtime; `make check` runs it. Imports nothing of the project.
"""

import csv
import math
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, Trap, WasiConfig

HERE = Path(__file__).parent
CITIES = sorted((HERE / "travelling_salesman" / "cities").glob("*.csv"))
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    stdout: bytes
    stderr: bytes


@cache
def engine() -> Engine:
    config = Config()
    config.epoch_interruption = True
    return Engine(config)


@cache
def module(program: str) -> Module:
    return Module.from_file(engine(), str(HERE / program))


class Host:
    """One temporary folder: `root` is the guest's `/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()

    def store(self, args: list[str], stdin: bytes, env: dict[str, str]) -> Store:
        (self.folder / "stdin").write_bytes(stdin)
        wasi = WasiConfig()
        wasi.argv = args
        wasi.env = list(env.items())
        wasi.stdin_file = self.folder / "stdin"
        wasi.stdout_file = self.folder / "stdout"
        wasi.stderr_file = self.folder / "stderr"
        wasi.preopen_dir(str(self.root), "/")
        store = Store(engine())
        store.set_wasi(wasi)
        store.set_epoch_deadline(1)
        store.set_limits(memory_size=128 * MIB)
        return store

    def run(self, program: str, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Ran:
        store = self.store([Path(program).name, *args], stdin, env or {})
        linker = Linker(engine())
        linker.define_wasi()
        start = linker.instantiate(store, module(program)).exports(store)["_start"]
        status = 0
        try:
            start(store)  # type: ignore[operator]
        except ExitTrap as ended:
            status = ended.code
        return Ran(status, (self.folder / "stdout").read_bytes(), (self.folder / "stderr").read_bytes())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_readme_lists_every_program_with_its_size() -> None:
    row = re.compile(r"^\| \[(\w+)\]\(.*?\)/`(.*?)` \| \w+ \| (\d+) \|", re.MULTILINE)
    rows = row.findall((HERE / "README.md").read_text(encoding="utf-8"))
    listed = {f"{folder}/{name}": int(size) for folder, name, size in rows}
    programs = [path for path in HERE.glob("*/*.wasm") if path.parent.name != "build"]
    assert listed == {str(path.relative_to(HERE)): path.stat().st_size for path in programs}


LANGUAGES = {"rust": "Rust", "go": "Go", "c": "C", "wat": "WAT"}
each_language = pytest.mark.parametrize("language", LANGUAGES)
each_full_language = pytest.mark.parametrize("language", ["rust", "go", "c"])


def hello(host: Host, language: str, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Ran:
    return host.run(f"helloworld/helloworld-{language}.wasm", *args, stdin=stdin, env=env)


def greeting(language: str, *args: str) -> bytes:
    args = (f"helloworld-{language}.wasm", *args)
    lines = [f"Hello from {LANGUAGES[language]}!", *(f"arg {index}: {arg}" for index, arg in enumerate(args))]
    return "".join(f"{line}\n" for line in lines).encode()


@each_language
def test_hello_shows_arguments_and_environment_in_their_order(host: Host, language: str) -> None:
    args = ["", "two words", "größe", "stdin2", "x" * 100_000]
    ran = hello(host, language, *args, env={"B": "2", "A": "", "Ü": "="})
    assert ran == Ran(0, greeting(language, *args) + "env B=2\nenv A=\nenv Ü==\n".encode(), b"")


@each_language
def test_hello_copies_stdin_byte_for_byte(host: Host, language: str) -> None:
    data = bytes(range(256)) * 1000
    assert hello(host, language, "stdin", stdin=data) == Ran(0, greeting(language, "stdin") + data, b"")


@each_language
@pytest.mark.parametrize("number", ["0", "1", "42", "0125"])
def test_hello_exits_with_the_number(host: Host, language: str, number: str) -> None:
    ran = hello(host, language, f"exit:{number}", "exit:9")
    assert ran == Ran(int(number), greeting(language, f"exit:{number}", "exit:9"), b"")


@each_language
@pytest.mark.parametrize("number", ["", "256", "-1", "+1", "1x", "99999999999999999999999"])
def test_hello_refuses_other_exit_codes(host: Host, language: str, number: str) -> None:
    message = f"helloworld: exit:{number} needs a number from 0 to 255\n"
    assert hello(host, language, f"exit:{number}") == Ran(2, greeting(language, f"exit:{number}"), message.encode())


@each_full_language
def test_hello_lists_and_prints_the_rootfs(host: Host, language: str) -> None:
    folder = host.root / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "é.txt").write_text("accent")
    (folder / "a.bin").write_bytes(bytes(range(256)) * 300)
    (folder / "B").write_text("")
    (folder / "b-2").write_text("")
    args = ["ls:/", "ls:/data", "cat:/data/a.bin", "cat:data/B", "ls:/data/b"]
    expected = "data/\nB\na.bin\nb-2\nb/\né.txt\n".encode() + bytes(range(256)) * 300
    assert hello(host, language, *args) == Ran(0, greeting(language, *args) + expected, b"")


@each_full_language
def test_hello_writes_a_file(host: Host, language: str) -> None:
    (host.root / "out.txt").write_text("a longer text that was there before")
    args = ["write:/out.txt", "ls:größe", "cat:/out.txt"]
    ran = hello(host, language, *args)
    assert ran == Ran(0, greeting(language, *args) + "wrote 11 bytes to /out.txt\nls:größe\n".encode(), b"")
    assert (host.root / "out.txt").read_text(encoding="utf-8") == "ls:größe\n"


@each_full_language
@pytest.mark.parametrize(
    ("arg", "status", "message"),
    [
        ("cat:/nothing", 1, "cannot read /nothing: no such file or directory"),
        ("ls:/nothing", 1, "cannot list /nothing: no such file or directory"),
        ("cat:/folder", 1, "cannot read /folder: not a file"),
        ("ls:/file", 1, "cannot list /file: not a directory"),
        ("write:/no/where", 2, "write:/no/where needs a TEXT after it"),
    ],
)
def test_hello_says_what_failed_and_stops(host: Host, language: str, arg: str, status: int, message: str) -> None:
    (host.root / "file").touch()
    (host.root / "folder").mkdir()
    ran = hello(host, language, arg)
    assert ran == Ran(status, greeting(language, arg), f"helloworld: {message}\n".encode())


@each_full_language
def test_hello_stops_at_the_first_failure(host: Host, language: str) -> None:
    ran = hello(host, language, "write:/no/where", "text", "write:/made", "text")
    assert (ran.status, ran.stderr) == (1, b"helloworld: cannot write /no/where: no such file or directory\n")
    assert not (host.root / "made").exists()


@each_full_language
def test_hello_does_not_write_over_a_folder(host: Host, language: str) -> None:
    (host.root / "folder").mkdir()
    ran = hello(host, language, "write:/folder", "text")
    assert (ran.status, ran.stderr) == (1, b"helloworld: cannot write /folder: is a directory\n")


@pytest.mark.parametrize("arg", ["ls:/", "cat:/x", "write:/x"])
def test_hello_in_wat_refuses_what_it_does_not_do(host: Host, arg: str) -> None:
    message = f"helloworld: {arg} is not in the WAT version\n"
    assert hello(host, "wat", arg) == Ran(2, greeting("wat", arg), message.encode())


def tsp(host: Host, *args: str, stdin: bytes = b"") -> Ran:
    return host.run("travelling_salesman/tsp.wasm", *args, stdin=stdin)


Points = dict[str, tuple[float, float]]


def shortest_length(points: Points) -> float:
    """Bellman, Held and Karp's dynamic programme: another way to the length that `tsp read` finds by trying."""
    first, *others = points.values()
    best = {(1 << city, city): math.dist(first, others[city]) for city in range(len(others))}
    for visited in range(1, 1 << len(others)):
        for last in range(len(others)):
            if (visited, last) in best:
                for city in range(len(others)):
                    if not visited >> city & 1:
                        there = (visited | 1 << city, city)
                        length = best[visited, last] + math.dist(others[last], others[city])
                        best[there] = min(best.get(there, math.inf), length)
    everywhere = (1 << len(others)) - 1
    return min(best[everywhere, last] + math.dist(others[last], first) for last in range(len(others)))


@pytest.mark.parametrize("path", CITIES, ids=lambda path: path.stem)
def test_tsp_finds_the_shortest_trip_of_the_committed_lists(host: Host, path: Path) -> None:
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]
    points = {name: (float(x), float(y)) for name, x, y in rows}
    ran = tsp(host, "read", stdin=path.read_bytes())
    assert (ran.status, ran.stderr) == (0, b"")
    cities, routes, length, route = (line.split(" ", 1)[1] for line in ran.stdout.decode().splitlines())
    trip = route.split(" -> ")
    assert (cities, routes) == ("10", "362880")
    assert sorted(trip[:-1]) == sorted(points)
    assert trip[0] == trip[-1] == rows[0][0]
    walked = sum(math.dist(points[here], points[there]) for here, there in pairwise(trip))
    assert [float(length)] * 2 == pytest.approx([walked, shortest_length(points)], abs=0.001)


def test_the_committed_lists_are_what_project_py_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, HERE / "travelling_salesman" / "project.py", tmp_path], check=True)
    assert len(CITIES) == 32
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in CITIES}


def test_tsp_rand_is_write_and_read(host: Host) -> None:
    written = tsp(host, "write", "8", "7")
    assert written.stdout.startswith(b"A,")
    assert tsp(host, "rand", "8", "7") == tsp(host, "read", stdin=written.stdout)


def test_tsp_draws_different_cities_without_a_seed(host: Host) -> None:
    assert len({tsp(host, "write", "3").stdout for _ in range(3)}) == 3


def test_tsp_reads_names_or_numbers_comments_and_windows_lines(host: Host) -> None:
    ran = tsp(host, "read", stdin="\ufeff# a square\r\nÅ,0,0\r\n1,1\r\n\r\nB , 1,0\r\n0,1".encode())
    trip = "Å -> B -> city 2 -> city 4 -> Å"
    assert ran == Ran(0, f"cities 4\nroutes 6\nlength 4.000\nroute {trip}\n".encode(), b"")


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"", "no cities: expected lines of name,x,y or x,y"),
        (b"a,1,1\nb,2\nc", 'line 2: x is not a number: "b"'),
        (b"a,1,1,1", 'line 1: expected name,x,y or x,y, found 4 fields in "a,1,1,1"'),
        (b"a,1,nan", 'line 1: y is out of range (at most 1000000000): "nan"'),
        (b"1,1\n" * 14, "line 14: too many cities, at most 13 can be searched"),
        (b"\xff,1,1", "cannot read stdin: stream did not contain valid UTF-8"),
        (b"#" * (MIB + 1), "stdin is longer than 1 MiB"),
    ],
)
def test_tsp_says_what_is_wrong_with_the_input(host: Host, stdin: bytes, message: str) -> None:
    assert tsp(host, "read", stdin=stdin) == Ran(1, b"", f"tsp: {message}\n".encode())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "what shall I do?"),
        (["fly"], 'there is no command "fly"'),
        (["read", "file.csv"], "read takes no arguments, it reads stdin"),
        (["rand"], "expected N or N SEED"),
        (["rand", "ten"], 'N is not a whole number: "ten"'),
        (["rand", "14"], "N is 14, it must be 1 to 13: each city more multiplies the routes"),
        (["write", "0"], "N is 0, it must be 1 to 13: each city more multiplies the routes"),
        (["write", "5", "-1"], 'SEED is not a whole number: "-1"'),
    ],
)
def test_tsp_says_what_is_wrong_with_the_arguments(host: Host, args: list[str], message: str) -> None:
    ran = tsp(host, *args)
    assert (ran.status, ran.stdout) == (2, b"")
    assert ran.stderr.decode().startswith(f"tsp: {message}\nusage: tsp read ")


def tiny(host: Host, name: str, *args: str, stdin: bytes = b"") -> Ran:
    return host.run(f"testing/{name}.wasm", *args, stdin=stdin)


def test_noop_does_nothing(host: Host) -> None:
    assert tiny(host, "noop", "ignored", stdin=b"ignored") == Ran(0, b"", b"")


def test_trap_traps(host: Host) -> None:
    with pytest.raises(Trap, match="unreachable"):
        tiny(host, "trap")


def test_spin_runs_until_it_is_stopped(host: Host) -> None:
    module("testing/spin.wasm")
    threading.Timer(0.3, engine().increment_epoch).start()
    started = time.monotonic()
    with pytest.raises(Trap, match="interrupt"):
        tiny(host, "spin")
    assert time.monotonic() - started >= 0.25


@pytest.mark.parametrize("length", [0, 1, 65536, 300_001])
def test_cat_copies_stdin(host: Host, length: int) -> None:
    data = (bytes(range(251)) * (length // 251 + 1))[:length]
    assert tiny(host, "cat", stdin=data) == Ran(0, data, b"")


def test_lines_answers_each_line(host: Host) -> None:
    assert tiny(host, "lines", stdin=b"a\nbc\n\nno end") == Ran(0, b"1: a\n2: bc\n3: \n3 lines\n", b"")
    assert tiny(host, "lines", "10", stdin=b"a\n") == Ran(0, b"1: a\n1 lines\n", b"")


def test_busy_takes_its_time(host: Host) -> None:
    module("testing/busy.wasm")
    started = time.monotonic()
    assert tiny(host, "busy", "200", "seven of nine") == Ran(0, b"done seven of nine\n", b"")
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("length", [0, 1, 64, 65536, 1_000_001])
def test_bigout_writes_that_many_bytes(host: Host, length: int) -> None:
    expected = b"".join(b"%016d" % offset + b"." * 47 + b"\n" for offset in range(0, length, 64))[:length]
    assert tiny(host, "bigout", str(length)) == Ran(0, expected, b"")
    assert tiny(host, "bigout", str(length), "stderr") == Ran(0, b"", expected)


@pytest.mark.parametrize("code", [0, 1, 125])
def test_exitcode_exits_with_it(host: Host, code: int) -> None:
    assert tiny(host, "exitcode", str(code)) == Ran(code, b"", b"")


def test_grow_takes_memory_up_to_the_limit(host: Host) -> None:
    assert tiny(host, "grow", "100") == Ran(0, b"grew 100 MiB\n", b"")
    refused = tiny(host, "grow", "1000")
    assert (refused.status, refused.stdout) == (1, b"")
    assert refused.stderr == b"refused at 127 MiB\n"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("busy", []),
        ("busy", ["1"]),
        ("busy", ["-1", "x"]),
        ("busy", ["3600001", "x"]),
        ("bigout", [""]),
        ("bigout", ["1", "nowhere"]),
        ("exitcode", ["4294967296"]),
        ("grow", ["much"]),
    ],
)
def test_test_programs_say_how_they_are_used(host: Host, name: str, args: list[str]) -> None:
    ran = tiny(host, name, *args)
    assert (ran.status, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"usage: " + name.encode())
