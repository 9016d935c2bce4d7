"""What a handler is given: a request, what its path says, and the Hub."""

from __future__ import annotations

from dataclasses import dataclass

from hub.accounts import Account
from hub.messages import Request
from hub.state import Hub
from hub.store import Commit, Repository


@dataclass(frozen=True)
class Call:
    """A request that a route matched.

    Args:
        args: the named parts of the path, unquoted; those that are absent are "".
    """

    hub: Hub
    request: Request
    args: dict[str, str]

    @property
    def account(self) -> Account | None:
        return self.request.account

    @property
    def kind(self) -> str:
        return (self.args.get("kinds") or "models").removesuffix("s")

    @property
    def repo_id(self) -> str:
        return f"{self.args['namespace']}/{self.args['name']}"

    def repo(self) -> Repository:
        """The repository, if the caller may know of it."""
        return self.hub.readable(self.account, self.kind, self.repo_id)

    def writable_repo(self, action: str = "write") -> Repository:
        """The repository, if the caller may write to it."""
        repo = self.repo()
        self.hub.require_writer(self.account, repo.namespace, action)
        return repo

    def commit(self) -> Commit:
        """The commit that the path's revision names."""
        return self.repo().at(self.args.get("rev") or "main")
