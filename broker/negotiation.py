"""What a client accepts, read from its headers (RFC 9110 §12.4). Pure, standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=256)
def weights(header: str) -> dict[str, float]:
    """The q-value of each item of an Accept or Accept-Encoding header, names in lower case; nonsense weighs nothing."""
    found: dict[str, float] = {}
    for item in header[:4096].split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            found[name] = _weight(parameters)
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, text = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(text)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def encoding(header: str | None, available: Sequence[str]) -> str:
    """The content coding to send, best first in `available`; "" is the plain form, which is always there."""
    if header is None:
        return ""
    accepted = weights(header)
    others = accepted.get("*", 0.0)
    best, most = "", accepted.get("identity", others if "*" in accepted else 0.001)
    for coding in available:
        weight = accepted.get(coding, others)
        if weight > 0 and (weight > most or (weight == most and best == "")):
            best, most = coding, weight
    return best


def wants_json(accept: str | None) -> bool:
    """Whether a client asks for JSON by name."""
    accepted = weights(accept or "")
    return any(accepted.get(name, 0) > 0 for name in ("application/json", "application/*"))


def wants_page(accept: str | None) -> bool:
    """Whether a person with a browser waits for the answer."""
    return weights(accept or "").get("text/html", 0) > 0
