"""The known differences of the hosts, out of docs/differences.md; a case in that table must not hold where it says so."""

from __future__ import annotations

import re
from pathlib import Path

from pyodide_provider.core.run import Outcome

from .case import Case, check

PAGE = Path(__file__).resolve().parents[2] / "docs/differences.md"
KNOWN = {
    (name, host)
    for name, host in re.findall(r"^\| ([^|]+: [^|]+?) \| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
}
"""(name of a case, "tab" or "native")."""


def hold(name: str, case: Case, outcome: Outcome, host: str) -> None:
    """`check`, but for a case that is known to differ: AssertionError when that one holds."""
    if (name, host) not in KNOWN:
        check(case, outcome)
        return
    try:
        check(case, outcome)
    except AssertionError:
        return
    raise AssertionError(f'"{name}" holds in the {host} now: take its line out of docs/differences.md')
