"""Settings: their table is the documentation, their parsing never shows a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from broker.core.policy import Policy
from broker.errors import UsageError
from broker.settings import Settings, flag, table, variable
from broker.values import Address

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
START = "import sys; from broker.settings import Settings; print(Settings.from_command_line(sys.argv[1:]).http_listen)"


def environment(**given: str) -> Settings:
    return Settings.from_environment({f"WASIMOFF_{name}": text for name, text in given.items()})


def started(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"HOME": "/root"} | variables, timeout=60)


def test_every_setting_is_documented_with_its_default_and_meaning():
    assert table() in DOCS.read_text()


def test_help_lists_every_setting():
    done = started("--help")
    assert done.returncode == 0
    words = " ".join(done.stdout.split())
    for item in fields(Settings):
        assert f"{flag(item)} " in words
        assert f"{variable(item)}: {' '.join(item.metadata['help'].split())}" in words


def test_the_defaults_of_the_core_and_of_the_settings_agree():
    assert Settings().policy() == Policy()


def test_all_that_the_policy_shares_with_the_settings_is_passed_on():
    shared = {item.name for item in fields(Policy)} & {item.name for item in fields(Settings)}
    given = environment(**{name.upper(): str(n) for n, name in enumerate(sorted(shared), 41)})
    for name in shared:
        assert getattr(given.policy(), name) == getattr(given, name) > 40


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("localhost:4080", Address("localhost", 4080)),
        ("[::1]:80", Address("::1", 80)),
        (":4080", Address(None, 4080)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
    ],
)
def test_addresses(text: str, value: Address):
    assert environment(HTTP_LISTEN=text).http_listen == value
    assert str(value) == text


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("64MiB", 2**26), ("2GB", 2 * 10**9), ("512k", 512_000), ("1.5 GiB", 3 * 2**29)]
)
def test_sizes(text: str, value: int):
    assert environment(MAX_BODY=text).max_body == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HTTP_LISTEN", "localhost"),
        ("HTTP_LISTEN", "4080"),
        ("HTTP_LISTEN", "::1:80"),
        ("HTTP_LISTEN", "localhost:65536"),
        ("HTTP_LISTEN", "http://localhost:80"),
        ("HTTP_CERT", "/nowhere/cert.pem"),
        ("ALLOWED_ORIGINS", "https://a.example,javascript:alert(1)"),
        ("ALLOWED_ORIGINS", "https://a.example/path"),
        ("FILESTORAGE", __file__),
        ("FILESTORAGE", "~nobody-of-this-name/data"),
        ("DEBUG", "perhaps"),
        ("QUEUE_LIMIT", "0"),
        ("QUEUE_LIMIT", "-5"),
        ("QUEUE_LIMIT", "9" * 40),
        ("QUEUE_LIMIT", "²"),
        ("MAX_BODY", "64Mibi"),
        ("MAX_BODY", "0"),
        ("MAX_BODY", "1e400"),
        ("MAX_BODY", "9999999999TiB"),
        ("MAX_BODY", "64i"),
        ("PING_SECONDS", "0"),
        ("RUN_SECONDS", "nan"),
        ("RUN_SECONDS", "inf"),
        ("RUN_SECONDS", "-1"),
        ("CANCEL_GRACE", "soon"),
    ],
)
def test_what_can_not_be_used_is_told_by_its_name(name: str, text: str):
    with pytest.raises(UsageError, match=f"^WASIMOFF_{name}=.*: .*(give|no such file)"):
        environment(**{name: text})


def test_a_wrong_variable_ends_the_process_in_one_sentence():
    done = started(WASIMOFF_HTTP_LISTEN="nonsense")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("python -m broker: WASIMOFF_HTTP_LISTEN='nonsense': give host:port")
    assert done.stderr.count("\n") == 1


def test_a_wrong_option_is_called_by_its_own_name():
    done = started("--max-body", "lots")
    assert done.returncode == 2
    assert "--max-body='lots': give a size" in done.stderr


def test_options_win_over_variables():
    done = started("--http-listen", ":1", WASIMOFF_HTTP_LISTEN="nonsense")
    assert done.stdout == ":1\n", done.stderr


def test_empty_variables_count_as_not_set():
    assert environment(HTTP_CERT="", QUEUE_LIMIT="") == Settings.from_environment({})


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("off", False), ("false", False)])
def test_booleans(text: str, value: bool):
    assert environment(DEBUG=text).debug is value


def test_a_boolean_option_needs_no_value():
    assert Settings.from_command_line(["--debug"], {}).debug
    assert not Settings.from_command_line(["--debug", "no"], {"WASIMOFF_DEBUG": "1"}).debug


def test_the_data_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert Settings.from_environment({}).filestorage == Path("/home/someone/.local/share/wasimoff")
    assert Settings.from_environment({"XDG_DATA_HOME": "/data"}).filestorage == Path("/data/wasimoff")
    assert environment(FILESTORAGE="~/blobs").filestorage == Path("/home/someone/blobs")
    assert environment(FILESTORAGE="some/where").filestorage == Path.cwd() / "some" / "where"


def test_in_memory_the_default_limit_is_one_that_memory_can_hold():
    assert environment().storage_limit == 2**34
    given = environment(FILESTORAGE=":memory:")
    assert given.filestorage is None
    assert given.storage_limit == 2**30
    assert environment(FILESTORAGE=":memory:", STORAGE_LIMIT="5GiB").storage_limit == 5 * 2**30


def test_certificate_and_key_go_together(tmp_path: Path):
    (tmp_path / "cert.pem").write_text("not a certificate")
    with pytest.raises(UsageError, match="go together"):
        environment(HTTP_CERT=str(tmp_path / "cert.pem"))


def test_a_bad_certificate_is_told_in_words(tmp_path: Path):
    (tmp_path / "cert.pem").write_text("not a certificate")
    given = environment(HTTP_CERT=str(tmp_path / "cert.pem"), HTTP_KEY=str(tmp_path / "cert.pem"))
    with pytest.raises(UsageError, match="WASIMOFF_HTTP_CERT and WASIMOFF_HTTP_KEY can't be used: "):
        given.tls()
    assert environment().tls() is None


def test_an_upload_larger_than_the_whole_storage_is_refused_at_start():
    with pytest.raises(UsageError, match="MAX_UPLOAD is more than WASIMOFF_STORAGE_LIMIT"):
        environment(MAX_UPLOAD="2GiB", STORAGE_LIMIT="1GiB")


@pytest.mark.parametrize(
    ("allowed", "origin", "verdict"),
    [
        ("", "https://a.example", False),
        ("*", "https://a.example", True),
        ("*", "null", True),
        ("https://a.example", "https://a.example", True),
        ("https://a.example/", "https://A.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://a.example.evil.test", False),
        ("https://*.a.example", "https://b.a.example", True),
        ("https://*.a.example", "https://evil.test", False),
        ("a.example:5173", "http://a.example:5173", True),
        ("https://*.a.example", "null", False),
        ("https://*.a.example", "https://evil.test/x.a.example", False),
        ("https://*.a.example", "https://evil.test?x.a.example", False),
        ("a.example", "https://a.example@evil.test", False),
    ],
)
def test_allowed_origins(allowed: str, origin: str, verdict: bool):
    assert environment(ALLOWED_ORIGINS=allowed).allows_origin(origin) is verdict


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A certificate, its key, and its key under a pass phrase."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key, locked = (tmp_path / name for name in ("cert.pem", "key.pem", "locked.pem"))
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run(["openssl", "req", *made, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    lock = ["-aes256", "-passout", "pass:secret"]
    subprocess.run(["openssl", "rsa", "-in", key, "-out", locked, *lock], check=True, capture_output=True, timeout=60)
    return cert, key, locked


def test_a_good_certificate_is_taken_and_a_locked_key_is_told(certificate: tuple[Path, Path, Path]):
    cert, key, locked = (str(path) for path in certificate)
    assert environment(HTTP_CERT=cert, HTTP_KEY=key).tls() is not None
    with pytest.raises(UsageError, match="the key is encrypted"):
        environment(HTTP_CERT=cert, HTTP_KEY=locked).tls()
    with pytest.raises(UsageError, match="can't be used: "):
        environment(HTTP_CERT=key, HTTP_KEY=key).tls()
