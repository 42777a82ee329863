"""The Connect service `wasimoff.v1.Tasks` over HTTP. Imports the tasks' door, jobs and aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from broker import connect
from broker.errors import Refused
from broker.jobs import Jobs
from broker.tasks import Tasks
from pyodide_provider.wire import messages_pb2 as pb

PATH = "/api/client/wasimoff.v1.Tasks/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def requester(request: web.Request) -> str:
    """Who asks, for fairness: the address, as long as nobody logs in."""
    return request.remote or "local"


def routes(tasks: Tasks, jobs: Jobs) -> list[web.RouteDef]:
    async def run_wasip1(request: web.Request) -> web.Response:
        message, as_json, size = await connect.read(request, pb.Task.Wasip1.Request)
        response = await tasks.run(message, requester(request), size, connect.deadline(request))
        return await connect.write(request, response, as_json)

    async def run_pyodide(request: web.Request) -> web.Response:
        message, as_json, size = await connect.read(request, pb.Task.Pyodide.Request)
        response = await tasks.run(message, requester(request), size, connect.deadline(request))
        return await connect.write(request, response, as_json)

    async def run_job(request: web.Request) -> web.Response:
        message, as_json, size = await connect.read(request, pb.Task.Wasip1.JobRequest)
        response = await jobs.run(message, requester(request), size, connect.deadline(request))
        return await connect.write(request, response, as_json)

    async def upload(request: web.Request) -> web.Response:
        message, as_json, _ = await connect.read(request, pb.Filesystem.Upload.Request)
        return await connect.write(request, await jobs.upload(message), as_json)

    handlers = {"RunWasip1": run_wasip1, "RunPyodide": run_pyodide, "RunWasip1Job": run_job, "Upload": upload}
    return [web.post(PATH + name, _guarded(handler)) for name, handler in handlers.items()]


def _guarded(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            connect.check_version(request)
            return await handler(request)
        except Refused as refused:
            return connect.refuse(refused)

    return guarded
