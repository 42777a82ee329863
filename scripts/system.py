"""Checks that this machine has what `make setup` needs; installs it where that is possible, else says how. Standard library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEEDED = {"node": "nodejs", "npm": "npm"}


def install(packages: list[str]) -> bool:
    """With apt, when we may. True when it worked."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"installing {', '.join(packages)} with apt-get", flush=True)
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    update = subprocess.run(["apt-get", "update", "-qq"], env=env, check=False)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    added = subprocess.run(command, env=env, check=False, stdout=subprocess.DEVNULL)
    return update.returncode == 0 and added.returncode == 0


def main() -> None:
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        sys.exit(f"Python {wanted} or newer is needed, this is {sys.version.split()[0]}: say make PYTHON=python{wanted}")
    missing = [package for command, package in NEEDED.items() if not shutil.which(command)]
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        missing.append("python3-venv")
    if missing and not install(missing):
        sys.exit(f"please install first: {', '.join(missing)} (for example: apt-get install {' '.join(missing)})")


if __name__ == "__main__":
    main()
