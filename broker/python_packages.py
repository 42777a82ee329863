"""Wheels for Python tasks: found by the operator's own pip, checked and kept by digest. Imports settings, serving, aiohttp.

Providers come here and never talk to third parties. Nothing of a package is executed: wheels only, and never installed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from broker.errors import Refused
from broker.serving import Source, serve

PYTHON = "3.14"
PLATFORM = "pyemscripten_2026_0_wasm32"
"""Of the Pyodide that tasks run in."""
MOST_PACKAGES = 32
MOST_BYTES = 256 << 20
"""Of the wheels of one set of packages."""
MOST_LOOKING = 16
"""Sets of packages that are looked for at a time, those that wait for their turn included."""
KEPT_BYTES = 2 << 30
REMEMBERED = 1024
PIP_SECONDS = 60.0
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"{_NAME}(?:\[{_NAME}(?:,{_NAME})*\])?(?:(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!_]{{1,50}},?)*", re.ASCII
)
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)")
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Wheel:
    name: str
    sha256: str
    size: int


class PythonPackages:
    """Sets of packages to wheels. `folder` holds `<sha256>/<name>`; None: a temporary one, gone with the process."""

    def __init__(self, folder: Path | None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="wasimoff-wheels-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._resolved: OrderedDict[tuple[str, ...], asyncio.Future[list[Wheel]]] = OrderedDict()
        self._two_at_a_time = asyncio.Semaphore(2)
        self._looking = 0

    async def resolve(self, requirements: list[str]) -> list[Wheel]:
        """The wheels of packages and of what they need. Raises Refused: what there is none of, where it looked."""
        if len(requirements) > MOST_PACKAGES:
            raise Refused("invalid_argument", f"{len(requirements)} packages, at most {MOST_PACKAGES} are taken")
        for requirement in requirements:
            if not _REQUIREMENT.fullmatch(requirement):
                raise Refused(
                    "invalid_argument",
                    f"{requirement[:100]!r} is not a package: give a name, maybe with a version, as numpy==2.1",
                )
        key = tuple(sorted(set(requirements)))
        known = self._resolved.get(key)
        if known is None or (known.done() and not self._whole(known)):
            if self._looking >= MOST_LOOKING:
                raise Refused("resource_exhausted", f"{MOST_LOOKING} sets of packages are being looked for: try again", 5)
            known = self._resolved[key] = asyncio.ensure_future(self._find(key))
            if len(self._resolved) > REMEMBERED:
                self._resolved.popitem(last=False)
        return await asyncio.shield(known)

    def _whole(self, known: asyncio.Future[list[Wheel]]) -> bool:
        """Whether it was found, and all of it is still there."""
        if known.cancelled() or known.exception() is not None:
            return False
        return all(self.path(wheel.sha256, wheel.name) is not None for wheel in known.result())

    async def _find(self, requirements: tuple[str, ...]) -> list[Wheel]:
        self._looking += 1
        try:
            async with self._two_at_a_time:
                await asyncio.to_thread(os.makedirs, self._folder, exist_ok=True)
                with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._folder) as incoming:
                    await self._download(requirements, incoming)
                    return await asyncio.to_thread(self._keep, Path(incoming))
        finally:
            self._looking -= 1

    async def _download(self, requirements: tuple[str, ...], into: str) -> None:
        tags = ["--platform", PLATFORM, "--platform", "any", "--python-version", PYTHON, "--implementation", "cp"]
        abis = [part for abi in ("cp314", "abi3", "none") for part in ("--abi", abi)]
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--only-binary=:all:",
        ]
        process = await asyncio.create_subprocess_exec(
            *pip, *tags, *abis, "--retries", "1", "--timeout", "10", "--dest", into, "--", *requirements,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(process.communicate(), PIP_SECONDS)
        except TimeoutError:
            raise Refused("unavailable", f"pip did not find {', '.join(requirements)} within {PIP_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise _refusal(requirements, said.decode("utf-8", "replace"))

    def _keep(self, incoming: Path) -> list[Wheel]:
        wheels = []
        for path in sorted(incoming.iterdir()):
            size = path.stat().st_size
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            wheels.append(Wheel(path.name, digest, size))
        if (total := sum(wheel.size for wheel in wheels)) > MOST_BYTES:
            raise Refused("resource_exhausted", f"the packages have {total} bytes, at most {MOST_BYTES} are taken")
        for wheel in wheels:
            target = self._folder / wheel.sha256
            target.mkdir(exist_ok=True)
            os.replace(incoming / wheel.name, target / wheel.name)
        self._tidy({wheel.sha256 for wheel in wheels})
        return wheels

    def _tidy(self, needed: set[str]) -> None:
        """Make room: those go first that came first."""
        kept = [path for path in self._folder.iterdir() if len(path.name) == 64]
        sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in kept}
        total = sum(sizes.values())
        for path in sorted(kept, key=lambda path: path.stat().st_mtime):
            if total <= KEPT_BYTES:
                return
            if path.name not in needed:
                shutil.rmtree(path, ignore_errors=True)
                total -= sizes[path]

    def path(self, sha256: str, name: str) -> Path | None:
        """Where a wheel is."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256) or not re.fullmatch(r"[A-Za-z0-9_.+-]+\.whl", name):
            return None
        path = self._folder / sha256 / name
        return path if path.is_file() else None

    def close(self) -> None:
        if self._temporary:
            self._temporary.cleanup()


def _refusal(requirements: tuple[str, ...], said: str) -> Refused:
    if "No module named pip" in said:
        return Refused("unavailable", "this broker has no pip, so tasks can have no packages here")
    missing = _MISSING.search(said)
    name = missing[1] if missing else ", ".join(requirements)
    if missing and not re.search(r"ConnectionError|NewConnectionError|Max retries|timed out", said):
        text = f"no package {name} for Pyodide: looked with pip for a wheel of Python {PYTHON}, pure or {PLATFORM}"
        return Refused("not_found", text)
    last = next((line for line in reversed(said.splitlines()) if "ERROR" in line), said.strip()[-200:])
    return Refused("unavailable", f"pip could not get {name}: {last[:300]}")


def routes(packages: PythonPackages) -> list[web.RouteDef]:
    async def resolve(request: web.Request) -> web.Response:
        wheels = await packages.resolve(request.query.getall("package", []))
        found = [{"name": wheel.name, "sha256": wheel.sha256, "size": wheel.size} for wheel in wheels]
        return web.json_response({"wheels": found}, headers={"Access-Control-Allow-Origin": "*"})

    async def wheel(request: web.Request) -> web.StreamResponse:
        digest, name = request.match_info["sha256"], request.match_info["name"]
        path = await asyncio.to_thread(packages.path, digest, name)
        if path is None:
            raise Refused("not_found", f"no wheel {name[:100]} with this digest: ask /api/python/resolve again")
        size = (await asyncio.to_thread(path.stat)).st_size
        headers = {"Content-Type": "application/zip", "Cache-Control": FOR_EVER, "Access-Control-Allow-Origin": "*"}
        return await serve(request, Source(digest, size, path), headers)

    return [web.get("/api/python/resolve", resolve), web.get("/api/python/wheels/{sha256}/{name}", wheel)]
