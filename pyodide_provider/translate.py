"""Between the wire's protobuf messages and the core's data. Imports wire and core; knows no platform."""

from __future__ import annotations

from .core.run import (
    NO_LIMITS,
    Broken,
    Ended,
    Exited,
    Failed,
    File,
    Limits,
    Outcome,
    Params,
    PythonParams,
    Returned,
    Run,
)
from .errors import TaskFault
from .wire import codec
from .wire import messages_pb2 as pb

MAX_EXACT = 2**53 - 1
"""Sequences and sizes are numbers in JSON messages to Web Workers, where larger ones are not exact."""

MAX_ROOTS = 16
MAX_PATH = 4096
"""Characters of the path of a root."""

HEX = frozenset("0123456789abcdef")


def is_ref(text: str) -> bool:
    """Whether this is "sha256:<64 lower-case hex digits>"."""
    return len(text) == 71 and text.startswith("sha256:") and HEX.issuperset(text[7:])


def run_of(sequence: int, request: pb.Task.Wasip1.Request) -> Run:
    """The run that a request asks for. Raises TaskFault, in words, when it is one that nobody could do."""
    params, qos = request.params, request.qos
    args, envs, artifacts = tuple(params.args), tuple(params.envs), tuple(params.artifacts)
    if not params.HasField("binary"):
        raise TaskFault("a WASI task needs params with a binary (a ref or a blob)")
    if any("\0" in text for text in args):
        raise TaskFault("args and envs may not contain NUL characters")
    _check_envs(envs)
    if qos.interactive and params.HasField("stdin_file"):
        raise TaskFault("an interactive task has the beginning of its stdin in the request, not in stdin_file")
    return Run(
        sequence,
        request.info.id,
        request.info.attempt,
        Params(
            _file(params.binary, "binary"),
            args,
            envs,
            _stdin(params),
            _file(params.rootfs, "rootfs") if params.HasField("rootfs") else None,
            artifacts,
            _roots(params) if params.roots else (),
            _limits(params.limits) if params.HasField("limits") else NO_LIMITS,
            qos.follow,
            qos.by_reference,
            qos.interactive,
        ),
    )


def python_run_of(sequence: int, request: pb.Task.Pyodide.Request) -> Run:
    """The Python run that a request asks for. Raises TaskFault, in words, when it is one that nobody could do."""
    params = request.params
    ways = [name for name in ("script", "pickle", "pickle_file") if params.HasField(name)]
    if len(ways) != 1:
        raise TaskFault(f"a Python task has either a script or a pickle, not {' and '.join(ways) or 'neither'}")
    if request.qos.interactive:
        raise TaskFault("a Python task takes its stdin with the request, not while it runs")
    envs = tuple(params.envs)
    _check_envs(envs)
    for file in params.shared:
        if not is_ref(file.ref):
            raise TaskFault(f"what a pickle shares is named by refs sha256:<64 hex digits>, not {file.ref[:80]!r}")
    return Run(
        sequence,
        request.info.id,
        request.info.attempt,
        PythonParams(
            params.script if params.HasField("script") else None,
            _file(params.pickle_file, "pickle") if params.HasField("pickle_file") else params.pickle,
            tuple(params.packages),
            envs,
            params.stdin,
            _file(params.rootfs, "rootfs") if params.HasField("rootfs") else None,
            tuple(params.artifacts),
            tuple([file.ref for file in params.shared]),
            params.python,
            params.network,
            _limits(params.limits) if params.HasField("limits") else NO_LIMITS,
            request.qos.follow,
        ),
    )


def _check_envs(envs: tuple[str, ...]) -> None:
    for text in envs:
        if "\0" in text:
            raise TaskFault("args and envs may not contain NUL characters")
        if text.find("=") < 1:
            raise TaskFault(f"envs are KEY=VALUE, not {text[:80]!r}")


def _stdin(params: pb.Task.Wasip1.Params) -> bytes | File:
    if not params.HasField("stdin_file"):
        return params.stdin
    if params.HasField("stdin"):
        raise TaskFault("the task has both stdin and stdin_file")
    file = _file(params.stdin_file, "stdin")
    return file if file.blob is None else file.blob


def _roots(params: pb.Task.Wasip1.Params) -> tuple[tuple[str, File], ...]:
    if len(params.roots) > MAX_ROOTS:
        raise TaskFault(f"{len(params.roots)} roots, at most {MAX_ROOTS} are taken")
    return tuple([(_mount(root.path), _file(root.file, f"root at {root.path[:80]}")) for root in params.roots])


def _mount(path: str) -> str:
    """The absolute path of a root, as "/a/b"."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or ".." in parts or "\0" in path or len(path) > MAX_PATH:
        raise TaskFault(f"a root is mounted at an absolute path without .., not at {path[:80]!r}")
    return "/" + "/".join(parts)


def _limits(limits: pb.Task.Limits) -> Limits:
    most = MAX_EXACT
    sizes = (min(limits.memory, most), min(limits.output, most), min(limits.files, most))
    return Limits(limits.wall_ms / 1000, *sizes, limits.threads)


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


def answer_of(run: Run, outcome: Outcome, ended: Ended | None = None, engine: str = "") -> bytes:
    """The envelope that answers a run's request; `ended` is what its slot said, if it came so far."""
    if isinstance(outcome, Broken):
        return codec.failure(run.sequence, outcome.error)
    usage = _usage(outcome, ended, engine) if ended is not None and ended.usage is not None else b""
    if isinstance(run.params, PythonParams):
        return _python_answer(run, outcome, usage)
    if isinstance(outcome, Failed):
        return codec.wasip1_error(run.sequence, run.task, outcome.error, usage)
    assert isinstance(outcome, Exited)
    stdout, stderr, artifacts = outcome.stdout, outcome.stderr, outcome.artifacts
    if isinstance(stdout, File) or isinstance(stderr, File) or isinstance(artifacts, File):
        return _with_files(run, outcome, usage)
    return codec.wasip1_output(run.sequence, run.task, outcome.status, stdout, stderr, artifacts, usage)


def too_large(run: Run, size: int, most: int) -> bytes:
    """The envelope that answers a run whose outcome does not fit into a message."""
    return answer_of(run, Failed(f"the outcome is too large to send: {size} bytes, at most {most}"))


def fault(sequence: int, request: pb.Task.Wasip1.Request | pb.Task.Pyodide.Request, error: str) -> bytes:
    """The envelope that answers a request nobody could do."""
    if isinstance(request, pb.Task.Wasip1.Request):
        return codec.wasip1_error(sequence, request.info.id, error)
    return codec.response(sequence, pb.Task.Pyodide.Response(info=pb.Task.Metadata(id=request.info.id), error=error))


def _python_answer(run: Run, outcome: Exited | Returned | Failed, usage: bytes) -> bytes:
    """A Python task takes far longer than the generated classes."""
    response = pb.Task.Pyodide.Response(info=pb.Task.Metadata(id=run.task))
    if isinstance(outcome, Returned):
        given = response.ok
        given.version = outcome.version
        for name in ("value", "stdout", "stderr"):
            if part := getattr(outcome, name):
                setattr(given, "pickle" if name == "value" else name, part)
        if outcome.artifacts is not None:
            given.artifacts.CopyFrom(pb.File(blob=outcome.artifacts, media="application/zip"))
    elif isinstance(outcome, Failed):
        response.error = outcome.error
        if outcome.exception:
            response.exception = outcome.exception
    if usage:
        response.usage.MergeFromString(usage)
    return codec.response(run.sequence, response)


def _usage(outcome: Exited | Returned | Failed, ended: Ended, engine: str) -> bytes:
    used = ended.usage
    assert used is not None
    out = 0
    if isinstance(outcome, Returned):
        out = sum(len(part) for part in (outcome.value, outcome.stdout, outcome.stderr, outcome.artifacts) if part)
    elif isinstance(outcome, Exited):
        out = sum(len(part) for part in (outcome.stdout, outcome.stderr, outcome.artifacts) if isinstance(part, bytes))
    return codec.usage(
        ended.seconds, used.cpu, used.memory, used.bytes_in, used.bytes_out or out, used.compile, used.cached, engine
    )


def _with_files(run: Run, outcome: Exited, usage: bytes) -> bytes:
    """Rare and large: by the generated classes."""
    output = pb.Task.Wasip1.Output(status=outcome.status)
    for name, part in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        if isinstance(part, File):
            getattr(output, f"{name}_file").ref = part.ref
        elif part:
            setattr(output, name, part)
    if isinstance(outcome.artifacts, File):
        output.artifacts.CopyFrom(pb.File(ref=outcome.artifacts.ref, media="application/zip"))
    elif outcome.artifacts is not None:
        output.artifacts.CopyFrom(pb.File(blob=outcome.artifacts, media="application/zip"))
    response = pb.Task.Wasip1.Response(info=pb.Task.Metadata(id=run.task), ok=output)
    if usage:
        response.usage.MergeFromString(usage)
    return codec.response(run.sequence, response)
