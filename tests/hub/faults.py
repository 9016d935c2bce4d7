"""Requests that go wrong on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import unquote

from hub.messages import HubError, Request, Response


@dataclass
class Fault:
    """What goes wrong, for which requests, and how often; see `Hub.fail`.

    Args:
        method: "GET", ..., or "*".
        path: a shell pattern for the unquoted path without the query; `*` crosses slashes.
        times: for how many matching requests, None for all.
        skip: how many matching requests pass before.
        status: answer with this status and do nothing.
        headers: of that answer, e.g. `{"Retry-After": "1"}`.
        delay: wait so many seconds before answering.
        rate: send the answer's body at so many bytes a second.
        drop: cut the connection: "request" before the body is read; "answer" when the request has been carried out but
            before its answer; a number, after so many bytes of the answer's body.
        tamper: flip the bits of this byte of the answer's body.
        before: run this before the request's body is read, e.g. to end who sends it.
        call: run this once the request has been carried out, before it is answered, e.g. to move a branch.
        hits: how often it happened.
    """

    method: str
    path: str
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    rate: int | None = None
    drop: Literal["request", "answer"] | int | None = None
    tamper: int | None = None
    before: Callable[[], Any] | None = None
    call: Callable[[], Any] | None = None
    hits: int = 0

    def matches(self, request: Request) -> bool:
        return self.method in ("*", request.method) and fnmatchcase(unquote(request.path), self.path)

    @property
    def over(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def refusal(self) -> Response | None:
        """The answer in place of the real one."""
        if self.status is None:
            return None
        return HubError(self.status, message="A fault of the tests", headers=self.headers).response()

    def change(self, response: Response) -> Response:
        """The answer after it was tampered with."""
        if self.tamper is None or not response.body:
            return response
        body = bytearray(response.body)
        body[self.tamper] ^= 0xFF
        return Response(response.status, bytes(body), response.headers)


class Faults:
    """The faults in the order in which they were asked for."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault:
        """The first fault that is still to happen to this request, counted; one that does nothing if there is none."""
        with self._lock:
            for fault in self._faults:
                if fault.over or not fault.matches(request):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                return fault
        return Fault("", "")
