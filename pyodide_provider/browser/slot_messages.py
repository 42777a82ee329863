"""The slot protocol's headers and bodies (docs/slot-protocol.md). Pure; imports the core's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..core.run import Broken, Ended, Exited, Failed, File, Outcome, Run

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


def start_header(storage: str, limits: dict[str, int]) -> str:
    return _encode({"start": {"storage": storage, "limits": limits}})


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


def read_report(header: str) -> dict[str, Any]:
    """What a slot says: {"ready": …} or {"ended": […]}."""
    report: dict[str, Any] = _decode(header)
    return report


def ended(fields: Sequence[dict[str, Any]], body: bytes) -> tuple[Ended, ...]:
    """The ends of a report whose body is this."""
    return tuple([Ended(field["key"], _outcome(field, body), field["seconds"]) for field in fields])


def _outcome(field: dict[str, Any], body: bytes) -> Outcome:
    if "status" not in field:
        return Failed(field["error"]) if "error" in field else Broken(field["broken"])
    return Exited(field["status"], _cut(field, "stdout", body), _cut(field, "stderr", body), _zip(field, body))


def _zip(field: dict[str, Any], body: bytes) -> bytes | None:
    return _cut(field, "artifacts", body) if "artifacts" in field else None


def _cut(field: dict[str, Any], name: str, body: bytes) -> bytes:
    place = field.get(name)
    return body[place[0] : place[0] + place[1]] if place else b""
