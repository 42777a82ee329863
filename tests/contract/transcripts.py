"""Cases written as transcripts: what wasi-apps/testing/calls prints, which is what it is told to do and what came of it.

A file of transcripts/ is a group: `# name`, then lines of `COMMAND => RESULT`; before them `@stdin TEXT`, `@env K=V …`
and `@rootfs`. With `@run PROGRAM ARGUMENTS` it is that program of wasi-apps, and the lines are what it prints.
`python -m tests.contract.transcripts FILE…` writes the results anew, as wasmtime gives them: read the diff.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from . import programs as p
from . import zips as z
from .case import Case

FOLDER = Path(__file__).with_name("transcripts")
ARROW = " => "
TREE = {"file": b"some text", "dir/": b"", "dir/inner": b"inner", "dir/empty/": b"", "ünï.txt": b"name\n"}
"""What `@rootfs` mounts."""


def parse(text: str) -> list[Case]:
    """The cases of one file, in their order."""
    return [_case(part) for part in ("\n" + text).split("\n# ")[1:]]


def _case(part: str) -> Case:
    name, *rest = part.strip("\n").split("\n")
    lines = [line for line in rest if line and not line.startswith("@")]
    given = dict(line[1:].partition(" ")[::2] for line in rest if line.startswith("@"))
    program, *args = given.get("run", "testing/calls").split(" ")
    return Case(
        name,
        p.built(program),
        (program, *(args if "run" in given else (line.partition(ARROW)[0] for line in lines))),
        tuple(given["env"].split(" ")) if "env" in given else (),
        given.get("stdin", "").replace("\\n", "\n").encode(),
        z.make_zip(TREE) if "rootfs" in given else None,
        stdout="".join(f"{line}\n" for line in lines).encode(),
    )


def _groups() -> dict[str, list[Case]]:
    files = [path for path in sorted(FOLDER.glob("*.txt")) if path.stem != "go" or p.GO]
    return {path.stem: parse(path.read_text(encoding="utf-8")) for path in files}


TRANSCRIPTS = _groups()


def record(path: Path) -> None:
    """Run every case of a file on wasmtime alone, and write what it printed."""
    text = path.read_text(encoding="utf-8")
    parts = []
    for part, case in zip(("\n" + text).split("\n# ")[1:], parse(text), strict=True):
        head = [line for line in part.split("\n") if line.startswith("@")]
        parts.append("\n".join([f"# {case.name}", *head, _ran(case)]))
    path.write_text("\n".join(parts), encoding="utf-8")


def _ran(case: Case) -> str:
    from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig, WasmtimeError

    from pyodide_provider.native import slashes

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir()
        for name, content in (TREE if case.rootfs else {}).items():
            (root / name).mkdir() if name.endswith("/") else (root / name).write_bytes(content)
        Path(folder, "stdin").write_bytes(case.stdin)
        wasi = WasiConfig()
        wasi.argv = list(case.args)
        wasi.env = [env.split("=", 1) for env in case.envs]
        wasi.stdin_file, wasi.stdout_file, wasi.stderr_file = (Path(folder, name) for name in ("stdin", "stdout", "stderr"))
        wasi.preopen_dir(str(root), "/")
        engine = Engine()
        store = Store(engine)
        store.set_wasi(wasi)
        linker = Linker(engine)
        linker.define_wasi()
        slashes.define(engine, linker)
        start = linker.instantiate(store, Module(engine, case.binary)).exports(store)["_start"]
        try:
            start(store)  # type: ignore[operator]
        except (ExitTrap, WasmtimeError) as ended:
            if getattr(ended, "code", 1):
                print(f"{case.name}: {ended}{Path(folder, 'stderr').read_text()}")
        return Path(folder, "stdout").read_text(encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        record(Path(argument))
