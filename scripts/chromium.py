"""Sees to it that there is a Chromium for the headless provider and the end to end tests: Playwright's own, else the system's."""

from __future__ import annotations

import subprocess
import sys

from system import install

from wasimoff import headless


def main() -> None:
    if headless.find_chromium():
        return
    print("no Chromium found: trying Playwright's own", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True, timeout=240, capture_output=True)
    except (subprocess.SubprocessError, OSError):
        if not install(["chromium"]):
            print("no Chromium could be installed: everything works but `wasimoff provider --browser` and `make e2e`")


if __name__ == "__main__":
    main()
