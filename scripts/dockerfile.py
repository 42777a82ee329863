"""Checks Dockerfile with hadolint and compose.yaml against the Compose specification's schema. Standard library.

An argument names the folder that holds them, if it is another than the checkout.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def checks() -> list[list[str]]:
    """Command lines that fail when something is wrong. Where a linter should be and is not, its line fails, too."""
    schema = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    linter = [str(BIN / "hadolint"), "--no-color", "--failure-threshold", "style", "Dockerfile"]
    # The same as in pyproject.toml.
    made = sys.platform in ("linux", "darwin") and platform.machine() in ("x86_64", "aarch64", "arm64")
    if made or shutil.which(linter[0]):
        return [linter, schema]
    print(f"hadolint is not made for {sys.platform} on {platform.machine()}: Dockerfile is not checked here")
    return [schema]


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    worst = 0
    for command in checks():
        try:
            worst = max(worst, abs(subprocess.run(command, cwd=folder, check=False).returncode))
        except FileNotFoundError:
            sys.exit(f"{command[0]} is missing: run `make setup`")
    return worst


if __name__ == "__main__":
    sys.exit(main())
