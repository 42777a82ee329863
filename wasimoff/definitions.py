"""Where functions and classes are defined, and what they need: found by the syntax tree of their source. Standard library only.

Answers for one definition at a time; what to do with the values that it needs is `pickling`'s.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import os
import symtable
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .errors import UsageError

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
NO_NAMES = frozenset({"__builtins__", "__spec__", "__loader__", "__name__", "__package__", "__doc__", "__annotations__"})
"""Globals that every module has of its own."""


@dataclass(frozen=True, slots=True)
class Uses:
    """Names of globals, by when they are needed."""

    early: frozenset[str]
    """While it is defined: in decorators, bases and class bodies."""
    late: frozenset[str]
    """When it is called."""
    hints: frozenset[str]
    """In annotations alone: nobody may ever look at them."""
    attributes: frozenset[str]
    """Dotted names that begin with a global: "np.linalg.norm"."""
    imports: frozenset[tuple[int, str]]
    """Modules of import statements in it, with their level."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A piece of source that defines a function or class."""

    made: Any = field(repr=False)
    kind: str
    """"def", "lambda" or "class"."""
    module: str
    qualname: str
    name: str
    path: str
    line: int
    source: str = field(repr=False)
    indented: bool
    bare: bool
    """Its decorators are left out: it is what they were given, not what they made of it."""
    bind: bool
    """It is what its name means in its module."""
    future: bool
    space: dict[str, Any] = field(repr=False)
    """The globals."""
    cells: dict[str, Any] = field(repr=False)
    """The free variables that have a value."""
    defaults: dict[str, Any] = field(repr=False)
    uses: Uses = field(repr=False)

    @property
    def package(self) -> str:
        return str(self.space.get("__package__") or "")

    def piece(self) -> dict[str, Any]:
        """As `remote.define` wants it."""
        names = ("kind", "module", "qualname", "name", "line", "source", "indented", "bare", "bind", "future", "package")
        return {**{name: getattr(self, name) for name in names}, "file": shown(self.path)}


def shown(path: str) -> str:
    """What a file is called in tracebacks of strangers' machines: relative to where we are, else its name alone."""
    full = os.path.abspath(path)
    here = os.getcwd() + os.sep
    return full[len(here) :] if full.startswith(here) else os.path.basename(path)


def of_function(function: FunctionType) -> Definition | None:
    """Where a function is defined; None: its source can't be had. Raises UsageError when the source changed meanwhile."""
    space, name = function.__globals__, function.__qualname__
    bound = "." not in name and space.get(name) is function
    inner = inspect.unwrap(function) if bound else function
    code = inner.__code__ if isinstance(inner, FunctionType) else function.__code__
    inner = inner if isinstance(inner, FunctionType) else function
    return _of_code(function, inner, code, bound)


def of_wrapper(made: Any) -> Definition | None:
    """Where something is defined that a decorator made of a function, and that isn't one (as functools.cache does)."""
    inner = inspect.unwrap(made)
    if not isinstance(inner, FunctionType) or inner.__globals__.get(inner.__qualname__) is not made:
        return None
    return _of_code(made, inner, inner.__code__, True)


def _of_code(made: Any, inner: FunctionType, code: CodeType, bound: bool) -> Definition | None:
    text = _text(code.co_filename, inner.__globals__)
    if text is None:
        return None
    candidates = [node for node in _index(text).functions.get(code.co_firstlineno, ()) if _fits(node, code)]
    if len(candidates) > 1:
        candidates = [node for node in candidates if _spans(node, code)]
    if len(candidates) != 1:
        where = f"line {code.co_firstlineno} of {code.co_filename}"
        if not candidates:
            raise UsageError(f"{code.co_name} is not at {where} any more: the file changed since it was loaded")
        raise UsageError(f"which one of the functions at {where} is meant? put them on lines of their own")
    node = candidates[0]
    free = set(code.co_freevars)
    bare = not bound
    source, line, indented = _source(text, node)
    return Definition(
        made, "lambda" if isinstance(node, ast.Lambda) else "def", inner.__module__ or "__main__",
        inner.__qualname__, code.co_name, code.co_filename, line, source, indented, bare, bound,
        bool(code.co_flags & __future__.annotations.compiler_flag), inner.__globals__, _cells(inner),
        _defaults(inner), _without(_uses(text, _key(node), bare), free),
    )  # fmt: skip


def of_class(cls: type) -> Definition | None:
    """Where a class is defined; None: its source can't be had."""
    functions = [f for value in vars(cls).values() if (f := _function_of(value)) is not None and f.__module__ == cls.__module__]
    path, space = _home(cls, functions)
    text = _text(path, space) if path else None
    if text is None:
        return None
    nodes = _index(text).classes.get(cls.__qualname__, ())
    lines = {f.__code__.co_firstlineno for f in functions if f.__code__.co_filename == path}
    nodes = [node for node in nodes if all(_first(node) <= line <= (node.end_lineno or 0) for line in lines)]
    if not nodes:
        return None
    node = nodes[-1]
    cells = {name: value for f in functions for name, value in _cells(f).items()}
    cells = {name: value for name, value in cells.items() if name != "__class__" and value is not cls}
    source, line, indented = _source(text, node)
    bound = space.get(cls.__qualname__) is cls
    future = bool(space.get("annotations") is __future__.annotations)
    return Definition(
        cls, "class", cls.__module__, cls.__qualname__, cls.__name__, path, line, source, indented, False, bound, future,
        space, cells, {}, _without(_uses(text, _key(node), False), {*cells, cls.__name__}),
    )  # fmt: skip


def _home(cls: type, functions: list[FunctionType]) -> tuple[str, dict[str, Any]]:
    """The file and the globals of a class."""
    if functions:
        return functions[0].__code__.co_filename, functions[0].__globals__
    module = sys.modules.get(cls.__module__)
    return str(getattr(module, "__file__", None) or ""), vars(module) if module is not None else {}


def _function_of(value: Any) -> FunctionType | None:
    """The function in a method, property or cached property, decorators taken off; None: none that has a file."""
    for name in ("fget", "func", "__func__"):
        value = getattr(value, name, None) or value
    value = inspect.unwrap(value) if hasattr(value, "__wrapped__") else value
    return value if isinstance(value, FunctionType) and value.__code__.co_filename != "<string>" else None


def _cells(function: FunctionType) -> dict[str, Any]:
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return values


def _defaults(function: FunctionType) -> dict[str, Any]:
    """The values of the defaults, under the names that `remote` gives them."""
    values = {f"wasimoff_{i}": value for i, value in enumerate(function.__defaults__ or ())}
    return values | {f"wasimoff_{name}": value for name, value in (function.__kwdefaults__ or {}).items()}


# Source


def _text(path: str, space: dict[str, Any]) -> str | None:
    linecache.checkcache(path)
    lines = linecache.getlines(path, space)
    return "".join(lines) if lines else None


@dataclass(frozen=True, slots=True)
class _Index:
    functions: dict[int, list[Node]]
    """By their first line, that of decorators included."""
    classes: dict[str, list[Node]]
    """By qualified name."""
    lines: list[str]


@lru_cache(maxsize=64)
def _index(text: str) -> _Index:
    index = _Index({}, {}, text.splitlines(keepends=True))
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a notebook's cell with a magic, a file that changed
        return index
    _walk(tree, "", index)
    return index


def _walk(node: ast.AST, prefix: str, index: _Index) -> None:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            index.functions.setdefault(_first(child), []).append(child)
            inner = f"{prefix}{getattr(child, 'name', '<lambda>')}.<locals>."
        elif isinstance(child, ast.ClassDef):
            index.classes.setdefault(prefix + child.name, []).append(child)
            inner = f"{prefix}{child.name}."
        _walk(child, inner, index)


def _first(node: Node) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _key(node: Node) -> tuple[int, int, int]:
    return node.lineno, node.col_offset, node.end_col_offset or 0


def _fits(node: Node, code: CodeType) -> bool:
    if isinstance(node, ast.ClassDef) or getattr(node, "name", "<lambda>") != code.co_name:
        return False
    a = node.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return names == list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _spans(node: Node, code: CodeType) -> bool:
    """Whether the code returns what stands where the lambda's body does: tells lambdas of one line apart."""
    if not isinstance(node, ast.Lambda):
        return True
    body = node.body
    return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in set(code.co_positions())


def _source(text: str, node: Node) -> tuple[str, int, bool]:
    """The lines of a definition, the number of the first, and whether they are indented."""
    if isinstance(node, ast.Lambda):
        # In brackets, as it may go over several lines, and where it stood in its line, for tracebacks.
        return f"(\n{' ' * node.col_offset}{ast.get_source_segment(text, node)}\n)", node.lineno - 1, False
    first = _first(node)
    lines = _index(text).lines[first - 1 : node.end_lineno]
    lines[-1] = lines[-1].encode()[: node.end_col_offset].decode() + "\n"
    return "".join(lines), first, lines[0][:1].isspace()


# Names


def _without(uses: Uses, free: set[str]) -> Uses:
    if not free:
        return uses
    return Uses(uses.early - free, uses.late - free, uses.hints - free, uses.attributes, uses.imports)


@lru_cache(maxsize=1024)
def _uses(text: str, key: tuple[int, int, int], bare: bool) -> Uses:
    index = _index(text)
    node = next(n for nodes in (*index.functions.values(), *index.classes.values()) for n in nodes if _key(n) == key)
    whole = ast.unparse(_Strip(bare, annotations=False).visit(deepcopy(node)))
    plain = ast.unparse(_Strip(bare, annotations=True).visit(deepcopy(node)))
    early, late = _names(plain)
    all_early, all_late = _names(whole)
    return Uses(
        frozenset(early), frozenset(late), frozenset((all_early | all_late) - early - late),
        frozenset(_attributes(node)), frozenset(_imports(node)),
    )  # fmt: skip


class _Strip(ast.NodeTransformer):
    """Takes away what is not evaluated where a definition is made again: defaults, decorators when `bare`, annotations."""

    def __init__(self, bare: bool, annotations: bool) -> None:
        self._bare = bare
        self._annotations = annotations
        self._depth = 0

    def _function(self, node: Any) -> Any:
        if self._depth == 0:
            node.args.defaults = [ast.Constant(None) for _ in node.args.defaults]
            node.args.kw_defaults = [value and ast.Constant(None) for value in node.args.kw_defaults]
            if self._bare and not isinstance(node, ast.Lambda):
                node.decorator_list = []
        if self._annotations and not isinstance(node, ast.Lambda):
            node.returns = None
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        self._depth += 1
        self.generic_visit(node)
        self._depth -= 1
        return node

    def visit_arg(self, node: ast.arg) -> Any:
        if self._annotations:
            node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        self.generic_visit(node)
        if self._annotations:
            node.annotation = ast.Constant(None)
        return node


def _names(text: str) -> tuple[set[str], set[str]]:
    top = symtable.symtable(text, "<definition>", "exec")
    early: set[str] = set()
    late: set[str] = set()
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    early |= {s.get_name() for s in top.get_symbols() if s.is_referenced() and s.get_name() not in own}
    for child in top.get_children():
        _gather(child, early, late, is_late=child.get_type() == "function")
    return early, late - early


def _gather(table: symtable.SymbolTable, early: set[str], late: set[str], is_late: bool) -> None:
    """Globals of a scope and those in it; what is in a function's body is needed late, but for those of comprehensions."""
    names = {s.get_name() for s in table.get_symbols() if s.is_global() and (s.is_referenced() or s.is_declared_global())}
    (late if is_late else early).update(names)
    for child in table.get_children():
        function = child.get_type() == "function" and child.get_name() not in _COMPREHENSIONS
        _gather(child, early, late, is_late or function)


_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr", "lambda"})


def _attributes(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute):
            names: list[str] = []
            inner: ast.AST = child
            while isinstance(inner, ast.Attribute):
                names.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield ".".join([inner.id, *reversed(names)])


def _imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((0, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            yield child.level, base
            yield from ((child.level, f"{base}.{alias.name}".strip(".")) for alias in child.names)


def modules_used(definition: Definition, name: str, module: ModuleType) -> list[str]:
    """Submodules that are reached by way of a module: "scipy.stats" for `scipy.stats.norm` after `import scipy.stats`."""
    found = set()
    for dotted in definition.uses.attributes:
        first, *rest = dotted.split(".")
        if first != name:
            continue
        full = module.__name__
        for part in rest:
            full = f"{full}.{part}"
            if full not in sys.modules:
                break
            found.add(full)
    return sorted(found)


@lru_cache(maxsize=64)
def imports_of(text: str) -> frozenset[tuple[int, str]]:
    """What a module's import statements name, with their level."""
    try:
        return frozenset(_imports(ast.parse(text)))
    except SyntaxError:
        return frozenset()
