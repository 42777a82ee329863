"""Sees to it that there is a Chromium for the headless provider and the end to end tests: the system's, or Playwright's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from system import install

from wasimoff import chromium


def present() -> bool:
    if any(shutil.which(name) for name in chromium.NAMES):
        return True
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


def main() -> None:
    if present():
        return
    print("no Chromium found: trying Playwright's own", flush=True)
    try:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(command, check=True, timeout=240, capture_output=True)
    except (subprocess.SubprocessError, OSError):
        if not install(["chromium"]):
            print("no Chromium could be installed: everything works but `wasimoff provider --browser` and `make e2e`")


if __name__ == "__main__":
    main()
