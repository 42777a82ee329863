"""One provider of a kind for tests that hold both hosts to the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page

from e2e.chromium import Tab, Watch
from e2e.processes import Running

KINDS = ("native", "tab")


@dataclass(frozen=True)
class Host:
    kind: str
    """Which is the provider's name, too."""
    page: Page | None
    """Of a tab."""


@contextmanager
def lending(kind: str, url: str, chromium: Browser, *arguments: str, workers: int = 1) -> Iterator[Host]:
    """`arguments` are for a native one."""
    if kind == "native":
        running = Running("-m", "pyodide_provider", "--url", url, "--workers", str(workers), "--name", "native", *arguments)
        try:
            running.wait_for("Python tasks")
            yield Host("native", None)
        finally:
            print(running.output)
            running.close()
        return
    context = chromium.new_context()
    watch = Watch(context)
    try:
        tab = Tab(context.new_page()).open(url, workers=workers, name="tab").lending(workers)
        yield Host("tab", tab.page)
    finally:
        context.close()
    watch.check()
