"""Large archives through the broker to a native provider and back: none of the processes ever holds one in memory."""

from __future__ import annotations

import os
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyodide_provider.wire import messages_pb2 as pb

from .client.stack import Stack
from .contract import programs as p
from .provider.native.rig import children_of, peak
from .test_running_tasks import run

MIB = 1 << 20
ROOTFS, ARTIFACT = (int(size) for size in os.environ.get("WASIMOFF_TEST_LARGE", "96,48").split(","))
"""MiB; 500,200 is worth a try, too."""
ALLOWED = 32 * MIB
"""What a process may need more than for a small task; far less than the files."""
FD_READ = '(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))'
OPEN = "(drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 3) (i32.const {flags})"
OPEN += " (i64.const 0x200066) (i64.const 0x200066) (i32.const 0) (i32.const 16)))"
READS = p.start(
    f"(local $size i64) {OPEN.format(flags=0)}"
    " (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 65536))"
    " (loop $more (drop (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))"
    "  (local.set $size (i64.add (local.get $size) (i64.extend_i32_u (i32.load (i32.const 8)))))"
    "  (br_if $more (i32.load (i32.const 8))))"
    " (call $proc_exit (i32.wrap_i64 (i64.rem_u (i64.shr_u (local.get $size) (i64.const 20)) (i64.const 251))))",
    p.PATH_OPEN, FD_READ, p.PROC_EXIT, '(memory (export "memory") 2)', '(data (i32.const 32) "big")',
)  # fmt: skip
"""Its exit code is the size of /big in MiB, by 251."""


def writes(mebibytes: int) -> bytes:
    """Makes /big of noise."""
    return p.start(
        f"(local $left i32) (local $at i32) (local $noise i64) {OPEN.format(flags=1)}"
        " (local.set $noise (i64.const 88172645463325252))"
        " (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 65536))"
        f" (local.set $left (i32.const {mebibytes * 16}))"
        " (loop $block"
        "  (local.set $at (i32.const 65536))"
        "  (loop $word"
        "   (local.set $noise (i64.xor (local.get $noise) (i64.shl (local.get $noise) (i64.const 13))))"
        "   (local.set $noise (i64.xor (local.get $noise) (i64.shr_u (local.get $noise) (i64.const 7))))"
        "   (local.set $noise (i64.xor (local.get $noise) (i64.shl (local.get $noise) (i64.const 17))))"
        "   (i64.store (local.get $at) (local.get $noise))"
        "   (local.set $at (i32.add (local.get $at) (i32.const 8)))"
        "   (br_if $word (i32.lt_u (local.get $at) (i32.const 131072))))"
        "  (drop (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))"
        "  (local.set $left (i32.sub (local.get $left) (i32.const 1)))"
        "  (br_if $block (local.get $left)))",
        p.PATH_OPEN, p.FD_WRITE, '(memory (export "memory") 2)', '(data (i32.const 32) "big")',
    )  # fmt: skip


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        stack.provider("native", 1)
        yield stack


def pids(stack: Stack) -> dict[str, int]:
    provider = stack.providers[0].pid
    (worker,) = children_of(provider)
    return {"broker": stack.broker.pid, "provider": provider, "worker": worker}


def peaks(stack: Stack) -> dict[str, int]:
    return {name: peak(pid) for name, pid in pids(stack).items()}


def bounded(before: dict[str, int], after: dict[str, int]) -> None:
    grown = {name: after[name] - before[name] for name in before}
    print({name: f"{before[name] / MIB:.0f} -> {after[name] / MIB:.0f} MiB" for name in before})
    assert all(growth < ALLOWED for growth in grown.values()), grown


def make_archive(path: Path, mebibytes: int) -> None:
    """One with a file of noise."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("big", "w", force_zip64=True) as big:
        for _ in range(mebibytes):
            big.write(os.urandom(MIB))


def upload(url: str, file: Path) -> str:
    """Its ref."""
    with file.open("rb") as body:
        headers = {"Content-Length": str(file.stat().st_size)}
        request = urllib.request.Request(f"{url}/api/storage/upload", body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=120) as answer:
            return str(answer.read().decode().strip())


def asked(binary: bytes) -> pb.Task.Wasip1.Request:
    params = pb.Task.Wasip1.Params(binary=pb.File(blob=binary), args=["prog"])
    return pb.Task.Wasip1.Request(params=params, qos=pb.Task.QoS(by_reference=True))


def test_a_large_rootfs(stack: Stack, tmp_path: Path) -> None:
    run(stack, asked(p.app("testing/noop")))
    before = peaks(stack)
    make_archive(tmp_path / "root.zip", ROOTFS)
    request = asked(READS)
    request.params.rootfs.ref = upload(stack.url, tmp_path / "root.zip")
    for _ in range(2):
        response = run(stack, request)
        assert response.ok.status == ROOTFS % 251, response.error
    assert response.usage.bytes_in >= ROOTFS * MIB
    bounded(before, peaks(stack))


def test_a_large_artifact(stack: Stack, tmp_path: Path) -> None:
    run(stack, asked(p.app("testing/noop")))
    before = peaks(stack)
    request = asked(writes(ARTIFACT))
    request.params.artifacts.append("big")
    response = run(stack, request)
    assert response.ok.status == 0, response.error
    ref = response.ok.artifacts.ref
    assert ref.startswith("sha256:")
    urllib.request.urlretrieve(f"{stack.url}/api/storage/{ref}", tmp_path / "back.zip")
    with zipfile.ZipFile(tmp_path / "back.zip") as archive:
        assert archive.getinfo("big").file_size == ARTIFACT * MIB
        assert archive.testzip() is None
    bounded(before, peaks(stack))
