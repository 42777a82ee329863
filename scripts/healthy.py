"""What the containers' HEALTHCHECK runs: `healthy.py broker`, `healthy.py provider`. Exit code 0: well; 1: not, and why.

Imports the standard library and how the broker reads its address. Sees the settings that are variables, not options.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

PATIENCE = 3.0
"""Seconds that the broker may take to answer."""
ANYWHERE = {None: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
PROC = Path("/proc")
ESTABLISHED = "01"


def broker() -> str:
    """What is wrong; nothing when it answers."""
    from broker.values import address

    host, port = address(os.environ.get("WASIMOFF_HTTP_LISTEN") or "localhost:4080")
    connection = _connection(ANYWHERE.get(host) or host or "", port)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"the broker does not answer at port {port}: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if status == 200 else f"the broker answers {status} at /healthz"


def _connection(host: str, port: int) -> HTTPConnection:
    if not os.environ.get("WASIMOFF_HTTP_CERT"):
        return HTTPConnection(host, port, timeout=PATIENCE)
    # The certificate is for the name that others use; here is only asked whether the broker answers.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=PATIENCE, context=context)


def provider(root: int = 1) -> str:
    """What is wrong; nothing when the provider below process `root` has workers and is connected to its broker.

    The broker drops a provider that does not answer its pings, so one that hangs does not stay connected.
    """
    family = dict(_family(root))
    main = next((pid for pid, words in family.items() if "pyodide_provider" in words), None)
    if main is None:
        return "no provider is running"
    if not any("pyodide_provider.native.worker" in words for words in family.values()):
        return "the provider has no workers"
    return "" if _connected(main) else "the provider is not connected to a broker"


def _family(root: int) -> Iterator[tuple[int, list[str]]]:
    """(process id, command line) of `root` and all below it that have not ended."""
    children: dict[int, list[int]] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    waiting = [root]
    for pid in waiting:
        waiting += sorted(children.get(pid, []))
        try:
            yield pid, (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue


def _connected(pid: int) -> bool:
    """Whether the process has a TCP connection that is open."""
    own = set()
    for link in (PROC / str(pid) / "fd").iterdir():
        try:
            own |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
        except OSError:
            continue
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / str(pid) / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        rows = [line.split() for line in lines]
        if any(row[3] == ESTABLISHED and row[9] in own for row in rows):
            return True
    return False


def main() -> int:
    what, *numbers = sys.argv[1:] or [""]
    if what not in ("broker", "provider") or not all(map(str.isdecimal, numbers)):
        print("usage: healthy.py broker | healthy.py provider [PROCESS]", file=sys.stderr)
        return 2
    try:
        wrong = broker() if what == "broker" else provider(*map(int, numbers[:1]))
    except (OSError, ValueError) as error:
        wrong = str(error)
    print(wrong or "well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
