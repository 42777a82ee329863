;; Copies stdin to stdout, 64 KiB at a time; exit code 1 when reading or writing fails.
;; Memory: the iovec at 0, the count at 8, the buffer is the second page.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)

  (func (export "_start")
    (local $length i32)
    (loop $more
      (call $buffer (i32.const 65536) (i32.const 65536))
      (call $check (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $length (i32.load (i32.const 8)))
      (if (local.get $length)
        (then
          (call $write (local.get $length))
          (br $more)))))

  ;; A host may take fewer bytes than it was offered: goes on until all are written.
  (func $write (param $left i32)
    (local $at i32)
    (local.set $at (i32.const 65536))
    (loop $more
      (call $buffer (local.get $at) (local.get $left))
      (call $check (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
      (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
      (br_if $more (local.get $left))))

  (func $buffer (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length)))

  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (i32.const 1))))))
