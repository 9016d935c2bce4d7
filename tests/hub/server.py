"""The application under uvicorn, in a thread of the tests' process, on two free ports of the loopback."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import uvicorn

from hub.app import App
from hub.state import Hub


class HubServer:
    """A running server; `fresh()` gives it an empty Hub.

    A thread and not a process, so that a test reads the log and changes repositories directly.
    """

    def __init__(self) -> None:
        self._app = App(self._cut)
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._sockets)
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # Clients keep connections open between tests; one closed under them is not what they are tested for.
            timeout_keep_alive=600,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(self._sockets,), name="hub", daemon=True)

    def start(self) -> HubServer:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the tests' Hub did not start")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)

    def fresh(self) -> Hub:
        """An empty Hub in place of the one before."""
        self._app.hub = Hub(self.endpoint, self.cdn)
        return self._app.hub

    def _cut(self, client: tuple[str, int], flush: bool) -> None:
        connections: list[Any] = list(self._server.server_state.connections)
        for connection in connections:
            if connection.client == tuple(client):
                connection.transport.close() if flush else connection.transport.abort()
