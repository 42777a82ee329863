"""What runs at the provider: makes functions of their source, calls them, packs what they give. Standard library only.

It travels as text with every task (see `pickling`), so it imports nothing of this package, and runs on any Python from 3.11 on.
"""

from __future__ import annotations
import __future__

import ast
import collections
import importlib
import importlib.util
import io
import linecache
import pickle
import sys
import traceback
from types import FunctionType, ModuleType
from typing import Any

FILE = "<wasimoff>"
"""What frames of this module are called in a traceback."""
SHARED = "wasimoff.shared"
OWN = "wasimoff.own"
"""Kinds of persistent ids: a blob's object; something that was sent, when it comes back."""

MAKE = "wasimoff_make"
"""The function around a definition that has free variables or defaults."""

_known: dict[str, Any] = {}
"""What was defined, by its token."""
_tokens: dict[int, str] = {}
"""Their tokens, by id."""
_images: dict[str, ModuleType] = {}
_sources: dict[str, tuple[str, str, bool]] = {}
"""Modules that came as a whole: their source, file name, and whether each is a package."""


def run(program: bytes, calls: bytes, shared: dict[str, bytes], modules: dict[str, tuple[str, str, bool]]) -> bytes:
    """Call the function of `program` with each (args, kwargs) of `calls`, up to the first that raises.

    Gives a pickle of ([value, …], error): the values pickled each, the error None or (traceback, exception, type, message).
    """
    values: list[bytes] = []
    error = None
    try:
        if modules:
            _sources.update(modules)
            sys.meta_path.insert(0, _Finder())
        objects: dict[str, Any] = {}
        function = _Loader(program, shared, objects).load()
        for args, kwargs in _Loader(calls, shared, objects).load():
            values.append(_pack(function(*args, **kwargs)))
    except BaseException as raised:
        error = _describe(raised)
    return pickle.dumps((values, error), 5)


class _Loader(pickle.Unpickler):
    """Unpickles what `pickling` wrote; `objects` are the shared ones that were loaded already."""

    def __init__(self, data: bytes, shared: dict[str, bytes], objects: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._shared = shared
        self._objects = objects

    def find_class(self, module: str, name: str) -> Any:
        return globals()[name] if module == "wasimoff.remote" else super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        ref = pid[1]
        if ref not in self._objects:
            self._objects[ref] = _Loader(self._shared[ref], self._shared, self._objects).load()
        return self._objects[ref]


# Definitions


def define(token: str, piece: dict[str, Any], names: dict[str, Any], given: dict[str, Any]) -> Any:
    """The function or class that a piece of source defines, made once for each token.

    `names` are globals that it needs while it is defined; `given` its free variables and the values of its defaults.
    """
    if token in _known:
        return _known[token]
    module, qualname = piece["module"], piece["qualname"]
    if module in _sources and "<" not in qualname:
        made = importlib.import_module(module)
        for part in qualname.split("."):
            made = getattr(made, part)
    else:
        made = _execute(piece, names, given)
    _known[token] = made
    _tokens[id(made)] = token
    return made


def _execute(piece: dict[str, Any], names: dict[str, Any], given: dict[str, Any]) -> Any:
    space = vars(_image(piece["module"], piece["package"]))
    for name, value in names.items():
        space.setdefault(name, value)
    tree, result = _prepare(piece, given)
    flags = __future__.annotations.compiler_flag if sys.version_info < (3, 14) or piece["future"] else 0
    # What is not what its name means in its module must not be seen there.
    local = space if piece["bind"] and result == piece["name"] else {}
    exec(compile(tree, piece["file"], "exec", flags=flags, dont_inherit=True), space, local)
    made = local[result](*given.values()) if result == MAKE else local[result]
    if isinstance(made, type | FunctionType):
        made.__qualname__ = piece["qualname"]
    if piece["bind"]:
        space[piece["name"]] = made
    return made


def _prepare(piece: dict[str, Any], given: dict[str, Any]) -> tuple[ast.Module, str]:
    """The tree to execute, with the line numbers of the user's file; and the name it binds."""
    if piece["kind"] == "lambda":
        _remember(piece["file"], piece["line"] + 1, piece["source"][2:-2])
    else:
        _remember(piece["file"], piece["line"], piece["source"])
    tree = ast.parse("if 1:\n" + piece["source"] if piece["indented"] else piece["source"])
    node: Any = tree.body[0].body[0] if piece["indented"] else tree.body[0]
    ast.increment_lineno(node, piece["line"] - (2 if piece["indented"] else 1))
    if piece["kind"] != "lambda" and piece["bare"]:
        node.decorator_list = []
    value = node.value if piece["kind"] == "lambda" else node
    if piece["kind"] != "class":
        _replace_defaults(value.args)
    if not given and piece["kind"] != "lambda":
        return ast.Module([node], []), piece["name"]
    factory: Any = ast.parse(f"def {MAKE}({', '.join(given)}): pass").body[0]
    if piece["kind"] == "lambda":
        factory.body = [ast.Return(value)]
    else:
        factory.body = [node, ast.Return(ast.Name(piece["name"], ast.Load()))]
    return ast.fix_missing_locations(ast.Module([factory], [])), MAKE


def _replace_defaults(args: ast.arguments) -> None:
    """Defaults have been evaluated where the function came from: their values are given."""
    args.defaults = [ast.Name(f"wasimoff_{i}", ast.Load()) for i in range(len(args.defaults))]
    args.kw_defaults = [
        None if value is None else ast.Name(f"wasimoff_{argument.arg}", ast.Load())
        for argument, value in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]


def named(token: str, name: str, fields: tuple[str, ...], defaults: tuple[Any, ...], module: str) -> Any:
    """A class that `collections.namedtuple` made; it has no source."""
    if token not in _known:
        made = _known[token] = collections.namedtuple(name, fields, defaults=defaults, module=module)
        _tokens[id(made)] = token
    return _known[token]


def fill(made: Any, late: tuple[str, str, dict[str, Any], dict[str, Any]]) -> None:
    """Give a definition the globals and free variables that it needs when it is called."""
    module, package, names, cells = late
    space = vars(_image(module, package))
    for name, value in names.items():
        space.setdefault(name, value)
    if cells and isinstance(made, FunctionType):
        for name, cell in zip(made.__code__.co_freevars, made.__closure__ or (), strict=True):
            if name in cells:
                cell.cell_contents = cells[name]


def late(module: str, package: str, names: dict[str, Any], cells: dict[str, Any]) -> tuple[Any, ...]:
    return module, package, names, cells


def module(name: str, *also: str) -> ModuleType:
    """A module, and those of its submodules that are used by way of it."""
    for submodule in also:
        importlib.import_module(submodule)
    return importlib.import_module(name)


def _image(name: str, package: str) -> ModuleType:
    """The module in which definitions of that module are made; it stands where an import would find it."""
    if name in _sources:
        return importlib.import_module(name)
    if name not in _images:
        made = _images[name] = sys.modules[name] = ModuleType(name)
        made.__package__ = package
        parent = name.rpartition(".")[0]
        while parent and parent not in sys.modules:
            if parent in _sources:
                importlib.import_module(parent)
                break
            sys.modules[parent] = ModuleType(parent)
            sys.modules[parent].__path__ = []
            parent = parent.rpartition(".")[0]
    return _images[name]


def _remember(file: str, first: int, source: str) -> None:
    """Have tracebacks show the user's own lines."""
    entry: Any = linecache.cache.get(file, ())
    lines = entry[2] if len(entry) == 4 else []
    new = [f"{line}\n" for line in source.splitlines()]
    lines = lines + ["\n"] * (first - 1 + len(new) - len(lines))
    lines[first - 1 : first - 1 + len(new)] = new
    linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


class _Finder:
    """Imports the modules that came as a whole."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name.partition(".")[0] == "wasimoff":
            return importlib.util.spec_from_loader(name, self, is_package=True)  # type: ignore[arg-type]
        if name not in _sources:
            return None
        _, file, package = _sources[name]
        return importlib.util.spec_from_loader(name, self, origin=file, is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, made: ModuleType) -> None:
        if made.__name__ not in _sources:
            vars(made)["__getattr__"] = _Absent
            return
        source, file, _ = _sources[made.__name__]
        _remember(file, 1, source)
        exec(compile(source, file, "exec", dont_inherit=True), vars(made))

    def get_source(self, name: str) -> str:
        return _sources[name][0] if name in _sources else ""


class _Absent:
    """A name of wasimoff itself, which modules that came as a whole may import, but not use."""

    def __init__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("wasimoff itself isn't there where a function runs")


# The answer


class _Packer(pickle.Pickler):
    """Pickles a value; functions and classes that were sent go back by name."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType) and id(obj) in _tokens:
            return OWN, _tokens[id(obj)]
        return None


def _pack(value: Any) -> bytes:
    file = io.BytesIO()
    try:
        _Packer(file, 5).dump(value)
    except Exception as error:
        if isinstance(value, BaseException):
            raise
        text = f"the function returned {type(value).__qualname__!r}, which can't be sent back: {error}"
        raise TypeError(text) from None
    return file.getvalue()


def _describe(raised: BaseException) -> tuple[str, bytes | None, str, str]:
    trace = raised.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == FILE:
        trace = trace.tb_next
    raised = raised.with_traceback(trace)
    text = "".join(traceback.format_exception(raised))
    kind = type(raised)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        words = str(raised)
    except Exception:
        words = ""
    try:
        packed = _pack(raised)
    except Exception:
        packed = None
    return text, packed, name, words
