"""The tab has protobuf's implementation in pure Python: all of the wire's tests once more with that one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.internal import api_implementation

HERE = Path(__file__).parent
WANTED = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "WIRE_TEST_EXAMPLES": "15"}


@pytest.mark.skipif(api_implementation.Type() == "python", reason="this is the inner run")
def test_the_wire_works_without_compiled_code():
    probe = "from google.protobuf.internal import api_implementation as a; print(a.Type())"
    environ = os.environ | WANTED
    kind = subprocess.run([sys.executable, "-c", probe], env=environ, capture_output=True, text=True, check=True).stdout
    assert kind.strip() == "python"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
    inner = subprocess.run(command, env=environ, cwd=HERE.parent.parent, capture_output=True, text=True, timeout=110)
    assert inner.returncode == 0, inner.stdout + inner.stderr
