"""Bytes to upload, and what should become of them."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

from broker.blobs import Blob

WASM = b"\0asm\x01\0\0\0"
ZIP = b"PK\x05\x06" + bytes(18)
KIB = 1024


def wasm(size: int, seed: object = 0) -> bytes:
    return WASM + random.Random(str(seed)).randbytes(size - len(WASM))


def ref_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content(blob: Blob) -> bytes:
    if blob.path is not None:
        assert blob.data is None
        return blob.path.read_bytes()
    assert blob.data is not None
    return blob.data


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]
