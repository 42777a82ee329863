"""What it saves to put envelopes together by hand: microseconds for each, and the ratio to the generated classes.

    python bench/codec.py [--seconds 0.5]
    PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python python bench/codec.py     (the implementation that the tab has)

The generated way is the shortest that there is: fill an Any in place and serialize the Envelope.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from google.protobuf.internal import api_implementation
from google.protobuf.message import Message

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

REF = "sha256:" + "0" * 64
TASK = pb.Task.Wasip1.Request(
    info=pb.Task.Metadata(id="0badcafe-12345", requester="127.0.0.1"),
    params=pb.Task.Wasip1.Params(binary=pb.File(ref=REF), args=["tsp", "rand", "8"]),
)


def output(size: int) -> pb.Task.Wasip1.Response:
    ok = pb.Task.Wasip1.Output(status=0, stdout=bytes(size), stderr=b"e")
    return pb.Task.Wasip1.Response(info=pb.Task.Metadata(id="0badcafe-12345"), ok=ok)


def generated(kind: pb.Envelope.MessageType, payload: Message) -> bytes:
    envelope = pb.Envelope(sequence=12345, type=kind)
    envelope.payload.type_url = "wasimoff/" + payload.DESCRIPTOR.full_name
    envelope.payload.value = payload.SerializeToString()
    return envelope.SerializeToString()


def generated_output(size: int) -> bytes:
    return generated(pb.Envelope.Response, output(size))


def microseconds(work: Callable[[], object], seconds: float) -> float:
    """The best of five, each as long as a fifth of `seconds`."""
    best = float("inf")
    for _ in range(5):
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / 5:
            for _ in range(100):
                work()
            count += 100
        best = min(best, (time.perf_counter() - began) / count)
    return best * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    seconds = parser.parse_args().seconds
    big = bytes(65536)
    cases: dict[str, tuple[Callable[[], bytes], Callable[[], bytes]]] = {
        "request with a task": (lambda: codec.request(12345, TASK), lambda: generated(pb.Envelope.Request, TASK)),
        "ping": (lambda: codec.request(12345, pb.Ping()), lambda: generated(pb.Envelope.Request, pb.Ping())),
        "output of 100 bytes": (
            lambda: codec.wasip1_output(12345, "0badcafe-12345", 0, big[:100], b"e"),
            lambda: generated_output(100),
        ),
        "output of 64 KiB": (
            lambda: codec.wasip1_output(12345, "0badcafe-12345", 0, big, b"e"),
            lambda: generated_output(65536),
        ),
    }
    print(f"protobuf: {api_implementation.Type()}")
    print(f"{'envelope':22} {'by hand us':>11} {'generated us':>13} {'ratio':>6}")
    for name, (by_hand, by_classes) in cases.items():
        assert by_hand() == by_classes(), name
        ours, theirs = microseconds(by_hand, seconds), microseconds(by_classes, seconds)
        print(f"{name:22} {ours:11.2f} {theirs:13.2f} {theirs / ours:6.1f}")


if __name__ == "__main__":
    main()
