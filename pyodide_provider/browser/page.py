"""What the page is shown: the provider's status and its log. Imports the core's status."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..core.status import Status
from .host import JsHost

SHOWN_TASKS = 64


class PageSink:
    """`ports.StatusSink`."""

    def __init__(self, js_host: JsHost) -> None:
        self._js_page = js_host.page

    def show(self, status: Status) -> None:
        shown = asdict(status)
        shown["running"] = status.running[:SHOWN_TASKS]
        self._js_page.show(json.dumps(shown))

    def log(self, line: str) -> None:
        self._js_page.log(line)

    def finished(self) -> None:
        self._js_page.finished()
