"""`wasimoff run -i`, as somebody types into it and reads what it answers."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.processes import PATIENCE
from tests.client.command import WASIMOFF, environment


class Typing:
    """The command, with what it writes as it comes."""

    def __init__(self, url: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*WASIMOFF, "run", "-i", *arguments],
            env=environment(url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdin
        assert self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self.output = b""
        self._seen = 0

    def types(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def sees(self, wanted: bytes, patience: float = PATIENCE) -> None:
        """Until it has written that, behind what was seen before."""
        until = time.monotonic() + patience
        while (at := self.output.find(wanted, self._seen)) < 0:
            assert self._selector.select(max(until - time.monotonic(), 0)), (wanted, self.output[-2000:])
            more = os.read(self._out.fileno(), 65536)
            assert more, (wanted, self.output[-2000:])
            self.output += more
        self._seen = at + len(wanted)

    def ends(self, patience: float = PATIENCE) -> int:
        """At the end of what is typed; gives the exit code."""
        self._in.close()
        self.output += self._out.read()
        return self.process.wait(patience)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._in.close()
        self._out.close()
        self._selector.close()


@contextmanager
def typing(url: str, *arguments: str) -> Iterator[Typing]:
    command = Typing(url, *arguments)
    try:
        yield command
    finally:
        command.close()
