"""Scripts for the probe: those that call one thing after the other, and random ones. Standard library only."""

from __future__ import annotations

import random

PARTS = ("a", "b", "c", "d", ".", "..", "a", "b", "")
NAMES = ("p", "q", "r", "s")
DESCRIPTORS = ("3",) * 6 + NAMES * 2 + ("9", "0")


def random_script(seed: int, lines: int) -> str:
    """Calls on a few paths and descriptors, many of which fail in their own way."""
    chance = random.Random(seed)
    return "".join(f"{_line(chance)}\n" for _ in range(lines))


def _path(chance: random.Random) -> str:
    path = "/".join(chance.choice(PARTS) for _ in range(chance.choice((1, 1, 1, 1, 2, 2, 3, 4))))
    return ":" + "/" * (chance.random() < 0.03) + path + "/" * (chance.random() < 0.15)


def _line(chance: random.Random) -> str:
    """Each branch is about as likely as the others; those that make something come more often."""

    def fd() -> str:
        return chance.choice(DESCRIPTORS)

    def name() -> str:
        return chance.choice(NAMES)

    def path() -> str:
        return _path(chance)

    follow, few = chance.randrange(2), chance.randrange(20)
    return chance.choice(
        [
            *[
                f"open {fd()} {follow} {path()} {chance.choice((0, 0, 1, 1, 1, 2, 2, 4, 5, 8, 9))}"
                f" {chance.choice(('2', '0x42', '0x42', '0x40', '0'))} {chance.choice((0, 0, 0, 1, 4))} {name()}"
            ]
            * 5,
            *[f"mkdir {fd()} {path()}"] * 3,
            *[f"rename {fd()} {path()} {fd()} {path()}"] * 3,
            *[f"symlink {path()} {fd()} {path()}"] * 2,
            *[f"stat {fd()} {follow} {path()}"] * 2,
            f"rmdir {fd()} {path()}",
            f"unlink {fd()} {path()}",
            f"link {fd()} 0 {path()} {fd()} {path()}",
            f"readlink {fd()} {path()} {chance.choice((0, 2, 20))}",
            f"readdir {fd()} 2000 0",
            f"utimes {fd()} {follow} {path()} 0 77 4",
            f"write {name()} :{'xyzw' * chance.randrange(4)}",
            f"pwrite {name()} :abcdef {few}",
            f"read {name()} {few}",
            f"pread {name()} {few} {chance.randrange(20)}",
            f"seek {name()} {few - 5} {chance.randrange(3)}",
            f"setsize {name()} {few}",
            f"setflags {name()} {chance.choice((0, 1, 4))}",
            f"close {name()}",
            f"renumber {name()} {name()}",
            f"fstat {fd()}",
            f"fdstat {fd()}",
            f"same 3 {path()} {path()}",
        ]
    )
