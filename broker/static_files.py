"""/static: modules, styles and what was built for the page, precompressed. Imports negotiation, serving, aiohttp."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from aiohttp import web

from broker.errors import Refused
from broker.negotiation import encoding
from broker.serving import Source, serve

MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".py": "text/x-python; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".whl": "application/zip",
    ".woff2": "font/woff2",
    ".zip": "application/zip",
}
SIBLINGS = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
"""Content codings and the endings of the files that hold them, best first."""
ADDRESSED = re.compile(r"vendor/[^/]+-[0-9a-f]{16,64}/")
"""A directory named after what is in it: its files never change."""
SEALED = re.compile(r"vendor/tasks-[0-9a-f]{16,64}/(worker|open)\.js")
"""The worker of a Python task: sealed, or open to the network."""
_ALONE = "default-src 'none'; script-src 'wasm-unsafe-eval'; connect-src {}"
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Found:
    path: Path
    coding: str
    etag: str
    size: int
    varies: bool


def find(root: Path, name: str, accepted: str | None) -> Found | None:
    """The file of that name below `root`, in the form that the client likes best. Blocks.

    None for what is not there, is hidden, not a plain file, or leads out of `root`, by dots or by links.
    """
    if any(part == "" or part.startswith(".") for part in name.split("/")):
        return None
    try:
        root = root.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root) or not S_ISREG(path.stat().st_mode):
            return None
        siblings = {coding: path.with_name(path.name + ending) for coding, ending in SIBLINGS.items()}
        there = [coding for coding, sibling in siblings.items() if sibling.is_file() and not sibling.is_symlink()]
        coding = encoding(accepted, there)
        chosen = siblings[coding] if coding else path
        stat = chosen.stat()
    except (OSError, ValueError, RuntimeError):  # the last: a loop of links, before Python 3.13
        return None
    return Found(chosen, coding, f"{stat.st_mtime_ns:x}-{stat.st_size:x}", stat.st_size, bool(there))


def routes(root: Path, headers: Mapping[str, str], task_network: bool) -> list[web.RouteDef]:
    """`/static/…` from `root`; `headers` go with every file. `task_network`: whether Python tasks may open connections."""

    async def static(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        sealed = SEALED.fullmatch(name)
        if sealed and sealed[1] == "open" and not task_network:
            raise Refused("permission_denied", "tasks have no network here: WASIMOFF_TASK_NETWORK is off")
        found = await asyncio.to_thread(find, root, name, request.headers.get("Accept-Encoding"))
        if found is None:
            if name.startswith("vendor/") and not (root / "vendor" / "manifest.json").exists():
                raise Refused("not_found", "static/vendor is not built: run `make setup`")
            raise web.HTTPNotFound
        media = MEDIA.get(Path(name).suffix.lower(), "application/octet-stream")
        added = {"Content-Type": media, "Cache-Control": FOR_EVER if ADDRESSED.match(name) else "no-cache"}
        if sealed:
            added["Content-Security-Policy"] = _ALONE.format("*" if sealed[1] == "open" else "'none'")
            added["Cache-Control"] = FOR_EVER if sealed[1] == "worker" else "no-store"
        if found.coding:
            added["Content-Encoding"] = found.coding
        if found.varies:
            added["Vary"] = "Accept-Encoding"
        return await serve(request, Source(found.etag, found.size, found.path), {**headers, **added})

    return [web.get("/static/{name:.+}", static)]
