"""Upload and download of files over HTTP: /api/storage. Imports blobs, bodies, serving and aiohttp."""

from __future__ import annotations

from aiohttp import HttpVersion11, web

from broker import bodies
from broker.blobs import Blob, Blobs
from broker.errors import Refused, TooLarge
from broker.explanations import explain
from broker.origins import EXPOSED
from broker.serving import Source, serve
from broker.settings import Settings
from broker.store.content import BYTES

FOR_EVER = "public, max-age=31536000, immutable"


def routes(blobs: Blobs, settings: Settings) -> list[web.RouteDef]:
    async def upload(request: web.Request) -> web.Response:
        """Raw bytes in, their ref out."""
        name = request.query.get("name") or None
        media = request.query.get("media") or ""
        if media not in ("", BYTES):
            raise Refused("invalid_argument", f"media={media[:100]!r} is not taken here: {BYTES} is, or leave it out")
        length = bodies.declared_length(request)
        blob = await blobs.receive(bodies.chunks(request), name, length, anything=bool(media))
        return web.Response(text=f"{blob.ref}\n", headers={"X-Wasimoff-Ref": blob.ref})

    async def expect(request: web.Request) -> web.StreamResponse | None:
        """`Expect: 100-continue`: a body that is too large is refused before it is sent."""
        try:
            bodies.check_length(request, settings.max_upload, "WASIMOFF_MAX_UPLOAD")
        except TooLarge as refused:
            response = explain(request, refused)
            response.force_close()
            return response
        if request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    async def download(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        ref = blobs.resolve(name)
        blob = blobs.blob(ref) if ref else None
        if blob is None:
            raise Refused("not_found", f"Ref not found in storage: {name[:100]!r}; upload it first")
        return await serve(request, _source(blob), _headers(blob, FOR_EVER if name == ref else "no-cache"))

    return [
        web.post("/api/storage/upload", upload, expect_handler=expect),
        web.get("/api/storage/{name}", download),
    ]


def _source(blob: Blob) -> Source:
    return Source(blob.ref, blob.size, blob.path, blob.data)


def _headers(blob: Blob, caching: str) -> dict[str, str]:
    return {
        "Content-Type": blob.media,
        "Cache-Control": caching,
        "X-Wasimoff-Ref": blob.ref,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": EXPOSED,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
