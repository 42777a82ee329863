"""Refusals as HTTP responses: JSON, text or a small page, whichever the client reads. Imports errors, negotiation, aiohttp."""

from __future__ import annotations

import json
import logging
from html import escape

from aiohttp import web
from aiohttp.typedefs import Handler

from broker.errors import Refused
from broker.negotiation import wants_json, wants_page

log = logging.getLogger("broker")

PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{title} · wasimoff</title>
    <link rel="stylesheet" href="/static/css/base.css">
  </head>
  <body>
    <main id="main">
      <h1>{title}</h1>
      <p>{text}</p>
      <p><a href="/">Lend this computer</a> · <a href="/run">Run a program</a></p>
    </main>
  </body>
</html>
"""
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def page(status: int, title: str, text: str) -> web.Response:
    """A page of one sentence."""
    body = PAGE.format(title=escape(title), text=escape(text))
    headers = {**PAGE_HEADERS, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return web.Response(status=status, text=body, content_type="text/html", headers=headers)


def explain(request: web.BaseRequest, refused: Refused) -> web.Response:
    """JSON {"code", "message"} for a client that accepts it by name, else text."""
    if wants_json(request.headers.get("Accept")):
        return _as_json(refused)
    return _finish(web.Response(text=f"{refused.message}\n"), refused)


def _as_json(refused: Refused) -> web.Response:
    text = json.dumps({"code": refused.code, "message": refused.message}) + "\n"
    return _finish(web.Response(text=text, content_type="application/json"), refused)


def _finish(response: web.Response, refused: Refused) -> web.Response:
    response.set_status(refused.http_status)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    if refused.retry_after:
        response.headers["Retry-After"] = str(refused.retry_after)
    return response


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong behind this is told in words, never in a traceback."""
    try:
        return await handler(request)
    except Refused as refused:
        return explain(request, refused)
    except web.HTTPNotFound:
        return _missing(request, 404, "not_found", f"There is nothing at {request.path[:200]}.")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.method[:20]} is not for {request.path[:200]}: use {allowed}."
        response = _missing(request, 405, "unimplemented", text)
        response.headers["Allow"] = allowed
        return response
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return explain(request, Refused("internal", "something went wrong in the broker; its log says what"))


def _missing(request: web.Request, status: int, code: str, text: str) -> web.Response:
    if wants_page(request.headers.get("Accept")):
        return page(status, "Not here" if status == 404 else "Not like that", text)
    response = _as_json(Refused(code, text))
    response.set_status(status)
    return response
