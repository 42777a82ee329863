"""Between the wire's protobuf messages and the core's data. Imports wire and core; knows no platform."""

from __future__ import annotations

from .core.run import Broken, Exited, Failed, File, Outcome, Params, Run
from .errors import TaskFault
from .wire import codec
from .wire import messages_pb2 as pb

MAX_SEQUENCE = 2**53 - 1
"""Sequences are keys in JSON messages to Web Workers, where larger numbers are not exact."""

HEX = frozenset("0123456789abcdef")


def is_ref(text: str) -> bool:
    """Whether this is "sha256:<64 lower-case hex digits>"."""
    return len(text) == 71 and text.startswith("sha256:") and HEX.issuperset(text[7:])


def run_of(sequence: int, request: pb.Task.Wasip1.Request) -> Run:
    """The run that a request asks for. Raises TaskFault, in words, when it is one that nobody could do."""
    params = request.params
    args, envs, artifacts = tuple(params.args), tuple(params.envs), tuple(params.artifacts)
    if not params.HasField("binary"):
        raise TaskFault("a WASI task needs params with a binary (a ref or a blob)")
    for text in args + envs:
        if "\0" in text:
            raise TaskFault("args and envs may not contain NUL characters")
    for text in envs:
        if text.find("=") < 1:
            raise TaskFault(f"envs are KEY=VALUE, not {text[:80]!r}")
    return Run(
        sequence,
        request.info.id,
        request.info.attempt,
        Params(
            _file(params.binary, "binary"),
            args,
            envs,
            params.stdin,
            _file(params.rootfs, "rootfs") if params.HasField("rootfs") else None,
            artifacts,
        ),
    )


def _file(file: pb.File, what: str) -> File:
    ref = file.ref
    if not ref:
        if not file.HasField("blob"):
            raise TaskFault(f"the {what} needs a ref or a blob")
        return File(blob=file.blob)
    if file.HasField("blob"):
        raise TaskFault(f"the {what} has both a ref and a blob")
    if not is_ref(ref):
        raise TaskFault(f"the ref of the {what} is not sha256:<64 hex digits>: {ref[:80]!r}")
    return File(ref)


def answer_of(run: Run, outcome: Outcome) -> bytes:
    """The envelope that answers a run's request."""
    match outcome:
        case Exited(status, stdout, stderr, artifacts):
            return codec.wasip1_output(run.sequence, run.task, status, stdout, stderr, artifacts)
        case Failed(error):
            return codec.wasip1_error(run.sequence, run.task, error)
        case Broken(error):
            return codec.failure(run.sequence, error)
