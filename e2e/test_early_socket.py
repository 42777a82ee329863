"""The socket that a tab opens before Python is up: what is said meanwhile is kept, up to a limit."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, WebSocketRoute

from e2e.processes import BrokerProcess

EARLY = """async (url) => {
  const { Socket } = await import('/static/js/provider/socket.js');
  const socket = new Socket(url, 'early');
  const heard = [];
  socket.listen(() => heard.push('opened'), (frame) => heard.push(frame[0]), (reason) => heard.push(reason));
  socket.prepare();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = heard.length;
  socket.open();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  socket.close(1000, '');
  return [before, heard];
}"""


@pytest.mark.parametrize(("frames", "size"), [(0, 1), (3, 1), (64, 1), (65, 1), (2, 1 << 19), (2, 600_000)])
def test_what_is_said_before_python_is_up_is_heard_then(broker: BrokerProcess, page: Page, frames: int, size: int) -> None:
    connections: list[WebSocketRoute] = []

    def serve(route: WebSocketRoute) -> None:
        connections.append(route)
        for number in range(frames if len(connections) == 1 else 1):
            route.send(bytes([number]) * size)

    page.route_web_socket("**/early", serve)
    page.goto(f"{broker.url}/run")
    before, heard = page.evaluate(EARLY, f"{broker.url.replace('http', 'ws')}/early")
    assert before == 0
    if frames <= 64 and frames * size <= 1 << 20:
        assert heard == ["opened", *range(frames)]
        assert len(connections) == 1
    else:
        assert heard == ["opened", 0], "a broker that says too much is asked once more"
        assert len(connections) == 2
