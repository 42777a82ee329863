"""Builds the provider in the tab: the only place here that knows Pyodide and makes objects.

`start` is called once by static/js/provider/worker.js, when Python is up.
"""

from __future__ import annotations

import json
import random
from typing import Any

from pyodide.ffi import create_proxy, to_js

from ..core.events import ConnectWanted, DisconnectWanted, DrainWanted, WorkersWanted
from ..core.state import State
from ..runtime import INTERACTIVE, PYTHON, PYTHON_NETWORK, THREADS, WASIP1, Runtime
from ..slot_messages import blob_message
from .blobs import PushedBlobs
from .clock import BrowserClock
from .host import F, JsHost
from .page import PageSink
from .slots import BrowserSlots
from .websocket import BrowserTransport


def keep(function: F) -> F:
    """A proxy through which JavaScript may call us for as long as this worker lives, which ends with the provider."""
    return create_proxy(function)  # type: ignore[no-any-return]


class Provider:
    """A provider in a tab: ports around a `Runtime`, and the page's commands."""

    def __init__(self, js_host: JsHost, settings: dict[str, Any]) -> None:
        self._blobs = PushedBlobs()
        clock = BrowserClock(js_host, keep)
        self._slots = BrowserSlots(js_host, keep, settings["storage"], settings["limits"], self._greetings, clock)
        self._blobs.pushed = lambda ref, blob: self._slots.tell_all(*blob_message(ref, blob))
        self._sink = PageSink(js_host)
        transport = BrowserTransport(js_host, keep)
        self._runtime = Runtime(
            State(settings["workers"], random.random),
            transport,
            self._slots,
            self._blobs,
            clock,
            self._sink,
            settings["engine"],
            (WASIP1, PYTHON, PYTHON_NETWORK, *((THREADS, INTERACTIVE) if js_host.isolated else ())),
        )
        self._slots.feed = transport.feed = self._runtime.feed
        transport.receive = self._runtime.receive

    def _greetings(self) -> list[tuple[str, bytes]]:
        return [blob_message(ref, blob) for ref, blob in self._blobs.held.items()]

    def connect(self) -> None:
        self._runtime.feed(ConnectWanted())

    def disconnect(self) -> None:
        self._runtime.feed(DisconnectWanted())

    def drain(self) -> None:
        self._runtime.feed(DrainWanted())

    def workers(self, count: int) -> None:
        self._runtime.feed(WorkersWanted(count))

    def online(self) -> None:
        """The network is back: try now instead of waiting."""
        if self._runtime.status().link == "waiting":
            self._runtime.feed(ConnectWanted())


def sow() -> None:
    """What a restored snapshot would give every tab alike."""
    random.seed()


def start(js_host: JsHost, settings: str) -> Any:
    """A JavaScript object with the page's commands as functions. `settings` is JSON (messages.d.ts, `Settings`)."""
    sow()
    chosen = json.loads(settings)
    provider = Provider(js_host, chosen)
    if chosen["connect"]:
        provider.connect()
    commands = (provider.connect, provider.disconnect, provider.drain, provider.workers, provider.online)
    return to_js({command.__name__: keep(command) for command in commands})
