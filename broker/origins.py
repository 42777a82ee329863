"""Which web pages may use the broker: the Origin check and CORS. Imports settings, explanations, aiohttp.

Programs don't send an Origin and are not asked. Pages of the broker itself may do all, pages of allowed origins too; all
others may only read, and of that a browser shows them only stored files.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.errors import Refused
from broker.explanations import explain
from broker.settings import Settings

STORAGE = "/api/storage/"
METHODS = "GET, HEAD, POST"
HEADERS = (
    "Accept, Content-Encoding, Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms, If-None-Match, If-Range, Range, "
    "X-Args, X-Artifact, X-RootFS-Ref"
)
EXPOSED = (
    "Content-Encoding, Content-Range, ETag, Retry-After, X-Wasimoff-Artifacts, X-Wasimoff-Artifacts-Error, "
    "X-Wasimoff-Artifacts-Ref, X-Wasimoff-Provider, X-Wasimoff-Ref, X-Wasimoff-Result, X-Wasimoff-Status"
)
PREFLIGHT_SECONDS = "7200"


def is_own(request: web.BaseRequest, origin: str) -> bool:
    """Whether the page comes from the very host that it asks now."""
    return urlsplit(origin).netloc.lower() == request.host.lower() if "://" in origin else False


def middleware(settings: Settings) -> Middleware:
    """The outermost one, so that refusals too can be read by the pages that may read."""

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is None:
            return await handler(request)
        allowed = is_own(request, origin) or settings.allows_origin(origin)
        asked = request.headers.get("Access-Control-Request-Method") if request.method == "OPTIONS" else None
        reads = (asked or request.method) in ("GET", "HEAD")
        anyone = reads and request.path.startswith(STORAGE)
        if asked is not None and request.path.startswith("/api/") and (allowed or anyone):
            return _preflight(request, "*" if anyone else origin)
        if not allowed and not reads:
            response: web.StreamResponse = explain(request, _foreign(origin))
        else:
            try:
                response = await handler(request)
            except web.HTTPException as raised:
                if allowed:
                    _open(raised, origin)
                raise
        if not response.prepared and (allowed or anyone):
            _open(response, "*" if anyone else origin)
        return response

    return check_origin


def _foreign(origin: str) -> Refused:
    text = f"pages of {origin[:200]!r} may not use this broker; the operator can add it to WASIMOFF_ALLOWED_ORIGINS"
    return Refused("permission_denied", text)


def _open(response: web.StreamResponse, origin: str) -> None:
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if origin != "*":
        response.headers.add("Vary", "Origin")


def _preflight(request: web.Request, origin: str) -> web.Response:
    response = web.Response(status=204)
    _open(response, origin)
    # X-Env-… headers have any name; only a list can allow them, so what is asked for is given.
    asked = request.headers.get("Access-Control-Request-Headers", "")[:2000]
    envs = [name.strip() for name in asked.split(",") if name.strip().lower().startswith("x-env-")]
    response.headers["Access-Control-Allow-Methods"] = METHODS
    response.headers["Access-Control-Allow-Headers"] = ", ".join([HEADERS, *envs])
    response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
    return response
