"""What comes back from strangers' machines, unpickled without letting it run code here. Standard library only.

By default only plain data, numpy's arrays and the caller's own data classes are made: docs/python.md, "Whom you trust".
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import pathlib
import pickle
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import RemoteError, UntrustedResult
from .memo import bloats
from .remote import OWN


@dataclass(frozen=True, slots=True)
class Trust:
    """What answers may be made of, besides plain data."""

    everything: bool = False
    classes: frozenset[type] = frozenset()

    def allows(self, cls: type) -> bool:
        """Whether a class that the caller sent may be made: by name, or as it is one of data."""
        return cls in self.classes or _is_data(cls)


@dataclass(frozen=True, slots=True)
class Answer:
    """The values of the calls of a task, up to the first that raised, and what that raised."""

    values: list[bytes]
    error: BaseException | None


def read(data: bytes, own: Mapping[str, Any], trust: Trust) -> Answer:
    """What `remote.run` packed. Raises UntrustedResult for anything else."""
    packed = load(data, {}, Trust())
    if isinstance(packed, bytes):
        packed = load(packed, {}, Trust())
    match packed:
        case ([*values], None) if all(type(value) is bytes for value in values):
            return Answer(values, None)
        case ([*values], (str() as text, bytes() | None as exception, str() as kind, str() as words)) if all(
            type(value) is bytes for value in values
        ):
            return Answer(values, _raised(text, exception, kind, words, own, trust))
    raise UntrustedResult("the provider's answer is not what this program asked for")


def load(data: bytes, own: Mapping[str, Any], trust: Trust) -> Any:
    """Unpickle one value; `own` are the functions and classes that were sent. Raises UntrustedResult."""
    if bloats(data):
        raise UntrustedResult("the provider's answer would take more memory than it has bytes for")
    try:
        return _Reader(data, own, trust).load()
    except UntrustedResult:
        raise
    except Exception as error:
        raise UntrustedResult(f"the provider's answer can't be read: {type(error).__name__}: {str(error)[:300]}") from error


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, own: Mapping[str, Any], trust: Trust) -> None:
        super().__init__(io.BytesIO(data))
        self._own = own
        self._trust = trust
        self._left = SPARE + 4 * len(data)
        """Elements that may still be copied: what stands in a pickle once may be named in it very often."""

    def _copying(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any) -> Any:
            self._left -= sum(len(argument) for argument in arguments if isinstance(argument, _SIZED))
            if self._left < 0:
                raise UntrustedResult("the provider's answer copies far more than it has bytes for")
            return make(*arguments)

        return made

    def find_class(self, module: str, name: str) -> Any:
        if self._trust.everything:
            return super().find_class(module, name)
        key = (MOVED.get(module, module), name)
        known = PLAIN.get(key)
        if known is not None:
            return self._copying(known) if key in COPIES else known
        found = _exception(module, name) or self._named(module, name)
        if found is None:
            raise UntrustedResult(_refusal(f"{module}.{name}"))
        return found

    def persistent_load(self, pid: Any) -> Any:
        kind, token = pid if isinstance(pid, tuple) and len(pid) == 2 else ("", "")
        if kind != OWN or token not in self._own:
            raise UntrustedResult("the provider's answer names something that was never sent")
        found = self._own[token]
        if self._trust.everything or (isinstance(found, type) and self._trust.allows(found)):
            return found
        raise UntrustedResult(_refusal(f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', found)}"))

    def _named(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy":
            return _numpy(module, name)
        for cls in self._trust.classes:
            if (cls.__module__, cls.__qualname__) == (module, name):
                return cls
        return None


def _refusal(name: str) -> str:
    return (
        f"the answer holds a {name}, which a stranger's answer may not make here: return plain data, "
        f"name the class with results=[…], or let answers do anything with trust=True"
    )


def _is_data(cls: type) -> bool:
    """Classes whose construction does, by convention, nothing but hold values."""
    if dataclasses.is_dataclass(cls) or issubclass(cls, enum.Enum | Exception):
        return True
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def named_results(function: Any) -> frozenset[type]:
    """The classes that a function's return annotation names."""
    try:
        hint = typing.get_type_hints(function).get("return")
    except Exception:
        return frozenset()
    found: set[type] = set()

    def visit(hint: Any) -> None:
        if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
            found.add(hint)
        for inner in typing.get_args(hint):
            visit(inner)

    visit(hint)
    return frozenset(found - {object, type, type(None)})


# What may be made


def _bytearray(value: bytes | str = b"", encoding: str = "") -> bytearray:
    """Of what is there, never of a number, which would be a size."""
    return bytearray(value, encoding) if isinstance(value, str) else bytearray(bytes_only(value))


def bytes_only(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes wanted, not {type(value).__name__}")
    return value


def _encode(text: str, encoding: str) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError("text wanted")
    return text.encode("latin-1")


def _empty(cls: type) -> Callable[..., Any]:
    """A container that is made empty, or of a container that is there already."""

    def make(content: Any = (), *more: Any) -> Any:
        if not isinstance(content, tuple | list | dict | str | bytes):
            raise TypeError(f"{cls.__name__} of {type(content).__name__}")
        return cls(content, *more)

    return make


def _defaultdict(factory: Any = None) -> Any:
    return collections.defaultdict(None if factory is None else _FACTORIES[factory])


def _fraction(numerator: Any, denominator: int = 1) -> fractions.Fraction:
    if isinstance(numerator, str):
        if len(numerator) > 10_000 or "e" in numerator.lower():
            raise TypeError("a fraction in exponential notation")
        return fractions.Fraction(numerator)
    return fractions.Fraction(numerator, denominator)


def _nothing(cls: type) -> Callable[[], Any]:
    def make() -> Any:
        return cls()

    return make


_SIMPLE = {cls.__name__: _nothing(cls) for cls in (int, float, str, bytes, bool, list, dict, set, tuple)}
_FACTORIES = {_SIMPLE[cls.__name__]: cls for cls in (int, float, str, bytes, bool, list, dict, set, tuple)}
"""What a defaultdict may be of."""

PLAIN: Mapping[tuple[str, str], Any] = {
    ("builtins", "complex"): lambda re=0.0, im=0.0: complex(float(re), float(im)),
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "range"): range,
    ("builtins", "slice"): slice,
    **{("builtins", name): make for name, make in _SIMPLE.items()},
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _empty(collections.OrderedDict),
    ("collections", "Counter"): _empty(collections.Counter),
    ("collections", "deque"): _empty(collections.deque),
    ("collections", "defaultdict"): _defaultdict,
    ("array", "array"): "array",  # which the next one is given, and nothing else may call
    ("array", "_array_reconstructor"): lambda cls, code, kind, data: _array(code, kind, data),
    **{("datetime", name): getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta", "timezone")},
    ("decimal", "Decimal"): decimal.Decimal,
    ("fractions", "Fraction"): _fraction,
    ("uuid", "UUID"): uuid.UUID,
    ("uuid", "SafeUUID"): uuid.SafeUUID,
    **{("pathlib", name): pathlib.PurePosixPath for name in ("PosixPath", "PurePosixPath")},
    ("pathlib", "PureWindowsPath"): pathlib.PureWindowsPath,
    ("types", "SimpleNamespace"): types.SimpleNamespace,
}
"""Plain data, and functions in place of constructors that a number could make run for ever."""
COPIES = frozenset({
    ("builtins", "bytearray"), ("_codecs", "encode"), ("collections", "OrderedDict"), ("collections", "Counter"),
    ("collections", "deque"), ("array", "_array_reconstructor"), ("decimal", "Decimal"), ("fractions", "Fraction"),
})  # fmt: skip
"""Those of them that copy what they are given."""
SPARE = 4096
_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset, collections.deque)
MOVED = {"pathlib._local": "pathlib", "pathlib._abc": "pathlib"}


def _array(code: Any, kind: Any, data: Any) -> Any:
    import array

    make = array._array_reconstructor  # type: ignore[attr-defined]
    return make(array.array, code, kind, bytes_only(data))


_NUMPY = {
    ("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"), ("", "ndarray"), ("", "dtype"),
}  # fmt: skip
"""What arrays and scalars are pickled with, whatever numpy's version calls the folder it is in."""


def _numpy(module: str, name: str) -> Any:
    last = module.rpartition(".")[2] if "." in module else ""
    if (last, name) not in _NUMPY and not (module == "numpy.dtypes" and name.endswith("DType")):
        return None
    inside = module.replace("numpy._core", "numpy.core") if "numpy._core" not in sys.modules else module
    try:
        return getattr(__import__(inside, fromlist=[name]), name)
    except ImportError as error:
        raise UntrustedResult(f"the answer holds numpy's arrays, and there is no numpy here: {error}") from None


def _exception(module: str, name: str) -> type[Exception] | None:
    """An exception of the standard library, if its module is loaded here already."""
    if module.partition(".")[0] not in sys.stdlib_module_names or module == "__main__" or "." in name:
        return None
    found = getattr(sys.modules.get(module), name, None)
    if (
        isinstance(found, type)
        and issubclass(found, Exception)
        and found.__module__.partition(".")[0] in sys.stdlib_module_names
    ):
        return found
    return None


# Exceptions


class RemoteTraceback(Exception):
    """The `__cause__` of an exception that was raised elsewhere; shows where, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def _raised(text: str, exception: bytes | None, kind: str, words: str, own: Mapping[str, Any], trust: Trust) -> BaseException:
    """The exception of a call: of the same type when it can be made here, else a RemoteError that says what it was."""
    made: Any = None
    if exception is not None:
        with contextlib.suppress(UntrustedResult):
            made = load(exception, own, trust)
    error = made if isinstance(made, Exception) else RemoteError(f"{kind}: {words}" if words else kind)
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        error.add_note(f"Where the function ran there is no {missing!r}: say what to install with packages=[…].")
    error.__cause__ = RemoteTraceback(text)
    return error


def classes(given: Iterable[type]) -> frozenset[type]:
    """Those that the caller named. Raises TypeError."""
    found = frozenset(given)
    for cls in found:
        if not isinstance(cls, type):
            raise TypeError(f"results names classes, {cls!r} is none")
    return found
