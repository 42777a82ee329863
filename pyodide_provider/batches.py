"""Envelopes that leave at the same time, in few frames: for brokers of our own kind. Imports the wire's codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .wire import codec

BATCH_BYTES = 1 << 20
"""Envelopes of one frame, about; a larger one travels alone."""


def batched(envelopes: Sequence[bytes]) -> Iterator[bytes]:
    """The frames that carry these, in order."""
    batch: list[bytes] = []
    size = 0
    for envelope in envelopes:
        if batch and (size + len(envelope) > BATCH_BYTES or len(batch) == codec.MAX_BATCH):
            yield _frame(batch)
            batch, size = [], 0
        batch.append(envelope)
        size += len(envelope)
    if batch:
        yield _frame(batch)


def _frame(batch: list[bytes]) -> bytes:
    return codec.batch(batch) if len(batch) > 1 else batch[0]
