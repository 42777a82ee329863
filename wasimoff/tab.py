"""One tab of a Chromium, without the instrumentation that Playwright puts into its own pages. Imports playwright's types.

Playwright has every frame of every WebSocket reported, also those of workers: that nearly halves the tasks a second. A
target in the browser's default context is left alone by it, so we make one there and speak its protocol ourselves
(Chrome DevTools Protocol: Target, Runtime and Page).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession

ANSWER_SECONDS = 30.0


class TabError(Exception):
    """The tab is gone, or refused what we asked; the message says why."""


class Tab:
    """`gone` is done, with the reason, when the tab has crashed or was closed."""

    def __init__(self, session: CDPSession, printed: Callable[[str], None]) -> None:
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._session = session
        self._printed = printed
        self._target = ""
        self._inner = ""
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    async def open(cls, browser: Browser, printed: Callable[[str], None]) -> Tab:
        """An empty tab; `printed` gets what its page writes to the console."""
        session = await browser.new_browser_cdp_session()
        tab = cls(session, printed)
        browser.on("disconnected", lambda _: tab._lose("the browser ended"))
        session.on("Target.receivedMessageFromTarget", tab._received)
        session.on("Target.detachedFromTarget", tab._detached)
        session.on("Target.targetCrashed", tab._crashed)
        await session.send("Target.setDiscoverTargets", {"discover": True})
        tab._target = (await session.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        attached = await session.send("Target.attachToTarget", {"targetId": tab._target, "flatten": False})
        tab._inner = attached["sessionId"]
        await tab._ask("Runtime.enable")
        return tab

    async def go(self, url: str) -> None:
        """Load a page. Raises TabError when it can't be had."""
        answer = await self._ask("Page.navigate", {"url": url})
        if error := answer.get("errorText"):
            raise TabError(f"{url} can't be loaded: {error.removeprefix('net::')}")

    async def evaluate(self, expression: str, seconds: float | None = ANSWER_SECONDS) -> Any:
        """What an expression gives, awaited if it is a promise. Raises TabError when the tab goes or `seconds` pass."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = await self._ask("Runtime.evaluate", asked, seconds)
        if details := answer.get("exceptionDetails"):
            raise TabError(details.get("exception", {}).get("description") or details.get("text", "it failed"))
        return answer["result"].get("value")

    async def _ask(
        self, method: str, params: dict[str, Any] | None = None, seconds: float | None = ANSWER_SECONDS
    ) -> dict[str, Any]:
        if self.gone.done():
            raise TabError(self.gone.result())
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        message = json.dumps({"id": number, "method": method, "params": params or {}})
        try:
            await self._session.send("Target.sendMessageToTarget", {"sessionId": self._inner, "message": message})
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            raise TabError(f"the tab does not answer to {method}") from None
        finally:
            del self._asked[number]

    def _received(self, event: dict[str, Any]) -> None:
        if event["sessionId"] != self._inner:
            return
        message = json.loads(event["message"])
        if message.get("method") == "Runtime.consoleAPICalled":
            self._printed(_console_text(message["params"]["args"]))
        answer = self._asked.get(message.get("id", 0))
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(TabError(message["error"].get("message", "the browser refused")))
        else:
            answer.set_result(message["result"])

    def _detached(self, event: dict[str, Any]) -> None:
        if event["sessionId"] == self._inner:
            self._lose("the tab was closed")

    def _crashed(self, event: dict[str, Any]) -> None:
        if event["targetId"] == self._target:
            self._lose("the tab crashed")

    def _lose(self, reason: str) -> None:
        if not self.gone.done():
            self.gone.set_result(reason)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(TabError(reason))


def _console_text(arguments: list[dict[str, Any]]) -> str:
    return " ".join(str(it.get("value", it.get("description", ""))) for it in arguments)
