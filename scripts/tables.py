"""Prints the cores' transition tables into ARCHITECTURE.md; `--check` fails when the page and the code disagree."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from broker.core import transitions
from pyodide_provider.core import link, pool

PAGE = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"


def moves(table: dict[object, dict[object, str]]) -> str:
    """A table of reasons: from, to, because."""
    rows = [
        f"| {source.value} | {target.value} | {reason} |"  # type: ignore[attr-defined]
        for source, targets in table.items()
        for target, reason in targets.items()
    ]
    return "\n".join(["| from | to | because |", "|---|---|---|", *rows])


def reactions(table: dict[tuple[str, type], str]) -> str:
    """A table of events: in state, when, then."""
    rows = [f"| {state} | {event.__name__} | {then} |" for (state, event), then in table.items()]
    return "\n".join(["| in | when | then |", "|---|---|---|", *rows])


TABLES = {
    "task": lambda: moves(transitions.TASK),  # type: ignore[arg-type]
    "provider": lambda: moves(transitions.PROVIDER),  # type: ignore[arg-type]
    "link": lambda: reactions(link.TABLE),
    "slot": lambda: reactions(pool.TABLE),
}


def main() -> None:
    text = PAGE.read_text()
    for name, table in TABLES.items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            sys.exit(f"ARCHITECTURE.md has no place for the table {name}")
        text = pattern.sub(lambda found, table=table: found[1] + table() + "\n" + found[2], text)
    if "--check" not in sys.argv:
        PAGE.write_text(text)
    elif text != PAGE.read_text():
        sys.exit("the tables of ARCHITECTURE.md are stale: run .venv/bin/python scripts/tables.py and commit the result")


if __name__ == "__main__":
    main()
