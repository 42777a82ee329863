"""Writes `pyodide-lock.json` into a folder of wheels: what Pyodide goes by when it loads them, by Pyodide's own tool.

    python scripts/wheels_lock.py FOLDER < INFO

INFO is the part "info" of the lock file that came with Pyodide, as JSON. Fails when a wheel needs what is not there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyodide_lock import PyodideLockSpec
from pyodide_lock.utils import add_wheels_to_spec


def main() -> None:
    folder = Path(sys.argv[1])
    target = folder / "pyodide-lock.json"
    # Pyodide's own version is no part of it any more since 314; older versions of the tool still want one.
    empty = {"info": {"version": "0.0.0", **json.load(sys.stdin)}, "packages": {}}
    target.write_text(json.dumps(empty))
    spec = add_wheels_to_spec(PyodideLockSpec.from_json(target), sorted(folder.glob("*.whl")))
    spec.check_wheel_filenames()
    spec.to_json(target)


if __name__ == "__main__":
    main()
