"""What is said to an interpreter, and what it says: docs/slot-protocol.md, *An interpreter under Node*. Pure.

What it says is checked as what a stranger says: once a task is in there, anything may come.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...core.run import Ended, Failed, Limits, Outcome, PythonParams, Returned, Run, Usage
from ...slot_messages import Body
from .packages import Files

MEMORY = 1 << 30
"""Bytes, unless the task says otherwise: as in the tab."""
MOST_MEMORY = (1 << 32) - (1 << 16)
MAX_END = 256 << 20
"""Bytes of a value, artifacts and streams together."""
MAX_TEXT = 256 << 10
PARTS = ("value", "stdout", "stderr", "artifacts", "exception")


class Nonsense(Exception):
    """It says what no interpreter of ours would say."""


def effective(given: Limits, output: int, files: int) -> Limits:
    """The limits of one task; `output` and `files` are the slot's own."""
    memory = min(given.memory or MEMORY, MOST_MEMORY)
    return Limits(given.wall, memory, given.output or output, given.files or files, given.threads)


def order(
    run: Run, limits: Limits, files: Files, pickle: bytes, rootfs: bytes | None, shared: Sequence[bytes]
) -> tuple[str, list[bytes]]:
    """(header, parts of the body) that has it run a task."""
    params = run.params
    assert isinstance(params, PythonParams)
    body = Body()
    most = {"output": limits.output, "files": limits.files, "memory": limits.memory}
    told: dict[str, Any] = {"key": run.sequence, "limits": most}
    for name in ("envs", "artifacts", "python", "follow"):
        if value := getattr(params, name):
            told[name] = value
    places: dict[str, Any] = {
        "refs": params.shared,
        "wheels": [body.place(wheel) for wheel in files.wheels],
        "libraries": [body.place(library) for library in files.libraries],
        "shared": [body.place(blob) for blob in shared],
    }
    if params.script is not None:
        told["script"] = params.script
    else:
        places["pickle"] = body.place(pickle)
    if params.stdin:
        places["stdin"] = body.place(params.stdin)
    if rootfs is not None:
        places["rootfs"] = body.place(rootfs)
    return json.dumps({"order": told, "places": places}), body.parts


def kit(packages: Sequence[str], envs: Sequence[str], limits: Limits, files: Files) -> tuple[str, list[bytes]]:
    """(header, parts of the body) that gives it what tasks have in common."""
    body = Body()
    told = {"packages": packages, "envs": envs, "limits": {"files": limits.files, "memory": limits.memory}}
    places = {
        "wheels": [body.place(wheel) for wheel in files.wheels],
        "libraries": [body.place(library) for library in files.libraries],
    }
    return json.dumps({"kit": told, "places": places}), body.parts


def output(told: Any, body: bytes, run: Run) -> tuple[bytes, bytes]:
    """(stdout, stderr) that the task has written. Raises Nonsense."""
    ours = isinstance(told, dict) and told.get("key") == run.sequence
    _need(ours and run.params.follow, "output of nothing that is followed")
    return cut(told, "stdout", body), cut(told, "stderr", body)


def ended(told: Any, body: bytes, run: Run, seconds: float, cpu: float) -> Ended:
    """How the task ended, in our own measure of time. Raises Nonsense."""
    _need(isinstance(told, list) and len(told) == 1 and isinstance(told[0], dict), "an end of another form")
    field: dict[str, Any] = told[0]
    _need(field.get("key") == run.sequence, "an end of another task")
    value, stdout, stderr, artifacts, exception = (cut(field, name, body) for name in PARTS)
    outcome: Outcome
    if "error" in field:
        outcome = Failed(_text(field, "error"), exception)
    else:
        zipped = artifacts if "artifacts" in field else None
        outcome = Returned(value, stdout, stderr, zipped, _text(field, "version")[:100])
    usage = field.get("usage")
    memory = usage.get("memory") if isinstance(usage, dict) else None
    used = memory if isinstance(memory, int) and not isinstance(memory, bool) and 0 <= memory <= 1 << 32 else 0
    return Ended(run.sequence, outcome, seconds, Usage(cpu=cpu, memory=used))


def _need(good: bool, what: str) -> None:
    if not good:
        raise Nonsense(what)


def _text(field: dict[str, Any], name: str) -> str:
    text = field.get(name)
    _need(isinstance(text, str), f"{name} is no text")
    assert isinstance(text, str)
    # Lone surrogates are text to JSON, and to nobody else.
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def cut(field: dict[str, Any], name: str, body: bytes) -> bytes:
    """The part of the body that a field names; nothing when it names none. Raises Nonsense."""
    place = field.get(name)
    if place is None:
        return b""
    _need(isinstance(place, list) and len(place) == 2 and all(type(number) is int for number in place), f"{name} is nowhere")
    offset, length = place
    _need(offset >= 0 and length >= 0 and offset + length <= len(body), f"{name} is outside of its message")
    return body[offset : offset + length]
