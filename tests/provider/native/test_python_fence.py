"""The walls around an interpreter under Node, each alone: what gets past one is held by the other."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyodide_provider.errors import UsageError
from pyodide_provider.native.python import fence, launch, node
from pyodide_provider.native.python.node import Launcher, Node, find

CLOSE = """
try { require('node:os').getPriority() } catch {}
"""
TRY = """
const told = {};
const attempt = (name, f) => {
  try { told[name] = String(f()).slice(0, 100) } catch (e) { told[name] = `refused: ${e.code ?? e.message}` }
};
const fs = require('node:fs'), net = require('node:net'), cp = require('node:child_process'), os = require('node:os');
attempt('compute', () => 6 * 7);
attempt('read', () => fs.readFileSync('/etc/passwd', 'utf8').length);
attempt('environ', () => fs.readFileSync('/proc/' + process.ppid + '/environ', 'utf8').length);
attempt('list', () => fs.readdirSync('/'));
attempt('write', () => fs.writeFileSync('FOLDER/written', 'x'));
attempt('spawn', () => { const r = cp.spawnSync('/bin/true'); if (r.error) throw r.error; return r.status });
attempt('kill', () => process.kill(VICTIM, 'SIGKILL'));
attempt('chdir', () => process.chdir('/tmp'));
attempt('env', () => JSON.stringify(process.env));
attempt('worker', () => new (require('node:worker_threads').Worker)('1', { eval: true }));
const s = net.connect(PORT, '127.0.0.1');
const done = (what) => {
  told.connect = what;
  const text = Buffer.from(JSON.stringify(told)), head = Buffer.alloc(8);
  head.writeUInt32LE(text.length, 0);
  fs.writeSync(Number(process.argv[1]), Buffer.concat([head, text]));
};
s.on('connect', () => done('connected'));
s.on('error', (e) => done(`refused: ${e.code}`));
"""


@pytest.fixture(scope="module")
def here() -> Node:
    return find()


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "100"]) as sleeping:
        yield sleeping
        sleeping.kill()


def tried(launcher: Launcher, errors: Path) -> dict[str, str]:
    """What the launcher's boot script says it could do."""
    with errors.open("wb") as file:
        popen, channel = launcher.launch([], file.fileno())
    try:
        channel.settimeout(20)
        said = channel.makefile("rb")
        head = said.read(8)
        assert len(head) == 8, errors.read_text()
        found: dict[str, str] = json.loads(said.read(struct.unpack("<II", head)[0]))
        return found
    finally:
        channel.close()
        popen.kill()
        popen.wait()


def script(tmp_path: Path, ear: socket.socket, victim: subprocess.Popen[bytes]) -> str:
    filled = TRY.replace("PORT", str(ear.getsockname()[1])).replace("VICTIM", str(victim.pid))
    return filled.replace("FOLDER", str(tmp_path))


def test_the_kernels_fence_alone(here: Node, tmp_path: Path, ear: socket.socket, victim: subprocess.Popen[bytes]) -> None:
    """Without Node's own permissions, and with all of Node at hand."""
    options = tuple(option for option in here.options if "permission" not in option)
    launcher = Launcher(replace(here, options=options))
    launcher._boot = CLOSE + script(tmp_path, ear, victim)
    found = tried(launcher, tmp_path / "errors")
    assert found.pop("compute") == "42"
    assert json.loads(found.pop("env")) == launch.ENVIRON, "nothing of the provider's environment"
    assert {name: what for name, what in found.items() if not what.startswith("refused")} == {}
    assert victim.poll() is None
    assert not (tmp_path / "written").exists()


def test_until_it_is_closed_a_fence_holds_nothing_back(
    here: Node, tmp_path: Path, ear: socket.socket, victim: subprocess.Popen[bytes]
) -> None:
    """What the test above finds is the fence's doing: the same script before it is closed does all of that."""
    options = tuple(option for option in here.options if "permission" not in option)
    launcher = Launcher(replace(here, options=options))
    # What is tried at once comes before the call that has the fence closed.
    # A worker that is just starting when the fence closes would end it all.
    text = script(tmp_path, ear, victim).replace("attempt('worker'", "if (0) attempt('worker'")
    launcher._boot = text.replace("const s = net", CLOSE + "const s = net")
    found = tried(launcher, tmp_path / "errors")
    assert {name for name, what in found.items() if what.startswith("refused")} == {"connect"}
    assert victim.wait(10) < 0


def test_nodes_permissions_alone(here: Node, tmp_path: Path, ear: socket.socket, victim: subprocess.Popen[bytes]) -> None:
    launcher = Launcher(here)
    text = script(tmp_path, ear, victim).replace("const s = net", CLOSE + "const s = net")
    launcher._boot = text.replace("attempt('kill'", "if (0) attempt('kill'")
    found = tried(launcher, tmp_path / "errors")
    held = {name for name, what in found.items() if what.startswith("refused")}
    assert {"read", "environ", "list", "write", "spawn", "worker"} <= held, found


def test_boot_goes_nowhere_when_the_fence_does_not_close(
    here: Node, tmp_path: Path, pieces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fence that lets the call through, as if it had not been understood."""
    arch, calls = fence.CALLS[os.uname().machine]
    monkeypatch.setitem(fence.CALLS, os.uname().machine, (arch, {**calls, "getpriority": 999}))
    launcher = Launcher(here)
    with (tmp_path / "errors").open("wb") as file, pytest.raises(OSError, match="before its fence was closed"):
        launcher.launch(pieces, file.fileno())
    assert "the fence does not close" in (tmp_path / "errors").read_text()


RING = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 1, 0)
refused = ctypes.get_errno()
libc.getpriority(0, 0)
os.write(int(sys.argv[-2]), b"%d" % refused)
"""


def test_no_ring_is_set_up_even_before_it_is_closed(tmp_path: Path) -> None:
    """What is asked for through io_uring passes no filter."""
    launcher = Launcher(Node(sys.executable, "v0", ("-c", RING)))
    with (tmp_path / "errors").open("wb") as file:
        popen, channel = launcher.launch([], file.fileno())
    with channel:
        channel.settimeout(20)
        assert int(channel.recv(10)) == errno.ENOSYS
    assert popen.wait(10) == 0, (tmp_path / "errors").read_text()


@pytest.fixture
def pieces(tmp_path: Path) -> Iterator[list[int]]:
    """Descriptors of some that are none."""
    (tmp_path / "piece").write_text("throw 1")
    opened = [os.open(tmp_path / "piece", os.O_RDONLY) for _ in range(5)]
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def test_a_machine_of_another_kind_has_none(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence.platform, "machine", lambda: "pdp11")
    with pytest.raises(UsageError, match="this kind of machine: pdp11"):
        Launcher(here)


@pytest.mark.parametrize(
    ("said", "why"),
    [("v18.20.0", "Node 20 or newer is needed"), ("nonsense", "Node 20 or newer is needed"), (None, "there is no Node here")],
)
def test_a_node_that_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, why: str) -> None:
    if said is not None:
        (tmp_path / "node").write_text(f"#!/bin/sh\necho {said}\n")
        (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=why):
        find()


def test_newer_nodes_have_the_option_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node").write_text("#!/bin/sh\necho v24.1.0\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert node.find().options[0] == "--permission"


async def test_what_ends_before_it_is_fenced_in_is_told(here: Node, tmp_path: Path) -> None:
    launcher = Launcher(here)
    launcher._program = "00" * 8
    with (tmp_path / "errors").open("wb") as file, pytest.raises(OSError, match="before it was fenced in"):
        await asyncio.to_thread(launcher.launch, [], file.fileno())
    assert "the kernel has no fence" in (tmp_path / "errors").read_text()
