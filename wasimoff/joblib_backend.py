"""`joblib.Parallel` on other people's computers: importing this registers the backend "wasimoff". Imports joblib, `executor`.

with joblib.parallel_config(backend="wasimoff", url="http://localhost:4080"):
    Parallel()(delayed(sqrt)(i**2) for i in range(10))
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, register_parallel_backend

from .errors import UsageError
from .executor import Executor, RemoteFuture
from .sync import Client


class WasimoffBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """Batches of calls become tasks. All arguments but joblib's own are those of `Executor`."""

    supports_retrieve_callback = True
    supports_sharedmem = False
    uses_threads = False
    default_n_jobs = -1
    # A task starts an interpreter: batches are to be worth that.
    MIN_IDEAL_BATCH_DURATION = 1.0
    MAX_IDEAL_BATCH_DURATION = 10.0

    def __init__(self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, **arguments: Any) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=None)
        self._arguments = arguments
        self._executor: Executor | None = None
        self._callbacks: ThreadPoolExecutor | None = None
        self._begun: set[Future[Any]] = set()

    def __reduce__(self) -> Any:
        return partial(WasimoffBackend, **self._arguments), ()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls are worth having at a time: as asked for, or for -1 as many as there are slots."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is not None and n_jobs > 0:
            return n_jobs
        names = ("url", "transport", "patience")
        with Client(**{name: self._arguments[name] for name in names if name in self._arguments}) as client:
            slots = sum(provider.concurrency for provider in client.status().providers)
        return max(2, slots)  # with 1, joblib would run them here

    def submit(self, func: Any, callback: Callable[[Any], Any] | None = None) -> RemoteFuture[list[Any]]:
        """Begin a batch: joblib's BatchedCalls."""
        if self._executor is None or self._callbacks is None:
            self._executor = Executor(**self._arguments)
            self._callbacks = ThreadPoolExecutor(1, "wasimoff-joblib")
        try:
            future = self._executor.submit_batch(func.items)
        except UsageError as error:
            # Raised from here it would be lost with joblib's callback, and Parallel would wait for ever.
            future = RemoteFuture("what can't be sent")
            future.set_exception(error)
        self._begun.add(future)
        # joblib's callback takes the next inputs, which may take long: not on the thread that talks to the broker.
        future.add_done_callback(partial(self._ended, self._callbacks, callback))
        return future

    def _ended(self, callbacks: ThreadPoolExecutor, callback: Callable[[Any], Any] | None, future: Future[Any]) -> None:
        self._begun.discard(future)
        if callback is not None and not future.cancelled():
            callbacks.submit(callback, future)

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        for future in list(self._begun):
            future.cancel()
        if not ensure_ready:
            self.terminate()

    def terminate(self) -> None:
        executor, callbacks = self._executor, self._callbacks
        self._executor = self._callbacks = None
        if executor is not None and callbacks is not None:
            executor.shutdown(wait=False)
            callbacks.shutdown(wait=False)
        self.reset_batch_stats()


register_parallel_backend("wasimoff", WasimoffBackend)
