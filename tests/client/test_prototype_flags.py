"""The prototype's flags, as Go's flag package reads them."""

from __future__ import annotations

import pytest

from wasimoff import UsageError
from wasimoff.commands.prototype import parse


@pytest.mark.parametrize(
    ("line", "values", "rest"),
    [
        ("-exec tsp rand 8", {"exec": "true"}, ["tsp", "rand", "8"]),
        ("--exec tsp -x -- y", {"exec": "true"}, ["tsp", "-x", "--", "y"]),
        (
            "-broker http://h -ws -exec -trace=false tsp",
            {"broker": "http://h", "ws": "true", "exec": "true", "trace": "false"},
            ["tsp"],
        ),
        ("-exec -- -odd", {"exec": "true"}, ["-odd"]),
        ("-upload=a.wasm alias", {"upload": "a.wasm"}, ["alias"]),
        ("-task -odd-.json", {"task": "-odd-.json"}, []),
        ("-pyodide s.py -verbose", {"pyodide": "s.py", "verbose": "true"}, []),
    ],
)
def test_flags(line: str, values: dict[str, str], rest: list[str]) -> None:
    flags = parse(line.split())
    assert flags is not None
    assert flags.values == values
    assert flags.rest == rest


@pytest.mark.parametrize(
    "line", ["--help", "--broker http://h ps", "--broker http://h run x -exec -task", "-h", "--version", "-x -exec"]
)
def test_other_command_lines_are_left_alone(line: str) -> None:
    assert parse(line.split()) is None


@pytest.mark.parametrize("line", ["-upload", "-exec -frob x", "-exec -ws=perhaps x", "-exec -rootfs"])
def test_mistakes(line: str) -> None:
    with pytest.raises(UsageError):
        parse(line.split())
