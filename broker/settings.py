"""What an operator can set: one table of names, defaults and help, read from WASIMOFF_* and the command line.

Imports the core's policy and the errors. `docs/settings.md` holds the same table, checked by a test.
"""

# ruff: noqa: RUF009 - `setting` gives a dataclass field, made anew for each instance

from __future__ import annotations

import argparse
import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from broker import values
from broker.core.policy import Policy
from broker.errors import UsageError
from broker.values import Address

T = TypeVar("T")

PREFIX = "WASIMOFF_"
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+(?::\d+)?|\[[0-9a-f:.]+\](?::\d+)?)", re.ASCII)
PUBLIC_INDEX = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/"
"""Of the Pyodide in package.json."""
MEMORY_STORAGE_LIMIT = "1GiB"
"""Default of `storage_limit` when blobs are kept in memory."""


def setting(parse: Callable[[str], T], default: str, help: str) -> T:
    """A field of `Settings`; its default goes through the same parser as what an operator writes."""
    made: T = field(default_factory=lambda: parse(default), metadata={"parse": parse, "default": default, "help": help})
    return made


@dataclass(frozen=True, slots=True)
class Settings:
    """All fields have working defaults. Sizes are bytes, times seconds."""

    http_listen: Address = setting(
        values.address,
        "localhost:4080",
        "Where to listen: host:port, [::1]:port, :port (everywhere); port 0 takes a free one.",
    )
    http_cert: Path | None = setting(
        values.path, "", "TLS certificate chain, a PEM file; together with the key it turns on HTTPS."
    )
    http_key: Path | None = setting(values.path, "", "TLS private key, a PEM file.")
    allowed_origins: tuple[str, ...] = setting(
        values.origins,
        "",
        "Other web origins whose pages may use this broker, comma separated (`https://*.example.org`), or `*` for all.",
    )
    filestorage: Path | None = setting(
        values.storage, "~/.local/share/wasimoff", "Data directory, or `:memory:`; the default follows XDG_DATA_HOME."
    )
    metrics: bool = setting(values.boolean, "no", "Serve /metrics in Prometheus' text format.")
    debug: bool = setting(values.boolean, "no", "Log in detail, and let asyncio check itself.")
    queue_limit: int = setting(values.count, "10000", "Tasks that may wait; more are refused with resource_exhausted.")
    queue_bytes: int = setting(values.size, "512MiB", "Bytes that waiting and running tasks may hold together.")
    max_refusals: int = setting(values.count, "5", "Attempts at a task that may end with an infrastructure error.")
    max_losses: int = setting(values.count, "16", "Attempts at a task that may be lost with their provider.")
    ping_seconds: float = setting(
        values.positive_seconds, "5", "Between pings; a provider that stays silent past two is dropped."
    )
    run_seconds: float = setting(values.seconds, "3600", "After which a run that nobody answers is cancelled; 0: never.")
    cancel_grace: float = setting(
        values.positive_seconds,
        "30",
        "A provider that does not answer a cancelled run within these seconds is dropped.",
    )
    max_message: int = setting(values.size, "64MiB", "Bytes of one WebSocket message.")
    max_body: int = setting(values.size, "64MiB", "Bytes of one task request over HTTP, unpacked.")
    max_upload: int = setting(values.size, "512MiB", "Bytes of one uploaded file.")
    storage_limit: int = setting(
        values.size,
        "16GiB",
        "Bytes of all files; the least recently used without a name make room. Default with `:memory:`: 1GiB.",
    )
    max_clients: int = setting(values.count, "10000", "Client WebSockets at a time.")
    max_providers: int = setting(values.count, "10000", "Provider WebSockets at a time.")
    max_job: int = setting(values.count, "100000", "Tasks in one job.")
    limit_wall: float = setting(
        values.seconds, "0", "Seconds that a program may run, fetching and compiling apart; 0: as long as a run may take."
    )
    limit_memory: int = setting(values.size, "4GiB", "Bytes of linear memory of a program.")
    limit_output: int = setting(values.size, "64MiB", "Bytes of stdout and stderr of a task, together.")
    limit_files: int = setting(values.size, "512MiB", "Bytes that the files hold which a task writes.")
    limit_threads: int = setting(values.count, "64", "Threads of a program, the first one included.")
    pyodide_index: str = setting(
        values.index,
        PUBLIC_INDEX,
        "Where Pyodide's own packages are (NumPy and so on): URL or folder of a `pyodide-lock.json` and the files it names; "
        "`no`: nowhere, there is pip only.",
    )
    task_network: bool = setting(
        values.boolean, "no", "Let Python tasks that ask for it open connections from volunteers' tabs."
    )
    drain_seconds: float = setting(values.seconds, "30", "On SIGTERM, how long running tasks may take to finish.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, str] | None = None) -> Settings:
        """Settings from WASIMOFF_* variables; `overrides` (by field name, as text) win. Empty text means the default.

        Raises UsageError with one sentence that names the variable or option.
        """
        given: dict[str, Any] = {}
        for item in fields(cls):
            option = (overrides or {}).get(item.name, "")
            text = option or environ.get(variable(item), "") or _default(item, environ, given)
            if text:
                try:
                    given[item.name] = item.metadata["parse"](text)
                except ValueError as error:
                    named = flag(item) if option else variable(item)
                    raise UsageError(f"{named}={text[:200]!r}: {error}") from None
        settings = cls(**given)
        settings._check()
        return settings

    @classmethod
    def from_command_line(cls, arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
        """`--help` prints the table and exits 0; anything wrong is told in one sentence, exit code 2."""
        parser = _parser()
        overrides = {name: text for name, text in vars(parser.parse_args(arguments)).items() if text}
        try:
            return cls.from_environment(environ, overrides)
        except UsageError as error:
            parser.exit(2, f"{parser.prog}: {error}\n")

    def _check(self) -> None:
        if (self.http_cert is None) != (self.http_key is None):
            raise UsageError("WASIMOFF_HTTP_CERT and WASIMOFF_HTTP_KEY go together: set both or neither")
        if self.max_upload > self.storage_limit:
            raise UsageError("WASIMOFF_MAX_UPLOAD is more than WASIMOFF_STORAGE_LIMIT: such a file could never be kept")

    def policy(self) -> Policy:
        """What the core wants to know."""
        return Policy(
            queue_limit=self.queue_limit,
            queue_bytes=self.queue_bytes,
            max_refusals=self.max_refusals,
            max_losses=self.max_losses,
            ping_seconds=self.ping_seconds,
            run_seconds=self.run_seconds,
            cancel_grace=self.cancel_grace,
        )

    def tls(self) -> ssl.SSLContext | None:
        """The server's TLS context; None: plain HTTP. Raises UsageError when certificate or key can't be used."""
        if self.http_cert is None or self.http_key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.http_cert, self.http_key, password=_no_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise UsageError(f"WASIMOFF_HTTP_CERT and WASIMOFF_HTTP_KEY can't be used: {reason}") from None
        return context

    def allows_origin(self, origin: str) -> bool:
        """Whether the allow list has this value of an Origin header (the page's own origin is not its matter)."""
        if "*" in self.allowed_origins:
            return True
        found = _ORIGIN.fullmatch(origin.lower())
        if not found:
            return False
        return any(fnmatchcase(found[0] if "://" in pattern else found[1], pattern) for pattern in self.allowed_origins)


def variable(item: Field[Any]) -> str:
    return PREFIX + item.name.upper()


def flag(item: Field[Any]) -> str:
    return "--" + item.name.replace("_", "-")


def table() -> str:
    """The settings as a Markdown table: what docs/settings.md must hold."""
    rows = [f"| `{variable(item)}` | `{flag(item)}` | {_shown(item)} | {item.metadata['help']} |" for item in fields(Settings)]
    return "\n".join(["| variable | option | default | meaning |", "|---|---|---|---|", *rows])


def _shown(item: Field[Any]) -> str:
    default = item.metadata["default"]
    return f"`{default}`" if default else "not set"


def _default(item: Field[Any], environ: Mapping[str, str], given: Mapping[str, Any]) -> str:
    """Defaults that depend on something: elsewhere "" leaves it to the field."""
    data_home = environ.get("XDG_DATA_HOME", "")
    if item.name == "filestorage" and os.path.isabs(data_home):
        return os.path.join(data_home, "wasimoff")
    if item.name == "storage_limit" and "filestorage" in given and given["filestorage"] is None:
        return MEMORY_STORAGE_LIMIT
    return ""


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one without a pass phrase")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m broker",
        description="The wasimoff broker: takes tasks from clients, gives them to providers.",
        epilog="Every option can be set by the variable in front of its text; options win. "
        "Sizes take suffixes as in 64MiB or 2GB.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=28, width=118),
        allow_abbrev=False,
    )
    for item in fields(Settings):
        help = f"{variable(item)}: {item.metadata['help']} [{item.metadata['default'] or 'not set'}]"
        boolean: dict[str, Any] = {"nargs": "?", "const": "yes"} if item.metadata["parse"] is values.boolean else {}
        parser.add_argument(flag(item), metavar="VALUE", help=help.replace("%", "%%"), default="", **boolean)
    return parser
