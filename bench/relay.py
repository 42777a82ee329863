"""What the broker is measured against: an aiohttp server that forwards WebSocket messages and knows nothing of tasks.

python bench/relay.py relay-bytes|relay-protobuf PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb


def recode(frame: bytes) -> bytes:
    """Decode an envelope and its payload with the generated classes, and encode both again."""
    envelope = pb.Envelope.FromString(frame)
    payload = codec.PAYLOADS[envelope.payload.type_url.rpartition("/")[2]].FromString(envelope.payload.value)
    envelope.payload.value = payload.SerializeToString()
    return envelope.SerializeToString()


async def main(kind: str, port: int) -> None:
    sockets: dict[str, web.WebSocketResponse] = {}
    other = {"client": "provider", "provider": "client"}

    async def relay(request: web.Request) -> web.WebSocketResponse:
        side = request.match_info["side"]
        ws = web.WebSocketResponse(protocols=codec.SUBPROTOCOLS, compress=False, max_msg_size=64 << 20)
        await ws.prepare(request)
        sockets[side] = ws
        async for message in ws:
            if message.type is WSMsgType.BINARY and b"ProviderResources" not in message.data[:80]:
                frame = recode(message.data) if kind == "relay-protobuf" else message.data
                await sockets[other[side]].send_bytes(frame)
        return ws

    app = web.Application()
    app.router.add_get("/api/{side}/ws", relay)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
