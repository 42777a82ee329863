"""Tasks per second through the broker with a null provider, beside bare aiohttp relays in the same run.

    python bench/broker.py [--seconds 2] [--in-flight 1,4,16,64] [--extension]

Each server runs in a process of its own; client and null provider share another (two cores are enough). `ws` and `http` are
the broker's doors (`http-aiohttp`: a request that the short way does not take); `relay-bytes` forwards WebSocket messages as
they are, `relay-protobuf` decodes and encodes each.
CPU is the server's, user and system, per task.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import uvloop
from loadgen import HttpConnection, Meter, NullProvider, SocketClient

from pyodide_provider.wire import messages_pb2 as pb

HERE = Path(__file__).resolve().parent
BROKER_DOORS = ("ws", "http", "http-aiohttp")
WASM = b"\0asm\x01\0\0\0"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start_server(kind: str) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    if kind == "broker":
        command = os.environ.get("BROKER_COMMAND", f"{sys.executable} -m broker").split()
    else:
        command = [sys.executable, str(HERE / "relay.py"), kind, str(port)]
    env = os.environ | {"WASIMOFF_HTTP_LISTEN": f"127.0.0.1:{port}", "WASIMOFF_FILESTORAGE": ":memory:"}
    process = subprocess.Popen(command, env=env, cwd=HERE.parent, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise SystemExit(f"{kind} does not start")


async def upload(port: int) -> str:
    """The smallest module there is; the null provider never looks at it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /api/storage/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (len(WASM), WASM)
    )
    answer = await reader.read()
    writer.close()
    return answer.split()[-1].decode()


async def measure(door: str, port: int, pid: int, in_flight: int, seconds: float, extension: bool) -> dict[str, float]:
    ref = await upload(port) if door in BROKER_DOORS else "sha256:" + "0" * 64
    params = pb.Task.Wasip1.Params(binary=pb.File(ref=ref), args=["null"])
    request = pb.Task.Wasip1.Request(params=params)
    provider = NullProvider(concurrency=max(64, in_flight), extension=extension)
    await provider.connect(port)
    await asyncio.sleep(0.2)
    meter = Meter()
    if door.startswith("http"):
        loop = asyncio.get_running_loop()
        for _ in range(in_flight):
            await loop.create_connection(lambda: HttpConnection(request, meter, plain=door == "http"), "127.0.0.1", port)
    else:
        await SocketClient(request, in_flight, meter).connect(port)
    return await meter.measure(0.7, seconds, lambda: cpu_seconds(pid))


def run(door: str, in_flight: int, seconds: float, extension: bool) -> dict[str, float]:
    kind = "broker" if door in BROKER_DOORS else door
    process, port = start_server(kind)
    try:
        return uvloop.run(measure(door, port, process.pid, in_flight, seconds, extension))
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--in-flight", default="1,4,16,64")
    parser.add_argument("--doors", default="ws,http,http-aiohttp,relay-protobuf,relay-bytes")
    parser.add_argument("--extension", action="store_true", help="let the provider be one of ours, which gets batches")
    options = parser.parse_args()
    doors = options.doors.split(",")
    rates: dict[tuple[str, int], float] = {}
    print(f"{'door':15} {'in flight':>9} {'tasks/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU us/task':>12}")
    for in_flight in map(int, options.in_flight.split(",")):
        for door in doors:
            found = run(door, in_flight, options.seconds, options.extension)
            rates[door, in_flight] = found["rate"]
            print(
                f"{door:15} {in_flight:9} {found['rate']:9.0f} {found['p50']:8.3f} {found['p99']:8.3f} {found['cpu']:12.1f}",
                flush=True,
            )
    for in_flight in map(int, options.in_flight.split(",")):
        if {"ws", "relay-protobuf"} <= set(doors):
            ratio = rates["ws", in_flight] / rates["relay-protobuf", in_flight]
            print(f"ws / relay-protobuf at {in_flight} in flight: {ratio:.2f}")


if __name__ == "__main__":
    main()
