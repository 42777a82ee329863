"""Functions and their arguments to bytes that any Python understands: definitions travel as source.

Imports cloudpickle, `definitions`, and `remote`, whose text goes along. docs/python.md, "On the wire", describes the result.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import io
import os
import pickle
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import cloudpickle

from . import definitions, remote
from .definitions import Definition
from .errors import UsageError

LARGE = 64 * 2**10
"""Bytes from which a value is a blob of its own, sent once."""
LARGE_PART = 2**20
"""Bytes from which a function or the arguments of a task are a blob, too."""
PYTHON = "3.14"
"""Of Pyodide, as of which bytecode would have to be."""

EXPRESSION = f"exec(compile(runner, {remote.FILE!r}, 'exec'), space) or space['run'](program, calls, shared, modules)"

Modules = dict[str, tuple[str, str, bool]]
Call = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass(slots=True)
class Shared:
    """An object that was pickled once, to stand in for itself in arguments: `Executor.share`."""

    ref: str
    blob: bytes = field(repr=False)
    what: str = ""

    def __repr__(self) -> str:
        return f"<shared {self.what}, {len(self.blob)} bytes, {self.ref[:19]}…>"


@dataclass(slots=True)
class Packed:
    """Something pickled, and what must go along."""

    data: bytes
    shared: dict[str, bytes] = field(default_factory=dict)
    """Blobs, by ref."""
    modules: Modules = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    """Functions and classes that went as source, by token: answers may name them."""
    bytecode: bool = False


def pack(obj: Any, python: str = PYTHON, what: str = "", large: int = LARGE) -> Packed:
    """Pickle an object for `remote`. Raises UsageError, in words that begin with `what` it is."""
    file = io.BytesIO()
    pickler = _Pickler(file, python, large)
    try:
        pickler.dump(obj)
    except UsageError as error:
        raise UsageError(f"{what or called(obj)} can't be sent: {error}") from None
    except RecursionError:
        raise UsageError(f"{what or called(obj)} can't be sent: it is nested too deeply") from None
    except Exception as error:
        reason = _blame(obj, python) or str(error) or repr(error)
        raise UsageError(f"{what or called(obj)} can't be sent: {reason}") from error
    packed = pickler.packed
    packed.data = file.getvalue()
    return packed


def pack_function(function: Any, python: str = PYTHON) -> Packed:
    """Pickle a function that is to be called elsewhere. Raises UsageError also for one whose value can't come back."""
    check_function(function)
    return pack(function, python, called(function))


def check_function(function: Any) -> None:
    """Raises UsageError for what can't be called, or whose value can't come back."""
    name = called(function)
    if not callable(function):
        raise UsageError(f"{name} can't be called")
    bare = function
    while isinstance(bare, partial | MethodType):
        bare = bare.func if isinstance(bare, partial) else bare.__func__
    if inspect.iscoroutinefunction(bare) or inspect.isasyncgenfunction(bare):
        raise UsageError(f"{name} is an async function: write a plain one; it may call asyncio.run(…) itself")
    if inspect.isgeneratorfunction(bare):
        raise UsageError(f"{name} is a generator, whose values can't come back one by one: return a list")


def pack_calls(calls: Iterable[Call], python: str = PYTHON) -> Packed:
    """Pickle the arguments of calls."""
    listed = [(tuple(args), dict(kwargs)) for args, kwargs in calls]
    try:
        return pack(listed, python, "the arguments")
    except UsageError as error:
        for args, kwargs in listed:
            for name, value in [*((f"argument {i + 1}", arg) for i, arg in enumerate(args)), *kwargs.items()]:
                pack(value, python, f"{name} ({_short(value)})")
        raise error


def payload(program: Packed, calls: Packed) -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a task: `[eval, [expression, names], {}]`; and the blobs that it names."""
    shared = program.shared | calls.shared
    listed = list(shared)
    parts = {"program": program.data, "calls": calls.data}
    for name, data in parts.items():
        if len(data) > LARGE_PART:
            ref, blob = _blob(data)
            shared[ref] = blob
            parts[name] = _Reference(ref)  # type: ignore[assignment]
    names = {
        "runner": runner(),
        "space": {"__name__": "wasimoff.remote"},
        **parts,
        "shared": {ref: _Reference(ref) for ref in listed},
        "modules": program.modules | calls.modules,
    }
    file = io.BytesIO()
    _Outer(file, 5).dump([eval, [EXPRESSION, names], {}])
    return file.getvalue(), shared


@cache
def runner() -> str:
    """The text of `remote`, without comments and docstrings."""
    tree = ast.parse(Path(remote.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            plain = [x for x in body if not (isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant))]
            node.body = plain or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def share(obj: Any, python: str = PYTHON) -> Shared:
    """Pickle an object once; what it becomes later isn't seen. Raises UsageError."""
    packed = pack(obj, python, large=sys.maxsize)
    if packed.bytecode or packed.modules or packed.own:
        raise UsageError(f"{called(obj)} can't be shared: share plain data; functions and objects of your own classes can't be")
    return Shared(*_blob(packed.data), type(obj).__qualname__)


def _blob(data: bytes) -> tuple[str, bytes]:
    """A blob that gives `data` when unpickled, and its ref."""
    blob = pickle.dumps(data, 5)
    return f"sha256:{hashlib.sha256(blob).hexdigest()}", blob


@dataclass(slots=True)
class _Reference:
    ref: str


class _Outer(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return (remote.SHARED, obj.ref) if type(obj) is _Reference else None


@dataclass(slots=True)
class _Late:
    """Globals and free variables of a definition, looked at when it has been made and may be referred to."""

    of: Definition


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Definitions that the other side can't import become source; what is large becomes a blob."""

    def __init__(self, file: io.BytesIO, python: str, large: int = LARGE) -> None:
        super().__init__(file, 5)
        self._large = large
        self.packed = Packed(b"")
        self._python = python
        self._opened: dict[int, Definition] = {}
        """Those whose early names are being pickled."""

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is Shared:
            self.packed.shared[obj.ref] = obj.blob
            return remote.SHARED, obj.ref
        if _size(obj, kind) > self._large:
            ref, blob = _blob(pickle.dumps(obj, 5))
            self.packed.shared[ref] = blob
            return remote.SHARED, ref
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, FunctionType):
            return self._function(obj)
        if isinstance(obj, type):
            return self._class(obj)
        if isinstance(obj, ModuleType):
            return self._module(obj)
        if isinstance(obj, _Late):
            return self._late(obj.of)
        if isinstance(obj, MethodType):
            return getattr, (obj.__self__, obj.__func__.__name__)
        if isinstance(obj, CodeType):
            return self._bytecode(obj, "a code object")
        if hasattr(obj, "__wrapped__") and not _is_there(obj):
            found = definitions.of_wrapper(obj)
            if found is not None:
                return self._definition(found)
        return super().reducer_override(obj)

    def _function(self, function: FunctionType) -> Any:
        if _is_there(function):
            return NotImplemented
        owner = _owner(function)
        if owner is not None:
            return getattr, (owner, function.__name__)
        found = definitions.of_function(function)
        return self._bytecode(function, called(function)) if found is None else self._definition(found)

    def _class(self, cls: type) -> Any:
        if _is_there(cls) or cls.__module__ == "builtins":
            return super().reducer_override(cls)
        found = definitions.of_class(cls)
        if found is None and issubclass(cls, tuple) and hasattr(cls, "_fields"):
            defaults = tuple(cls._field_defaults.values())  # type: ignore[attr-defined]
            token = f"{id(cls):x}"
            self.packed.own[token] = cls
            return remote.named, (token, cls.__name__, cls._fields, defaults, cls.__module__)
        return self._bytecode(cls, f"the class {cls.__qualname__}") if found is None else self._definition(found)

    def _definition(self, found: Definition) -> Any:
        key = id(found.made)
        if key in self._opened:
            names = " and ".join(sorted({d.name for d in self._opened.values()}))
            raise UsageError(f"{names} need each other while they are being defined")
        self._opened[key] = found
        token = f"{key:x}"
        self.packed.own[token] = found.made
        early = self._values(found, found.uses.early)
        self._check_complete(found, early)
        given = {**found.defaults, **(found.cells if found.kind == "class" else dict.fromkeys(found.cells))}
        self._import_inside(found)
        return remote.define, (token, found.piece(), early, given), _Late(found), None, None, remote.fill

    def _late(self, found: Definition) -> Any:
        self._opened.pop(id(found.made), None)
        names = self._values(found, found.uses.late)
        for name in found.uses.hints & found.space.keys():
            value = found.space[name]
            if isinstance(value, type | ModuleType) and _is_standard(getattr(value, "__module__", None) or value.__name__):
                names[name] = value
        cells = {} if found.kind == "class" else found.cells
        cells = {name: value for name, value in cells.items() if id(value) not in self._opened}
        return remote.late, (found.module, found.package, names, cells)

    def _values(self, found: Definition, names: Iterable[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in sorted(names):
            if name in definitions.NO_NAMES or name not in found.space:
                continue
            value = found.space[name]
            if id(value) in self._opened and name == self._opened[id(value)].name and value is not found.made:
                continue  # it gives itself its name when it is made
            if isinstance(value, ModuleType) and (also := definitions.modules_used(found, name, value)):
                value = _Module(value, tuple(also))
            values[name] = value
        return values

    def _check_complete(self, found: Definition, names: Mapping[str, Any]) -> None:
        builtins = vars(sys.modules["builtins"])
        for name in found.uses.early - names.keys() - definitions.NO_NAMES:
            if name not in builtins and name not in found.cells and name not in found.space:
                raise UsageError(
                    f"{found.qualname} uses {name!r} of the function around it while it is defined: make it a global"
                )

    def _import_inside(self, found: Definition) -> None:
        """Local modules that import statements in a function's body name go along."""
        for level, name in found.uses.imports:
            full = name
            if level:
                full = ".".join(
                    [*found.package.split(".")[: len(found.package.split(".")) - level + 1], *([name] if name else [])]
                )
            self._ship(full)

    def _module(self, module: ModuleType | _Module) -> Any:
        also = module.also if isinstance(module, _Module) else ()
        real = module.module if isinstance(module, _Module) else module
        for name in (real.__name__, *also):
            self._ship(name)
        return remote.module, (real.__name__, *also)

    def _ship(self, name: str) -> None:
        """Have a local module go along as a whole, with its packages and the local modules that it imports."""
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            part = ".".join(parts[:count])
            if part in self.packed.modules or not (found := _local_source(part)):
                continue
            self.packed.modules[part] = found
            for level, inner in definitions.imports_of(found[0]):
                base = parts[: count + (1 if found[2] else 0) - level] if level else []
                self._ship(".".join([*base, *([inner] if inner else [])]))

    def _bytecode(self, obj: Any, what: str) -> Any:
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if here != self._python:
            reason = f"and bytecode of this Python {here} can't run on Python {self._python}: define it in a file or notebook"
            raise UsageError(f"the source of {what} can't be found, {reason}")
        self.packed.bytecode = True
        return super().reducer_override(obj)


class _Module(ModuleType):
    """A module, and submodules that come with it."""

    def __init__(self, module: ModuleType, also: tuple[str, ...]) -> None:
        super().__init__(module.__name__)
        self.module = module
        self.also = also


# What the other side has


def _is_there(obj: Any) -> bool:
    """Whether an import finds this very object where everybody has it: the standard library, or an installed package."""
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name or not is_installed(module):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def _is_standard(module: str) -> bool:
    return module != "__main__" and module.partition(".")[0] in sys.stdlib_module_names


@lru_cache(maxsize=4096)
def _is_below_packages(file: str) -> bool:
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return any(file.startswith(folder + os.sep) for folder in folders) or "site-packages" in file or "dist-packages" in file


def is_installed(name: str) -> bool:
    """Whether a module comes with Python or was installed, and isn't of the user's own."""
    if name == "__main__":
        return False
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "wasimoff":
        return top != "wasimoff" or name == remote.__name__
    module = sys.modules.get(name) or sys.modules.get(top)
    file = getattr(module, "__file__", None)
    return module is not None and (_is_below_packages(file) if file else getattr(module, "__spec__", None) is not None)


def _local_source(name: str) -> tuple[str, str, bool] | None:
    """The source of a module of the user's own, its file's name and whether it is a package."""
    top = name.partition(".")[0]
    if not top or top in sys.stdlib_module_names or top in ("__main__", "wasimoff"):
        return None
    module = sys.modules.get(name)
    try:
        spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    file = getattr(module, "__file__", None) or (spec.origin if spec is not None else None)
    if not file or not file.endswith(".py") or _is_below_packages(file):
        return None
    return Path(file).read_text(encoding="utf-8"), definitions.shown(file), Path(file).name == "__init__.py"


def _owner(function: FunctionType) -> type | None:
    """The class of a method that was taken from its class."""
    path, _, name = function.__qualname__.rpartition(".")
    if not path or "<" in path:
        return None
    found: Any = sys.modules.get(function.__module__)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and getattr(found, name, None) is function else None


def _size(obj: Any, kind: type) -> int:
    """Bytes of text, of bytes, of an array of numbers (numpy's, or of the standard library); 0 of anything else."""
    if kind is bytes or kind is str or kind is bytearray:
        return len(obj)
    if kind.__module__ == "array":
        return len(obj) * int(obj.itemsize)
    return int(obj.nbytes) if kind.__name__ == "ndarray" and kind.__module__ == "numpy" and not obj.dtype.hasobject else 0


# Words


def called(obj: Any) -> str:
    """The name of a function or class, for people."""
    name = getattr(obj, "__qualname__", None) or getattr(getattr(obj, "func", None), "__qualname__", None)
    return str(name).rpartition("<locals>.")[2] if name else _short(obj)


def _short(obj: Any) -> str:
    try:
        text = repr(obj)
    except Exception:
        text = f"a {type(obj).__qualname__}"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _blame(obj: Any, python: str, seen: frozenset[int] = frozenset()) -> str:
    """Which global or free variable of a function is what can't be pickled; "" when none is."""
    if id(obj) in seen:
        return ""
    found = definitions.of_function(obj) if isinstance(obj, FunctionType) and not _is_there(obj) else None
    found = definitions.of_class(obj) if isinstance(obj, type) and not _is_there(obj) else found
    if found is None:
        return ""
    names = {n: found.space[n] for n in found.uses.early | found.uses.late if n in found.space}
    for kind, values in (("the global", names), ("the variable", found.cells), ("the default", found.defaults)):
        for name, value in values.items():
            if name in definitions.NO_NAMES:
                continue
            try:
                _Pickler(io.BytesIO(), python).dump(value)
            except Exception as error:
                deeper = _blame(value, python, seen | {id(obj)})
                return deeper or f"{found.name} uses {kind} {name!r} ({_short(value)}): {error}"
    return ""
