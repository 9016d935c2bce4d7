"""The Hub's routes, as one table in the order of the facts that it was written to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from hub import api, downloads, lfs
from hub.call import Call
from hub.messages import HubError, Request, Response
from hub.state import Hub

# A revision is one part of the path: its slashes come quoted.
_PARTS = {"path": ".+", "kinds": "models|datasets|spaces", "prefix": "", "number": r"\d+"}
# A repository in the API, and in URLs for downloads and LFS, where a model has no prefix.
T = "/api/{kinds}/{namespace}/{name}"
R = "{prefix}/{namespace}/{name}"


@dataclass(frozen=True)
class Route:
    """A method, a pattern of paths and the handler; `{rev}` is one part of a path, `{path}` all of its rest."""

    method: str
    template: str
    handler: Callable[[Call], Response]
    origin: str = "hub"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        pieces = re.split(r"(\{\w+\})", self.template)
        return re.compile("".join(_piece(piece) for piece in pieces))

    def match(self, request: Request) -> dict[str, str] | None:
        """The parts of the path if the request is for this route; a HEAD goes where the GET goes."""
        method = "GET" if request.method == "HEAD" else request.method
        found = self.pattern.fullmatch(request.path)
        if self.origin != request.origin or method != self.method or not found:
            return None
        return {name: unquote(value or "") for name, value in found.groupdict().items()}


def _piece(piece: str) -> str:
    if piece == "{prefix}":
        return "(?:/(?P<kinds>datasets|spaces))?"
    if piece.startswith("{"):
        name = piece[1:-1]
        return f"(?P<{name}>{_PARTS.get(name, '[^/]+')})"
    return piece.replace(".", r"\.")


ROUTES = (
    # 1 who asks
    Route("GET", "/api/whoami-v2", api.whoami),
    # 2, 3 repositories
    Route("POST", "/api/repos/create", api.create_repo),
    Route("DELETE", "/api/repos/delete", api.delete_repo),
    Route("PUT", f"{T}/settings", api.repo_settings),
    Route("GET", f"{T}/auth-check", api.auth_check),
    Route("GET", f"{T}/auth-check/write", api.auth_check_write),
    # 4 to 9 uploads
    Route("POST", "/api/validate-yaml", api.validate_yaml),
    Route("POST", f"{T}/preupload/{{rev}}", api.preupload),
    Route("POST", f"{R}.git/info/lfs/objects/batch", lfs.batch),
    Route("PUT", "/upload/{kinds}/{namespace}/{name}/{oid}", lfs.put, origin="cdn"),
    Route("POST", "/upload/{kinds}/{namespace}/{name}/{oid}", lfs.complete, origin="cdn"),
    Route("POST", f"{R}.git/info/lfs/objects/verify", lfs.verify),
    Route("POST", f"{T}/commit/{{rev}}", api.commit),
    # 10 to 14 information
    Route("GET", T, api.repo_info),
    Route("GET", f"{T}/revision/{{rev}}", api.repo_info),
    Route("GET", f"{T}/tree/{{rev}}", api.tree),
    Route("GET", f"{T}/tree/{{rev}}/{{path}}", api.tree),
    Route("POST", f"{T}/paths-info/{{rev}}", api.paths_info),
    Route("GET", f"{T}/refs", api.refs),
    Route("GET", f"{T}/commits/{{rev}}", api.commits),
    # 15 tags and branches
    Route("POST", f"{T}/tag/{{rev}}", api.create_tag),
    Route("DELETE", f"{T}/tag/{{rev}}", api.delete_tag),
    Route("POST", f"{T}/branch/{{rev}}", api.create_branch),
    Route("DELETE", f"{T}/branch/{{rev}}", api.delete_branch),
    # pull requests without a commit
    Route("POST", f"{T}/discussions", api.create_discussion),
    Route("GET", f"{T}/discussions", api.discussions),
    Route("GET", f"{T}/discussions/{{number}}", api.discussion),
    # 16 downloads
    Route("GET", f"{R}/resolve/{{rev}}/{{path}}", downloads.resolve),
    Route("GET", "/download/{oid}/{path}", downloads.download, origin="cdn"),
    # 17 to 19
    Route("GET", "/api/{kinds}", api.list_repos),
    Route("GET", "/api/agent-harnesses", api.absent),
    Route("GET", f"{R}/raw/{{rev}}/{{path}}", downloads.raw),
    # a repository whose name has one part, such as `gpt2`
    Route("GET", "/api/{kinds}/{name}", api.no_such_repo),
    Route("GET", "/api/{kinds}/{name}/{path}", api.no_such_repo),
    Route("GET", "/{name}/resolve/{path}", api.no_such_repo),
)


def answer(hub: Hub, request: Request) -> Response:
    """The Hub's answer, errors included."""
    try:
        _identify(hub, request)
        for route in ROUTES:
            args = route.match(request)
            if args is not None:
                return route.handler(Call(hub, request, {"path": "", **args}))
        raise HubError(404, message="Sorry, we can't find the page you are looking for.")
    except HubError as error:
        return error.response()


def _identify(hub: Hub, request: Request) -> None:
    """Find out who asks.

    A signed URL with a token on top is refused, as object stores do: no client may send a token to another origin.
    """
    authorization = request.headers.get("authorization")
    if authorization is None:
        return
    if request.origin == "cdn":
        raise HubError(400, message="Only one auth mechanism allowed")
    request.account = hub.accounts.by_token.get(authorization.removeprefix("Bearer ").strip())
    if request.account is None:
        raise HubError(401, message="Invalid credentials in Authorization header")
