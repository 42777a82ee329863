"""Generates messages_pb2.py(i) from messages.proto with the pinned generator; `--check` fails on stale ones."""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

WIRE = Path(__file__).resolve().parent.parent / "pyodide_provider" / "wire"
GENERATED = ("messages_pb2.py", "messages_pb2.pyi")


def generate(out: Path) -> None:
    """Write the generated files to `out`; exits with the generator's words when the schema does not compile."""
    well_known = str(files("grpc_tools") / "_proto")
    args = ["protoc", f"-I{WIRE}", f"-I{well_known}", f"--python_out={out}", f"--pyi_out={out}", "messages.proto"]
    if protoc.main(args) != 0:
        sys.exit("messages.proto does not compile")
    for name in GENERATED:
        path = out / name
        path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()).rstrip() + "\n")


def main() -> None:
    if "--check" not in sys.argv:
        return generate(WIRE)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = [n for n in GENERATED if (Path(folder) / n).read_text() != (WIRE / n).read_text()]
    if stale:
        sys.exit(f"{', '.join(stale)} differ from messages.proto: run `make proto` and commit the result")


if __name__ == "__main__":
    main()
