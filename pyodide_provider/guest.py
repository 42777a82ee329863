"""One Python task in an interpreter of its own (Pyodide): what it is given in, what came of it out. Imports nothing of ours.

It is in the memory snapshot that tasks start from; static/js/python/task.js may call `equip`, then calls `run`, each once. What
a task does to this interpreter, to this module as well, ends with it.
"""

from __future__ import annotations

import ast
import contextlib
import glob
import importlib
import io
import json
import linecache
import os
import pickle
import re
import site
import sys
import time
import traceback
import zipfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import cloudpickle

ROOT = "/mnt"
LIBRARIES = "/usr/lib"
"""Where Pyodide's linker looks for shared libraries."""
SCRIPT = "task.py"
SHARED = "wasimoff.shared"
TOP = re.compile(r"(?!tests?\b)([a-zA-Z]\w*)(?:/__init__\.py|\.py|(?:\.[\w-]+)?\.so)")
"""What can be imported at the top of a wheel, and is there to be."""


class Refused(Exception):
    """Something about the task, in words, that kept it from running."""


def equip(kit: str, parts: Any) -> None:
    """Install and import what tasks of a kit (JSON: packages, envs) have in common, before there is one.

    A package that can't be imported is left to the task, which may not want it, or wants to be told.
    """
    wanted = json.loads(kit)
    _settle()
    _install(parts)
    _set_envs(wanted["envs"])
    for name in _importable(wanted["packages"], parts):
        with contextlib.suppress(BaseException):
            importlib.import_module(name)


async def run(order: str, parts: Any, begin: Any) -> Any:
    """Run the task that `order` (JSON, a RUN of docs/slot-protocol.md) and `parts` (its bytes, a JsProxy) describe.

    `begin` is called when the program starts. Gives a JsProxy of a plain object: value, artifacts, error, exception.
    """
    from pyodide.ffi import to_js

    ended = await _run(json.loads(order), parts, begin)
    return to_js(ended, dict_converter=_object)


def _object(entries: Any) -> Any:
    from js import Object

    return Object.fromEntries(entries)


async def _run(order: dict[str, Any], parts: Any, begin: Any) -> dict[str, Any]:
    try:
        _check_version(order.get("python", ""))
        _settle()
        _install(parts)
        _set_envs(order.get("envs", ()))
        os.makedirs(ROOT, exist_ok=True)
        os.chdir(ROOT)
        before = _unpack(parts.rootfs.to_bytes(), order["limits"]["files"]) if parts.rootfs else {}
        begin()
        value = await (_script(order["script"]) if "script" in order else _call(parts))
        ended: dict[str, Any] = {"value": _packed(value, "script" in order)}
    except Refused as refused:
        return {"error": str(refused)}
    except BaseException as raised:
        ended = _described(raised)
        before = locals().get("before") or {}
    _flush()
    if order.get("artifacts"):
        try:
            ended["artifacts"] = _artifacts(order["artifacts"], before, order["limits"]["files"])
        except Refused as refused:
            return {"error": str(refused)}
    return ended


def _settle() -> None:
    # Pyodide's own switches stacks, which an interpreter that was restored can't.
    time.sleep = getattr(time.sleep, "__wrapped__", time.sleep)


def _set_envs(envs: Iterable[str]) -> None:
    for env in envs:
        name, _, value = env.partition("=")
        os.environ[name] = value


def _install(parts: Any) -> None:
    """Where an installer would put it. Extension modules are linked when they are imported."""
    for library in parts.libraries:
        zipfile.ZipFile(io.BytesIO(library.to_bytes())).extractall(LIBRARIES)
    for wheel in parts.wheels:
        _unpack_wheel(zipfile.ZipFile(io.BytesIO(wheel.to_bytes())))
    if parts.libraries or parts.wheels:
        importlib.invalidate_caches()


def _unpack_wheel(archive: zipfile.ZipFile) -> None:
    """What is in `*.data` belongs elsewhere (Binary distribution format, "Spreading")."""
    site_packages = site.getsitepackages()[0]
    places = {"purelib": site_packages, "platlib": site_packages, "data": sys.prefix}
    for info in archive.infolist():
        top, _, below = info.filename.partition("/")
        if not top.endswith(".data"):
            archive.extract(info, site_packages)
            continue
        scheme, _, name = below.partition("/")
        if name and scheme in places:
            info.filename = name
            archive.extract(info, places[scheme])


def _importable(requirements: list[str], parts: Any) -> Iterator[str]:
    """The modules at the top of the packages that are asked for by name; not of those that these need."""
    asked = {_normal(found[0]) for text in requirements if (found := re.match(r"[\w.-]+", text))}
    for wheel in parts.wheels:
        names = zipfile.ZipFile(io.BytesIO(wheel.to_bytes())).namelist()
        project = next((name.split("-")[0] for name in names if name.endswith(".dist-info/METADATA")), "")
        if _normal(project) in asked:
            yield from sorted({found[1] for name in names if (found := TOP.fullmatch(name))})


def _normal(project: str) -> str:
    """Names that pip takes for the same (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _check_version(wanted: str) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted and wanted != here:
        raise Refused(f"the task needs Python {wanted}, here is Python {here}")


async def _script(source: str) -> Any:
    """The value of its last expression. `await` may stand at the top."""
    from pyodide.code import CodeRunner

    linecache.cache[SCRIPT] = (len(source), None, source.splitlines(keepends=True), SCRIPT)
    space = {"__name__": "__main__", "__file__": SCRIPT, "__builtins__": __builtins__}
    vars(sys.modules["__main__"]).update(space)
    runner = CodeRunner(source, filename=SCRIPT, return_mode="last_expr", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return await runner.compile().run_async(vars(sys.modules["__main__"]))


async def _call(parts: Any) -> Any:
    shared = {ref: parts.shared[index] for index, ref in enumerate(parts.refs)}
    try:
        call = _Unpickler(io.BytesIO(parts.pickle.to_bytes()), shared).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise Refused(f"the pickle can't be read: {error}") from None
    if not (isinstance(call, list | tuple) and len(call) == 3 and callable(call[0])):
        raise Refused("the pickle is not a [function, args, kwargs]")
    function, args, kwargs = call
    value = function(*args, **kwargs)
    return await value if hasattr(value, "__await__") else value


class _Unpickler(pickle.Unpickler):
    """A pickle whose persistent ids name blobs that came along (docs/python.md)."""

    def __init__(self, file: io.BytesIO, shared: dict[str, Any]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and len(pid) == 2 and pid[0] == SHARED and pid[1] in self._shared):
            raise Refused(f"the pickle names {str(pid)[:200]}, which params.shared does not list")
        return pickle.loads(self._shared[pid[1]].to_bytes())


def _packed(value: Any, script: bool) -> bytes:
    """The value pickled; cloudpickle's bytecode only where a plain pickle can't hold it."""
    try:
        return _dumps(value)
    except Exception as error:
        text = f"a value of type {type(value).__qualname__} can't be pickled: {error}"
        if not script:
            raise TypeError(text) from None
        print(text, file=sys.stderr)
        return b""


def _dumps(value: Any) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except Exception:
        packed: bytes = cloudpickle.dumps(value, 5)
        return packed


def _described(raised: BaseException) -> dict[str, Any]:
    """What a person reads of an exception, which begins with the task's own frames; and the exception pickled."""
    trace = _own(raised.__traceback__)
    try:
        text = "".join(traceback.format_exception(type(raised), raised, trace)).rstrip()
    except BaseException:
        text = f"{type(raised).__qualname__} (which can't be printed)"
    ended: dict[str, Any] = {"error": text, "kind": type(raised).__name__}
    with contextlib.suppress(BaseException):
        ended["exception"] = _dumps(raised.with_traceback(None))
    return ended


def _own(trace: TracebackType | None) -> TracebackType | None:
    """Without the frames that led to the task."""
    ours = (__file__, "_pyodide/_base.py", "cloudpickle/cloudpickle.py")
    while trace is not None and trace.tb_frame.f_code.co_filename.endswith(ours):
        trace = trace.tb_next
    return trace


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue


# Files.


def _unpack(archive: bytes, most: int) -> dict[str, tuple[int, int]]:
    """Unpack a zip at ROOT. Gives (mtime, size) by path."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as rootfs:
            size = sum(info.file_size for info in rootfs.infolist())
            if size > most:
                raise Refused(f"files limit exceeded: the rootfs unpacks to {size} bytes, at most {most}")
            rootfs.extractall(ROOT)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        raise Refused(f"the rootfs is not a zip that can be unpacked: {error}") from None
    except OSError as error:
        raise Refused(f"the rootfs can't be unpacked: {error}") from None
    return {path: _stamp(path) for path in _below(ROOT)}


def _stamp(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size


def _below(path: str) -> Iterator[str]:
    for folder, _, files in os.walk(path):
        for name in files:
            yield os.path.join(folder, name)


def _artifacts(wanted: list[str], before: dict[str, tuple[int, int]], most: int) -> bytes:
    """A zip with the files, folders and globs that are wanted, but for files that are as the rootfs had them."""
    found: dict[str, None] = {}
    for pattern in wanted:
        path = os.path.normpath(os.path.join(ROOT, pattern))
        matches = [path] if os.path.exists(path) else glob.glob(path, recursive=True)
        if not matches:
            print(f"artifact not found: {pattern}", file=sys.stderr)
        for match in matches:
            found.update(dict.fromkeys(_below(match) if os.path.isdir(match) else [match]))
    packed, size = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(found):
            if not os.path.isfile(path) or before.get(path) == _stamp(path):
                continue
            size += os.stat(path).st_size
            if size > most:
                raise Refused(f"files limit exceeded: the artifacts have more than {most} bytes")
            name = os.path.relpath(path, ROOT) if path.startswith(f"{ROOT}/") else path.lstrip("/")
            with open(path, "rb") as file:
                archive.writestr(zipfile.ZipInfo(name), file.read(), zipfile.ZIP_DEFLATED)
    _flush()
    return packed.getvalue()
