"""A provider in a headless Chromium: the page that people open, kept open. Imports playwright, chromium, tab.

`await run(url, workers)` goes on until SIGTERM or SIGINT: then the tab finishes what it runs; a second signal ends at once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

from .address import broker_url
from .backoff import delays
from .chromium import launch
from .errors import UsageError
from .tab import Tab, TabError

DRAIN_SECONDS = 60.0
STEADY_SECONDS = 60.0
"""A tab that lived this long is opened again at once, and the pauses start anew."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
NOTHING_RUNS_TWICE = 130
"""Exit code when a second signal came."""

FINISHED = """new Promise((done) => {
  const root = document.documentElement;
  const look = () => root.dataset.finished === 'yes' && done(true);
  new MutationObserver(look).observe(root, { attributes: true });
  look();
})"""
DRAIN = "document.dispatchEvent(new Event('wasimoff-drain'))"


def _print(line: str) -> None:
    print(line, flush=True)


class Headless:
    """Opens the page, opens it again when it is lost, closes it when asked to stop."""

    def __init__(self, page: str, log: Callable[[str], None]) -> None:
        self._page = page
        self._log = log
        self._stop = asyncio.Event()
        self._end = asyncio.Event()

    def asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._log("ending at once")
            self._end.set()
        else:
            self._log("finishing what runs, then ending; once more ends at once")
            self._stop.set()

    async def serve(self) -> int:
        """Raises UsageError when there is no Chromium."""
        from playwright.async_api import async_playwright

        pauses = delays(FIRST_PAUSE, LONGEST_PAUSE)
        loop = asyncio.get_running_loop()
        async with async_playwright() as playwright:
            self._playwright = playwright
            while not self._stop.is_set():
                began = loop.time()
                reason = await self._session()
                if self._stop.is_set():
                    break
                if loop.time() - began > STEADY_SECONDS:
                    pauses = delays(FIRST_PAUSE, LONGEST_PAUSE)
                pause = next(pauses)
                self._log(f"{reason}; opening it again in {pause:.0f} s")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)
        return NOTHING_RUNS_TWICE if self._end.is_set() else 0

    async def _session(self) -> str:
        """One browser, from its start to its end; why it ended."""
        from playwright.async_api import Error

        try:
            browser, sandboxed = await launch(self._playwright)
        except Error as error:
            return f"Chromium does not start: {str(error).strip().splitlines()[0]}"
        self._log(f"Chromium {browser.version}{'' if sandboxed else ', without its own sandbox'}")
        try:
            tab = await Tab.open(browser, self._log)
            await tab.go(self._page)
            return await self._watch(tab)
        except (TabError, Error) as error:
            return str(error).strip().splitlines()[0]
        finally:
            with suppress(Error):
                await browser.close()

    async def _watch(self, tab: Tab) -> str:
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((tab.gone, stop), return_when=asyncio.FIRST_COMPLETED)
            if tab.gone.done():
                return tab.gone.result()
            await self._drain(tab)
            return "asked to stop"
        finally:
            stop.cancel()

    async def _drain(self, tab: Tab) -> None:
        async def finish() -> None:
            await tab.evaluate(DRAIN)
            await tab.evaluate(FINISHED, DRAIN_SECONDS)

        finishing = asyncio.ensure_future(finish())
        end = asyncio.ensure_future(self._end.wait())
        await asyncio.wait((finishing, end), return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        finishing.cancel()
        try:
            await finishing
        except TabError as error:
            self._log(f"not everything was finished: {error}")
        except asyncio.CancelledError:
            pass


async def run(
    url: str | None = None, workers: str | int = "max", *, name: str | None = None, log: Callable[[str], None] = _print
) -> int:
    """Lend this machine through a headless Chromium, until a signal; gives the exit code.

    Raises UsageError for a URL that is none, or when there is no Chromium.
    """
    settings = {"autoconnect": "yes", "workers": str(workers), "verbose": "1"}
    if name:
        settings["name"] = name
    headless = Headless(f"{broker_url(url)}/#{urlencode(settings)}", log)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, headless.asked_to_stop)
    try:
        return await headless.serve()
    finally:
        if sys.platform != "win32":
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


__all__ = ["Headless", "UsageError", "run"]
