"""The subcommands of `wasimoff`, one module each. They import the client inside their functions: `--help` is quick."""
