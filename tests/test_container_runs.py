"""The images' files run: entry points, health checks, pages and shutdown are real, only the engine is missing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import image
from tests.dockerfile import ROOT
from tests.test_container import IMAGES, SERVICES, STAGES

HEALTHY = ROOT / "scripts" / "healthy.py"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("images")
    return {name: image.make(STAGES, name, root) for name in IMAGES}


@contextmanager
def started(folder: Path, name: str, options: list[str], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    line, full = image.command(folder, IMAGES[name], [*image.words(IMAGES[name], "ENTRYPOINT"), *options], **env)
    with log.open("wb") as sink, subprocess.Popen(line, cwd=folder, env=full, stdout=sink, stderr=sink) as process:
        try:
            yield process
        finally:
            process.kill()


def health(folder: Path, name: str, *arguments: str, **env: str) -> tuple[int, str]:
    """(exit code, words) of the image's HEALTHCHECK."""
    line, full = image.command(folder, IMAGES[name], [*image.words(IMAGES[name], "HEALTHCHECK"), *arguments], **env)
    done = subprocess.run(line, cwd=folder, env=full, capture_output=True, text=True, timeout=20)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip()


def until(expected: tuple[int, str], log: Path, folder: Path, name: str, *arguments: str, **env: str) -> None:
    deadline = time.monotonic() + 20
    while (found := health(folder, name, *arguments, **env)) != expected:
        assert time.monotonic() < deadline, f"{found}\n{log.read_text()}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes], log: Path) -> None:
    """As `docker stop` does."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, log.read_text()


def test_the_images_work_together(folders: dict[str, Path], tmp_path: Path) -> None:
    port = free_port()
    env = {"WASIMOFF_HTTP_LISTEN": f"127.0.0.1:{port}", "WASIMOFF_FILESTORAGE": str(tmp_path / "data")}
    logs = tmp_path / "broker.log", tmp_path / "provider.log"
    options = [word.replace("broker:4080", f"127.0.0.1:{port}") for word in SERVICES["provider"]["command"]]
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    away = 1, f"the broker does not answer at port {port}: [Errno {111 if sys.platform == 'linux' else 61}] Connection refused"
    assert health(folders["broker"], "broker", **env) == away
    with started(folders["broker"], "broker", [], logs[0], **env) as broker:
        until((0, "well"), logs[0], folders["broker"], "broker", **env)
        for path in ("/", "/run", "/static/vendor/manifest.json", "/static/js/page/lend.js", "/api/version"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                assert answer.status == 200
        if sys.platform == "linux":
            with started(folders["provider"], "provider", options, logs[1], **cache) as provider:
                here = folders["provider"], "provider", str(provider.pid)
                until((0, "well"), logs[1], *here)
                end(broker, logs[0])
                until((1, "the provider is not connected to a broker"), logs[1], *here)
                end(provider, logs[1])
                assert health(*here) == (1, "no provider is running")
        else:
            end(broker, logs[0])
    assert health(folders["broker"], "broker", **env) == away
    assert (tmp_path / "cache" / "wasimoff" / "blobs").is_dir() or sys.platform != "linux"


def test_the_images_run_their_own_files(folders: dict[str, Path]) -> None:
    code = "import broker as b, pyodide_provider as p, wasimoff as w; print(b.__file__, p.__file__, w.__file__)"
    for name, folder in folders.items():
        line, env = image.command(folder, IMAGES[name], ["python", "-c", code])
        done = subprocess.run(line, cwd="/", env=env, check=True, capture_output=True, text=True)
        assert {Path(path).parent.parent for path in done.stdout.split()} == {folder}
        line, env = image.command(folder, IMAGES[name], ["wasimoff", "--version"])
        assert subprocess.run(line, cwd="/", env=env, check=True, capture_output=True, text=True).stdout.startswith("wasimoff ")
        assert not list(folder.glob(".venv/lib/*/site-packages/setuptools")), "it is only for the build"
        assert not (folder / "static" / "vendor" / ".wheels").exists()


# The health checks, where they say no


def healthy(*arguments: str, **env: str) -> tuple[int, str]:
    line = [sys.executable, str(HEALTHY), *arguments]
    done = subprocess.run(line, env={**os.environ, **env}, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout.strip() or done.stderr.strip()


def test_a_broker_that_does_not_answer_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert healthy("broker", WASIMOFF_HTTP_LISTEN=f"0.0.0.0:{port}") == (
            1, f"the broker does not answer at port {port}: timed out",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "the broker answers 503 at /healthz"),
        (b"what?\r\n\r\n", "the broker does not answer at port {port}: what?"),
    ],
)
def test_an_answer_that_is_not_ok_is_not_well(answer: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = [sys.executable, str(HEALTHY), "broker"]
        env = {**os.environ, "WASIMOFF_HTTP_LISTEN": f":{port}", "http_proxy": "http://127.0.0.1:9"}
        with subprocess.Popen(line, env=env, stdout=subprocess.PIPE, text=True) as process:
            server.settimeout(10)
            peer, _ = server.accept()
            with peer:
                assert peer.recv(1000).startswith(b"GET /healthz ")
                peer.sendall(answer)
            said, _ = process.communicate(timeout=10)
    assert (process.returncode, said.strip()) == (1, told.format(port=port))


def test_health_checks_tell_what_they_cannot_understand() -> None:
    code, said = healthy("broker", WASIMOFF_HTTP_LISTEN="nonsense")
    assert (code, "give host:port" in said) == (1, True)
    assert healthy("provider", "999999999") == (1, "no provider is running")
    for wrong in ((), ("other",), ("provider", "x")):
        assert healthy(*wrong) == (2, "usage: healthy.py broker | healthy.py provider [PROCESS]")


@pytest.mark.skipif(sys.platform != "linux", reason="containers have /proc")
@pytest.mark.parametrize(
    ("workers", "told"), [("0", "the provider has no workers"), ("1", "the provider is not connected to a broker")]
)
def test_a_provider_that_cannot_work_is_not_well(tmp_path: Path, workers: str, told: str) -> None:
    log = tmp_path / "log"
    with full_server() as port, log.open("wb") as sink:
        options = ["--url", f"http://127.0.0.1:{port}", "--workers", workers, "--cache", str(tmp_path / "cache")]
        line = [sys.executable, "-m", "pyodide_provider", *options]
        with subprocess.Popen(line, cwd=ROOT, stdout=sink, stderr=sink) as process:
            try:
                deadline = time.monotonic() + 20
                while "workers," not in log.read_text() or healthy("provider", str(process.pid)) != (1, told):
                    assert time.monotonic() < deadline, log.read_text()
                process.terminate()
                assert process.wait(20) == 0
            finally:
                process.kill()


@contextmanager
def full_server() -> Iterator[int]:
    """The port of a server with all the connections it takes: who tries to connect goes on trying."""
    with ExitStack() as stack:
        port: int = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0)).getsockname()[1]
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port
