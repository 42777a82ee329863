"""Files of packages for Python tasks: from Pyodide's own index, else by pip; checked, and kept by digest.

Imports both, serving, aiohttp. Providers come here and never talk to third parties. Nothing of a package is executed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from broker import pip
from broker.errors import Refused, StorageFull
from broker.pyodide_index import FILE, FULL, Distribution, Listed, PyodideIndex, Unusable
from broker.serving import Source, serve

log = logging.getLogger("broker")

MOST_PACKAGES = 32
MOST_BYTES = 256 << 20
"""Of the files of one set of packages."""
MOST_LOOKING = 16
"""Sets of packages that are looked for at a time, those that wait for their turn included."""
KEPT_BYTES = 2 << 30
REMEMBERED = 1024
REFUSED_SECONDS = 10.0
"""For which a set that could not be had is not looked for again."""
FETCHES = 4
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"{_NAME}(?:\[{_NAME}(?:,{_NAME})*\])?(?:(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!_]{{1,50}},?)*", re.ASCII
)
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file of a package. `library`: a zip of shared libraries, to be unpacked where the linker looks."""

    name: str
    sha256: str
    size: int
    library: bool = False


def checked(requirements: list[str]) -> tuple[str, ...]:
    """Raises Refused for what is no list of packages; nothing else comes near pip."""
    if len(requirements) > MOST_PACKAGES:
        raise Refused("invalid_argument", f"{len(requirements)} packages, at most {MOST_PACKAGES} are taken")
    for requirement in requirements:
        try:
            if not _REQUIREMENT.fullmatch(requirement):
                raise InvalidRequirement
            Requirement(requirement)
        except InvalidRequirement:
            text = f"{requirement[:100]!r} is not a package: give a name, maybe with a version, as numpy==2.1"
            raise Refused("invalid_argument", text) from None
    return tuple(sorted(set(requirements)))


class PythonPackages:
    """Sets of packages to files. `folder` holds `<sha256>/<name>`; None: a temporary one, gone with the process."""

    def __init__(self, folder: Path | None, index: PyodideIndex | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="wasimoff-wheels-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._index = index
        self._resolved: OrderedDict[tuple[str, ...], asyncio.Future[list[Wheel]]] = OrderedDict()
        self._two_at_a_time = asyncio.Semaphore(2)
        self._searches: set[asyncio.Future[list[Wheel]]] = set()
        self._moving = threading.Lock()
        """Held by the thread that puts files where they stay, or takes them away."""
        for left in self._folder.glob(".incoming-*"):
            # Of a broker that was killed.
            shutil.rmtree(left, ignore_errors=True)

    async def resolve(self, requirements: list[str]) -> list[Wheel]:
        """The files of packages and of what they need. Raises Refused: what there is none of, where it looked."""
        key = checked(requirements)
        known = self._resolved.get(key)
        if known is None or (known.done() and not self._whole(known)):
            if len(self._searches) >= MOST_LOOKING:
                raise Refused("resource_exhausted", f"{MOST_LOOKING} sets of packages are being looked for: try again", 5)
            known = self._resolved[key] = asyncio.ensure_future(self._find(key))
            self._searches.add(known)
            known.add_done_callback(lambda done: self._ended(key, done))
            if len(self._resolved) > REMEMBERED:
                self._resolved.popitem(last=False)
        return await asyncio.shield(known)

    def _whole(self, known: asyncio.Future[list[Wheel]]) -> bool:
        """Whether all of it is still there; a refusal holds until it is forgotten."""
        if known.cancelled():
            return False
        return known.exception() is not None or all(self.path(wheel.sha256, wheel.name) for wheel in known.result())

    def _ended(self, key: tuple[str, ...], done: asyncio.Future[list[Wheel]]) -> None:
        self._searches.discard(done)
        if not done.cancelled() and done.exception() is not None:
            forget = lambda: self._resolved.pop(key, None) if self._resolved.get(key) is done else None  # noqa: E731
            asyncio.get_running_loop().call_later(REFUSED_SECONDS, forget)

    async def _find(self, requirements: tuple[str, ...]) -> list[Wheel]:
        try:
            async with self._two_at_a_time:
                await asyncio.to_thread(os.makedirs, self._folder, exist_ok=True)
                with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._folder) as incoming:
                    return await self._search(requirements, Path(incoming))
        except OSError as error:
            log.error("packages can't be kept: %s", error)
            if error.errno in FULL:
                raise StorageFull("the broker's disk is full: try later, or tell the operator") from None
            raise Refused("internal", "the broker can't keep packages; its log says why") from None

    async def _search(self, requirements: tuple[str, ...], incoming: Path) -> list[Wheel]:
        """In Pyodide's index, then with pip for what is not there; with pip alone where the index is of no use."""
        if self._index is None:
            return await self._with_pip(requirements, incoming)
        try:
            distribution = await self._index.distribution()
            found = distribution.closure(
                listed.name for requirement in requirements if (listed := distribution.match(Requirement(requirement)))
            )
            wheels = await self._fetch(self._index, found, incoming)
            rest = [text for text in requirements if not distribution.match(Requirement(text))]
            return await self._beside(self._index, distribution, found, rest, incoming) if rest else wheels
        except Unusable as unusable:
            return await self._with_pip(requirements, incoming, str(unusable))

    async def _beside(
        self, index: PyodideIndex, distribution: Distribution, found: dict[str, Listed], rest: list[str], incoming: Path
    ) -> list[Wheel]:
        """The rest with pip, which sees the index's wheels as well: what a package of elsewhere needs may be there."""
        links, constraints = incoming / ".links.html", incoming / ".constraints.txt"
        kept = await asyncio.to_thread(self._kept, distribution)
        links.write_text(index.links(distribution, kept))
        constraints.write_text("".join(f"{listed.name}=={listed.version}\n" for listed in found.values() if not listed.library))
        brought = incoming / "pip"
        try:
            await pip.download(rest, brought, MOST_BYTES, ["--find-links", str(links), "--constraint", str(constraints)])
        except Refused as refused:
            if refused.code == "unavailable":
                raise Unusable(f"with the wheels of {index.place} {refused.message}") from None
            other = (distribution.packages.get(canonicalize_name(Requirement(text).name)) for text in rest)
            has = "".join(f", which has {listed.name} {listed.version}" for listed in other if listed)
            raise Refused(refused.code, f"{refused.message}, and in {index.place}{has}") from None
        files = await asyncio.to_thread(_hashed, brought)
        more = [listed.name for wheel in files if (listed := distribution.by_digest.get(wheel.sha256))]
        found = {**distribution.closure(more), **found}
        ours = await self._fetch(index, found, incoming)
        theirs = [wheel for wheel in files if _package(wheel.name) not in found]
        return await asyncio.to_thread(self._keep, brought, theirs, ours)

    async def _with_pip(self, requirements: tuple[str, ...], incoming: Path, unusable: str = "") -> list[Wheel]:
        brought = incoming / "pip-alone"
        try:
            await pip.download(requirements, brought, MOST_BYTES)
        except Refused as refused:
            raise Refused(refused.code, f"{refused.message}; {unusable}" if unusable else refused.message) from None
        return await asyncio.to_thread(self._keep, brought, await asyncio.to_thread(_hashed, brought), [])

    async def _fetch(self, index: PyodideIndex, found: dict[str, Listed], incoming: Path) -> list[Wheel]:
        """What is not here yet of packages of the index, and all of them as files. Raises Unusable, Refused."""
        few = asyncio.Semaphore(FETCHES)
        left = MOST_BYTES

        def spend(size: int) -> None:
            nonlocal left
            left -= size
            if left < 0:
                raise pip.too_large(MOST_BYTES)

        async def one(listed: Listed) -> Wheel:
            async with few:
                path = self.path(listed.sha256, listed.file)
                if path is None:
                    target = incoming / f"{listed.sha256}.part"
                    await index.fetch(listed, target, spend)
                    path = await asyncio.to_thread(self._put, target, listed.sha256, listed.file)
                return Wheel(listed.file, listed.sha256, (await asyncio.to_thread(path.stat)).st_size, listed.library)

        fetches = [asyncio.ensure_future(one(listed)) for listed in found.values()]
        try:
            wheels = await asyncio.gather(*fetches)
        finally:
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
        return await asyncio.to_thread(self._keep, incoming, [], sorted(wheels, key=lambda wheel: wheel.name))

    def _keep(self, folder: Path, new: list[Wheel], here: list[Wheel]) -> list[Wheel]:
        """All of a set, those of `folder` put where they stay."""
        wheels = [*here, *new]
        if sum(wheel.size for wheel in wheels) > MOST_BYTES:
            raise pip.too_large(MOST_BYTES)
        for wheel in new:
            self._put(folder / wheel.name, wheel.sha256, wheel.name)
        with self._moving:
            self._tidy({wheel.sha256 for wheel in wheels})
        return wheels

    def _put(self, file: Path, sha256: str, name: str) -> Path:
        target = self._folder / sha256
        with self._moving:
            target.mkdir(exist_ok=True)
            os.replace(file, target / name)
        return target / name

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
        """Where a file is."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256) or not FILE.fullmatch(name):
            return None
        path = self._folder / sha256 / name
        return path if path.is_file() else None

    def _kept(self, distribution: Distribution) -> dict[str, Path]:
        """What is here of an index, by digest."""
        paths = {listed.sha256: self.path(listed.sha256, listed.file) for listed in distribution.packages.values()}
        return {digest: path for digest, path in paths.items() if path}

    async def close(self) -> None:
        """Give up what is looked for."""
        for search in self._searches:
            search.cancel()
        await asyncio.gather(*self._searches, return_exceptions=True)
        if self._temporary:
            self._temporary.cleanup()


def _hashed(folder: Path) -> list[Wheel]:
    wheels = []
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        wheels.append(Wheel(path.name, digest, path.stat().st_size))
    return wheels


def _package(file: str) -> str:
    try:
        return parse_wheel_filename(file)[0]
    except InvalidWheelFilename:
        return file


def routes(packages: PythonPackages) -> list[web.RouteDef]:
    async def resolve(request: web.Request) -> web.Response:
        wheels = await packages.resolve(request.query.getall("package", []))
        return web.json_response({"wheels": [_shown(wheel) for wheel in wheels]}, headers={"Access-Control-Allow-Origin": "*"})

    async def wheel(request: web.Request) -> web.StreamResponse:
        digest, name = request.match_info["sha256"], request.match_info["name"]
        path = await asyncio.to_thread(packages.path, digest, name)
        if path is None:
            raise Refused("not_found", f"no wheel {name[:100]} with this digest: ask /api/python/resolve again")
        size = (await asyncio.to_thread(path.stat)).st_size
        headers = {"Content-Type": "application/zip", "Cache-Control": FOR_EVER, "Access-Control-Allow-Origin": "*"}
        return await serve(request, Source(digest, size, path), headers)

    return [web.get("/api/python/resolve", resolve), web.get("/api/python/wheels/{sha256}/{name}", wheel)]


def _shown(wheel: Wheel) -> dict[str, object]:
    found: dict[str, object] = {"name": wheel.name, "sha256": wheel.sha256, "size": wheel.size}
    return {**found, "library": True} if wheel.library else found
