"""Functions as source: what is sent runs in a fresh process, of another Python where there is one, without this package."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import importlib
import pickle
import subprocess
import sys
import threading
import typing
import xml.etree.ElementTree
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from wasimoff import UntrustedResult, UsageError, answers, pickling
from wasimoff.answers import Trust

from .python_peer import CHILD, PYTHON

BASE = 10
TABLE = {"a": [1, 2]}
Pair = collections.namedtuple("Pair", "left right", defaults=[2])


def call(function: Any, *args: Any, trust: Trust | None = None, **kwargs: Any) -> Any:
    """The value of a call elsewhere."""
    program, calls = pickling.pack_function(function), pickling.pack_calls([(args, kwargs)])
    data, shared = pickling.payload(program, calls)
    command = [PYTHON, "-I", "-c", CHILD]
    done = subprocess.run(command, input=pickle.dumps((data, shared)), capture_output=True, timeout=60, check=True)
    assert done.stdout[:1] == b"+", done.stdout.decode()
    own, trust = program.own | calls.own, trust or Trust()
    answer = answers.read(done.stdout[1:], own, trust)
    if answer.error is not None:
        raise answer.error
    return answers.load(answer.values[0], own, trust)


def add(x: int) -> int:
    return x + BASE


def factorial(n: int) -> int:
    return 1 if n < 2 else n * factorial(n - 1)


def is_even(n: int) -> bool:
    return True if n == 0 else is_odd(n - 1)


def is_odd(n: int) -> bool:
    return False if n == 0 else is_even(n - 1)


def doubled(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> int:
        return 2 * function(*args, **kwargs)

    return wrapper


def nameless(function: Callable[..., int]) -> Callable[..., int]:
    def wrapper(*args: Any) -> int:
        return 3 * function(*args)

    return wrapper


@doubled
def decorated(x: int, y: int = BASE) -> int:
    return add(x) + y


@nameless
def covered(x: int) -> int:
    return add(x)


@functools.cache
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def text() -> str:
    return """first
second
    third"""


def tag(name: str) -> str:
    return xml.etree.ElementTree.tostring(xml.etree.ElementTree.Element(name)).decode()


def with_imports() -> str:
    import json
    from os.path import join

    return json.dumps(join("a", "b"))


def count(step: int, *, store: list[int] = TABLE["a"]) -> int:
    global TOTAL
    TOTAL = globals().get("TOTAL", 0) + step + len(store)
    return TOTAL


class Shape(ABC):
    sides = 0

    @abstractmethod
    def area(self) -> float: ...

    @property
    def name(self) -> str:
        return f"{type(self).__name__} with {self.sides} sides"


class Square(Shape):
    sides = len(TABLE) + 3

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def area(self) -> float:
        return self.size**2

    @classmethod
    def unit(cls) -> Square:
        return cls(1)

    @staticmethod
    def twice(x: int) -> int:
        return add(x) * 2

    def __call__(self, x: float) -> float:
        return x * self.area()


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = BASE
    where: typing.ClassVar[str] = "plane"

    def moved(self, by: int) -> Point:
        return dataclasses.replace(self, x=self.x + by)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Triple(typing.NamedTuple):
    a: int
    b: Color = Color.RED


@pytest.mark.parametrize(
    ("function", "args", "value"),
    [
        (add, (1,), 11),
        (factorial, (20,), 2432902008176640000),
        (is_even, (9,), False),
        (decorated, (1,), 42),
        (covered, (1,), 33),
        (fibonacci, (30,), 832040),
        (text, (), "first\nsecond\n    third"),
        (tag, ("b",), "<b />"),
        (with_imports, (), '"a/b"'),
        (count, (5,), 7),
        (pow, (2, 5), 32),
        (functools.partial(add, x=5), (), 15),
        (str.upper, ("a",), "A"),
        ("a,b".split, (",",), ["a", "b"]),
        (Square.twice, (1,), 22),
        (Square(3).area, (), 9),
        (Square(3), (2,), 18),
        (lambda s: s.name, (Square(1),), "Square with 4 sides"),
        (lambda: Square.unit().size, (), 1),
    ],
)
def test_what_can_be_called(function: Any, args: tuple[Any, ...], value: Any) -> None:
    assert call(function, *args) == value


def test_functions_in_functions() -> None:
    scale, words = 3, ["x"]

    def inner(x: int, more: list[str] = words) -> int:
        return add(x) * scale + len(more)

    def recursive(n: int) -> int:
        return 0 if n == 0 else scale + recursive(n - 1)

    def ping(n: int) -> str:
        return "ping" if n == 0 else pong(n - 1)

    def pong(n: int) -> str:
        return "pong" if n == 0 else ping(n - 1)

    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

        def more(self) -> Local:
            return Local(self.value + scale)

    assert call(inner, 1) == 34
    assert call(recursive, 4) == 12
    assert call(ping, 3) == "pong"
    assert call(lambda: Local(1).more().more().value) == 7
    assert call(lambda local: local.more().value, Local(5)) == 8


def test_lambdas_of_one_line_are_told_apart() -> None:
    first, second = lambda x: x + 1, lambda x: x * 10
    assert (call(first, 5), call(second, 5)) == (6, 50)
    assert [call(f, 1) for f in [lambda x, n=n: x + n for n in range(3)]] == [1, 2, 3]
    # fmt: off
    assert call((lambda x:
                 x +
                 BASE), 1) == 11
    # fmt: on


def test_objects_of_ones_own_data_classes_come_back() -> None:
    assert call(Point(1).moved, 2) == Point(3, 10)
    assert call(Color, 2) is Color.BLUE
    assert call(Triple, 1) == Triple(1, Color.RED)
    assert call(Pair, 1) == Pair(1, 2)
    assert call(lambda p, q: type(p) is type(q) and isinstance(p, Point), Point(1), Point(2)) is True


def test_a_line_of_the_user_is_in_the_traceback_and_no_path_of_this_machine() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        call(lambda x: 1 / x, 0)
    words = str(caught.value.__cause__)
    line = next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if "1 / x, 0)" in line)
    assert f'test_pickling.py", line {line}, in <lambda>' in words
    assert "lambda x: 1 / x" in words
    assert str(Path.cwd()) not in words


def test_what_cannot_come_back_is_said() -> None:
    with pytest.raises(TypeError, match="the function returned 'generator', which can't be sent back"):
        call(lambda: (n for n in range(3)))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = tmp_path / "my_project"
    folder.mkdir()
    (folder / "__init__.py").write_text("NAME = 'mine'\n")
    (folder / "deep.py").write_text("from . import NAME\nfrom .other import helper\n\ndef name():\n    return helper(NAME)\n")
    (folder / "other.py").write_text("def helper(x):\n    return x + '!'\n")
    (folder / "main.py").write_text(
        "import wasimoff\nfrom . import deep\nfrom .other import helper\nimport my_project.deep as again\n\n"
        "def whole():\n    return deep.name()\n\ndef piece():\n    return helper('piece')\n\n"
        "def inside():\n    from .deep import name\n    return name()\n\n"
        "class Thing:\n    x = 5\n    def go(self):\n        return self.x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("my_project.main")


def test_modules_of_ones_own_go_along(project: ModuleType) -> None:
    assert call(project.whole) == "mine!"
    assert call(project.piece) == "piece!"
    assert call(project.inside) == "mine!"
    assert call(lambda thing: thing.go(), project.Thing()) == 5
    assert call(lambda: project.deep.name()) == "mine!"


async def coroutine() -> None: ...


def generator() -> Any:
    yield 1


LOCK = threading.Lock()


def uses_lock() -> None:
    LOCK.acquire()


def by_way_of() -> None:
    uses_lock()


def no_source() -> Any:
    space: dict[str, Any] = {"__name__": __name__}
    exec("def made(): return 1", space)
    return space["made"]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (coroutine, "coroutine is an async function: write a plain one"),
        (functools.partial(coroutine), "is an async function"),
        (generator, "generator is a generator, whose values can't come back one by one: return a list"),
        (uses_lock, "uses_lock uses the global 'LOCK'"),
        (by_way_of, "uses_lock uses the global 'LOCK'"),
        (5, "5 can't be called"),
        (no_source(), "the source of made can't be found, and bytecode of this Python"),
    ],
)
def test_what_cannot_be_sent_is_said_in_words(function: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        pickling.pack_function(function, "0.0")
    assert words in str(caught.value)


def test_bytecode_is_for_the_same_python_only() -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    packed = pickling.pack_function(no_source(), here)
    assert packed.bytecode
    assert not pickling.pack_function(add, here).bytecode


def test_a_file_that_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "changing.py"
    path.write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("changing")
    path.write_text("# new\n\ndef f():\n    return 2\n")
    with pytest.raises(UsageError, match=r"f is not at line 1 of .* any more: the file changed"):
        pickling.pack_function(module.f)


# What answers may do


class Evil:
    def __reduce__(self) -> Any:
        return exec, ("import os; os.environ['WASIMOFF_EVIL'] = '1'",)


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(Evil()),
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cwasimoff.sync\nClient\n.",
        b"cantigravity\nfly\n.",
        b"cbuiltins\nbytearray\n(I9999999999999\ntR.",
        b"ccollections\ndeque\n(cbuiltins\nrange\n(I9999999999999\ntRtR.",
        b"cfractions\nFraction\n(S'1e999999999'\ntR.",
        b"cbuiltins\nSystemExit\n.",
        b"cnumpy\nload\n.",
        b"",
        b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        pickle.dumps(Path("/tmp")).replace(b"PosixPath", b"posix_dup"),
    ],
)
def test_hostile_answers_are_refused(pickled: bytes) -> None:
    with pytest.raises(UntrustedResult):
        answers.load(pickled, {}, Trust())


def test_plain_data_comes_through() -> None:
    import datetime
    import decimal
    import fractions
    import uuid

    for value in (
        [1, 2.5, 1j, None, True, "ä", b"x", bytearray(b"y"), (1,), {2}, frozenset({3}), {"k": range(3)}, slice(1, 2)],
        [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(1), decimal.Decimal("1.5")],
        [fractions.Fraction(1, 3), uuid.UUID(int=5), collections.Counter("aab"), collections.deque([1], 3)],
        [collections.OrderedDict(a=1), collections.defaultdict(list, a=[1])],
    ):
        assert answers.load(pickle.dumps(value, 5), {}, Trust()) == value
    made = answers.load(pickle.dumps(collections.defaultdict(list)), {}, Trust())
    assert made["new"] == []


def test_classes_are_allowed_by_name_or_by_trust_alone() -> None:
    square = pickle.dumps(Square(2))
    with pytest.raises(UntrustedResult, match=r"Square.*results="):
        answers.load(square, {}, Trust())
    for trust in (Trust(classes=frozenset({Square})), Trust(everything=True)):
        assert answers.load(square, {}, trust).size == 2
    assert answers.named_results(Square.unit) == {Square}
    made = call(Square.unit, trust=Trust(classes=answers.named_results(Square.unit)))
    assert isinstance(made, Square)
    with pytest.raises(UntrustedResult):
        call(Square.unit)
