"""Results for people and for programs: streams, JSON, traces. Imports the data and the exit codes."""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from .. import exits
from ..result import Result
from ..timeline import timeline
from .common import put, write_all

BAR = 24
"""Columns of a timeline."""
COLORS = ("36", "33", "32")
"""Of client, broker and provider there."""


def document(result: Result, *, artifacts: bool = True) -> dict[str, Any]:
    """A Result in JSON's types. A stream that isn't UTF-8 is in "stdout_base64" instead of "stdout"."""
    fields: dict[str, Any] = {
        "index": result.index,
        "label": result.label,
        "ok": result.ok,
        "status": result.status,
        **_stream("stdout", result.stdout),
        **_stream("stderr", result.stderr),
        "error": result.error,
        "code": result.code,
        "provider": result.provider,
        "task": result.task,
        "attempt": result.attempt,
        "seconds": round(result.seconds, 6),
    }
    if result.usage is not None:
        fields["usage"] = asdict(result.usage)
    if artifacts and (content := result.artifacts) is not None:
        fields["artifacts_base64"] = base64.b64encode(content).decode()
    if result.trace:
        fields["trace"] = [{"unixnano": e.unixnano, "event": e.event, "details": e.details} for e in result.trace]
    return fields


def _stream(name: str, content: bytes) -> dict[str, str]:
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def as_json(result: Result, *, artifacts: bool = True) -> str:
    """One line."""
    return json.dumps(document(result, artifacts=artifacts), ensure_ascii=False)


def finish(result: Result, output: str, *, as_json: bool = False, streams: bool = True) -> int:
    """Hand on all that one task gave: artifacts to the folder `output`, `streams` to ours; gives the exit code."""
    if result.archive and not as_json:
        result.extract(output)
    if as_json:
        put(json.dumps(document(result), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
    elif streams:
        write_all(sys.stdout, result.stdout)
        write_all(sys.stderr, result.stderr)
    if result.error:
        at = f" (at {result.provider})" if result.provider else ""
        exits.say(f"the task failed: {result.error}{at}")
    for line in trace_lines(result, color=colorful(sys.stderr)):
        print(line, file=sys.stderr)
    return exits.of_result(result)


def trace_lines(result: Result, *, color: bool = False) -> list[str]:
    """When what happened: milliseconds since the start and since the event before, that time as a bar, each side indented."""
    if not result.trace:
        return []
    line = timeline(result.trace)
    who = f"task {exits.clean(result.task)} at {exits.clean(result.provider or 'nobody')}"
    lines = [f"trace of {who}, in ms: client, broker, provider"]
    for step in line.steps:
        bar = _bar(step.at - step.took, step.at, max(line.total, 1e-6)).ljust(BAR)
        name = exits.clean(f"{step.event} {step.details}".rstrip())
        name = _paint(name, COLORS[step.side]) if color else name
        lines.append(f"{step.at:10.3f} {step.took:+10.3f}  {bar}  {'  ' * step.side}{name}")
    lines += [f"(the {side}'s clock is {off:+.3f} ms off; its events are moved)" for side, off in line.skew]
    return lines


def _bar(start: float, end: float, total: float) -> str:
    """From `start` to `end` of `total`, in `BAR` columns; what is shorter than half of one is a thin stroke."""
    begin = min(BAR - 1, int(start / total * BAR))
    length = round((end - start) / total * BAR)
    return " " * begin + ("━" * min(length, BAR - begin) or "▏")


def block(result: Result, total: int | None, *, color: bool) -> str:
    """One task of a job for people: a line that says whose and how, then its output, indented."""
    number = f"[{result.index + 1:>{len(str(total))}}/{total}]" if total else f"[{result.index + 1}]"
    end = f"exit {result.status}" if result.status is not None and not result.error else "failed"
    who = result.provider or "nobody"
    head = f"{number} {result.label} · {who} · {end} · {seconds(result.seconds)}"
    lines = [_paint(exits.clean(head), "32" if result.ok else "31") if color else exits.clean(head)]
    if result.error:
        lines.append(f"  {exits.clean(result.error)}")
    for content in (result.stdout, result.stderr):
        text = content.decode("utf-8", "replace")
        lines += [f"  {exits.clean(line)}" for line in text.splitlines()]
    return "\n".join(lines)


def colorful(stream: TextIO) -> bool:
    """Whether colors are welcome there."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def store(result: Result, folder: Path) -> None:
    """Keep all that one task of a job gave in a folder of its own. Raises ArchiveError, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stdout").write_bytes(result.stdout)
    (folder / "stderr").write_bytes(result.stderr)
    (folder / "result.json").write_text(
        json.dumps(document(result, artifacts=False), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    result.extract(folder / "artifacts")


def usage_line(result: Result) -> str:
    """What a task used: "used 24 ms (CPU 22 ms), 1.1 MiB of memory, 3 KiB in, 120 B out, compiled in 12 ms, …"."""
    usage = result.usage
    if usage is None:
        return "used: not told"
    parts = [f"{seconds(usage.wall)} (CPU {seconds(usage.cpu)})", f"{amount(usage.memory)} of memory"]
    parts += [f"{amount(usage.bytes_in)} in", f"{amount(usage.bytes_out)} out"]
    if usage.cached or usage.compile:
        parts.append("compiled before" if usage.cached else f"compiled in {seconds(usage.compile)}")
    return exits.clean(f"used {', '.join(parts)}" + (f", {usage.engine}" if usage.engine else ""))


def about(result: Result) -> str:
    """Who ran it, how long that took, what it used."""
    who = f"task {result.task} at {result.provider or 'nobody'}"
    attempt = f", attempt {result.attempt}" if result.attempt else ""
    end = "failed" if result.error else f"exit {result.status}"
    return exits.clean(f"{who}{attempt}: {end} after {seconds(result.seconds)}\n{usage_line(result)}")


def amount(size: float) -> str:
    """Bytes for people: "120 B", "1.5 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.3g} {unit}"


def seconds(amount: float) -> str:
    """A duration for people: "3 ms", "1.25 s", "4 min", "2 h"."""
    if amount < 1:
        return f"{amount * 1000:.3g} ms"
    if amount < 100:
        return f"{amount:.3g} s"
    return f"{amount / 60:.0f} min" if amount < 6000 else f"{amount / 3600:.0f} h"
