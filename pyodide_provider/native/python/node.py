"""The Node of this machine, and how it is started. Standard library only."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from . import fence

OLDEST = 20
"""The first major version with a permission model."""
PERMISSION_WITHOUT_EXPERIMENTAL = 24
PATIENCE = 30.0
"""Seconds in which Node tells about itself, and in which launch.py hands over the fence's listener."""
LAST_WORDS = 1.0
"""Seconds that one which could not start may take to end."""
HERE = Path(__file__).parent
RANDOM = "/dev/urandom"
HEAP = 512
"""MiB of JavaScript's own objects; Python's memory and files are apart."""
WANTED = {"wasm-tiering-budget": "30000000"}
"""Options of V8, where it has them. By itself it makes optimised code of whatever has run a little, which is half of what a
short task costs (bench/python_tasks.py)."""


@dataclass(frozen=True, slots=True)
class Node:
    """`options` are those with which interpreters are started."""

    path: str
    version: str
    options: tuple[str, ...]


def find() -> Node:
    """The Node of the PATH. Raises UsageError, in words for who runs the provider, when there is none that will do."""
    path = shutil.which("node")
    if path is None:
        raise UsageError("there is no Node here (node, version 20 or newer)")
    version = _ask(path, "--version").strip()
    found = re.fullmatch(r"v(\d+)\.\S{1,40}", version)
    if found is None or int(found[1]) < OLDEST:
        raise UsageError(f"Node {OLDEST} or newer is needed, {path} is {version[:40]}")
    known = _ask(path, "--v8-options")
    permission = "--permission" if int(found[1]) >= PERMISSION_WITHOUT_EXPERIMENTAL else "--experimental-permission"
    engine = [f"--{name}={value}" for name, value in WANTED.items() if f"--{name} " in known]
    quiet = ("--no-warnings", "--unhandled-rejections=none", "--no-addons", "--no-deprecation")
    return Node(path, version, (permission, *quiet, f"--max-old-space-size={HEAP}", *engine))


def _ask(path: str, option: str) -> str:
    try:
        done = subprocess.run([path, option], capture_output=True, timeout=PATIENCE, env={}, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{path} does not tell its version: {error}") from None
    return done.stdout.decode("utf-8", "replace")


class Launcher:
    """Starts interpreters' processes, one after the other or many at once."""

    def __init__(self, node: Node) -> None:
        """Raises UsageError when this kind of machine has no fence."""
        self.node = node
        self._program = fence.program().hex()
        self._boot = (HERE / "boot.cjs").read_text()
        self._random = os.open(RANDOM, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._random)

    def launch(self, pieces: Sequence[int], errors: int, *more: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """A process whose fence is closed, and the channel to it. Blocks for as long as Node takes to start.

        `pieces` are descriptors, as boot.cjs reads them; what it says of itself goes to `errors`; `more` are options of Node's.
        Raises OSError.
        """
        ours, theirs = socket.socketpair()
        passed = [theirs.fileno(), self._random, *pieces]
        with theirs:
            try:
                popen = self._spawn(passed, errors, more)
            except BaseException:
                ours.close()
                raise
        try:
            ours.settimeout(PATIENCE)
            _, listeners, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
            if not listeners:
                raise OSError("it ended before it was fenced in")
            if not fence.close_when_asked(listeners[0]):
                raise OSError("it ended, or was silent, before its fence was closed")
        except BaseException:
            ours.close()
            # What ends by itself may be saying why.
            with suppress(subprocess.TimeoutExpired):
                popen.wait(LAST_WORDS)
            popen.kill()
            popen.wait()
            raise
        ours.setblocking(False)
        return popen, ours

    def _spawn(self, passed: Sequence[int], errors: int, more: Sequence[str]) -> subprocess.Popen[bytes]:
        become = [self.node.path, *self.node.options, *more, "-e", self._boot, "--", *map(str, passed)]
        launch = [sys.executable, "-I", "-S", str(HERE / "launch.py"), str(os.getpid()), str(passed[0]), self._program]
        return subprocess.Popen(
            [*launch, *become],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=passed,
            cwd="/",
            env={},
            start_new_session=True,
        )
