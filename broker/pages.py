"""The pages for people and what belongs to them: templates, /static, /healthz, /api/version. Imports aiohttp and Jinja2."""

from __future__ import annotations

import json
import platform
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from jinja2 import Environment, FileSystemLoader, TemplateNotFound, select_autoescape

from broker import origins, static_files
from broker.explanations import explained, page
from broker.settings import Settings
from pyodide_provider.wire.codec import EXTENSION

CHECKOUT = Path(__file__).resolve().parent.parent
"""Where static/ and templates/ are, beside the package."""
PAGES = {"/": "index.html", "/run": "run.html"}


def manifest(root: Path = CHECKOUT) -> dict[str, str] | None:
    """What `make setup` built for the pages: directories of static/vendor by their purpose. None: nothing yet."""
    try:
        built: dict[str, str] = json.loads((root / "static" / "vendor" / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return None
    return built


def pyodide_lock(root: Path = CHECKOUT) -> Path:
    """The lock file that came with the Pyodide that the pages load: what its public index lists."""
    folder = (manifest(root) or {}).get("pyodide", "is not built")
    return root / "static" / "vendor" / folder / "packages.json"


def middlewares(settings: Settings) -> list[Middleware]:
    """For the whole application, outermost first."""
    return [origins.middleware(settings), explained]


def security_headers(settings: Settings) -> dict[str, str]:
    """For pages, scripts and workers: nothing inline, nothing from elsewhere, isolated from other origins."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "worker-src": "'self'",
        "connect-src": " ".join(["'self'", *_connectable(settings)]),
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "font-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _connectable(settings: Settings) -> list[str]:
    """Other brokers that the page may lend to: those whose pages may use this one."""
    if "*" in settings.allowed_origins:
        return ["http:", "https:", "ws:", "wss:"]
    found: list[str] = []
    for origin in settings.allowed_origins:
        scheme, _, host = origin.rpartition("://")
        schemes = [scheme] if scheme else ["http", "https"]
        found += [f"{kind}://{host}" for name in schemes for kind in (name, name.replace("http", "ws"))]
    return found


def routes(settings: Settings, version: str, root: Path = CHECKOUT) -> list[web.RouteDef]:
    headers = security_headers(settings)
    return [
        *(web.get(path, handler) for path, handler in _pages(root, version, headers).items()),
        *static_files.routes(root / "static", headers, settings.task_network),
        web.get("/healthz", _healthz),
        web.get("/api/version", _version(version)),
    ]


def _pages(root: Path, version: str, headers: dict[str, str]) -> dict[str, Handler]:
    loader = FileSystemLoader(root / "templates")
    environment = Environment(loader=loader, autoescape=select_autoescape(), trim_blocks=True, lstrip_blocks=True)

    def handler(template: str) -> Handler:
        async def show(_: web.Request) -> web.StreamResponse:
            built = manifest(root)
            if built is None:
                return _unbuilt(root)
            try:
                own = f"/static/vendor/{built.get('page', '')}"
                text = environment.get_template(template).render(version=version, manifest=json.dumps(built), own=own)
            except TemplateNotFound as error:
                return page(503, "No pages here", f"templates/{error.name} is missing: the broker finds it in a checkout only.")
            return web.Response(text=text, content_type="text/html", headers={**headers, "Cache-Control": "no-cache"})

        return show

    return {path: handler(template) for path, template in PAGES.items()}


def _unbuilt(root: Path) -> web.Response:
    if not (root / "static").exists():
        text = "static/ and templates/ are not beside the broker's package: install it from a checkout (pip install -e .)."
        return page(503, "No pages here", text)
    return page(503, "Almost there", "What the pages need is not built yet: run “make setup” in the checkout, then reload.")


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="OK", headers={"Cache-Control": "no-store"})


def _version(version: str) -> Handler:
    about = {"name": "wasimoff", "version": version, "extension": EXTENSION, "python": platform.python_version()}

    async def show(_: web.Request) -> web.StreamResponse:
        return web.json_response(about, headers={"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"})

    return show
