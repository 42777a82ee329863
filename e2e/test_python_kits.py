"""Interpreters that wait with the packages of a task before: on both hosts, with wheels made here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from e2e.hosts import KINDS, lending
from e2e.processes import PATIENCE, BrokerProcess
from e2e.python import ask, value
from tests.broker.wheels import wheel

TAG = "py3-none-any"
KITTED = b"""
import os, time
seen = os.environ.get("KIT")
since = time.time()
print("imported")
"""
LOOK = "import sys, time\nbefore = 'kitted' in sys.modules\nimport kitted\n(before, kitted.seen, getattr(kitted, 'left', None))"


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder, "kitted", "1.0", "under", tag=TAG, files={"kitted.py": KITTED, "_private.py": b"1 / 0", "tests.py": b"7"})
    wheel(folder, "under", "1.0", tag=TAG, files={"under/__init__.py": b"import sys\nsys.under_was_imported = True"})
    wheel(folder, "leaving", "1.0", tag=TAG, files={"leaving.py": b"import sys\nsys.exit(3)"})
    wheel(
        folder, "dying", "1.0", tag=TAG, files={"dying.py": b"import os\nif not os.path.exists('/mnt'): os._exit(3)\nfine = 1"}
    )
    broker = BrokerProcess(environ={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)})
    with lending(request.param, broker.url, chromium, workers=2):
        yield broker.url
    print(broker.output)
    broker.close()


def until(url: str, wanted: Any, **params: Any) -> None:
    """Ask until a task gives that value: a spare may take a while."""
    end = time.monotonic() + PATIENCE
    while (got := value(ask(url, **params))) != wanted:
        assert time.monotonic() < end, f"{got}, never {wanted}"
        time.sleep(0.3)


def test_the_second_task_finds_its_packages_imported(url: str) -> None:
    first = ask(url, script=LOOK, packages=["kitted"])
    assert value(first) == (False, None, None)
    assert first.ok.stdout == b"imported\n"
    until(url, (True, None, None), script=LOOK, packages=["kitted"])
    assert ask(url, script="import kitted", packages=["kitted"]).ok.stdout in (b"", b"imported\n")
    asked = "import sys\n('_private' in sys.modules, hasattr(sys, 'under_was_imported'))"
    assert value(ask(url, script=asked, packages=["kitted"])) == (False, False), (
        "neither what is private nor what it only needs"
    )


def test_nobody_else_has_them(url: str) -> None:
    until(url, (True, None, None), script=LOOK, packages=["kitted"])
    assert "ModuleNotFoundError" in ask(url, script="import kitted").error


def test_variables_are_there_when_packages_look_at_them(url: str) -> None:
    until(url, (True, "one", None), script=LOOK, packages=["kitted"], envs=["KIT=one"])
    assert value(ask(url, script=LOOK, packages=["kitted"], envs=["KIT=two"])) == (False, "two", None)
    until(url, (True, None, None), script=LOOK, packages=["kitted"])


def test_a_kit_is_of_its_packages_and_never_of_a_task(url: str) -> None:
    for _ in range(4):
        value(ask(url, script="import kitted\nkitted.left = 1\nopen('/tmp/left', 'w').close()", packages=["kitted"]))
        asked = "import os, kitted\n(getattr(kitted, 'left', None), os.path.exists('/tmp/left'))"
        assert value(ask(url, script=asked, packages=["kitted"])) == (None, False)


def test_each_task_has_its_own_limit_of_files(url: str) -> None:
    """Those of its packages count, whether they were there before it or not."""
    for _ in range(4):
        response = ask(url, script="open('/tmp/f', 'wb').write(bytes(1 << 20))", packages=["kitted"])
        assert value(response) == 1 << 20
        time.sleep(0.3)


@pytest.mark.parametrize("name", ["leaving", "dying"])
def test_a_package_that_ends_what_imports_it_harms_only_who_does(url: str, name: str) -> None:
    for _ in range(4):
        assert value(ask(url, script="6 * 7", packages=[name])) == 42
        time.sleep(0.5)
    told = ask(url, script=f"import {name}\n{name}.fine", packages=[name])
    assert "SystemExit: 3" in told.error if name == "leaving" else value(told) == 1
    assert value(ask(url, script="1")) == 1
