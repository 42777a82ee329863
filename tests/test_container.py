"""Dockerfile, compose.yaml and .dockerignore say what is so: paths, stages, options, settings, locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

from broker.settings import Settings, variable
from pyodide_provider.native import main as native
from pyodide_provider.native.websocket import base_url
from tests import image
from tests.dockerfile import ROOT, Stage, checked_in, context, copy, stages, whole

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = stages(DOCKERFILE)
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
IMAGES = {name: whole(STAGES, name) for name in ("broker", "provider")}
IGNORE = (ROOT / ".dockerignore").read_text()
HEALTHY = ROOT / "scripts" / "healthy.py"


# Linters


def lint(folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / "scripts" / "dockerfile.py"), str(folder)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_the_linters_have_nothing_to_say() -> None:
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "good", "bad", "told"),
    [
        ("Dockerfile", "FROM python:3.13-slim-bookworm", "FROM python", "DL3006"),
        ("Dockerfile", "WORKDIR /app", "WORKDIR app", "DL3000"),
        ("Dockerfile", "VOLUME /data", "VOLUMES /data", "missing whitespace"),
        ("compose.yaml", "    ports:", "    prots:", "prots"),
        ("compose.yaml", "condition: service_healthy", "condition: healthy", "condition"),
    ],
)
def test_the_linters_find_what_is_wrong(tmp_path: Path, file: str, good: str, bad: str, told: str) -> None:
    for name in ("Dockerfile", "compose.yaml"):
        text = (ROOT / name).read_text()
        (tmp_path / name).write_text(text.replace(good, bad) if name == file else text)
    done = lint(tmp_path)
    assert done.returncode != 0
    assert told in done.stdout + done.stderr


# Paths and stages


def copies(stage: Stage) -> Iterator[tuple[str, str]]:
    """(stage or "", source) of every COPY."""
    for line in map(copy, stage.texts("COPY")):
        yield from ((line.stage, source) for source in line.sources)


def test_what_is_copied_is_in_git_and_gets_into_the_build() -> None:
    files = checked_in()
    sent = context(files, IGNORE)
    for stage in STAGES.values():
        for source in (source for origin, source in copies(stage) if not origin):
            folder = source if source.endswith("/") else None
            wanted = [name for name in files if name == source or (folder and name.startswith(folder))]
            assert wanted, f"COPY {source} in {stage.name}: not in git"
            assert not set(wanted) - set(sent), f"COPY {source} in {stage.name}: .dockerignore keeps it out"


def test_nothing_else_gets_into_the_build() -> None:
    litter = [".git/config", ".venv/bin/python", "static/vendor/manifest.json", "node_modules/x.js", "secret.pem"]
    litter += ["broker/__pycache__/a.pyc", "broker/core/__pycache__/a.pyc", "wasimoff.env", "scripts/demo.py"]
    wanted = [source for stage in STAGES.values() for origin, source in copies(stage) if not origin]
    sent = context([*checked_in(), *litter], IGNORE)
    assert [name for name in sent if not any(name == path or name.startswith(path) for path in wanted if path)] == []
    assert not set(sent) & set(litter)


def test_stages_come_before_they_are_used_and_base_images_are_named_exactly() -> None:
    seen: set[str] = set()
    for stage in STAGES.values():
        assert stage.base in seen or re.fullmatch(r"(python|node):\d+(\.\d+)?-[a-z-]+", stage.base)
        assert {origin for origin, _ in copies(stage) if origin} <= seen
        seen.add(stage.name)
    assert {service["build"]["target"] for service in SERVICES.values()} == set(IMAGES)
    assert list(STAGES)[-1] == "broker", "what `docker build .` makes"


@pytest.mark.parametrize("name", IMAGES)
def test_images_run_as_an_ordinary_user_who_owns_the_volume(name: str) -> None:
    steps = IMAGES[name]
    uid, gid = steps.texts("USER")[-1].split(":")
    assert int(uid) == int(gid) > 0
    assert any(f"--uid {uid} " in text and f"--gid {gid} " in text for text in steps.texts("RUN"))
    [volume] = steps.texts("VOLUME")
    made = [text for text in steps.texts("RUN") if text.startswith("install --directory")]
    assert made == [f"install --directory --owner=wasimoff --group=wasimoff --mode=0700 {volume}"]
    order = [word for word, _ in steps.steps]
    assert order.index("VOLUME") > max(at for at, word in enumerate(order) if word == "RUN"), "later writes would be lost"


# Settings


def test_settings_exist_and_agree_with_ports_and_volumes() -> None:
    known = {variable(item) for item in fields(Settings)}
    steps, service = IMAGES["broker"], SERVICES["broker"]
    env = {**image.environment(steps), **service["environment"]}
    ours = {key: text for key, text in env.items() if key.startswith("WASIMOFF_")}
    assert set(ours) <= known
    settings = Settings.from_environment(ours)
    assert settings.http_listen.host is None, "reachable from outside of the container"
    assert steps.texts("EXPOSE") == [str(settings.http_listen.port)]
    assert service["ports"] == [f"127.0.0.1:4080:{settings.http_listen.port}"]
    assert steps.texts("VOLUME") == [str(settings.filestorage)]
    assert seconds(service["stop_grace_period"]) > settings.drain_seconds + 5
    assert image.environment(IMAGES["provider"])["XDG_CACHE_HOME"] == IMAGES["provider"].texts("VOLUME")[0]


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


@pytest.mark.parametrize("name", IMAGES)
def test_services_are_confined_and_keep_their_data(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    mounts = dict(mount.split(":") for mount in service["volumes"])
    assert list(mounts.values()) == IMAGES[name].texts("VOLUME")
    assert set(mounts) <= set(COMPOSE["volumes"])


def test_the_provider_is_told_where_the_broker_is() -> None:
    service = SERVICES["provider"]
    given = native.make_parser().parse_args(service["command"])
    assert base_url(given.url) == f"http://broker:{IMAGES['broker'].texts('EXPOSE')[0]}"
    assert native.parse_workers(given.workers) >= 1
    assert service["depends_on"] == {"broker": {"condition": "service_healthy"}}


# Locks


def locked(name: str) -> dict[str, tuple[str, frozenset[str], str]]:
    """Name to (version, digests, marker)."""
    found: dict[str, tuple[str, frozenset[str], str]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / name).read_text().strip()):
        head, *digests = re.split(r"\s+\\\n\s+--hash=|\s+--hash=", entry)
        requirement = Requirement(head.rstrip("\\ "))
        [pin] = requirement.specifier
        assert pin.operator == "=="
        assert digests
        marker = str(requirement.marker or "")
        found[canonicalize_name(requirement.name)] = pin.version, frozenset(digests), marker
    return found


def wanted(extra: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in [*project["dependencies"], *project["optional-dependencies"][extra]]]


def closure(requirements: list[Requirement]) -> set[str]:
    """Names of all that is needed on this machine, by what the installed packages say of themselves."""
    found: set[str] = set()
    waiting = [requirement for requirement in requirements if not requirement.marker or requirement.marker.evaluate()]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name not in found:
            found.add(name)
            needs = [Requirement(text) for text in requires(name) or ()]
            waiting += [need for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.parametrize("name", IMAGES)
def test_each_image_has_a_lock_with_all_it_needs_and_no_more(name: str) -> None:
    everything, own = locked("requirements.lock"), locked(f"requirements-{name}.lock")
    assert f"-r requirements-{name}.lock" in " ".join(STAGES[f"{name}-packages"].texts("RUN"))
    for package, (version, digests, _) in own.items():
        assert (version, digests) == everything[package][:2], f"{package}: run `make lock`"
    for requirement in wanted(name):
        version = own[canonicalize_name(requirement.name)][0]
        assert requirement.specifier.contains(Version(version)), f"{requirement}: run `make lock`"
    try:
        needed = closure(wanted(name))
    except PackageNotFoundError as missing:
        pytest.fail(f"{missing}: run `make setup`")
    assert needed <= set(own)
    assert {package for package in set(own) - needed if not own[package][2]} == set()


def test_the_image_that_builds_has_a_lock_with_what_the_build_wants() -> None:
    everything, own = locked("requirements.lock"), locked("requirements-pages.lock")
    assert "-r requirements-pages.lock" in " ".join(STAGES["pages"].texts("RUN"))
    for package, (version, digests, _) in own.items():
        assert (version, digests) == everything[package][:2], f"{package}: run `make lock`"
    [wanted_here] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["pages"]
    assert wanted_here in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    assert canonicalize_name(Requirement(wanted_here).name) in own


def test_setuptools_is_taken_from_the_lock(tmp_path: Path) -> None:
    [line] = re.findall(r"sed [^>]+", " ".join(STAGES["project"].texts("RUN")))
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, check=True, capture_output=True, text=True)
    (tmp_path / "setuptools.lock").write_text(done.stdout)
    assert locked(str(tmp_path / "setuptools.lock")) == {"setuptools": locked("requirements.lock")["setuptools"]}


def test_all_that_is_installed_is_checked_against_digests() -> None:
    steps = [step for stage in STAGES.values() for text in stage.texts("RUN") for step in text.split(" && ")]
    for step in (step for step in steps if re.match(r"(\S+/)?pip .*\binstall\b", step)):
        assert "--require-hashes" in step or ("--no-deps" in step and step.endswith("--editable .")), step


# The page about it


def test_the_page_names_what_there_is() -> None:
    text = (ROOT / "docs" / "containers.md").read_text()
    assert set(re.findall(r"--target (\S+)", text)) == set(IMAGES)
    services = re.findall(r"docker compose .*(?:exec|--follow|--scale) (\w+)", text)
    assert services
    assert set(services) <= set(SERVICES)
    mentioned = set(re.findall(r"WASIMOFF_[A-Z_]+", text))
    assert mentioned
    assert mentioned <= {variable(item) for item in fields(Settings)}
    assert {volume for name in IMAGES for volume in IMAGES[name].texts("VOLUME")} <= set(re.findall(r"`(/\w+)`", text))
