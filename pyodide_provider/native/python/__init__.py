"""Python tasks natively: Pyodide under Node, each in a process of its own behind a fence of the kernel's."""
