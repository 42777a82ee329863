;; Traps at once: the outcome is an error, not an exit code.
(module
  (memory (export "memory") 1)
  (func (export "_start") unreachable))
