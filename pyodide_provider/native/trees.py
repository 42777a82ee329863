"""Folders of untrusted files: emptied and copied without following a link or running out of stack. Standard library only."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress

FICLONE = 0x40049409


def remove(path: str) -> None:
    """Remove a folder and all below it. What can't be removed stays.

    A folder found inside is moved up beside the others first, so that neither its depth nor the length of its path
    matters: a program may have nested folders without end.
    """
    folders, moved = [path], 0
    while folders:
        folder = folders[-1]
        before = len(folders)
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    moved += 1
                    up = f"{path}.{moved}"
                    os.rename(entry.path, up)
                    folders.append(up)
                else:
                    os.unlink(entry.path)
        if len(folders) == before:
            folders.pop()
            with suppress(OSError):
                os.rmdir(folder)


def copy(source: str, target: str) -> None:
    """Copy a folder of plain files, sharing their blocks where the file system can. Raises OSError."""
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            to = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                copy(entry.path, to)
            else:
                _copy_file(entry.path, to)


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as from_, open(target, "xb") as to:
        try:
            fcntl.ioctl(to.fileno(), FICLONE, from_.fileno())
        except OSError:
            shutil.copyfileobj(from_, to, 1 << 20)
