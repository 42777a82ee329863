"""What a task used, as the provider measured it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Times in seconds, sizes in bytes."""

    wall: float = 0.0
    """Of the program's run, without fetching and compiling."""
    cpu: float = 0.0
    """Of all its threads; in a browser the wall time without sleep."""
    memory: int = 0
    """Linear memory at its peak."""
    bytes_in: int = 0
    """Of program, stdin and file systems."""
    bytes_out: int = 0
    """Of stdout, stderr and artifacts."""
    compile: float = 0.0
    """Spent on compiling."""
    cached: bool = False
    """The compiled program was at hand."""
    engine: str = ""
    """What ran it, for example "wasmtime 50.0.1"."""
