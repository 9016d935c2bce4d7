"""Requests and answers as the handlers see them, the log's line, and errors with the Hub's headers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from hub.accounts import Account


@dataclass
class Request:
    """What a client asked.

    Args:
        origin: "hub", or "cdn" for the second origin, which serves LFS content.
        path: as sent, still quoted, since a revision may contain an escaped slash.
        account: who asks, None without a token.
    """

    method: str
    origin: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes = b""
    account: Account | None = None

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.query_string).items()}

    def flag(self, name: str) -> bool:
        """A boolean of the query: huggingface_hub 2.4 writes `true`, 0.36 `True`, a pull request is `create_pr=1`."""
        return self.query.get(name, "").lower() in ("1", "true")

    def json(self) -> Any:
        return _parse(self.body or b"{}")

    def json_lines(self) -> list[Any]:
        return [_parse(line) for line in self.body.splitlines()]

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode())


@dataclass
class Response:
    """What the Hub answers; a HEAD request gets the headers alone."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise HubError(400, message="The body is not JSON") from error


def json_response(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, json.dumps(payload).encode(), {"Content-Type": "application/json", **(headers or {})})


@dataclass
class Seen:
    """One line of the log, filled in as the request goes on. The token is never kept, only whose it is.

    Args:
        path: unquoted, without the query.
        user: whose token came along; "?" for a token that nobody has, None for none.
        status: None while there is no answer, and for good if the connection was dropped before one.
        received: bytes of the request's body.
        sent: bytes of the answer's body.
    """

    method: str
    path: str
    query: str
    origin: str
    user: str | None = None
    status: int | None = None
    received: int = 0
    sent: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


def seen(request: Request) -> Seen:
    """The log's line for a request that has just come in."""
    headers = {name: value for name, value in request.headers.items() if name not in ("authorization", "cookie")}
    return Seen(request.method, unquote(request.path), request.query_string, request.origin, headers=headers)


class HubError(Exception):
    """An answer that is an error.

    Args:
        status: the HTTP status.
        code: X-Error-Code, from which the clients choose their exception.
        message: X-Error-Message, and `error` in the body.
    """

    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str = "",
        headers: dict[str, str] | None = None,
        payload: Any = None,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status, self.code, self.message = status, code, message
        self.headers, self.payload = headers or {}, payload

    def response(self) -> Response:
        headers = {"X-Error-Message": self.message, **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return json_response(self.payload or {"error": self.message}, self.status, headers)


def repo_not_found(account: Account | None) -> HubError:
    """Missing and private repositories look the same; to an anonymous caller both look like a missing login."""
    return HubError(404 if account else 401, "RepoNotFound", "Repository not found")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")


def entry_not_found(commit: str, message: str = "Entry not found") -> HubError:
    # Clients cache the absence of a file for this commit, so they refuse the answer without the header.
    return HubError(404, "EntryNotFound", message, {"X-Repo-Commit": commit})
