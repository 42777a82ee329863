"""Plain data that nobody changes. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A dataclass that the type checker holds frozen. At run time it is not: `frozen` makes one three times as slowly, and a
    task is told and answered with six of them."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
