"""What V8 compiles in every interpreter, compiled once: an interpreter that gets no task runs what most tasks run, and gives
what has become of Pyodide's program and script. Later ones take it as it is.

Pure. It is machine code from behind the fence, and goes nowhere else: whoever could spoil it gave us the program, too.
"""

from __future__ import annotations

from typing import Any

from ...core.run import NO_LIMITS, PythonParams, Run
from . import messages
from .messages import Nonsense
from .packages import Files

MOST = 64 << 20
"""Bytes of each."""
OPTIONS = ("--no-liftoff",)
"""What is compiled is compiled for good: V8 keeps no other code. By this boot.cjs knows, too."""
SCRIPT = """
import ast, asyncio, base64, collections, dataclasses, datetime, functools, io, itertools, json, math
import cloudpickle, pickle, random, re, zipfile

@dataclasses.dataclass
class Point:
    x: int
    y: float = 1.5

    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)

def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

def shout(*words, **more):
    yield from (f"{word!r:>10} {len(word):.2f}".upper() for word in words)

points = [Point(n) for n in range(40)]
total = functools.reduce(Point.__add__, points)
counted = collections.Counter(word for line in ["a b", "b c"] * 9 for word in re.split(r"\\s+", line))
ordered = sorted(((str(n), n * n % 7, -n / 3) for n in range(50)), key=lambda entry: entry[1:])
packed = pickle.loads(cloudpickle.dumps([fibonacci, (12,), {}]))
eval(compile(ast.parse("[packed[0](*packed[1]), total, 2 ** 200 // 3, math.sqrt(2)]"), "baked", "eval"))
json.loads(json.dumps({"list": [1, 2.5, None, True, "\\u00e9"], "counted": counted}))
text = " ".join(shout("one", "two")).encode() + base64.b64encode(bytes(range(256)))
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
    made.writestr("name", text * 20)
zipfile.ZipFile(archive).read("name")
try:
    {}["missing"]
except KeyError as error:
    print(error, datetime.timedelta(seconds=random.random()), list(itertools.permutations("abc")), set(text))
await asyncio.sleep(0)
raise ValueError(ordered)
"""


RUN = Run(0, "baking", 0, PythonParams(script=SCRIPT))
"""It ends with an exception, as tasks do, too."""
LIMITS = messages.effective(NO_LIMITS, 1 << 20, 1 << 20)


def order() -> tuple[str, list[bytes]]:
    """The message that has it run."""
    return messages.order(RUN, LIMITS, Files(), b"", None, ())


def baked(told: Any, body: bytes) -> tuple[bytes, bytes]:
    """What became of the program, and of the script. Raises Nonsense."""
    if not isinstance(told, dict):
        raise Nonsense("baked things of another form")
    code, bytecode = messages.cut(told, "code", body), messages.cut(told, "bytecode", body)
    if not (0 < len(code) <= MOST and 0 < len(bytecode) <= MOST):
        raise Nonsense("baked things of no use")
    return code, bytecode
