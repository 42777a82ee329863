"""Folders of untrusted files: emptied and copied without following a link or running out of stack. Standard library only."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from typing import BinaryIO

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
    """Copy a folder of files, links and folders with their times, sharing blocks where the file system can. Raises OSError."""
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            to = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                copy(entry.path, to)
                continue
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), to)
            else:
                _copy_file(entry.path, to)
            _copy_times(entry.path, to)
    _copy_times(source, target)


def _copy_times(source: str, target: str) -> None:
    modified = os.lstat(source).st_mtime_ns
    os.utime(target, ns=(modified, modified), follow_symlinks=False)


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as from_, open(target, "xb") as to:
        try:
            fcntl.ioctl(to.fileno(), FICLONE, from_.fileno())
        except OSError:
            _copy_bytes(from_, to)


def _copy_bytes(from_: BinaryIO, to: BinaryIO) -> None:
    left = os.fstat(from_.fileno()).st_size
    try:
        while left and (copied := os.copy_file_range(from_.fileno(), to.fileno(), left)):
            left -= copied
    except OSError:
        # Not every file system can; what is left goes through here.
        left = 1
    if left:
        from_.seek(os.lseek(to.fileno(), 0, os.SEEK_CUR))
        shutil.copyfileobj(from_, to, 1 << 20)
