"""The slot protocol's headers and bodies (docs/slot-protocol.md), both ends of it. Pure; imports the core's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .core.run import Broken, Ended, Exited, Failed, File, Outcome, Params, Run

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
    field: dict[str, Any] = {"key": run.sequence, "binary": _file_field(params.binary, body), "args": params.args}
    if params.envs:
        field["envs"] = params.envs
    if params.stdin:
        field["stdin"] = body.place(params.stdin)
    if params.rootfs is not None:
        field["rootfs"] = _file_field(params.rootfs, body)
    if params.artifacts:
        field["artifacts"] = params.artifacts
    return field


def _file_field(file: File, body: Body) -> dict[str, Any]:
    return {"ref": file.ref} if file.blob is None else {"blob": body.place(file.blob)}


def params_of(field: dict[str, Any], body: bytes) -> Params:
    """What a slot is to run, out of a RUN."""
    rootfs = field.get("rootfs")
    return Params(
        _file(field["binary"], body),
        tuple(field["args"]),
        tuple(field.get("envs", ())),
        _cut(field, "stdin", body),
        _file(rootfs, body) if rootfs else None,
        tuple(field.get("artifacts", ())),
    )


def _file(field: dict[str, Any], body: bytes) -> File:
    return File(blob=_cut(field, "blob", body)) if "blob" in field else File(field["ref"])


# From the slot.


def ready_header(engine: str) -> str:
    return _encode({"ready": {"engine": engine}})


def ended_message(key: int, seconds: float, outcome: Outcome) -> tuple[str, list[bytes]]:
    """(header, parts of the body) that tells how one run ended."""
    body = Body()
    field: dict[str, Any] = {"key": key, "seconds": round(seconds, 6)}
    match outcome:
        case Exited(status, stdout, stderr, artifacts):
            field["status"] = status
            if stdout:
                field["stdout"] = body.place(stdout)
            if stderr:
                field["stderr"] = body.place(stderr)
            if artifacts is not None:
                field["artifacts"] = body.place(artifacts)
        case Failed(error):
            field["error"] = error
        case Broken(error):
            field["broken"] = error
    return _encode({"ended": (field,)}), body.parts


def ended(fields: Sequence[dict[str, Any]], body: bytes) -> tuple[Ended, ...]:
    """The ends of a report whose body is this."""
    return tuple([Ended(field["key"], _outcome(field, body), field["seconds"]) for field in fields])


def _outcome(field: dict[str, Any], body: bytes) -> Outcome:
    if "status" not in field:
        return Failed(field["error"]) if "error" in field else Broken(field["broken"])
    artifacts = _cut(field, "artifacts", body) if "artifacts" in field else None
    return Exited(field["status"], _cut(field, "stdout", body), _cut(field, "stderr", body), artifacts)
