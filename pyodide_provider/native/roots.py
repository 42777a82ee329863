"""The folders that a slot's programs get as "/", one after the other. Standard library only."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import NamedTuple

from ..core.run import Params
from . import trees
from .limits import any_file_size
from .templates import Layers, Templates, key_of
from .tree import NOTHING, Changes, Tree

KEPT_BYTES = 512 << 20
"""Of copies of unpacked archives, per slot."""
KEPT_ENTRIES = 200_000
"""Files and folders of them, each of which is remembered."""


class Root(NamedTuple):
    """A tree of a slot's own, a copy of the template of that key (None: empty), made of `packed` bytes of zips."""

    tree: Tree
    key: str | None
    packed: int
    unpacked: int


class Roots:
    """Trees below `folder`, which is the slot's own."""

    def __init__(self, folder: str, templates: Templates) -> None:
        """Raises OSError."""
        self._folder = folder
        self._templates = templates
        self._made = 0
        self._kept: OrderedDict[str, Root] = OrderedDict()
        self._empty = self._make_empty()

    def prepare(self, params: Params) -> Root:
        """A tree for one run, as if no other had used it. Raises TaskFault, HostFault or OSError."""
        layers = params.roots if params.rootfs is None else (("/", params.rootfs), *params.roots)
        root = self._of(layers) if layers else self._empty
        root.tree.settle()
        return root

    def clean(self, root: Root, changes: Changes | None) -> None:
        """After a run: nothing of it may be seen by the next one; None when it isn't known what it changed."""
        if changes is NOTHING:
            return
        try:
            with any_file_size():
                if root.key:
                    with self._templates.held(root.key):
                        root.tree.undo()
                else:
                    root.tree.undo()
        except Exception:
            # The template is gone, or the disk is full: such a tree can be made anew.
            self._drop(root)

    def _of(self, layers: Layers) -> Root:
        key = key_of(layers)
        root = self._kept.get(key)
        if root is not None:
            self._kept.move_to_end(key)
            return root
        path = self._new()
        with any_file_size(), self._templates.held(key, layers) as (template, sizes):
            try:
                trees.copy(template, path)
                root = self._kept[key] = Root(Tree(path, template), key, sizes.packed, sizes.unpacked)
            except BaseException:
                trees.remove(path)
                raise
        self._evict()
        return root

    def _evict(self) -> None:
        while len(self._kept) > 1 and (
            sum(root.unpacked for root in self._kept.values()) > KEPT_BYTES
            or sum(root.tree.entries for root in self._kept.values()) > KEPT_ENTRIES
        ):
            trees.remove(self._kept.popitem(last=False)[1].tree.path)

    def _drop(self, root: Root) -> None:
        trees.remove(root.tree.path)
        if root is self._empty:
            self._empty = self._make_empty()
        for key, kept in list(self._kept.items()):
            if kept is root:
                del self._kept[key]

    def _make_empty(self) -> Root:
        path = self._new()
        os.mkdir(path)
        return Root(Tree(path), None, 0, 0)

    def _new(self) -> str:
        self._made += 1
        return f"{self._folder}/{self._made}"
