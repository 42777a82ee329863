"""What a run gives back: its streams and artifacts, in the message or, when large, stored. Imports the core's data."""

from __future__ import annotations

import os
from typing import BinaryIO

from ..core.run import Exited, File, Limits, Params
from ..errors import TaskFault
from .limits import any_file_size, output_text
from .storage import Storage
from .streams import Streams

INLINE = 1 << 20
"""Bytes of a stream or an archive that go in the message, also when it may be stored."""


class Outputs:
    """Of the runs of one slot, whose programs write to `streams`; large archives are made in `folder`."""

    def __init__(self, streams: Streams, storage: Storage, folder: str) -> None:
        self._streams = streams
        self._storage = storage
        self._folder = folder
        self._stored = self._packed = 0

    def of(self, status: int, params: Params, limits: Limits, root: str, written: frozenset[str]) -> tuple[Exited, int]:
        """(the outcome of a program that ended with `status`, bytes of it all if some was stored, else 0).

        Raises TaskFault, HostFault or OSError.
        """
        streams = self._streams
        self._stored = self._packed = 0
        stdout, stderr = streams.sizes
        if stdout + stderr > limits.output:
            raise TaskFault(output_text(limits))
        artifacts = None
        if params.artifacts:
            artifacts = self._artifacts(params, root, written, limits.files)
            stdout, stderr = streams.sizes
        outcome = Exited(
            status,
            self._stream(streams.stdout, stdout, params.by_reference) if stdout else b"",
            self._stream(streams.stderr, stderr, params.by_reference) if stderr else b"",
            artifacts,
        )
        return outcome, stdout + stderr + self._packed if self._stored else 0

    def _stream(self, descriptor: int, size: int, stored: bool) -> bytes | File:
        if size <= INLINE or not stored:
            return os.pread(descriptor, size, 0)
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            return self._store(file, size)

    def _store(self, file: BinaryIO, size: int) -> File:
        self._stored += 1
        return File(self._storage.upload(file, size))

    def _artifacts(self, params: Params, root: str, written: frozenset[str], limit: int) -> bytes | File:
        from tempfile import SpooledTemporaryFile

        from .artifacts import collect, missing_text

        with any_file_size(), SpooledTemporaryFile(INLINE, dir=self._folder) as archive:
            out: BinaryIO = archive  # type: ignore[assignment]
            missing = collect(root, params.artifacts, written, limit, out)
            os.pwrite(self._streams.stderr, missing_text(missing), self._streams.sizes[1])
            size = self._packed = out.seek(0, os.SEEK_END)
            out.seek(0)
            return self._store(out, size) if size > INLINE and params.by_reference else out.read()
