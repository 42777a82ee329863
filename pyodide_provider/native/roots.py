"""The folders that a slot's programs get as "/", one after the other. Standard library only."""

from __future__ import annotations

import os
from collections import OrderedDict

from ..core.run import File
from .blob_cache import ref_of
from .limits import any_file_size
from .rootfs import unpack
from .storage import Storage
from .trees import copy, remove

KEPT_BYTES = 512 << 20
"""Of unpacked archives, per slot."""


class Roots:
    """Folders below `folder`, which is the slot's own. `files` bytes may an archive have unpacked."""

    def __init__(self, folder: str, storage: Storage, files: int) -> None:
        self._folder = folder
        self._storage = storage
        self._files = files
        self._made = 0
        self._unpacked: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._empty = self._new()
        os.mkdir(self._empty)
        self._used: str | None = None

    def prepare(self, rootfs: File | None) -> str:
        """A folder for one run that no other run has written to. Raises TaskFault, HostFault or OSError."""
        if rootfs is None:
            return self._empty
        with any_file_size():
            template = self._template(rootfs)
            self._used = self._new()
            copy(template, self._used)
        return self._used

    def clean(self) -> None:
        """After a run: nothing of it may be seen by the next one."""
        if self._used is not None:
            remove(self._used)
            self._used = None
        elif os.listdir(self._empty):
            remove(self._empty)
            self._empty = self._new()
            os.mkdir(self._empty)

    def _template(self, file: File) -> str:
        ref = file.ref or ref_of(file.blob or b"")
        kept = self._unpacked.get(ref)
        if kept is not None:
            self._unpacked.move_to_end(ref)
            return kept[0]
        folder = self._new()
        try:
            size = unpack(self._storage.get(ref) if file.blob is None else file.blob, folder, self._files)
        except BaseException:
            remove(folder)
            raise
        self._unpacked[ref] = folder, size
        while sum(size for _, size in self._unpacked.values()) > KEPT_BYTES and len(self._unpacked) > 1:
            remove(self._unpacked.popitem(last=False)[1][0])
        return folder

    def _new(self) -> str:
        self._made += 1
        return f"{self._folder}/{self._made}"
