"""Wheels and indexes of them, made by tests: real ones that pip takes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

TAG = "cp314-cp314-pyemscripten_2026_0_wasm32"


def wheel(folder: Path, name: str, version: str, *needs: str, tag: str = TAG, files: dict[str, bytes] | None = None) -> Path:
    """A wheel with one module of its name, or with `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in (files or {f"{name}.py": f"version = {version!r}\n".encode()}).items():
            archive.writestr(file, content)
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def entry(path: Path, *depends: str, library: bool = False) -> dict[str, Any]:
    """What a lock file says of a wheel, or of a zip with a shared library."""
    name, version = path.stem.split("-")[:2]
    return {
        "name": name,
        "version": version,
        "file_name": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "depends": list(depends),
        "imports": [] if library else [name],
        "install_dir": "dynlib" if library else "site",
        "package_type": "shared_library" if library else "package",
        "unvendored_tests": False,
    }


def lock(folder: Path, *entries: dict[str, Any], python: str = "3.14.2") -> Path:
    """The folder as an index."""
    info = {"arch": "wasm32", "platform": "emscripten_5_0_3", "abi_version": "2026_0", "python": python}
    (folder / "pyodide-lock.json").write_text(json.dumps({"info": info, "packages": {it["name"]: it for it in entries}}))
    return folder
