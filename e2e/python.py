"""Python tasks over HTTP, as any wasimoff client would ask for them."""

from __future__ import annotations

import pickle
import urllib.error
import urllib.request
from typing import Any

import cloudpickle

from pyodide_provider.wire import messages_pb2 as pb

PATIENCE = 60.0


def ask(url: str, **params: Any) -> pb.Task.Pyodide.Response:
    """Have a task run. Raises AssertionError with the broker's words when it does not take it."""
    request = pb.Task.Pyodide.Request(params=pb.Task.Pyodide.Params(**params))
    body, headers = request.SerializeToString(), {"Content-Type": "application/proto"}
    post = urllib.request.Request(f"{url}/api/client/wasimoff.v1.Tasks/RunPyodide", body, headers)
    try:
        with urllib.request.urlopen(post, timeout=PATIENCE) as answer:
            return pb.Task.Pyodide.Response.FromString(answer.read())
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from None


def upload(url: str, data: bytes) -> str:
    """The ref of bytes of any kind."""
    post = urllib.request.Request(f"{url}/api/storage/upload?media=application/octet-stream", data)
    with urllib.request.urlopen(post, timeout=PATIENCE) as answer:
        return str(answer.headers["X-Wasimoff-Ref"])


def value(response: pb.Task.Pyodide.Response) -> Any:
    assert not response.error, response.error
    return pickle.loads(response.ok.pickle)


def call(function: Any, *args: Any, **kwargs: Any) -> bytes:
    return bytes(cloudpickle.dumps([function, args, kwargs]))
