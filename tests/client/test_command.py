"""The command against a scripted peer: streams, exit codes, words, signals, terminals."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pty
import signal
from pathlib import Path

import pytest

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb
from wasimoff import exits
from wasimoff.cli import COMMANDS

from .command import WASIMOFF, environment, start, wasimoff
from .conftest import WASM
from .peer import Link, Peer, Request, echo, ok
from .test_archive import zipped
from .test_websocket import failing, until


def gives(status: int = 0, stdout: bytes = b"", stderr: bytes = b"", artifacts: bytes = b"") -> object:
    async def answer(link: Link, sequence: int, request: Request) -> None:
        output = pb.Task.Wasip1.Output(status=status, stdout=stdout, stderr=stderr)
        if artifacts:
            output.artifacts.blob = artifacts
        response = pb.Task.Wasip1.Response(info=pb.Task.Metadata(id=request.info.id, provider="peer"), ok=output)
        await link.send(codec.response(sequence, response))

    return answer


@pytest.mark.parametrize("status", [0, 1, 3, 42, 255])
async def test_streams_and_exit_code_are_the_tasks(peer: Peer, status: int) -> None:
    peer.answer = gives(status, b"\0\xff\r\nout", b"err\xff no newline")  # type: ignore[assignment]
    process = await start("run", "x", broker=peer.url)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (status, b"\0\xff\r\nout", b"err\xff no newline")


async def test_arguments_of_the_program_are_its_own(peer: Peer) -> None:
    ended = await wasimoff("run", "--env", "A=1", "x", "--json", "--help", "-x", "--", "é", broker=peer.url)
    assert ended.out.decode() == "x --json --help -x -- é"
    assert list(peer.tasks[0].params.envs) == ["A=1"]


async def test_stdin(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"file\0")
    assert (await wasimoff("run", "x", broker=peer.url, stdin=b"pi\xffped")).out == b"pi\xffped"
    assert (await wasimoff("run", "--stdin", "-", "x", broker=peer.url, stdin=b"dash")).out == b"dash"
    assert (await wasimoff("run", "--stdin", str(tmp_path / "in"), "x", broker=peer.url, stdin=b"no")).out == b"file\0"
    assert (await wasimoff("run", "x", broker=peer.url)).out == b"x"
    assert (await wasimoff("run", "--stdin", "missing", "x", broker=peer.url)).code == exits.USAGE


async def test_local_files_are_uploaded_and_artifacts_unpacked(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "prog.wasm").write_bytes(WASM)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_text("a")
    peer.answer = gives(artifacts=zipped(("out/b.txt", b"b")))  # type: ignore[assignment]
    ended = await wasimoff(
        "run",
        "--rootfs",
        "root",
        "--artifact",
        "out/b.txt",
        "--output",
        "here",
        "prog.wasm",
        "y",
        broker=peer.url,
        cwd=tmp_path,
    )
    assert ended.code == 0
    assert (tmp_path / "here" / "out" / "b.txt").read_bytes() == b"b"
    assert list(peer.tasks[0].params.args) == ["prog.wasm", "y"]
    assert len(peer.blobs) == 2
    peer.answer = gives(artifacts=zipped(("../evil", b"b")))  # type: ignore[assignment]
    ended = await wasimoff("run", "--artifact", "x", "--output", "in", "prog.wasm", broker=peer.url, cwd=tmp_path)
    assert ended.code == exits.CANT_WRITE
    assert "../evil" in ended.err
    assert not (tmp_path / "evil").exists()


async def test_json(peer: Peer) -> None:
    peer.answer = gives(7, b"text", b"\xff", zipped(("a", b"b")))  # type: ignore[assignment]
    ended = await wasimoff("run", "--json", "--trace", "--artifact", "a", "x", broker=peer.url)
    document = json.loads(ended.out)
    assert ended.code == 7
    assert (document["status"], document["ok"], document["provider"], document["stdout"]) == (7, False, "peer", "text")
    assert document["stderr_base64"] == base64.b64encode(b"\xff").decode()
    assert base64.b64decode(document["artifacts_base64"]).startswith(b"PK")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not_found: Ref not found in storage", exits.REFUSED),
        ("resource_exhausted: full", exits.REFUSED),
        ("deadline_exceeded: too late", exits.TIMEOUT),
        ("unavailable: lost after 3 attempts", exits.NO_STATUS),
        ("internal: \x1b[31mred", exits.NO_STATUS),
    ],
)
async def test_failures_are_words_and_exit_codes(peer: Peer, text: str, code: int) -> None:
    peer.answer = failing(text)  # type: ignore[assignment]
    ended = await wasimoff("run", "x", broker=peer.url)
    assert (ended.code, ended.out) == (code, b"")
    assert ended.err.startswith("wasimoff: ")
    assert ended.err.count("\n") == 1
    assert text.partition(": ")[2].replace("\x1b", "\N{REPLACEMENT CHARACTER}") in ended.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("frob", 2),
        ("run", 2),
        ("run --frob x", 2),
        ("run ./no/file.wasm", 2),
        ("run sha256:12", 2),
        ("run --env NO_SUCH_VARIABLE x", 2),
        ("run --deadline soon x", 2),
        ("run --deadline -1 x", 2),
        ("run --broker ftp://x x", 2),
        ("run x", 3),
        ("run --http x", 3),
        ("ps", 3),
        ("upload missing", 2),
        ("job missing.json", 2),
        ("job --binary x a b", 2),
        ("job --each-stdin missing", 2),
        ("job --binary x --each-stdin missing", 2),
        ("job --binary x --each-stdin --each-arg a", 2),
        ("provider --workers many", 2),
        ("-exec", 2),
        ("-task missing.json", 2),
        ("-upload a -exec b", 2),
        ("-exec x", 3),
    ],
)
async def test_mistakes_are_words_and_exit_codes(line: str, code: int, unused_tcp_port: int, tmp_path: Path) -> None:
    ended = await wasimoff(*line.split(), broker=f"http://127.0.0.1:{unused_tcp_port}", cwd=tmp_path)
    assert (ended.code, ended.out) == (code, b"")
    assert ended.err.startswith(("wasimoff: ", "Usage: "))


@pytest.mark.parametrize("command", [None, *COMMANDS])
async def test_help_teaches(command: str | None) -> None:
    ended = await wasimoff(*([command] if command else []), "--help")
    assert ended.code == 0
    if command == "broker":
        assert b"--http-listen" in ended.out, "the broker's own help"
        return
    assert f"wasimoff {command or 'run'} " in ended.out.decode()
    assert b"Usage: wasimoff" in ended.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", [["run", "x"], ["job", "--binary", "x", "--each-arg", "1", "2", "3"]])
async def test_a_signal_cancels_the_task(peer: Peer, number: signal.Signals, code: int, command: list[str]) -> None:
    peer.answer = lambda link, sequence, request: None
    process = await start(*command, broker=peer.url)
    await until(lambda: len(peer.tasks) == (1 if command[0] == "run" else 3), 20)
    process.send_signal(number)
    async with asyncio.timeout(10):
        out, err = await process.communicate()
    assert process.returncode == code
    assert out == b""
    assert b"Traceback" not in err
    assert sorted(peer.cancels) == sorted(task.info.id for task in peer.tasks)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("line", ["run x", "job --binary x --each-arg 1 2 3", "job --json --binary x --each-arg 1 2 3"])
async def test_a_broken_pipe_is_quiet(peer: Peer, unbuffered: str, line: str) -> None:
    peer.answer = gives(0, b"x" * 10**7)  # type: ignore[assignment]
    process = await asyncio.create_subprocess_shell(
        f"{' '.join(WASIMOFF)} {line} | head -c 10; exit ${{PIPESTATUS[0]}}", executable="/bin/bash",
        env={**environment(peer.url), "PYTHONUNBUFFERED": unbuffered}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, len(out)) == (exits.BROKEN_PIPE, 10)
    assert b"Traceback" not in err
    assert b"never retrieved" not in err


async def test_large_output_is_whole_though_streams_are_unbuffered(peer: Peer) -> None:
    peer.answer = gives(0, b"x" * 3_000_000, b"y" * 3_000_000)  # type: ignore[assignment]
    process = await asyncio.create_subprocess_exec(
        *WASIMOFF, "run", "x", env={**environment(peer.url), "PYTHONUNBUFFERED": "1"}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, len(out), len(err)) == (0, 3_000_000, 3_000_000)


async def test_a_full_disk_is_told(peer: Peer) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{' '.join(WASIMOFF)} run x > /dev/full", env=environment(peer.url), stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == exits.CANT_WRITE
    assert err.startswith(b"wasimoff: can't write the answer: No space left")


async def test_upload(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "prog.wasm").write_bytes(WASM)
    ended = await wasimoff("upload", "prog.wasm", "--name", "tool", broker=peer.url, cwd=tmp_path)
    (ref,) = peer.blobs
    assert (ended.code, ended.out.decode(), ended.err) == (0, f"{ref}\n", "")
    assert peer.aliases == {"tool": ref}
    (tmp_path / "text").write_text("text")
    ended = await wasimoff("upload", "text", broker=peer.url, cwd=tmp_path)
    assert (ended.code, ended.out) == (exits.REFUSED, b"")
    assert "neither wasm nor zip" in ended.err


async def test_job_of_many_inputs(peer: Peer, tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"{n:02}.csv").write_text(f"line one of {n}\nline two\n")
    names = [f"{n:02}.csv" for n in range(12)]
    ended = await wasimoff(
        "job", "--binary", "tsp", "--arg", "read", "--ordered", "--each-stdin", *names, broker=peer.url, cwd=tmp_path
    )
    assert ended.code == 0
    lines = ended.out.decode().splitlines()
    assert lines[0].startswith("[ 1/12] 00.csv · peer · exit 0 · ")
    assert lines[1:3] == ["  line one of 0", "  line two"]
    assert [line.split()[-9] if line.startswith("[") else "" for line in lines[::3]]
    assert len(lines) == 36
    assert "12 tasks in " in ended.err
    assert "12 ok, 0 failed" in ended.err
    assert "peer  12 tasks" in ended.err
    assert {tuple(task.params.args) for task in peer.tasks} == {("tsp", "read")}


async def test_job_lines_of_json_and_a_failure(peer: Peer) -> None:
    async def sometimes(link: Link, sequence: int, request: Request) -> None:
        if request.params.args[-1] == "2":
            await link.send(codec.failure(sequence, "deadline_exceeded: late"))
        else:
            await echo(link, sequence, request)

    peer.answer = sometimes
    ended = await wasimoff("job", "--json", "--binary", "x", "--each-arg", "1", "2", "3", broker=peer.url)
    assert ended.code == exits.FAILED
    documents = {document["index"]: document for document in map(json.loads, ended.out.splitlines())}
    assert documents[0]["stdout"] == "x 1"
    assert (documents[1]["ok"], documents[1]["code"], documents[1]["label"]) == (False, "deadline_exceeded", "2")
    assert ended.err == ""


async def test_job_file_and_kept_results(peer: Peer, tmp_path: Path) -> None:
    job = {"parent": {"binary": "x", "args": ["x"]}, "tasks": [{"stdinText": "hello"}, {"args": ["x", "2"]}]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    ended = await wasimoff("job", "--output", "kept", "--quiet", "job.json", broker=peer.url, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, b"", "")
    assert (tmp_path / "kept" / "1" / "stdout").read_bytes() == b"hello"
    assert json.loads((tmp_path / "kept" / "2" / "result.json").read_text())["stdout"] == "x 2"


async def test_output_of_strangers_does_not_reach_the_terminal_raw(peer: Peer) -> None:
    peer.answer = gives(0, b"\x1b]0;title\x07 \x1b[2J")  # type: ignore[assignment]
    ended = await wasimoff("job", "--binary", "x", "--each-arg", "1", broker=peer.url)
    assert b"\x1b" not in ended.out
    assert b"\x07" not in ended.out


async def test_ps(peer: Peer) -> None:
    provider = {
        "id": 1, "name": "tab\x1b[2J", "engine": "wasmtime", "address": "::1", "concurrency": 4, "running": 2, "done": 10,
        "failed": 1, "connected_seconds": 75.0,
    }  # fmt: skip
    peer.status = {
        "version": "1.2", "uptime": 7300, "providers": [provider],
        "queue": {"waiting": 3, "running": 2, "limit": 100, "note": "every slot is taken"}, "tasks": {"done": 10, "failed": 1},
    }  # fmt: skip
    ended = await wasimoff("ps", broker=peer.url)
    assert ended.code == 0
    text = ended.out.decode()
    assert "\x1b" not in text
    assert "3 waiting (limit 100), 2 running, 10 done, 1 failed" in text
    assert "every slot is taken" in text
    assert text.splitlines()[-1].split() == [
        "1",
        "tab\N{REPLACEMENT CHARACTER}[2J",
        "4",
        "2",
        "10",
        "1",
        "75",
        "s",
        "::1",
        "wasmtime",
    ]
    assert json.loads((await wasimoff("ps", "--json", broker=peer.url)).out) == peer.status
    peer.status = {"providers": 3}
    assert (await wasimoff("ps", broker=peer.url)).code == exits.REFUSED


async def test_ps_shows_what_providers_offer_and_used_where_the_broker_says(peer: Peer) -> None:
    plain = {"id": 1, "name": "old", "engine": "x", "concurrency": 1, "running": 0, "done": 1, "failed": 0}
    peer.status = {"version": "1", "providers": [plain], "queue": {}, "tasks": {"done": 3, "failed": 1, "denied": 1}}
    text = (await wasimoff("ps", broker=peer.url)).out.decode()
    assert "3 done, 2 failed" in text
    assert not {"CPU", "OFFERS"} & set(text.split())
    full = {**plain, "name": "new", "offers": ["interactive", "own", "wasip1", 3], "cpu_seconds": 75.5}
    peer.status["providers"] = [plain, full]
    *_, heads, old, new = (await wasimoff("ps", broker=peer.url)).out.decode().splitlines()
    assert heads.split() == ["ID", "NAME", "SLOTS", "RUNNING", "DONE", "FAILED", "CPU", "UP", "OFFERS", "ENGINE"]
    assert new[heads.index("CPU") :].split() == ["75.5", "s", "0", "ms", "interactive", "wasip1", "x"]
    assert old[heads.index("OFFERS") :].split() == ["x"]


async def test_ps_watches_until_interrupted(peer: Peer) -> None:
    process = await start("ps", "--watch", "0.1", "--json", broker=peer.url)
    assert process.stdout is not None
    for _ in range(3):
        assert json.loads(await asyncio.wait_for(process.stdout.readline(), 10)) == peer.status
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == exits.INTERRUPTED


async def test_the_prototypes_flags(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "a.wasm").write_bytes(WASM)
    ended = await wasimoff("-broker", peer.url, "-upload", "a.wasm", "alias", cwd=tmp_path)
    assert (ended.code, ended.out.decode()) == (0, f"{peer.aliases['alias']}\n")
    for transport in ([], ["-ws"]):
        ended = await wasimoff("-broker", peer.url, *transport, "-exec", "alias", "rand", "-8", cwd=tmp_path)
        assert (ended.code, ended.out) == (0, b"alias rand -8")
    ended = await wasimoff("-stdin", "-rootfs", "r", "-ws", "-exec", "alias", broker=peer.url, stdin=b"in", cwd=tmp_path)
    assert ended.out == b"in"
    assert peer.tasks[-1].params.rootfs.ref == "r"
    task = {"@type": "wasimoff/wasimoff.v1.Task.Wasip1.Request", "params": {"binary": {"ref": "alias"}, "args": ["a", "b"]}}
    (tmp_path / "t.json").write_text(json.dumps(task))
    ended = await wasimoff("-verbose", "-task", "t.json", broker=peer.url, cwd=tmp_path)
    assert ended.out == b"a b"
    assert '"provider": "peer"' in ended.err


async def on_a_terminal(*arguments: str, broker: str, cwd: Path) -> tuple[int, str]:
    """Run it with stdout and stderr on a terminal; gives what was shown."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *WASIMOFF, *arguments, stdout=theirs, stderr=theirs, stdin=theirs, cwd=cwd,
        env={**environment(broker), "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                return
            if not chunk:
                return
            shown.extend(chunk)

    reading = asyncio.create_task(asyncio.to_thread(read))
    try:
        code = await asyncio.wait_for(process.wait(), 30)
    finally:
        if process.returncode is None:
            process.kill()
        await reading
        os.close(ours)
    return code, shown.decode()


async def test_a_bar_on_terminals_only(peer: Peer, tmp_path: Path) -> None:
    async def slowly(link: Link, sequence: int, request: Request) -> None:
        await asyncio.sleep(0.05)
        await echo(link, sequence, request)

    peer.answer = slowly
    line = ["job", "--binary", "x", "--in-flight", "1", "--each-arg", *map(str, range(20))]
    code, shown = await on_a_terminal(*line, broker=peer.url, cwd=tmp_path)
    assert code == 0
    assert "━" in shown
    assert "20/20" in shown
    for n in range(20):
        assert f"x {n}" in shown
    ended = await wasimoff(*line, broker=peer.url)
    assert "━" not in ended.out.decode() + ended.err


async def test_stdin_of_a_terminal_is_not_waited_for(peer: Peer, tmp_path: Path) -> None:
    code, shown = await on_a_terminal("run", "x", "1", broker=peer.url, cwd=tmp_path)
    assert (code, shown) == (0, "x 1")


async def test_a_request_of_another_kind_is_an_error(peer: Peer, tmp_path: Path) -> None:
    peer.answer = lambda link, sequence, request: link.send(codec.response(sequence, ok(request)))
    ended = await wasimoff("run", "x", "\udcff", broker=peer.url, cwd=tmp_path)
    assert ended.code == exits.USAGE
    assert "can't be sent" in ended.err
