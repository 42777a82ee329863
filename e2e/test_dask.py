"""dask, as its users use it: an Executor is its scheduler, and its graphs' tasks run in tabs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import dask.bag
import pytest
import yaml
from playwright.sync_api import Browser

import wasimoff
from e2e.chromium import Tab, Watch
from e2e.processes import BrokerProcess
from tests.broker.wheels import entry, lock, wheel


@pytest.fixture(scope="module")
def executor(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wasimoff.Executor]:
    """dask needs PyYAML, which the public index has as a wheel: here one of its Python sources is enough."""
    folder = tmp_path_factory.mktemp("index")
    sources = {f"yaml/{path.name}": path.read_bytes() for path in Path(yaml.__file__).parent.glob("*.py")}
    lock(folder, entry(wheel(folder, "pyyaml", yaml.__version__, tag="py3-none-any", files=sources)))
    broker = BrokerProcess(environ={"WASIMOFF_PYODIDE_INDEX": str(folder)})
    context = chromium.new_context()
    watch = Watch(context)
    Tab(context.new_page()).open(broker.url).lending()
    with wasimoff.Executor(broker.url, packages=["dask"], timeout=60) as executor:
        try:
            executor.submit(abs, -1).result()
        except wasimoff.TaskFailed as failed:
            if "pip could not get" not in str(failed):
                raise
            pytest.skip(f"pip reaches no index here: {failed}")
        yield executor
    context.close()
    broker.close()
    watch.check()


@dask.delayed
def square(number: int) -> int:
    if number > 100:
        raise ValueError(f"{number} is too large")
    return number * number


def test_a_graph_of_delayed_functions(executor: wasimoff.Executor) -> None:
    total = dask.delayed(sum)([square(number) for number in range(5)])
    assert total.compute(scheduler=executor) == 30
    with dask.config.set(scheduler=executor):
        assert dask.compute(square(2), square(3)) == (4, 9)


def test_a_collection(executor: wasimoff.Executor) -> None:
    numbers = dask.bag.from_sequence(range(10), npartitions=2)
    assert numbers.filter(lambda number: number % 2).map(lambda number: number + 1).sum().compute(scheduler=executor) == 30


def test_an_exception_of_a_task_is_what_it_was(executor: wasimoff.Executor) -> None:
    with pytest.raises(ValueError, match="101 is too large"):
        square(101).compute(scheduler=executor)
