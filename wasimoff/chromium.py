"""Chromium, found and launched: Playwright's own, else the system's. Imports playwright when it is used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Containers often have a /dev/shm that is too small for a browser.
    "--disable-dev-shm-usage",
)
NO_SANDBOX = "sandbox"


def find(playwright: Playwright) -> str:
    """The path of a Chromium. Raises UsageError when there is none."""
    own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise UsageError(f"no Chromium here: install one that is found as {', '.join(NAMES)}, or run `playwright install chromium`")


async def launch(playwright: Playwright) -> tuple[Browser, bool]:
    """(browser, whether its own sandbox is on). Root has none, nor have most containers; WebAssembly's is always there.

    Raises UsageError when there is no Chromium, and Playwright's Error when it does not start.
    """
    from playwright.async_api import Error

    path = find(playwright)

    async def start(sandbox: bool) -> Browser:
        return await playwright.chromium.launch(
            executable_path=path,
            args=list(FLAGS),
            headless=True,
            chromium_sandbox=sandbox,
            # The launcher ends it in order, after the tab was asked to finish.
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )

    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return await start(False), False
    try:
        return await start(True), True
    except Error as error:
        if NO_SANDBOX not in str(error).lower():
            raise
        return await start(False), False
