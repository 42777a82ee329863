"""`wasi_unstable`, WASI's preview 0, by means of preview 1: all but four functions are the same. Imports wasmtime.

Imports are renamed in the module before it is compiled. The four that differ are called through a small module beside it.
"""

from __future__ import annotations

from collections.abc import Callable

from wasmtime import Engine, FuncType, Linker, ValType

from .beside import Beside

OLD, NEW = b"wasi_unstable", b"wasi_snapshot_preview1"
I32, I64 = ValType.i32(), ValType.i64()
DIFFERENT = {
    "fd_seek": (I32, I64, I32, I32),
    "fd_filestat_get": (I32, I32),
    "path_filestat_get": (I32, I32, I32, I32, I32),
    "poll_oneoff": (I32, I32, I32, I32),
}
SAME = frozenset(
    (
        b"args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get fd_advise fd_allocate fd_close"
        b" fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_set_size fd_filestat_set_times"
        b" fd_pread fd_prestat_get fd_prestat_dir_name fd_pwrite fd_read fd_readdir fd_renumber fd_sync fd_tell fd_write"
        b" path_create_directory path_filestat_set_times path_link path_open path_readlink path_remove_directory path_rename"
        b" path_symlink path_unlink_file proc_exit proc_raise sched_yield random_get sock_recv sock_send sock_shutdown"
    ).split()
)

# `whence` begins with CUR; a filestat counts links in 32 bits; a subscription's clock has an identifier before its id.
ADAPTER = """(module
 (import "program" "memory" (memory 0))
 (import "wasi" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
 (import "wasi" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
 (import "wasi" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
 (import "wasi" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
 (export "memory" (memory 0))
 (func (export "fd_seek") (param i32 i64 i32 i32) (result i32)
  (call $fd_seek (local.get 0) (local.get 1)
   (select (i32.rem_u (i32.add (local.get 2) (i32.const 1)) (i32.const 3)) (local.get 2) (i32.lt_u (local.get 2) (i32.const 3)))
   (local.get 3)))
 (func $narrow (param $at i32)
  (i32.store offset=20 (local.get $at) (i32.wrap_i64 (i64.load offset=24 (local.get $at))))
  (i64.store offset=24 (local.get $at) (i64.load offset=32 (local.get $at)))
  (i64.store offset=32 (local.get $at) (i64.load offset=40 (local.get $at)))
  (i64.store offset=40 (local.get $at) (i64.load offset=48 (local.get $at)))
  (i64.store offset=48 (local.get $at) (i64.load offset=56 (local.get $at))))
 (func $told (param $errno i32) (param $at i32) (param $behind i64) (result i32)
  (if (i32.eqz (local.get $errno)) (then (call $narrow (local.get $at))))
  (i64.store offset=56 (local.get $at) (local.get $behind))
  (local.get $errno))
 (func (export "fd_filestat_get") (param i32 i32) (result i32) (local $behind i64)
  (local.set $behind (i64.load offset=56 (local.get 1)))
  (call $told (call $fd_filestat_get (local.get 0) (local.get 1)) (local.get 1) (local.get $behind)))
 (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (local $behind i64)
  (local.set $behind (i64.load offset=56 (local.get 4)))
  (call $told
   (call $path_filestat_get (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
   (local.get 4) (local.get $behind)))
 (func $shrink (param $from i32) (param $to i32)
  (i64.store (local.get $to) (i64.load (local.get $from)))
  (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
  (if (i32.load8_u offset=8 (local.get $to))
   (then (i64.store offset=16 (local.get $to) (i64.load offset=16 (local.get $from))))
   (else
    (i64.store offset=16 (local.get $to) (i64.load offset=24 (local.get $from)))
    (i64.store offset=24 (local.get $to) (i64.load offset=32 (local.get $from)))
    (i64.store offset=32 (local.get $to) (i64.load offset=40 (local.get $from)))
    (i64.store offset=40 (local.get $to) (i64.load offset=48 (local.get $from))))))
 (func $grow (param $from i32) (param $to i32) (local $kind i32)
  (local.set $kind (i32.load8_u offset=8 (local.get $from)))
  (if (local.get $kind)
   (then (i64.store offset=16 (local.get $to) (i64.load offset=16 (local.get $from))))
   (else
    (i64.store offset=48 (local.get $to) (i64.load offset=40 (local.get $from)))
    (i64.store offset=40 (local.get $to) (i64.load offset=32 (local.get $from)))
    (i64.store offset=32 (local.get $to) (i64.load offset=24 (local.get $from)))
    (i64.store offset=24 (local.get $to) (i64.load offset=16 (local.get $from)))
    (i64.store offset=16 (local.get $to) (i64.const 0))))
  (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
  (i64.store (local.get $to) (i64.load (local.get $from))))
 (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $got i32) (result i32)
  (local $at i32) (local $errno i32)
  (loop $next
   (if (i32.lt_u (local.get $at) (local.get $count)) (then
    (call $shrink (i32.add (local.get $in) (i32.mul (local.get $at) (i32.const 56)))
     (i32.add (local.get $in) (i32.mul (local.get $at) (i32.const 48))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br $next))))
  (local.set $errno (call $poll_oneoff (local.get $in) (local.get $out) (local.get $count) (local.get $got)))
  (loop $back
   (if (local.get $at) (then
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (call $grow (i32.add (local.get $in) (i32.mul (local.get $at) (i32.const 48)))
     (i32.add (local.get $in) (i32.mul (local.get $at) (i32.const 56))))
    (br $back))))
  (local.get $errno)))"""


class Unstable:
    """What a linker lacks for renamed modules. `forget` is to be called before each run."""

    def __init__(self, engine: Engine, linker: Linker) -> None:
        self._beside = Beside(engine, ADAPTER, tuple(DIFFERENT))
        self.forget = self._beside.forget
        for name, params in DIFFERENT.items():
            linker.define_func(OLD.decode(), name, FuncType(list(params), [I32]), self._through(name), access_caller=True)

    def _through(self, name: str) -> Callable[..., int]:
        return lambda caller, *args: self._beside.call(caller, name, *args)


class _Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number without end")

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]


def renamed(wasm: bytes) -> bytes:
    """A module whose imports of preview 0 are preview 1's, where those are the same; one that can't be read stays as it is."""
    if OLD not in wasm:
        return wasm
    reader = _Reader(wasm, 8)
    try:
        while reader.at < len(wasm):
            begin = reader.at
            kind = reader.take(1)[0]
            content = reader.take(reader.number())
            if kind == 2:
                imports = _imports(content)
                return wasm[:begin] + b"\2" + _number(len(imports)) + imports + wasm[reader.at :]
    except (IndexError, ValueError):
        # The compiler tells what is wrong with it.
        return wasm
    return wasm


def _imports(content: bytes) -> bytes:
    reader = _Reader(content)
    count = reader.number()
    made = [_number(count)]
    for _ in range(count):
        module, name = reader.take(reader.number()), reader.take(reader.number())
        if module == OLD and name in SAME:
            module = NEW
        begin = reader.at
        _skip_type(reader)
        made += [_number(len(module)), module, _number(len(name)), name, content[begin : reader.at]]
    return b"".join(made)


def _skip_type(reader: _Reader) -> None:
    kind = reader.take(1)[0]
    if kind == 0:
        reader.number()
    elif kind == 3:
        reader.take(2)
    elif kind in (1, 2):
        reader.take(2 - kind)
        flags = reader.number()
        reader.number()
        if flags & 1:
            reader.number()
    else:
        raise ValueError(f"an import of kind {kind}")


def _number(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
