"""Standard input of a program with threads: a named pipe, and the descriptor that it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyodide_provider.native.live_stdin import LiveStdin, is_live

PATIENCE = 60.0


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[LiveStdin, int]]:
    path = str(tmp_path / "stdin")
    os.mkfifo(path)
    assert is_live(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    stdin = LiveStdin(path)
    os.close(first)
    yield stdin, writer
    stdin.close()


def test_it_is_read_as_it_comes(pipe: tuple[LiveStdin, int]) -> None:
    stdin, writer = pipe
    assert not stdin.wait(0)
    assert stdin.read(10) is None
    os.write(writer, b"abc")
    assert stdin.wait()
    assert (stdin.read(2), stdin.read(2), stdin.read(2)) == (b"ab", b"c", None)
    os.close(writer)
    assert stdin.wait()
    assert stdin.read(2) == b""


def test_the_end_of_the_run_is_the_end_of_waiting(pipe: tuple[LiveStdin, int]) -> None:
    stdin, writer = pipe
    found: list[bool] = []
    waiting = [threading.Thread(target=lambda: found.append(stdin.wait())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    stdin.end()
    for thread in waiting:
        thread.join(PATIENCE)
    assert found == [False] * 3
    os.write(writer, b"too late")
    assert not stdin.wait()
    os.close(writer)


@pytest.mark.parametrize(
    ("moves", "descriptor"),
    [
        ([], 0),
        ([(0, None)], None),
        ([(1, None)], 0),
        ([(0, 7)], 7),
        ([(0, 7), (7, None)], None),
        ([(5, 0)], None),
        ([(0, 0)], 0),
        ([(0, 7), (3, 0)], 7),
        ([(0, 7), (7, 0)], 0),
    ],
)
def test_its_descriptor_is_known(pipe: tuple[LiveStdin, int], moves: list[tuple[int, int | None]], descriptor: int) -> None:
    stdin, writer = pipe
    for old, new in moves:
        if new is None:
            stdin.closed(old)
        else:
            stdin.moved(old, new)
    assert stdin.descriptor == descriptor
    os.close(writer)
