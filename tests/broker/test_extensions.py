"""What our own fields ask of the broker: files, limits, matching, output files; from clients and providers that lie, too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.core.note import note
from broker.params import MAX_BESIDE, MAX_ROOTS, MAX_SHARED, MAX_TEXTS
from broker.status import snapshot
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from tests.broker.running import WASM, World, output, task, until, upload, world
from tests.broker.samples import ZIP, ref_of

Params = pb.Task.Wasip1.Params
Python = pb.Task.Pyodide
HUGE = 2**64 - 1
THREADED = WASM + b"\x01\x04\x01\x60\x00\x00" + b"\x02\x16\x01\x04wasi\x0cthread-spawn\x00\x00"
OWN = {"extension": 1, "runs": ["wasip1", "pyodide"]}


@pytest.fixture
async def w() -> AsyncIterator[World]:
    async with world() as found:
        yield found


# Files


async def test_roots_and_stdin_are_stored_and_referred_to(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    zip_ref = await upload(w.broker, "tools", ZIP)
    request = task(w.ref, "prog")
    request.params.stdin_file.blob = b"anything at all"
    request.params.roots.add(path="/tools").file.ref = "tools"
    request.params.roots.add(path="/data").file.blob = ZIP + b"\0"
    await client.request(request)
    sequence, run = await provider.run()
    assert run.params.stdin_file.ref == ref_of(b"anything at all")
    assert not run.params.stdin_file.HasField("blob")
    assert [(root.path, root.file.ref) for root in run.params.roots] == [("/tools", zip_ref), ("/data", ref_of(ZIP + b"\0"))]
    await provider.answer(sequence, output(run))
    assert (await client.answer()).ok.stdout == b"out"


async def test_pickles_and_what_they_share_are_stored_and_referred_to(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    shared = (await w.broker.blobs.put(b"shared", anything=True)).ref
    params = Python.Params(pickle_file=pb.File(blob=b"pickled"), rootfs=pb.File(blob=ZIP))
    params.shared.add(ref=shared)
    params.shared.add(blob=b"more")
    await client.request(Python.Request(params=params))
    _, run = await provider.asked(Python.Request)
    assert run.params.pickle_file.ref == ref_of(b"pickled")
    assert run.params.rootfs.ref == ref_of(ZIP)
    assert [file.ref for file in run.params.shared] == [shared, ref_of(b"more")]


def broken() -> dict[str, tuple[Params | Python.Params, str]]:
    binary = pb.File(ref="app")
    roots = [pb.Task.Wasip1.Root(path="/", file=binary)]
    return {
        "unknown root": (
            Params(binary=binary, roots=[pb.Task.Wasip1.Root(path="/x", file=pb.File(ref="no"))]),
            "not_found: Ref not found in storage: root at '/x' 'no'; upload it first",
        ),
        "root without file": (
            Params(binary=binary, roots=[pb.Task.Wasip1.Root(path="/x")]),
            "invalid_argument: root at '/x' has neither ref nor blob: give exactly one",
        ),
        "too many roots": (
            Params(binary=binary, roots=roots * 10_000),
            f"invalid_argument: 10000 roots, at most {MAX_ROOTS} are taken",
        ),
        "unknown stdin": (
            Params(binary=binary, stdin_file=pb.File(ref="no")),
            "not_found: Ref not found in storage: stdin_file 'no'; upload it first",
        ),
        "two ways of stdin": (
            Params(binary=binary, stdin=b"", stdin_file=binary),
            "invalid_argument: the task has both stdin and stdin_file: give one",
        ),
        "a root that is no zip": (
            Params(binary=binary, roots=[pb.Task.Wasip1.Root(path="/x", file=pb.File(blob=b"nonsense"))]),
            "invalid_argument: this is neither a WebAssembly module (.wasm) nor a zip: it begins with b'nons'",
        ),
        "nothing to run": (
            Python.Params(packages=["x"]),
            "invalid_argument: the task has nothing to run: give params.script or params.pickle",
        ),
        "two things to run": (
            Python.Params(script="1", pickle_file=binary),
            "invalid_argument: the task has pickle_file beside script or pickle: give one",
        ),
        "too much shared": (
            Python.Params(script="1", shared=[binary] * 10_000),
            f"invalid_argument: 10000 shared files, at most {MAX_SHARED} are taken",
        ),
        "unknown shared": (
            Python.Params(script="1", shared=[pb.File(ref="no")]),
            "not_found: Ref not found in storage: shared 'no'; upload it first",
        ),
        "too many arguments": (
            Params(binary=binary, args=[""] * (MAX_TEXTS - 1), envs=["A=1"], artifacts=["x"]),
            f"invalid_argument: {MAX_TEXTS + 1} args, envs, artifacts and so on, at most {MAX_TEXTS} are taken",
        ),
        "too many packages": (
            Python.Params(script="1", packages=[""] * (MAX_TEXTS + 1)),
            f"invalid_argument: {MAX_TEXTS + 1} args, envs, artifacts and so on, at most {MAX_TEXTS} are taken",
        ),
    }


@pytest.mark.parametrize("case", broken())
async def test_what_can_not_be_is_refused_in_words(w: World, case: str):
    client = await w.client()
    params, error = broken()[case]
    request = task("") if isinstance(params, Params) else Python.Request()
    request.params.CopyFrom(params)
    assert (await client.run(request)).error == error
    assert not w.state.waiting


async def test_arguments_may_be_as_large_as_those_of_a_process_and_not_larger(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    arguments = ["x" * (MAX_BESIDE - 1000), *["y"] * 100]
    large = task("app", *arguments)
    large.params.stdin = bytes(1 << 20)
    await client.request(large)
    sequence, run = await provider.run()
    assert run.params.args == arguments
    await provider.answer(sequence, output(run))
    await client.answer()
    large.params.envs.append(f"A={'z' * 1000}")
    assert (await client.run(large)).error.startswith("invalid_argument: args, envs and so on have 2097")
    python = Python.Request(params=Python.Params(script="x" * (3 << 20)))
    await client.request(python)
    await provider.asked(Python.Request)
    python.params.envs.append("A" * MAX_BESIDE)
    assert (await client.run(python)).error.startswith("invalid_argument: args, envs and so on have 2097")


# Limits


def asked(**limits: int) -> pb.Task.Wasip1.Request:
    request = task("app")
    request.params.limits.CopyFrom(pb.Task.Limits(**limits))
    return request


@pytest.mark.parametrize("limits", [{}, {"limit_memory": 1 << 20, "limit_wall": 2.5}])
async def test_what_a_task_asks_is_cut_to_the_caps(limits: dict[str, float]):
    async with world(**limits) as w:
        provider, client = await w.provider(slots=4, **OWN), await w.client()
        await client.request(asked(wall_ms=HUGE, memory=HUGE, output=HUGE, files=HUGE, threads=2**32 - 1))
        _, run = await provider.run()
        wall, memory = (2500, 1 << 20) if limits else (HUGE, 4 << 30)
        expected = pb.Task.Limits(wall_ms=wall, memory=memory, output=64 << 20, files=512 << 20, threads=64)
        assert run.params.limits == expected
        await client.request(asked(wall_ms=1000, memory=65536, output=1, files=2, threads=3))
        _, run = await provider.run()
        assert run.params.limits == pb.Task.Limits(wall_ms=1000, memory=65536, output=1, files=2, threads=3)


async def test_what_the_operator_has_set_holds_for_who_asks_nothing():
    async with world(limit_memory=1 << 20, limit_wall=0.0001) as w:
        provider, client = await w.provider(slots=2, **OWN), await w.client()
        await client.request(task("app"))
        assert (await provider.run())[1].params.limits == pb.Task.Limits(wall_ms=1, memory=1 << 20)
        await client.request(Python.Request(params=Python.Params(script="1")))
        assert (await provider.asked(Python.Request))[1].params.limits == pb.Task.Limits(wall_ms=1, memory=1 << 20)


async def test_a_task_that_asks_nothing_is_sent_as_it_was(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    await client.request(task("app"))
    _, run = await provider.run()
    assert not run.params.HasField("limits")
    assert not run.HasField("qos")


# Matching


async def waits(w: World, *words: str) -> None:
    await until(lambda: w.state.waiting)
    for word in words:
        assert word in note(w.state)


async def test_what_only_our_own_providers_understand_waits_for_one(w: World):
    await w.provider("foreign", 4)
    client = await w.client()
    request = task("app")
    request.params.roots.add(path="/x").file.blob = ZIP
    await client.request(request)
    await waits(w, "1 tasks wait for a provider that offers own")
    ours = await w.provider("ours", **OWN)
    _, run = await ours.run()
    assert run.params.roots[0].path == "/x"


@pytest.mark.parametrize("in_memory", [True, False])
async def test_a_module_that_starts_threads_waits_for_who_can(in_memory: bool, tmp_path):
    async with world(**({} if in_memory else {"filestorage": tmp_path})) as w:
        await upload(w.broker, "threaded", THREADED)
        plain, client = await w.provider("plain", 4, **OWN), await w.client()
        await client.request(task("threaded"))
        await waits(w, "wasip1-threads")
        await client.request(task("app"))
        assert (await plain.run())[1].params.binary.ref == w.ref
        able = await w.provider("able", extension=1, runs=["wasip1", "wasip1-threads"])
        assert (await able.run())[1].params.binary.ref == ref_of(THREADED)


async def test_a_task_that_nobody_can_take_may_be_refused_at_once(w: World):
    await w.provider(**OWN)
    await upload(w.broker, "threaded", THREADED)
    request = task("threaded")
    request.qos.immediate = True
    assert (await (await w.client()).run(request)).error.startswith("unavailable: ")


async def test_a_foreign_provider_can_not_offer_what_it_does_not_understand(w: World):
    await w.provider(runs=["wasip1", "interactive", "own", "wasip1-threads"])
    (known,) = w.state.providers.values()
    assert known.offers == {"wasip1", "pyodide"}


# Outputs by reference


def with_file(run: pb.Task.Wasip1.Request, name: str, ref: str) -> pb.Task.Wasip1.Response:
    response = output(run)
    getattr(response.ok, name).ref = ref
    return response


@pytest.mark.parametrize("name", ["artifacts", "stdout_file", "stderr_file"])
@pytest.mark.parametrize("ref", ["sha256:" + "0" * 64, "app", "x" * 100_000])
async def test_an_output_that_is_not_here_is_the_providers_fault(w: World, name: str, ref: str):
    liar, client = await w.provider("liar", **OWN), await w.client()
    request = task("app")
    request.qos.by_reference = True
    await client.request(request)
    sequence, run = await liar.run()
    assert run.qos.by_reference
    await liar.answer(sequence, with_file(run, name, ref))
    honest = await w.provider("honest", **OWN)
    sequence, run = await honest.run()
    stored = (await w.broker.blobs.put(b"output", anything=True)).ref
    await honest.answer(sequence, with_file(run, name, stored))
    answer = await client.answer()
    assert (answer.info.provider, getattr(answer.ok, name).ref) == ("honest", stored)


# Usage


async def test_usage_is_passed_on_and_summed(w: World):
    provider, client = await w.provider(slots=1, **OWN), await w.client()
    for cpu in (1_500_000, HUGE):
        await client.request(task("app"))
        sequence, run = await provider.run()
        answer = output(run)
        answer.usage.CopyFrom(pb.Task.Usage(cpu_us=cpu, memory=HUGE, engine="x"))
        await provider.answer(sequence, answer)
        assert (await client.answer()).usage == answer.usage
    (known,) = snapshot(w.broker.dispatcher, "")["providers"]
    assert known["cpu_seconds"] == 1.5 + 1e7
    assert known["offers"] == ["own", "pyodide", "wasip1"]


async def test_failed_tasks_are_counted(w: World):
    provider, client = await w.provider(**OWN), await w.client()
    await client.request(task("app"))
    sequence, run = await provider.run()
    await provider.answer(sequence, pb.Task.Wasip1.Response(info=run.info, error="unreachable"))
    assert (await client.answer()).error == "unreachable"
    assert snapshot(w.broker.dispatcher, "")["tasks"] == {"done": 1, "failed": 1, "denied": 0, "strays": 0}


# Jobs


async def test_a_job_takes_roots_limits_and_stdin_from_its_parent(w: World):
    provider, client = await w.provider(slots=4, **OWN), await w.client()
    job = pb.Task.Wasip1.JobRequest()
    job.parent.binary.ref = "app"
    job.parent.roots.add(path="/p").file.blob = ZIP
    job.parent.limits.memory = 65536
    job.parent.stdin_file.blob = b"parent's"
    job.tasks.add()
    own = job.tasks.add(stdin=b"own")
    own.roots.add(path="/o").file.blob = ZIP + b"\0"
    own.limits.wall_ms = 5
    many = job.tasks.add()
    many.roots.extend([pb.Task.Wasip1.Root()] * 10_000)
    await client.request(job)
    answers = []
    for _ in range(2):
        sequence, run = await provider.run()
        answers.append(run.params)
        await provider.answer(sequence, output(run))
    inherited, given = answers
    assert (inherited.roots[0].path, inherited.limits.memory) == ("/p", 65536)
    assert inherited.stdin_file.ref == ref_of(b"parent's")
    assert (given.roots[0].path, given.limits, given.stdin) == ("/o", pb.Task.Limits(wall_ms=5), b"own")
    assert not given.HasField("stdin_file")
    response = codec.unpack(await client.next())
    assert isinstance(response, pb.Task.Wasip1.JobResponse)
    assert [task.error for task in response.tasks] == ["", "", "invalid_argument: 10000 roots, at most 16 are taken"]
