"""The runs that are owed an answer on this link, and the queue of those not yet at a slot. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from .run import File, Params, PythonParams, Run

MAX_RUNS = 4096
MAX_BYTES = 256 << 20


def weight(params: Params | PythonParams) -> int:
    """Bytes that a run's parameters hold in memory, about."""
    files: tuple[bytes | File | None, ...]
    lists: tuple[tuple[str, ...], ...]
    if isinstance(params, PythonParams):
        files = (params.pickle, params.stdin, params.rootfs)
        lists = (params.packages, params.envs, params.artifacts, params.shared, (params.script or "",))
    else:
        files = (params.stdin, params.binary, params.rootfs, *(file for _, file in params.roots))
        lists = (params.args, params.envs, params.artifacts)
    total = 0
    for file in files:
        inline = file.blob if isinstance(file, File) else file
        if inline is not None:
            total += len(inline)
    for texts in lists:
        total += sum(map(len, texts)) + 64 * len(texts)
    return total


class Backlog:
    """Runs by their sequence; each is owed exactly one answer until `answered`. First come, first served."""

    def __init__(self, max_runs: int = MAX_RUNS, max_bytes: int = MAX_BYTES) -> None:
        self._max_runs = max_runs
        self._max_bytes = max_bytes
        self.runs: dict[int, Run] = {}
        self.queue: OrderedDict[int, Run] = OrderedDict()
        self.bytes = 0
        self._weights: dict[int, int] = {}
        self._by_task: dict[str, list[Run]] = {}

    def add(self, run: Run) -> str:
        """Queue a run. Gives the reason, in words, when it can't be taken, and "" when it was."""
        if run.sequence in self.runs:
            return f"sequence {run.sequence} is already in use for a run"
        if len(self.runs) >= self._max_runs:
            return f"provider queue full: it holds {self._max_runs} runs"
        size = weight(run.params)
        if self.bytes + size > self._max_bytes:
            return f"provider queue full: it holds {self._max_bytes >> 20} MiB of parameters"
        self.runs[run.sequence] = self.queue[run.sequence] = run
        self._weights[run.sequence] = size
        self.bytes += size
        self._by_task.setdefault(run.task, []).append(run)
        return ""

    def put_back(self, runs: Iterable[Run]) -> None:
        """To the front of the queue, in this order."""
        for run in reversed(list(runs)):
            self.queue[run.sequence] = run
            self.queue.move_to_end(run.sequence, last=False)

    def answered(self, run: Run) -> None:
        """Forget a run, wherever it is."""
        del self.runs[run.sequence]
        self.queue.pop(run.sequence, None)
        self.bytes -= self._weights.pop(run.sequence)
        siblings = self._by_task[run.task]
        siblings.remove(run)
        if not siblings:
            del self._by_task[run.task]

    def of_task(self, task: str) -> list[Run]:
        return list(self._by_task.get(task, ()))

    def clear(self) -> None:
        self.runs.clear()
        self.queue.clear()
        self._weights.clear()
        self._by_task.clear()
        self.bytes = 0

    def validate(self) -> None:
        by_task = [run for runs in self._by_task.values() for run in runs]
        assert set(map(id, by_task)) == set(map(id, self.runs.values())), "tasks and runs disagree"
        assert len(by_task) == len(self.runs), "a run stands twice in its task's list"
        assert all(self.runs.get(sequence) is run for sequence, run in self.queue.items()), "queued, but not owed"
        assert self.bytes == sum(weight(run.params) for run in self.runs.values()), "bytes are miscounted"
        assert len(self.runs) <= self._max_runs, "too many runs"
        assert self.bytes <= self._max_bytes, "too many bytes"
