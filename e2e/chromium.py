"""Chromium for tests, and pages that are watched: an error on a console or a refused resource fails the test."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Playwright, expect

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
BOOT_SECONDS = 90


def launch(playwright: Playwright, *flags: str) -> Browser:
    """Playwright's own browser where it is there, else the system's."""
    own = playwright.chromium.executable_path
    path = own if Path(own).exists() else next(filter(None, map(shutil.which, NAMES)), None)
    assert path, f"no Chromium: neither Playwright's own nor one of {', '.join(NAMES)} on the PATH"
    return playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags], headless=True)


class Watch:
    """Collects what goes wrong in the pages of a context. `expected` parts of messages are let pass."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.expected: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def check(self) -> None:
        left = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert not left, "the pages complained:\n" + "\n".join(left)


class Tab:
    """The page that lends, as a person sees it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, url: str, workers: int = 2, **fragment: str) -> Tab:
        settings = {"autoconnect": "yes", "workers": str(workers), "verbose": "1", **fragment}
        self.page.goto(f"{url}/#{'&'.join(f'{name}={value}' for name, value in settings.items())}")
        return self

    def wait(self, seconds: float = BOOT_SECONDS, **state: object) -> Tab:
        """Until the page is in this state: attributes `data-…` of its root."""
        for name, value in state.items():
            attribute = f"data-{name.replace('_', '-')}"
            expect(self.page.locator("html")).to_have_attribute(attribute, str(value), timeout=seconds * 1000)
        return self

    def lending(self, workers: int = 2) -> Tab:
        """Until it is connected and all its workers are up."""
        return self.wait(link="connected", ready_workers=workers)

    @property
    def log(self) -> str:
        return self.page.locator("#log").inner_text()

    def close(self) -> None:
        self.page.close()

    def crash(self) -> None:
        """Kill the tab's process as the system would."""
        with contextlib.suppress(Error):
            self.page.goto("chrome://crash", timeout=3000)
