"""The page for developers: upload a program, run it, read what it says; and everything that can go wrong."""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from e2e.chromium import Tab, Watch
from e2e.processes import APPS, ROOT, TESTING, TSP, BrokerProcess
from wasimoff import Client

HELLO = APPS / "helloworld" / "helloworld-rust.wasm"
TIMES = (TESTING / "noop.wasm").read_bytes()


def ref(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


class RunPage:
    """The page as a developer uses it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(f"{url}/run")
        expect(page.locator("html")).to_have_attribute("data-state", "idle")

    def __getattr__(self, name: str) -> Locator:
        return self.page.locator(f"#{name.replace('_', '-')}")

    def upload(self, path: Path) -> None:
        self.program_file.set_input_files(path)
        expect(self.program_ref).to_have_value(ref(path))

    def run_it(self) -> None:
        self.page.get_by_role("button", name="Run", exact=True).click()

    def ended(self, badge: str) -> None:
        expect(self.exit).to_have_text(badge)


@pytest.fixture(scope="module")
def served(chromium: Browser) -> Iterator[BrokerProcess]:
    """A broker for all tests of this module, with a tab that lends to it."""
    broker = BrokerProcess()
    context = chromium.new_context()
    Tab(context.new_page()).open(broker.url, name="my-tab").lending()
    yield broker
    context.close()
    print(broker.output)
    broker.close()


@pytest.fixture
def developer(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def watch(developer: BrowserContext) -> Iterator[Watch]:
    watch = Watch(developer)
    yield watch
    watch.check()


@pytest.fixture
def page(developer: BrowserContext, served: BrokerProcess, watch: Watch) -> RunPage:
    return RunPage(developer.new_page(), served.url)


@pytest.fixture
def lonely(developer: BrowserContext, broker: BrokerProcess, watch: Watch) -> RunPage:
    """The page at a broker of its own, where nobody lends."""
    return RunPage(developer.new_page(), broker.url)


def test_upload_and_run(page: RunPage) -> None:
    page.upload(TSP)
    expect(page.fact_name).to_have_text("tsp.wasm")
    expect(page.fact_digest).to_have_text(ref(TSP))
    expect(page.fact_size).to_have_text(re.compile(r"^\d+ KiB$"))
    expect(page.fact_imports).to_contain_text("wasi_snapshot_preview1")
    expect(page.fact_exports).to_contain_text("_start")
    page.args.fill("read")
    page.stdin.fill("A,0,0\nB,3,4\nC,6,0\nD,3,-4\n")
    page.run_it()
    page.ended("exit 0")
    expect(page.stdout).to_contain_text("cities 4")
    expect(page.who).to_contain_text("computed by my-tab")
    expect(page.stderr_box).to_be_hidden()


def test_arguments_environment_files_and_artifacts(page: RunPage, tmp_path: Path) -> None:
    archive = tmp_path / "files.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("hello.txt", "from the archive\n" * 50)
    page.upload(HELLO)
    page.args.fill("""'two words' "Grüße 🦀" cat:/hello.txt write:/out.txt 'made here' """)
    page.page.locator("#more > summary").click()
    page.envs.fill("GREETING=hallo = welt\nEMPTY=")
    page.rootfs_file.set_input_files(archive)
    expect(page.rootfs_ref).to_have_value(re.compile("^sha256:"))
    page.artifacts.fill("/hello.txt\nout.txt\nnowhere")
    page.run_it()
    page.ended("exit 0")
    for text in ("two words", "Grüße 🦀", "GREETING=hallo = welt", "from the archive", "wrote 10 bytes"):
        expect(page.stdout).to_contain_text(text)
    expect(page.stderr).to_contain_text("artifact not found: nowhere")
    with page.page.expect_download() as download:
        page.artifacts_save.click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as opened:
        assert opened.read("hello.txt") == b"from the archive\n" * 50
        assert opened.read("out.txt") == b"made here\n"


def test_a_file_is_dropped(page: RunPage) -> None:
    drop(page, "program-drop", "dropped.wasm", TIMES)
    expect(page.program_ref).to_have_value(f"sha256:{hashlib.sha256(TIMES).hexdigest()}")
    page.run_it()
    page.ended("exit 0")
    expect(page.stdout).to_have_class("empty")


def test_exit_codes_and_traps(page: RunPage) -> None:
    page.upload(TESTING / "exitcode.wasm")
    page.args.fill("42")
    page.run_it()
    page.ended("exit 42")
    page.upload(TESTING / "trap.wasm")
    page.run_it()
    page.ended("failed")
    expect(page.result_error).to_contain_text("unreachable")
    expect(page.stdout_box).to_be_hidden()


def test_nothing_is_chosen(page: RunPage) -> None:
    page.run_it()
    expect(page.run_error).to_contain_text("Choose a program first")


def test_what_is_typed_wrongly_is_told(page: RunPage) -> None:
    page.program_ref.fill("tsp.wasm")
    page.args.fill("'open")
    page.run_it()
    expect(page.run_error).to_contain_text("is not closed")
    page.args.fill("")
    page.page.locator("#more > summary").click()
    page.envs.fill("NOT AN ASSIGNMENT")
    page.run_it()
    expect(page.run_error).to_contain_text("“NOT AN ASSIGNMENT” is not of the form NAME=value")


def test_an_unknown_ref_is_told(page: RunPage, watch: Watch) -> None:
    watch.expected.append("404 (Not Found)")
    page.program_ref.fill("nobody-knows.wasm")
    page.run_it()
    expect(page.run_error).to_contain_text("Ref not found in storage")


def test_what_is_no_wasm_or_no_zip_is_refused(page: RunPage, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes")
    page.program_file.set_input_files(path)
    expect(page.program_error).to_have_text(r"notes.txt is not a WebAssembly module: it does not begin with \0asm.")
    expect(page.program_ref).to_have_value("")
    page.page.locator("#more > summary").click()
    page.rootfs_file.set_input_files(path)
    expect(page.rootfs_error).to_have_text("notes.txt is not a zip archive.")


def test_a_broken_module_is_told(page: RunPage, tmp_path: Path) -> None:
    path = tmp_path / "broken.wasm"
    path.write_bytes(TSP.read_bytes()[:1000])
    page.upload(path)
    expect(page.program_error).to_contain_text("broken.wasm does not compile here: ")


def test_what_the_broker_refuses_is_told(page: RunPage, watch: Watch, tmp_path: Path) -> None:
    watch.expected.append("415 (Unsupported Media Type)")
    path = tmp_path / "half.zip"
    path.write_bytes(b"PK but nothing else")
    page.page.locator("#more > summary").click()
    page.rootfs_file.set_input_files(path)
    expect(page.rootfs_error).to_contain_text("half.zip was not taken: ")
    expect(page.rootfs_ref).to_have_value("")


def test_an_upload_is_stopped(page: RunPage, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("zeros", bytes(40 << 20))
    page.page.locator("#more > summary").click()
    page.page.context.new_cdp_session(page.page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1 << 20},
    )
    page.rootfs_file.set_input_files(path)
    expect(page.rootfs_upload_text).to_have_text(re.compile(r"MiB of 40 MiB"))
    page.run_it()
    expect(page.run_error).to_have_text("The upload is not finished yet.")
    page.rootfs_abort.click()
    expect(page.rootfs_upload).to_be_hidden()
    expect(page.rootfs_ref).to_have_value("")
    expect(page.rootfs_error).to_be_hidden()


def test_a_library_is_explained(page: RunPage, tmp_path: Path) -> None:
    path = tmp_path / "library.wasm"
    path.write_bytes(b"\0asm\1\0\0\0")
    page.upload(path)
    expect(page.program_error).to_contain_text("exports no _start function")


def test_nobody_lends_and_the_task_is_cancelled(lonely: RunPage, client: Client) -> None:
    lonely.upload(TESTING / "noop.wasm")
    lonely.run_it()
    expect(lonely.run_state).to_contain_text("Running")
    expect(lonely.run).to_be_disabled()
    expect_waiting(client, 1)
    expect(lonely.run_note).not_to_be_empty()
    lonely.cancel.click()
    expect(lonely.run_error).to_have_text("Cancelled.")
    expect(lonely.run).to_be_enabled()
    expect_waiting(client, 0)


def test_the_broker_is_away(lonely: RunPage, broker: BrokerProcess, watch: Watch) -> None:
    watch.expected.append("ERR_CONNECTION_REFUSED")
    lonely.program_ref.fill("x.wasm")
    broker.kill()
    lonely.run_it()
    expect(lonely.run_error).to_contain_text(
        "can’t be reached"  # noqa: RUF001 - as on the page
    )
    lonely.program_file.set_input_files(TESTING / "noop.wasm")
    expect(lonely.program_error).to_contain_text("noop.wasm could not be sent")


def test_large_output_is_bounded_on_the_page_and_saved_whole(page: RunPage) -> None:
    page.upload(TESTING / "bigout.wasm")
    page.args.fill("1000000")
    page.run_it()
    page.ended("exit 0")
    expect(page.stdout_size).to_have_text("977 KiB")
    assert len(page.stdout.inner_text()) < 140_000
    expect(page.stdout).to_contain_text("save it to see all")
    with page.page.expect_download() as download:
        page.stdout_save.click()
    assert Path(download.value.path()).stat().st_size == 1_000_000


def test_what_a_program_writes_is_text_and_nothing_else(page: RunPage) -> None:
    page.upload(TESTING / "cat.wasm")
    page.stdin.fill("<img src=x onerror=alert(1)><b>bold</b>")
    page.run_it()
    page.ended("exit 0")
    expect(page.stdout).to_have_text("<img src=x onerror=alert(1)><b>bold</b>")


def test_the_curl_line_does_the_same(page: RunPage) -> None:
    page.upload(TESTING / "cat.wasm")
    page.stdin.fill("it's “quoted” $HOME\n")
    line = page.curl.inner_text()
    assert line.startswith("printf %s ")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "it's “quoted” $HOME\n", done.stderr


def test_the_curl_line_of_a_task_with_everything(page: RunPage) -> None:
    page.upload(HELLO)
    page.args.fill("one 'two words'")
    page.page.locator("#more > summary").click()
    page.envs.fill("GREETING=good morning")
    done = subprocess.run(["sh", "-c", page.curl.inner_text()], capture_output=True, text=True, timeout=20, check=False)
    assert "two words" in done.stdout, done.stderr
    assert "GREETING=good morning" in done.stdout
    page.envs.fill("lower=case")
    assert "application/json" in page.curl.inner_text(), "a header can't say it"
    done = subprocess.run(["sh", "-c", page.curl.inner_text()], capture_output=True, text=True, timeout=20, check=False)
    assert '"ok"' in done.stdout


def test_the_wasimoff_line_does_the_same(page: RunPage) -> None:
    page.upload(HELLO)
    page.args.fill("one 'two words'")
    page.page.locator("#more > summary").click()
    page.envs.fill("GREETING=good morning")
    line = page.command.inner_text()
    assert shlex.split(line)[:2] == ["wasimoff", "run"]
    wasimoff = f"{ROOT}/.venv/bin/wasimoff"
    done = subprocess.run(
        ["sh", "-c", line.replace("wasimoff", wasimoff, 1)], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "two words" in done.stdout
    assert "GREETING=good morning" in done.stdout


def test_the_keyboard_is_enough(page: RunPage) -> None:
    page.upload(TESTING / "noop.wasm")
    page.args.focus()
    page.page.keyboard.press("Control+Enter")
    page.ended("exit 0")


def drop(page: RunPage, target: str, name: str, content: bytes) -> None:
    """Drop a file onto an element."""
    transfer = page.page.evaluate_handle(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        [name, list(content)],
    )
    page.page.dispatch_event(f"#{target}", "drop", {"dataTransfer": transfer})


def expect_waiting(client: Client, count: int) -> None:
    until = time.monotonic() + 10
    while client.status().waiting != count:
        assert time.monotonic() < until, client.status()
        time.sleep(0.02)
