"""Runs one program here, under wasmtime: `python run.py [--root FOLDER] [--env NAME=VALUE] PROGRAM.wasm [ARGUMENT …]`.

The streams and the exit code are the program's. Needs wasmtime (PyPI).
"""

import argparse
import sys
from pathlib import Path

from wasmtime import Engine, ExitTrap, Func, Linker, Module, Store, Trap, WasiConfig, WasmtimeError

BROKEN = 1
"""The exit code when there is none of the program: it could not be run, or it trapped."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Runs a WASI program under wasmtime.")
    parser.add_argument("--root", metavar="FOLDER", type=Path, help="the folder that is / to the program")
    parser.add_argument("--env", metavar="NAME=VALUE", action="append", default=[], help="a variable; may be repeated")
    parser.add_argument("program", metavar="PROGRAM.wasm", type=Path)
    parser.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if not options.program.is_file():
        parser.error(f"there is no file {options.program}")
    if options.root and not options.root.is_dir():
        parser.error(f"there is no folder {options.root}")
    if without := [variable for variable in options.env if "=" not in variable]:
        parser.error(f"expected NAME=VALUE, not {without[0]}")
    return options


def surroundings(options: argparse.Namespace) -> WasiConfig:
    wasi = WasiConfig()
    wasi.argv = [options.program.name, *options.arguments]
    wasi.env = [variable.split("=", 1) for variable in options.env]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    if options.root:
        wasi.preopen_dir(str(options.root), "/")
    return wasi


def run(program: Path, wasi: WasiConfig) -> int:
    """The program's exit code. Raises WasmtimeError or Trap when it has none."""
    engine = Engine()
    store = Store(engine)
    store.set_wasi(wasi)
    linker = Linker(engine)
    linker.define_wasi()
    start = linker.instantiate(store, Module.from_file(engine, str(program))).exports(store)["_start"]
    if not isinstance(start, Func):
        raise WasmtimeError("_start is not a function")
    try:
        start(store)
    except ExitTrap as ended:
        return ended.code
    return 0


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        return run(options.program, surroundings(options))
    except KeyError:
        print(f"run.py: {options.program} has no _start: it is not a WASI command", file=sys.stderr)
    except (WasmtimeError, Trap) as error:
        print(f"run.py: {options.program}: {error}", file=sys.stderr)
    return BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
