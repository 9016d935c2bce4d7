"""`Hub`: everything that one test's Hub knows, and what a test does with it from Python."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hub.accounts import Account, Accounts
from hub.faults import Fault, Faults
from hub.messages import HubError, Seen, repo_not_found
from hub.store import Repository

KINDS = ("model", "dataset", "space")
Files = Mapping[str, "bytes | str"] | Path


class Hub:
    """One test's Hub.

    `alice` has a write token from the start (`hf_alice`); further users appear with their first token.

    Args:
        endpoint: the URL of the Hub, without a slash at its end.
        cdn: the URL of the second origin, which takes and serves LFS content without a token.

    Attributes:
        requests: the log of all requests.
        errors: exceptions of the Hub itself; the fixture fails if there is one.
        lfs_limit: LFS files of more bytes are refused by the batch call.
        part_size: LFS files of more bytes are uploaded in parts of this size; None for never.
    """

    def __init__(self, endpoint: str, cdn: str) -> None:
        self.endpoint, self.cdn = endpoint, cdn
        self.requests: list[Seen] = []
        self.errors: list[Exception] = []
        self.faults = Faults()
        self.accounts = Accounts()
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.lfs_limit = 50 * 10**9
        self.part_size: int | None = None
        # Parts of uploads that are not complete: upload's path -> part number -> bytes.
        self.parts: dict[str, dict[int, bytes]] = {}
        self._seconds = itertools.count()
        self.token("alice")

    def __repr__(self) -> str:
        return f"Hub({self.endpoint!r})"

    # --- what tests call -------------------------------------------------------------------------------------------

    def token(self, user: str, role: str = "write") -> str:
        """The user's token; role "read" for one that may only read. The user is made if need be."""
        return self.accounts.token(user, role)

    def organization(self, name: str, members: Iterable[str]) -> None:
        """Make an organization, in whose namespace its members may write."""
        self.accounts.organizations[name] = set(members)

    def create(
        self,
        repo_id: str,
        files: Files | None = None,
        *,
        private: bool = False,
        gated: bool | str = False,
        kind: str = "model",
    ) -> str:
        """Make a repository and commit files to it, as `create_repo` and `upload_folder` would.

        Like the real one, it starts with a commit of .gitattributes.

        Args:
            files: path -> content, or a folder.
            gated: True, "auto" or "manual"; then only the owner and who was granted access (`grant`) download.
            kind: "model", "dataset" or "space".

        Returns:
            The id of the commit at main.
        """
        self.token(repo_id.partition("/")[0])
        repo = self.add(kind, repo_id, private=private, gated="auto" if gated is True else gated)
        return self.commit(repo_id, files, kind=kind) if files else repo.refs["refs/heads/main"]

    def commit(
        self,
        repo_id: str,
        files: Files | None = None,
        *,
        delete: Iterable[str] = (),
        revision: str = "main",
        message: str = "Upload files",
        kind: str = "model",
    ) -> str:
        """Commit files to a branch or pull request; returns the commit's id."""
        repo = self.repo(repo_id, kind)
        add = {path: repo.file(path, content, revision) for path, content in _contents(files or {}).items()}
        return repo.commit(revision, add, delete, title=message, author=repo.namespace).id

    def move_branch(self, repo_id: str, commit: str, branch: str = "main", kind: str = "model") -> None:
        """Point a branch at a commit, new or old, as a force-push does."""
        repo = self.repo(repo_id, kind)
        repo.refs[f"refs/heads/{branch}"] = repo.at(commit).id

    def files(self, repo_id: str, revision: str = "main", kind: str = "model") -> dict[str, bytes]:
        """The content of all files, .gitattributes included."""
        return {path: file.content for path, file in self.repo(repo_id, kind).at(revision).files.items()}

    def commits(self, repo_id: str, revision: str = "main", kind: str = "model") -> list[str]:
        """The ids of all commits behind a revision, the newest first."""
        return [commit.id for commit in self.repo(repo_id, kind).log(revision)]

    def grant(self, repo_id: str, user: str, kind: str = "model") -> None:
        """Let a user download from a gated repository."""
        self.repo(repo_id, kind).granted.add(user)

    def fail(self, method: str, path: str, **what: Any) -> Fault:
        """Make requests go wrong; the arguments are those of `Fault`.

        LFS files are downloaded by `GET /download/<sha256>/<file name>` and uploaded by
        `PUT /upload/models/<repo_id>/<sha256>`; all other paths are those of the real Hub.
        """
        return self.faults.add(Fault(method, path, **what))

    def seen(self, method: str = "*", path: str = "*") -> list[Seen]:
        """The requests in the log of this method and with such a path (a shell pattern)."""
        return [each for each in self.requests if method in ("*", each.method) and fnmatchcase(each.path, path)]

    def environment(self, home: Path, *, user: str | None = "alice", role: str = "write") -> dict[str, str]:
        """The variables with which a process uses this Hub, to be laid over the present ones.

        Args:
            home: a folder for caches, tokens and modules.
            user: whose token the process has; None for none.
            role: "read" for a token that may only read.
        """
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": self.token(user, role) if user else "",
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            # Not simply absent, so that it also overrides an environment where it is set.
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            # A proxy of the machine must not be asked for the loopback.
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    # --- what the handlers call ------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=next(self._seconds))

    def add(self, kind: str, repo_id: str, **settings: Any) -> Repository:
        if kind not in KINDS:
            raise HubError(400, message=f"Invalid repository type: {kind}")
        if (kind, repo_id) in self.repositories:
            raise ValueError(f"{kind} {repo_id} is there already")
        self.repositories[kind, repo_id] = Repository(kind, repo_id, self.now, **settings)
        return self.repositories[kind, repo_id]

    def repo(self, repo_id: str, kind: str = "model") -> Repository:
        return self.repositories[kind, repo_id]

    def readable(self, account: Account | None, kind: str, repo_id: str) -> Repository:
        """The repository, if this account may know of it."""
        repo = self.repositories.get((kind, repo_id))
        if repo is None or (repo.private and not self.accounts.member(account, repo.namespace)):
            raise repo_not_found(account)
        return repo

    def downloadable(self, account: Account | None, kind: str, repo_id: str) -> Repository:
        """The repository, if this account may have its files."""
        repo = self.readable(account, kind, repo_id)
        allowed = self.accounts.member(account, repo.namespace) or (account and account.name in repo.granted)
        if repo.gated and not allowed:
            message = f"Access to {kind} {repo_id} is restricted and you are not in the authorized list."
            raise HubError(403 if account else 401, "GatedRepo", message)
        return repo

    def require_write_token(self, account: Account | None) -> Account:
        """The account, if it may write at all: to what is its own, or in a pull request."""
        if account is None:
            raise HubError(401, message="Invalid username or password.")
        if account.role != "write":
            raise HubError(403, message="Your token has no write permission")
        return account

    def require_writer(self, account: Account | None, namespace: str, action: str) -> Account:
        """The account, if it may write in a namespace."""
        if account is None:
            raise HubError(401, message="Invalid username or password.")
        if account.role != "write" or not self.accounts.member(account, namespace):
            raise HubError(403, message=f'You don\'t have the rights to {action} under the namespace "{namespace}"')
        return account

    def sign(self, *parts: object) -> str:
        """The signature of a URL of the second origin, where no token is sent."""
        text = "\n".join(map(str, parts))
        return hmac.new(self.endpoint.encode(), text.encode(), hashlib.sha256).hexdigest()


def _contents(files: Files) -> dict[str, bytes]:
    if isinstance(files, Path):
        paths = sorted(path for path in files.rglob("*") if path.is_file())
        return {path.relative_to(files).as_posix(): path.read_bytes() for path in paths}
    return {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
