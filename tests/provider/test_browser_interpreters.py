"""Which interpreters wait in a tab, and until when: JavaScript's side is held by the test."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from pyodide_provider.browser.host import F, JsHost
from pyodide_provider.browser.interpreters import BrowserInterpreters
from pyodide_provider.core.run import PythonParams, Run
from pyodide_provider.core.spares import IDLE


class Tab:
    """What JavaScript would do, and time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.waiting: set[int] = set()
        self.posts: list[int] = []

    def attend(self, handed: Any, returned: Any, lost: Any) -> None:
        self.handed = handed

    def start(self, number: int, kit: str) -> None:
        self.waiting.add(number)

    def drop(self, number: int) -> None:
        self.waiting.remove(number)

    def post(self, slot: int, number: int, equipped: bool, header: str, body: Any) -> None:
        self.waiting.discard(number)
        self.handed(slot, False)

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.alarms.append((self.time + delay, callback))

    def pass_to(self, time: float) -> None:
        while self.alarms and min(alarm[0] for alarm in self.alarms) <= time:
            due = min(self.alarms, key=lambda alarm: alarm[0])
            self.alarms.remove(due)
            self.time = due[0]
            due[1]()
        self.time = time


def keep(function: F) -> F:
    return function


def opened() -> tuple[Tab, BrowserInterpreters]:
    tab = Tab()
    room = SimpleNamespace(assign=lambda data: None)
    host = SimpleNamespace(interpreters=tab, room=lambda length: room)
    interpreters = BrowserInterpreters(cast(JsHost, host), keep, tab)
    interpreters.workers(2)
    return tab, interpreters


def test_those_that_wait_are_given_back_when_nobody_has_wanted_one_for_long() -> None:
    tab, interpreters = opened()
    interpreters.post(0, Run(1, "t", 1, PythonParams(script="1")))
    interpreters.ended(0)
    assert tab.waiting
    tab.pass_to(IDLE - 1)
    assert tab.waiting
    tab.pass_to(IDLE)
    assert not tab.waiting
    assert not tab.alarms, "nothing looks any more"
    interpreters.post(0, Run(2, "t", 1, PythonParams(script="1")))
    assert tab.waiting, "the next task has them start again"


def test_the_time_counts_from_the_last_task_and_one_alarm_is_enough() -> None:
    tab, interpreters = opened()
    for sequence in range(1000):
        tab.pass_to(sequence)
        interpreters.post(0, Run(sequence, "t", 1, PythonParams(script="1")))
        interpreters.ended(0)
        assert len(tab.alarms) == 1
    tab.pass_to(999 + IDLE - 1)
    assert tab.waiting
    tab.pass_to(999 + IDLE)
    assert not tab.waiting


def test_while_a_task_runs_none_is_given_back() -> None:
    tab, interpreters = opened()
    interpreters.post(0, Run(1, "t", 1, PythonParams(script="1")))
    interpreters.ended(0)
    tab.pass_to(10)
    interpreters.post(0, Run(2, "t", 1, PythonParams(script="while True: pass")))
    tab.pass_to(5 * IDLE)
    assert tab.waiting
    interpreters.ended(0)
    tab.pass_to(6 * IDLE)
    assert not tab.waiting
