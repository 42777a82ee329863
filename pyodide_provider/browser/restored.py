"""For the memory that tabs restore: called once, when it is made (scripts/build_static.mjs). Imports nothing of ours."""

from __future__ import annotations

import importlib
from typing import Any


def answer_at_once() -> None:
    """Have Pyodide's own questions to a restored interpreter answered without the compiler, which a provider never needs."""
    base: Any = importlib.import_module("_pyodide._base")
    compiled = base.eval_code
    modules = {name: importlib.import_module(name) for name in ("importlib", "__main__", "builtins")}
    known: dict[str, Any] = {f"import {name}; {name}.__dict__": vars(module) for name, module in modules.items()}
    known |= {f"import {name}; {name}": module for name, module in modules.items()}

    def eval_code(source: str, *rest: Any, **more: Any) -> Any:
        if source == "{}":
            return {}
        return known[source] if source in known else compiled(source, *rest, **more)

    base.eval_code = eval_code
