"""The ASGI application: read a request, let its fault happen, answer, log."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hub import routes
from hub.faults import Fault
from hub.messages import HubError, Request, Response, Seen, seen
from hub.state import Hub

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# The pace of a slow answer: small enough to look like a slow line.
_TICK = 0.05


class App:
    """Serves the present `hub` on both origins.

    Args:
        cut: close the connection with this client address, after what was already sent has left if `flush`.
    """

    def __init__(self, cut: Callable[[tuple[str, int], bool], None]) -> None:
        self.hub: Hub | None = None
        self._cut_connection = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub = self.hub
        assert hub is not None, "a request before the first test's Hub"
        request = _request(scope, hub)
        line = seen(request)
        hub.requests.append(line)
        fault = hub.faults.take(request)
        if fault.before:
            fault.before()
        if fault.drop == "request":
            return await self._cut(scope, receive)
        body = await _read(receive)
        if body is None:
            return
        request.body, line.received = body, len(body)
        if fault.delay and await _gone_within(receive, fault.delay):
            return
        response = fault.refusal() or self._answer(hub, request)
        line.user = _who(request)
        if fault.call:
            fault.call()
        if fault.drop == "answer":
            return await self._cut(scope, receive)
        line.status = response.status
        if await _send(receive, send, request.method, fault.change(response), fault, line):
            await self._cut(scope, receive, flush=True)

    def _answer(self, hub: Hub, request: Request) -> Response:
        try:
            return routes.answer(hub, request)
        except Exception as error:
            hub.errors.append(error)
            traceback.print_exc()
            return HubError(500, message=f"The tests' Hub failed: {error!r}").response()

    async def _cut(self, scope: Scope, receive: Receive, *, flush: bool = False) -> None:
        self._cut_connection(scope["client"], flush)
        await _gone(receive)


def _request(scope: Scope, hub: Hub) -> Request:
    port = scope["server"][1]
    return Request(
        method=scope["method"],
        origin="hub" if hub.endpoint.endswith(f":{port}") else "cdn",
        path=scope["raw_path"].decode("ascii"),
        query_string=scope["query_string"].decode("ascii"),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
    )


def _who(request: Request) -> str | None:
    if request.account:
        return request.account.name
    return "?" if "authorization" in request.headers else None


async def _read(receive: Receive) -> bytes | None:
    """The request's body; None if the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _gone_within(receive: Receive, seconds: float) -> bool:
    """Wait, and say whether the client went away meanwhile."""
    try:
        await asyncio.wait_for(_gone(receive), seconds)
    except asyncio.TimeoutError:
        return False
    return True


async def _send(receive: Receive, send: Send, method: str, response: Response, fault: Fault, line: Seen) -> bool:
    """Send the answer; True if the connection is now to be cut."""
    headers = {"Content-Length": str(len(response.body)), "X-Request-Id": "tests", **response.headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    body = b"" if method == "HEAD" else response.body
    cut = isinstance(fault.drop, int)
    if isinstance(fault.drop, int):
        body = body[: fault.drop]
    if fault.rate:
        step = max(1, int(fault.rate * _TICK))
        while body:
            await send({"type": "http.response.body", "body": body[:step], "more_body": True})
            line.sent += len(body[:step])
            body = body[step:]
            if await _gone_within(receive, _TICK):
                return False
    await send({"type": "http.response.body", "body": body, "more_body": cut})
    line.sent += len(body)
    return cut
