"""Requests to runs and outcomes to bytes; hand-assembled envelopes equal those of the generated classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_provider.core.run import Broken, Exited, Failed, File, Limits, Outcome, Params, Run
from pyodide_provider.errors import TaskFault
from pyodide_provider.translate import answer_of, is_ref, run_of
from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

REF = "sha256:" + "0a" * 32
Root = pb.Task.Wasip1.Root


def by_generated_classes(run: Run, outcome: Outcome) -> pb.Envelope:
    envelope = pb.Envelope(sequence=run.sequence, type=pb.Envelope.Response)
    response = pb.Task.Wasip1.Response()
    response.info.id = run.task
    if isinstance(outcome, Broken):
        envelope.error = outcome.error
        return envelope
    if isinstance(outcome, Failed):
        response.error = outcome.error
    else:
        response.ok.status = outcome.status
        if outcome.stdout:
            response.ok.stdout = outcome.stdout
        if outcome.stderr:
            response.ok.stderr = outcome.stderr
        if outcome.artifacts is not None:
            response.ok.artifacts.media = "application/zip"
            response.ok.artifacts.blob = outcome.artifacts
    envelope.payload.Pack(response, "wasimoff")
    return envelope


OUTCOMES = st.one_of(
    st.builds(
        Exited, st.integers(0, 255), st.binary(max_size=300), st.binary(max_size=300), st.none() | st.binary(max_size=20)
    ),
    st.builds(Failed, st.text()),
    st.builds(Broken, st.text()),
)


@given(st.integers(0, 2**53), st.text(max_size=200), OUTCOMES)
def test_answers_are_the_bytes_of_the_generated_classes(sequence: int, task: str, outcome: Outcome) -> None:
    run = Run(sequence, task, 1, Params(File(REF)))
    expected = by_generated_classes(run, outcome)
    assert answer_of(run, outcome) == expected.SerializeToString()


def test_a_status_of_zero_is_written() -> None:
    (envelope,) = codec.decode(answer_of(Run(1, "t", 1, Params(File(REF))), Exited(0)))
    response = codec.unpack(envelope)
    assert isinstance(response, pb.Task.Wasip1.Response)
    assert response.ok.HasField("status")


def test_a_whole_request_becomes_a_run() -> None:
    request = pb.Task.Wasip1.Request()
    request.info.id, request.info.attempt = "job/7", 2
    request.params.binary.ref = REF
    request.params.args[:] = ["tsp", "read"]
    request.params.envs[:] = ["A=b", "EMPTY=", "EQ=a=b"]
    request.params.stdin = b"1,2\n"
    request.params.rootfs.blob = b"PK"
    request.params.artifacts[:] = ["out"]
    run = run_of(9, request)
    assert (run.sequence, run.task, run.attempt) == (9, "job/7", 2)
    assert run.params == Params(File(REF), ("tsp", "read"), ("A=b", "EMPTY=", "EQ=a=b"), b"1,2\n", File(blob=b"PK"), ("out",))


def test_an_empty_inline_binary_is_one_and_the_slot_will_say_what_is_wrong_with_it() -> None:
    request = pb.Task.Wasip1.Request()
    request.params.binary.blob = b""
    assert run_of(1, request).params.binary == File(blob=b"")


def test_our_own_fields_become_part_of_a_run() -> None:
    request = _params(
        binary=pb.File(ref=REF), roots=[Root(path="/a//./b/", file=pb.File(ref=REF))], stdin_file=pb.File(ref=REF)
    )
    request.params.limits.wall_ms = 1500
    request.params.limits.threads = 3
    request.qos.follow = request.qos.by_reference = True
    params = run_of(1, request).params
    assert params.roots == (("/a/b", File(REF)),)
    assert params.stdin == File(REF)
    assert params.limits == Limits(1.5, 0, 0, 0, 3)
    assert params.follow
    assert params.by_reference


def test_stdin_that_came_as_an_inline_file_is_plain_stdin() -> None:
    request = _params(binary=pb.File(ref=REF), stdin_file=pb.File(blob=b"1,2"))
    assert run_of(1, request).params.stdin == b"1,2"


def test_sizes_beyond_all_measure_are_ones_that_every_worker_can_read() -> None:
    most = 2**64 - 1
    request = _params(binary=pb.File(ref=REF), limits=pb.Task.Limits(wall_ms=most, memory=most, output=most, files=most))
    exact = 2**53 - 1
    assert run_of(1, request).params.limits == Limits(most / 1000, exact, exact, exact, 0)


def _params(**fields: object) -> pb.Task.Wasip1.Request:
    return pb.Task.Wasip1.Request(params=pb.Task.Wasip1.Params(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.Task.Wasip1.Request(), "needs params with a binary"),
        (_params(args=["x"]), "needs params with a binary"),
        (_params(binary=pb.File()), "the binary needs a ref or a blob"),
        (_params(binary=pb.File(ref=REF, blob=b"x")), "the binary has both a ref and a blob"),
        (_params(binary=pb.File(ref="tsp.wasm")), "not sha256:<64 hex digits>: 'tsp.wasm'"),
        (_params(binary=pb.File(ref="sha256:../../../../etc/passwd")), "not sha256:<64 hex digits>"),
        (_params(binary=pb.File(ref=REF), rootfs=pb.File()), "the rootfs needs a ref or a blob"),
        (_params(binary=pb.File(ref=REF), args=["a\0b"]), "NUL"),
        (_params(binary=pb.File(ref=REF), envs=["A=\0"]), "NUL"),
        (_params(binary=pb.File(ref=REF), envs=["PATH"]), "KEY=VALUE, not 'PATH'"),
        (_params(binary=pb.File(ref=REF), envs=["=x"]), "KEY=VALUE, not '=x'"),
        (_params(binary=pb.File(ref=REF), stdin=b"", stdin_file=pb.File(ref=REF)), "both stdin and stdin_file"),
        (_params(binary=pb.File(ref=REF), stdin_file=pb.File(ref="x")), "the ref of the stdin is not"),
        (_params(binary=pb.File(ref=REF), roots=[Root(path="/x")] * 10_000), "10000 roots, at most 16"),
        (_params(binary=pb.File(ref=REF), roots=[Root(path="/x")]), "the root at /x needs a ref or a blob"),
        (_params(binary=pb.File(ref=REF), roots=[Root(path="x", file=pb.File(ref=REF))]), "mounted at an absolute path"),
        (_params(binary=pb.File(ref=REF), roots=[Root(path="/a/../..", file=pb.File(ref=REF))]), "without .."),
        (_params(binary=pb.File(ref=REF), roots=[Root(path="/" + "a" * 5000, file=pb.File(ref=REF))]), "not at '/aaa"),
    ],
)
def test_a_request_that_nobody_could_do_is_told_why(request_: pb.Task.Wasip1.Request, words: str) -> None:
    with pytest.raises(TaskFault) as caught:
        run_of(1, request_)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "sha256:", REF[:-1], REF + "0", REF.upper(), "sha256:" + "g" * 64, "md5:" + "0" * 67])
def test_what_is_not_a_ref(text: str) -> None:
    assert not is_ref(text)
    assert is_ref(REF)
