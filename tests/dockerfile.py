"""Reads Dockerfile and .dockerignore, and lays out what an image holds, without an engine. Standard library and git.

What COPY says is done as an engine would; of RUN lines, the caller says what to do instead.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKDIR = "/app"


@dataclass(frozen=True, slots=True)
class Copy:
    """One COPY line; `stage` is "" for the build context."""

    stage: str
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it: (instruction, its text) with continued lines joined."""

    name: str
    base: str
    steps: tuple[tuple[str, str], ...]

    def texts(self, instruction: str) -> list[str]:
        return [text for word, text in self.steps if word == instruction]


def stages(text: str) -> dict[str, Stage]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = " ".join(line.split()).partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append((name, base, []))
        elif word:
            found[-1][2].append((word, rest))
    return {name: Stage(name, base, tuple(steps)) for name, base, steps in found}


def whole(stages: dict[str, Stage], name: str) -> Stage:
    """A stage together with what it inherits."""
    stage = stages[name]
    if stage.base not in stages:
        return stage
    return Stage(name, stage.base, whole(stages, stage.base).steps + stage.steps)


def copy(text: str) -> Copy:
    words = text.split()
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
    *sources, target = words
    return Copy(stage, tuple(sources), target)


def checked_in(*options: str) -> list[str]:
    """Files of the checkout that git has; with options of `git ls-files` others."""
    made = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(name for name in made.stdout.split("\0") if name and (ROOT / name).is_file())


def context(names: Sequence[str], ignore: str) -> list[str]:
    """Those of the files that .dockerignore lets through: the last pattern that fits a file or a folder above it decides."""
    patterns = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
    return [name for name in names if not _ignored(name, patterns)]


def _ignored(name: str, patterns: Sequence[str]) -> bool:
    parts = name.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    fitting = [pattern for pattern in patterns if any(_regex(pattern.lstrip("!")).fullmatch(path) for path in above)]
    return bool(fitting) and not fitting[-1].startswith("!")


def _regex(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern.strip("/")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.compile(escaped)


Run = Callable[[str, str, Path], None]
"""(stage, command, folder that stands for the working directory)."""


def lay_out(stages: dict[str, Stage], name: str, files: Sequence[str], root: Path, run: Run) -> Path:
    """The folder that stands for a stage's working directory, filled; stages it copies from are laid out once, beside it."""
    folder = root / name
    if folder.exists():
        return folder
    folder.mkdir()
    for word, text in whole(stages, name).steps:
        if word == "RUN":
            run(name, text, folder)
        elif word == "COPY":
            line = copy(text)
            for source in line.sources:
                if line.stage and source.startswith("/") and not source.startswith(WORKDIR):
                    continue  # a base image's: this machine's own stands in for it
                if line.stage:
                    origin = lay_out(stages, line.stage, files, root, run)
                    _copy(origin / source.removeprefix(WORKDIR).strip("/"), folder / line.target)
                else:
                    _take(source, line.target, files, folder)
    return folder


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def _take(source: str, target: str, files: Sequence[str], folder: Path) -> None:
    """From the context: a folder's contents, or a file into a folder."""
    inside = f"{source.rstrip('/')}/"
    found = {name.removeprefix(inside): name for name in files if name.startswith(inside)}
    if source in files:
        found[Path(source).name] = source
    if not found:
        raise FileNotFoundError(f"COPY {source}: there is nothing of that name in the build context")
    for relative, name in found.items():
        place = folder / target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)
