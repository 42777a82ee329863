"""`wasimoff map` as a user types it, against a peer that really runs what is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .command import WASIMOFF, environment
from .python_peer import PythonPeer, serve_python

FILE = """
import math

LIMIT = 10

def is_prime(n):
    return n > 1 and all(n % k for k in range(2, math.isqrt(n) + 1))

def share(n):
    return LIMIT / n

def power(a, b=2):
    return a ** b

def odd_value(n):
    return {n}
"""


@pytest.fixture
async def peer() -> AsyncIterator[PythonPeer]:
    async with serve_python() as peer:
        yield peer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.py"
    path.write_text(FILE)
    return path


async def run(peer: PythonPeer, stdin: str, *arguments: str) -> tuple[int, list[object], str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *WASIMOFF, "map", *arguments, env=environment(peer.url), stdin=pipe, stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 100)
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], err.decode()


async def test_values_are_lines_in_the_order_of_the_inputs(peer: PythonPeer, file: Path) -> None:
    stdin = "".join(f"{n}\n" for n in range(20))
    code, out, err = await run(peer, stdin, str(file), "--func", "is_prime", "--chunk", "6")
    assert (code, err) == (0, "")
    assert [n for n, prime in enumerate(out) if prime] == [2, 3, 5, 7, 11, 13, 17, 19]
    assert len(peer.python_tasks) == 4


async def test_star_and_kwargs(peer: PythonPeer, file: Path) -> None:
    assert (await run(peer, "[2, 10]\n[3]\n", str(file), "--func", "power", "--star"))[:2] == (0, [1024, 9])
    assert (await run(peer, '{"b": 3, "a": 2}', str(file), "--func", "power", "--kwargs"))[:2] == (0, [8])


async def test_the_first_that_fails_ends_it(peer: PythonPeer, file: Path) -> None:
    code, out, err = await run(peer, "5\n0\n1\n", str(file), "--func", "share")
    assert (code, out) == (1, [2.0])
    assert "return LIMIT / n" in err
    assert "ZeroDivisionError" in err
    assert "async_executor" not in err


async def test_keep_going(peer: PythonPeer, file: Path) -> None:
    code, out, err = await run(peer, "5\n0\n1\n", str(file), "--func", "share", "--keep-going", "--chunk", "2")
    assert (code, out, err) == (1, [2.0, {"error": "ZeroDivisionError: division by zero"}, 10.0], "")
    code, out, _ = await run(peer, "5\n", str(file), "--func", "odd_value", "--keep-going")
    assert (code, out) == (1, [{"error": "TypeError: Object of type set is not JSON serializable"}])
    peer.refuse = "memory limit exceeded"
    code, out, _ = await run(peer, "5\n6\n", str(file), "--func", "share", "--keep-going", "--chunk", "2")
    assert (code, out) == (1, [{"error": "memory limit exceeded"}] * 2)


@pytest.mark.parametrize(
    ("stdin", "arguments", "words"),
    [
        ("1\nnonsense\n", ("--func", "share"), "line 2 of stdin is not JSON"),
        ("1\n", ("--func", "share", "--star"), "line 1 of stdin must be a JSON array, because of --star"),
        ("1\n", ("--func", "nothing"), "has no function 'nothing'; its functions: is_prime, odd_value, power, share"),
        ("1\n", ("--func", "share", "--star", "--kwargs"), "exclude each other"),
    ],
)
async def test_mistakes_are_said_in_words(
    peer: PythonPeer, file: Path, stdin: str, arguments: tuple[str, ...], words: str
) -> None:
    code, _, err = await run(peer, stdin, str(file), *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


async def test_a_file_that_fails_is_said_in_words(peer: PythonPeer, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    code, _, err = await run(peer, "1\n", str(tmp_path / "broken.py"), "--func", "f")
    assert code == 2
    assert "can't be imported: ZeroDivisionError" in err
    assert (await run(peer, "1\n", str(tmp_path / "none.py"), "--func", "f"))[0] == 2


async def test_a_hostile_answer_is_not_printed(peer: PythonPeer, file: Path) -> None:
    import pickle

    peer.forged = pickle.dumps(pickle.dumps(([pickle.dumps((True, "1\n2"))], None)))
    code, out, err = await run(peer, "1\n", str(file), "--func", "share")
    assert (code, out) == (1, [])
    assert "not a line of JSON" in err
