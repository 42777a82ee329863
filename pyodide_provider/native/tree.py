"""The folder that a slot's programs get as their "/": what a run changes in it is found, and undone. Standard library only.

A file that has the inode, size and times it had is unchanged: every write sets its change time, which no program can set.
The folder is a program's to write: no link in it is followed, nothing in it is believed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ..core.run import Limits
from ..errors import TaskFault
from . import trees
from .limits import COUNT_EXIT, FILES_EXIT, MAX_DEPTH, MAX_WRITTEN, count_text

CLOCK_REALTIME_COARSE = 5
"""What the kernel stamps files with, at its worst."""
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Seen = tuple[int, int, int, int, int]
"""Kind, inode, bytes, time of modification, time of change; of a folder kind and time of modification alone."""


class Changes(NamedTuple):
    """What differs from how the tree was made."""

    written: frozenset[str]
    """Paths of new and modified files, and of new folders, relative to the root."""
    size: int
    """Bytes of those files."""


NOTHING = Changes(frozenset(), 0)
TOUCHED = Changes(frozenset(), 0)
"""Nothing is new, but something is gone, or a folder has another time."""


class Tree:
    """A folder and what it holds when no run has touched it; `template` is one that holds the same (None: nothing)."""

    def __init__(self, path: str, template: str | None = None) -> None:
        """The folder exists, as a copy of the template. Raises OSError."""
        self.path = path
        self._template = template
        self._times = 0, 0
        self._folders: dict[str, dict[str, Seen]] = {}
        self._newest = 0
        self._sure = False
        self._record()

    @property
    def entries(self) -> int:
        return sum(map(len, self._folders.values()))

    def settle(self) -> None:
        """Before a run: from now on what is written is stamped later than what was recorded."""
        while not self._sure:
            self._sure = time.clock_gettime_ns(CLOCK_REALTIME_COARSE) > self._newest
            if self._sure or not self._folders[""]:
                # An empty folder is looked through as fast as one waits.
                return
            time.sleep(0.001)

    def changes(self) -> Changes:
        """After a run, or while it runs. Raises TaskFault when there are too many."""
        if self._sure and not self._folders[""]:
            found = os.stat(self.path)
            if (found.st_mtime_ns, found.st_ctime_ns) == self._times:
                return NOTHING
        with _opened(self.path) as root:
            survey = _Survey(self._folders)
            survey.look(root, "", 0)
            touched = survey.touched or os.fstat(root).st_mtime_ns != self._times[0]
        if survey.written:
            return Changes(frozenset(survey.written), survey.size)
        return TOUCHED if touched else NOTHING

    def over(self, limits: Limits) -> int:
        """While a run runs: the code to end the worker with when it holds too much, or 0."""
        try:
            size = self.changes().size
        except TaskFault:
            return COUNT_EXIT
        except OSError:
            # It moves things about while we look.
            return 0
        return FILES_EXIT if size + _unlinked(os.stat(self.path).st_dev) > limits.files else 0

    def undo(self) -> None:
        """Make it what it was. Raises OSError, and is of no more use then."""
        with _opened(self.path) as root:
            self._mend(root, "")
            os.utime(root, ns=(self._times[0], self._times[0]))
        self._record()

    def _record(self) -> None:
        self._folders = {}
        with _opened(self.path) as root:
            self._remember(root, "")
            found = os.fstat(root)
        self._times = found.st_mtime_ns, found.st_ctime_ns
        self._sure = False
        stamps = (seen[4] for folder in self._folders.values() for seen in folder.values())
        self._newest = max(stamps, default=found.st_ctime_ns)

    def _remember(self, folder: int, inside: str) -> None:
        here = self._folders[inside] = {name: _seen(found) for name, found in _listed(folder)}
        for name, seen in here.items():
            if seen[0] == stat.S_IFDIR:
                with _opened(name, folder) as below:
                    self._remember(below, f"{inside}{name}/")

    def _mend(self, folder: int, inside: str) -> None:
        """A folder that was there."""
        wanted = self._folders[inside]
        there = set()
        for name, found in _listed(folder):
            seen, known = _seen(found), wanted.get(name)
            if seen == known or (known is not None and seen[0] == known[0] == stat.S_IFDIR):
                there.add(name)
            else:
                self._take_away(folder, name, found)
        for name, known in wanted.items():
            if name not in there:
                self._put_back(folder, name, inside + name)
            if known[0] == stat.S_IFDIR:
                with _opened(name, folder) as below:
                    self._mend(below, f"{inside}{name}/")
                os.utime(name, ns=(known[3], known[3]), dir_fd=folder, follow_symlinks=False)

    def _take_away(self, folder: int, name: str, found: os.stat_result) -> None:
        if stat.S_ISDIR(found.st_mode):
            aside = f"{self.path}.aside"
            os.rename(name, aside, src_dir_fd=folder)
            trees.remove(aside)
        else:
            os.unlink(name, dir_fd=folder)

    def _put_back(self, folder: int, name: str, path: str) -> None:
        source = f"{self._template}/{path}"
        found = os.lstat(source)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, dir_fd=folder)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(source), name, dir_fd=folder)
        else:
            made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
            with open(source, "rb") as kept, open(made, "wb") as file:
                shutil.copyfileobj(kept, file, 1 << 20)
        os.utime(name, ns=(found.st_mtime_ns, found.st_mtime_ns), dir_fd=folder, follow_symlinks=False)


class _Survey:
    """A walk through a tree, compared with how it was."""

    def __init__(self, folders: dict[str, dict[str, Seen]]) -> None:
        self.written: set[str] = set()
        self.size = 0
        self.touched = False
        self._folders = folders

    def look(self, folder: int, inside: str, depth: int) -> None:
        if depth > MAX_DEPTH or len(self.written) > MAX_WRITTEN:
            raise TaskFault(count_text())
        known = self._folders.get(inside, {})
        there, below = 0, []
        for name, found in _listed(folder):
            seen, before = _seen(found), known.get(name)
            there += before is not None
            is_folder = seen[0] == stat.S_IFDIR
            if is_folder:
                below.append(name)
            if seen == before:
                continue
            self.touched = True
            if not is_folder or before is None or before[0] != stat.S_IFDIR:
                self.written.add(inside + name)
                self.size += seen[2]
                if len(self.written) > MAX_WRITTEN:
                    raise TaskFault(count_text())
        self.touched |= there < len(known)
        for name in below:
            with suppress(FileNotFoundError, NotADirectoryError), _opened(name, folder) as inner:
                self.look(inner, f"{inside}{name}/", depth + 1)


@contextmanager
def _opened(path: str, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, OPEN_FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _listed(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _seen(found: os.stat_result) -> Seen:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        return kind, 0, 0, found.st_mtime_ns, 0
    return kind, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _unlinked(device: int) -> int:
    """Bytes of files on that device which we can write, and which have no name any more."""
    total = 0
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            found = os.fstat(descriptor)
            if found.st_dev == device and not found.st_nlink and stat.S_ISREG(found.st_mode):
                writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
                total += found.st_size if writable else 0
    return total
