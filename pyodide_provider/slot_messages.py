"""The slot protocol's headers and bodies (docs/slot-protocol.md), both ends of it. Pure; imports the core's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

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
    Usage,
)

LIMITS = tuple(field.name for field in fields(Limits))
USAGE = tuple(field.name for field in fields(Usage))

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


class Body:
    """Bytes of several parts, each known by its [offset, length]."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0

    def place(self, part: bytes) -> tuple[int, int]:
        self.parts.append(part)
        self.length += len(part)
        return self.length - len(part), len(part)


def read_header(header: str | bytes | bytearray) -> dict[str, Any]:
    """What the other end says. Raises ValueError when it is not a JSON object."""
    if not isinstance(header, str):
        header = header.decode()
    fields = _decode(header)
    if not isinstance(fields, dict):
        raise ValueError("the header is not a JSON object")
    return fields


def _cut(field: dict[str, Any], name: str, body: bytes) -> bytes:
    place = field.get(name)
    return body[place[0] : place[0] + place[1]] if place else b""


# To the slot.


def start_header(storage: str, limits: dict[str, int], **more: str) -> str:
    return _encode({"start": {"storage": storage, "limits": limits, **more}})


def runs_message(runs: Sequence[Run]) -> tuple[str, bytes]:
    """(header, body) that hands runs to a slot."""
    body = Body()
    header = _encode({"runs": [_run_field(run, body) for run in runs]})
    return header, b"".join(body.parts)


def blob_message(ref: str, blob: bytes) -> tuple[str, bytes]:
    """(header, body) that pushes a blob to a slot."""
    return _encode({"blobs": {ref: (0, len(blob))}}), blob


def _run_field(run: Run, body: Body) -> dict[str, Any]:
    params = run.params
    assert isinstance(params, Params)
    field: dict[str, Any] = {"key": run.sequence, "binary": _file_field(params.binary, body), "args": params.args}
    if params.envs:
        field["envs"] = params.envs
    if params.interactive:
        field["interactive"] = True
    elif params.stdin:
        field["stdin"] = body.place(params.stdin) if isinstance(params.stdin, bytes) else _file_field(params.stdin, body)
    if params.rootfs is not None:
        field["rootfs"] = _file_field(params.rootfs, body)
    if params.artifacts:
        field["artifacts"] = params.artifacts
    if params.roots:
        field["roots"] = [(path, _file_field(file, body)) for path, file in params.roots]
    if params.limits is not NO_LIMITS:
        field["limits"] = _limits_field(params.limits)
    if params.follow:
        field["follow"] = True
    if params.by_reference:
        field["by_reference"] = True
    return field


def python_message(run: Run) -> tuple[str, bytes]:
    """(header, body) that hands a slot's Python a run."""
    params = run.params
    assert isinstance(params, PythonParams)
    body = Body()
    field: dict[str, Any] = {"key": run.sequence}
    if params.script is not None:
        field["script"] = params.script
    elif isinstance(params.pickle, File):
        field["pickle"] = _file_field(params.pickle, body)
    else:
        field["pickle"] = {"blob": body.place(params.pickle)}
    if params.stdin:
        field["stdin"] = body.place(params.stdin)
    if params.rootfs is not None:
        field["rootfs"] = _file_field(params.rootfs, body)
    for name in ("packages", "envs", "artifacts", "shared"):
        if texts := getattr(params, name):
            field[name] = texts
    if params.limits is not NO_LIMITS:
        field["limits"] = _limits_field(params.limits)
    for name in ("python", "network", "follow"):
        if value := getattr(params, name):
            field[name] = value
    return _encode({"python": field}), b"".join(body.parts)


def _limits_field(limits: Limits) -> dict[str, float]:
    return {name: most for name in LIMITS if (most := getattr(limits, name))}


def _file_field(file: File, body: Body) -> dict[str, Any]:
    return {"ref": file.ref} if file.blob is None else {"blob": body.place(file.blob)}


def params_of(field: dict[str, Any], body: bytes) -> Params:
    """What a slot is to run, out of a RUN."""
    rootfs = field.get("rootfs")
    return Params(
        _file(field["binary"], body),
        tuple(field["args"]),
        tuple(field.get("envs", ())),
        _bytes_or_file(field, "stdin", body),
        _file(rootfs, body) if rootfs else None,
        tuple(field.get("artifacts", ())),
        tuple((path, _file(file, body)) for path, file in field.get("roots", ())),
        Limits(**field["limits"]) if "limits" in field else NO_LIMITS,
        field.get("follow", False),
        field.get("by_reference", False),
        field.get("interactive", False),
    )


def _bytes_or_file(field: dict[str, Any], name: str, body: bytes) -> bytes | File:
    place = field.get(name)
    return File(place["ref"]) if isinstance(place, dict) else _cut(field, name, body)


def _file(field: dict[str, Any], body: bytes) -> File:
    return File(blob=_cut(field, "blob", body)) if "blob" in field else File(field["ref"])


# From the slot.


def ready_header(engine: str) -> str:
    return _encode({"ready": {"engine": engine}})


SPENT = _encode({"spent": True})
"""The slot can't take any more runs."""


def began_header(key: int) -> str:
    """The program of a run with a limit of time starts."""
    return _encode({"began": key})


def output(field: dict[str, Any], body: bytes) -> tuple[int, bytes, bytes]:
    """(key, stdout, stderr) of an output message."""
    return field["key"], _cut(field, "stdout", body), _cut(field, "stderr", body)


def ended_message(key: int, seconds: float, outcome: Outcome, usage: Usage | None = None) -> tuple[str, list[bytes]]:
    """(header, parts of the body) that tells how one run ended."""
    body = Body()
    field: dict[str, Any] = {"key": key, "seconds": round(seconds, 6)}
    if usage is not None:
        field["usage"] = {name: value for name in USAGE if (value := getattr(usage, name))}
    match outcome:
        case Exited(status, stdout, stderr, artifacts):
            field["status"] = status
            if stdout:
                field["stdout"] = _place(stdout, body)
            if stderr:
                field["stderr"] = _place(stderr, body)
            if artifacts is not None:
                field["artifacts"] = _place(artifacts, body)
        case Returned():
            raise AssertionError("Python's ends are told by its own side")
        case Failed(error):
            field["error"] = error
        case Broken(error):
            field["broken"] = error
    return _encode({"ended": (field,)}), body.parts


def _place(part: bytes | File, body: Body) -> Any:
    return {"ref": part.ref} if isinstance(part, File) else body.place(part)


def ended(ends: Sequence[dict[str, Any]], body: bytes) -> tuple[Ended, ...]:
    """The ends of a report whose body is this."""
    return tuple(
        [
            Ended(
                field["key"],
                _outcome(field, body),
                field["seconds"],
                Usage(**field["usage"]) if "usage" in field else None,
            )
            for field in ends
        ]
    )


def _outcome(field: dict[str, Any], body: bytes) -> Outcome:
    if "version" in field:
        zipped = _cut(field, "artifacts", body) if "artifacts" in field else None
        streams = _cut(field, "stdout", body), _cut(field, "stderr", body)
        return Returned(_cut(field, "value", body), *streams, zipped, field["version"])
    if "status" not in field:
        return Failed(field["error"], _cut(field, "exception", body)) if "error" in field else Broken(field["broken"])
    artifacts = _bytes_or_file(field, "artifacts", body) if "artifacts" in field else None
    return Exited(field["status"], _bytes_or_file(field, "stdout", body), _bytes_or_file(field, "stderr", body), artifacts)
