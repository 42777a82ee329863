;; The hello world of wasi-apps by hand: WASI preview 1 without a compiler or a libc.
;; Does the smaller part of what ../README.md describes: greeting, arguments, environment, stdin and exit:N.
;;
;; Memory: 0..63 scratch (one iovec at 0, results at 8 and 12, digits at 16..31), 64..1023 texts,
;; 1024..5119 the buffer for stdin, from 5120 on what $allocate hands out.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  (memory (export "memory") 1)
  (data (i32.const 64) "Hello from WAT!\n")
  (data (i32.const 80) "arg ")
  (data (i32.const 84) ": ")
  (data (i32.const 86) "env ")
  (data (i32.const 90) "\n")
  (data (i32.const 96) "stdin\00")
  (data (i32.const 104) "exit:")
  (data (i32.const 112) "ls:")
  (data (i32.const 116) "cat:")
  (data (i32.const 120) "write:")
  (data (i32.const 128) "helloworld: ")
  (data (i32.const 144) " is not in the WAT version\n")
  (data (i32.const 176) " needs a number from 0 to 255\n")
  (data (i32.const 208) "cannot copy stdin\n")
  (data (i32.const 232) "out of memory\n")
  (global $free (mut i32) (i32.const 5120))

  (func (export "_start")
    (local $args i32) (local $count i32)
    (call $print (i32.const 64) (i32.const 16))
    (call $stop_if (call $args_sizes_get (i32.const 8) (i32.const 12)))
    (local.set $count (i32.load (i32.const 8)))
    (local.set $args (call $allocate_list))
    (call $stop_if (call $args_get (local.get $args) (call $texts_of (local.get $args) (local.get $count))))
    (call $show_args (local.get $args) (local.get $count))
    (call $show_environ)
    (call $obey (local.get $args) (local.get $count)))

  (func $show_args (param $args i32) (param $count i32)
    (local $index i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $index) (local.get $count)))
        (call $print (i32.const 80) (i32.const 4))
        (call $print_number (local.get $index))
        (call $print (i32.const 84) (i32.const 2))
        (call $print_text (call $item (local.get $args) (local.get $index)))
        (call $print (i32.const 90) (i32.const 1))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next))))

  (func $show_environ
    (local $variables i32) (local $count i32) (local $index i32)
    (call $stop_if (call $environ_sizes_get (i32.const 8) (i32.const 12)))
    (local.set $count (i32.load (i32.const 8)))
    (local.set $variables (call $allocate_list))
    (call $stop_if
      (call $environ_get (local.get $variables) (call $texts_of (local.get $variables) (local.get $count))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $index) (local.get $count)))
        (call $print (i32.const 86) (i32.const 4))
        (call $print_text (call $item (local.get $variables) (local.get $index)))
        (call $print (i32.const 90) (i32.const 1))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next))))

  ;; Does what the arguments after the first say, in their order.
  (func $obey (param $args i32) (param $count i32)
    (local $index i32) (local $arg i32)
    (local.set $index (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
        (local.set $arg (call $item (local.get $args) (local.get $index)))
        ;; "stdin" with its terminating zero, so that "stdin2" is no command.
        (if (call $starts (local.get $arg) (i32.const 96) (i32.const 6)) (then (call $copy_stdin)))
        (if (call $starts (local.get $arg) (i32.const 104) (i32.const 5)) (then (call $exit (local.get $arg))))
        (if
          (i32.or
            (call $starts (local.get $arg) (i32.const 112) (i32.const 3))
            (i32.or
              (call $starts (local.get $arg) (i32.const 116) (i32.const 4))
              (call $starts (local.get $arg) (i32.const 120) (i32.const 6))))
          (then (call $refuse (local.get $arg) (i32.const 144) (i32.const 27))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next))))

  (func $copy_stdin
    (local $length i32)
    (block $end
      (loop $more
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (i32.const 4096))
        (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
          (then (call $fail (i32.const 208) (i32.const 18))))
        (local.set $length (i32.load (i32.const 8)))
        (br_if $end (i32.eqz (local.get $length)))
        (call $print (i32.const 1024) (local.get $length))
        (br $more))))

  ;; exit:N for N of decimal digits from 0 to 255; anything else is refused.
  (func $exit (param $arg i32)
    (local $digit i32) (local $at i32) (local $code i32)
    (local.set $at (i32.add (local.get $arg) (i32.const 5)))
    (block $bad
      (br_if $bad (i32.eqz (i32.load8_u (local.get $at))))
      (loop $next
        (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
        (br_if $bad (i32.gt_u (local.get $digit) (i32.const 9)))
        (local.set $code (i32.add (i32.mul (local.get $code) (i32.const 10)) (local.get $digit)))
        (br_if $bad (i32.gt_u (local.get $code) (i32.const 255)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (i32.load8_u (local.get $at))))
      (call $proc_exit (local.get $code)))
    (call $refuse (local.get $arg) (i32.const 176) (i32.const 30)))

  ;; "helloworld: ARG REASON" on stderr, exit code 2.
  (func $refuse (param $arg i32) (param $reason i32) (param $length i32)
    (call $write (i32.const 2) (i32.const 128) (i32.const 12))
    (call $write (i32.const 2) (local.get $arg) (call $length (local.get $arg)))
    (call $write (i32.const 2) (local.get $reason) (local.get $length))
    (call $proc_exit (i32.const 2)))

  (func $fail (param $message i32) (param $length i32)
    (call $write (i32.const 2) (i32.const 128) (i32.const 12))
    (call $write (i32.const 2) (local.get $message) (local.get $length))
    (call $proc_exit (i32.const 1)))

  (func $stop_if (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (i32.const 1)))))

  (func $print (param $text i32) (param $length i32)
    (call $write (i32.const 1) (local.get $text) (local.get $length)))

  (func $print_text (param $text i32)
    (call $print (local.get $text) (call $length (local.get $text))))

  ;; Decimal digits, filled from 31 downwards.
  (func $print_number (param $number i32)
    (local $at i32)
    (local.set $at (i32.const 32))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
      (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
      (br_if $next (local.get $number)))
    (call $print (local.get $at) (i32.sub (i32.const 32) (local.get $at))))

  ;; A host may take fewer bytes than it was offered: goes on until all are written.
  (func $write (param $fd i32) (param $text i32) (param $length i32)
    (local $written i32)
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.get $length)))
        (i32.store (i32.const 0) (local.get $text))
        (i32.store (i32.const 4) (local.get $length))
        (call $stop_if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $written (i32.load (i32.const 8)))
        (local.set $text (i32.add (local.get $text) (local.get $written)))
        (local.set $length (i32.sub (local.get $length) (local.get $written)))
        (br $more))))

  ;; Room for the pointers (count at 8) and texts (bytes at 12) that *_sizes_get announced; texts follow pointers.
  (func $allocate_list (result i32)
    (call $allocate
      (i32.add (i32.mul (i32.load (i32.const 8)) (i32.const 4)) (i32.load (i32.const 12)))))

  (func $texts_of (param $list i32) (param $count i32) (result i32)
    (i32.add (local.get $list) (i32.mul (local.get $count) (i32.const 4))))

  (func $item (param $list i32) (param $index i32) (result i32)
    (i32.load (i32.add (local.get $list) (i32.mul (local.get $index) (i32.const 4)))))

  ;; Grows the memory until it holds what is asked; addresses are multiples of four. Nothing is freed.
  (func $allocate (param $bytes i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $free))
    (global.set $free
      (i32.and (i32.add (i32.add (local.get $start) (local.get $bytes)) (i32.const 3)) (i32.const -4)))
    (block $enough
      (loop $more
        (br_if $enough (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1))
          (then (call $fail (i32.const 232) (i32.const 14))))
        (br $more)))
    (local.get $start))

  (func $length (param $text i32) (result i32)
    (local $at i32)
    (local.set $at (local.get $text))
    (block $end
      (loop $next
        (br_if $end (i32.eqz (i32.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.sub (local.get $at) (local.get $text)))

  ;; Whether the text begins with these bytes. The text's own zero ends the comparison in time.
  (func $starts (param $text i32) (param $prefix i32) (param $length i32) (result i32)
    (local $index i32)
    (block $no
      (block $yes
        (loop $next
          (br_if $yes (i32.eq (local.get $index) (local.get $length)))
          (br_if $no
            (i32.ne
              (i32.load8_u (i32.add (local.get $text) (local.get $index)))
              (i32.load8_u (i32.add (local.get $prefix) (local.get $index)))))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next)))
      (return (i32.const 1)))
    (i32.const 0)))
