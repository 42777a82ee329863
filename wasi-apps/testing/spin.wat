;; Never returns and never calls the host: only killing its worker stops it.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $forever (br $forever))))
