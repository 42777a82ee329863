"""Large files in the tab: they fit up to a limit that is told, and what is larger than that ends in words."""

from __future__ import annotations

import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from e2e.hosts import lending
from e2e.processes import BrokerProcess
from tests.contract.packings import Entry, assemble
from tests.test_large_files import ARTIFACT, MIB, READS, ROOTFS, asked, make_archive, upload, writes
from tests.test_running_tasks import run

LIMIT = 512 * MIB


@pytest.fixture(scope="module")
def large_broker(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    broker = BrokerProcess(environ={"WASIMOFF_FILESTORAGE": str(tmp_path_factory.mktemp("data"))})
    with lending("tab", broker.url, chromium):
        yield broker
    print(broker.output)
    broker.close()


def test_a_large_rootfs(large_broker: BrokerProcess, tmp_path: Path) -> None:
    make_archive(tmp_path / "root.zip", ROOTFS)
    request = asked(READS)
    request.params.rootfs.ref = upload(large_broker.url, tmp_path / "root.zip")
    for _ in range(2):
        response = run(large_broker, request)
        assert response.ok.status == ROOTFS % 251, response.error


def test_a_large_artifact(large_broker: BrokerProcess, tmp_path: Path) -> None:
    request = asked(writes(ARTIFACT))
    request.params.artifacts.append("big")
    response = run(large_broker, request)
    assert response.ok.HasField("status"), response.error
    urllib.request.urlretrieve(f"{large_broker.url}/api/storage/{response.ok.artifacts.ref}", tmp_path / "back.zip")
    with zipfile.ZipFile(tmp_path / "back.zip") as archive:
        assert archive.getinfo("big").file_size == ARTIFACT * MIB
        assert archive.testzip() is None


def test_what_does_not_fit_is_refused_in_words(large_broker: BrokerProcess, tmp_path: Path) -> None:
    (tmp_path / "root.zip").write_bytes(assemble([Entry("big", bytes(MIB), size=LIMIT + 1)]))
    request = asked(READS)
    request.params.rootfs.ref = upload(large_broker.url, tmp_path / "root.zip")
    assert run(large_broker, request).error == f"rootfs: files limit exceeded: {LIMIT + 1} bytes unpacked, at most {LIMIT}"
    assert run(large_broker, asked(writes(LIMIT // MIB + 1))).error == f"files limit exceeded: more than {LIMIT} bytes"
    assert run(large_broker, asked(writes(1))).ok.HasField("status")
