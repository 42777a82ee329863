"""A task as a plain HTTP request, the way of CGI: `POST /api/client/run/{ref or alias}`. Imports blobs, the wire, aiohttp."""

from __future__ import annotations

import base64
import shlex
from typing import Protocol

from aiohttp import web

from broker import bodies
from broker.blobs import Blobs
from broker.errors import Refused
from broker.following import Follower
from broker.settings import Settings
from broker.streaming import EVENTS, Events, Form, Plain, stream
from pyodide_provider.wire import messages_pb2 as pb

MAX_HEADER = 60_000
"""Characters of artifacts in a header, as base64: common clients take no longer line. Larger ones go by ref."""

HEADERS = {
    # What a program writes is not a page of ours.
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class TasksDoor(Protocol):
    most_output: int

    async def run_wasip1(
        self, request: pb.Task.Wasip1.Request, requester: str, follower: Follower | None = None
    ) -> pb.Task.Wasip1.Response:
        """Run one task; cancelling the wait cancels the task. Raises Refused when there is no answer."""
        ...


def routes(tasks: TasksDoor, blobs: Blobs, settings: Settings) -> list[web.RouteDef]:
    async def run(request: web.Request) -> web.StreamResponse:
        name = _utf8(request.match_info["name"], "the name")
        ref = blobs.resolve(name)
        if ref is None:
            raise Refused("not_found", f"Ref not found in storage: {name[:100]!r}; upload it first")
        params = _params(request, name, ref)
        params.stdin = await bodies.read(request, settings.max_body, "WASIMOFF_MAX_BODY")
        _content_envs(request, params)
        task = pb.Task.Wasip1.Request(params=params)
        requester = request.remote or "local"
        form = _form(request)
        if form is None:
            return await _reply(await tasks.run_wasip1(task, requester), blobs)
        task.qos.follow = True
        return await stream(
            request, form, tasks.most_output, HEADERS, lambda follower: tasks.run_wasip1(task, requester, follower)
        )

    return [web.post("/api/client/run/{name}", run)]


def _form(request: web.Request) -> Form | None:
    """How the client wants to be told what the program writes while it runs; None: not at all."""
    media = [part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")]
    if EVENTS in media:
        return Events()
    return Plain() if request.query.get("follow", "no").lower() not in ("no", "0", "false") else None


def _params(request: web.Request, name: str, ref: str) -> pb.Task.Wasip1.Params:
    headers = request.headers
    params = pb.Task.Wasip1.Params(binary=pb.File(ref=ref), args=[name, *_words(headers.get("X-Args", ""))])
    envs: dict[str, str] = {}
    for header, value in headers.items():
        if header.lower().startswith("x-env-"):
            variable = header[6:].upper()
            if not variable:
                raise Refused("invalid_argument", "the header X-Env- names no variable: send X-Env-NAME: value")
            envs.setdefault(variable, f"{variable}={_utf8(value, header)}")
    params.envs.extend(envs.values())
    rootfs = headers.get("X-RootFS-Ref", "").strip()
    if rootfs:
        params.rootfs.ref = _utf8(rootfs, "X-RootFS-Ref")
    params.artifacts.extend(_utf8(path, "X-Artifact") for path in headers.getall("X-Artifact", []) if path)
    return params


def _words(text: str) -> list[str]:
    try:
        return shlex.split(_utf8(text, "X-Args"))
    except ValueError as error:
        message = f"X-Args can't be split into words as a shell would: {str(error).lower()} in {text[:200]!r}"
        raise Refused("invalid_argument", message) from None


def _utf8(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("invalid_argument", f"{what} is not UTF-8") from None
    return text


def _content_envs(request: web.Request, params: pb.Task.Wasip1.Params) -> None:
    """As CGI has them (RFC 3875 §4.1.2, §4.1.3); they win over X-Env-… of the same name."""
    given = {}
    if request.body_exists:
        given["CONTENT_LENGTH"] = str(len(params.stdin))
    if "Content-Type" in request.headers:
        given["CONTENT_TYPE"] = _utf8(request.headers["Content-Type"], "Content-Type")
    others = [env for env in params.envs if env.partition("=")[0] not in given]
    del params.envs[:]
    params.envs.extend([*others, *(f"{name}={value}" for name, value in given.items())])


async def _reply(response: pb.Task.Wasip1.Response, blobs: Blobs) -> web.Response:
    headers = HEADERS | {
        "Content-Type": "text/plain; charset=utf-8",
        "X-Wasimoff-Provider": _line(response.info.provider),
    }
    if response.HasField("error"):
        headers["X-Wasimoff-Result"] = "Error"
        return web.Response(body=response.error.encode(), headers=headers)
    if not response.HasField("ok"):
        raise Refused("internal", "the provider answered neither with a result nor with an error")
    ok = response.ok
    headers |= {"X-Wasimoff-Result": "Ok", "X-Wasimoff-Status": str(ok.status), **await _artifacts(ok.artifacts, blobs)}
    return web.Response(body=ok.stderr + ok.stdout, headers=headers)


async def _artifacts(file: pb.File, blobs: Blobs) -> dict[str, str]:
    if file.ref:
        return {"X-Wasimoff-Artifacts-Ref": _line(file.ref)}
    if not file.blob:
        return {}
    if len(file.blob) * 4 <= MAX_HEADER * 3:
        return {"X-Wasimoff-Artifacts": base64.b64encode(file.blob).decode()}
    try:
        blob = await blobs.put(file.blob)
    except Refused as refused:
        return {"X-Wasimoff-Artifacts-Error": _line(refused.message)}
    return {"X-Wasimoff-Artifacts-Ref": blob.ref}


def _line(text: str) -> str:
    """What may stand in a header, whatever a provider calls itself."""
    return "".join(char if char.isprintable() else "?" for char in text[:500])
