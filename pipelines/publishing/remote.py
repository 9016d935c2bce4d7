"""A repository of the Hub as it is now: its commit, its files' checksums, and who may write to it.

Nothing is changed here; `upload.py` does that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.hub import HubAccess, hub_error, is_repo_id, no_revision, retried, status_of

_CHUNK = 1 << 20
_LOGIN = "Log in with a token that may write: hf auth login, or give one with --token."


@dataclass(frozen=True)
class Remote:
    """A repository at one commit.

    Args:
        repo_id: user/repo.
        kind: model or space.
        head: the commit; None if the repository is not there.
        files: size in bytes and checksum by path: sha256 for LFS files, git's sha1 for others.
        private: whether only its owner sees it.
    """

    repo_id: str
    kind: str = "model"
    head: str | None = None
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    private: bool = False

    def holds(self, file: Path, name: str) -> bool:
        """Tell whether a local file stands there unchanged."""
        size, digest = self.files.get(name, (-1, ""))
        return size == file.stat().st_size and digest == checksum(file, digest)


def checksum(file: Path, like: str) -> str:
    """Return a file's checksum, of the kind that another one is: sha256 (64 digits) or git's sha1."""
    if len(like) == 64:
        found = hashlib.sha256()
    else:
        found = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def read_remote(repo_id: str, revision: str | None, access: HubAccess, kind: str = "model") -> Remote:
    """Ask for a repository's commit and files; one that is not there has none.

    Args:
        repo_id: user/repo.
        revision: branch, tag or commit; main if None.
        access: how the Hub is reached.
        kind: model or space.

    Raises:
        HubError: the revision is not there, or the Hub cannot be asked.
    """
    from huggingface_hub import HfApi, errors

    api = HfApi(token=access.token)
    try:
        info = retried(lambda: api.repo_info(repo_id, revision=revision, repo_type=kind, files_metadata=True))
    except errors.RevisionNotFoundError as error:
        raise no_revision(repo_id, revision, access) from error
    except errors.GatedRepoError as error:
        raise hub_error(error, repo_id, revision, access) from error
    except errors.RepositoryNotFoundError:
        return Remote(repo_id, kind)
    except Exception as error:  # the network's and the Hub's errors have no common base
        raise hub_error(error, repo_id, revision, access) from error
    files: dict[str, tuple[int, str]] = {}
    for one in getattr(info, "siblings", None) or ():
        files[one.rfilename] = one.size or 0, one.lfs.sha256 if one.lfs else one.blob_id or ""
    return Remote(repo_id, kind, info.sha, files, bool(info.private))


def require_name(repo_id: str) -> None:
    """Refuse what the Hub would not take for the name of a repository.

    Raises:
        PublishError: it has not the form user/repo.
    """
    if not is_repo_id(repo_id):
        raise PublishError(f"{repo_id} is no name of a repository.", hint="Write user/repo: pipe push alice/demo")


def require_writer(repo_id: str, access: HubAccess, *, create_pr: bool) -> str:
    """Find out before anything slow whether the login may write to a repository; return the user's name.

    Raises:
        PublishError: nobody logged in, a token that may only read, or somebody else's namespace.
        HubError: the Hub cannot be asked.
    """
    from huggingface_hub import HfApi, constants, get_token

    if not (access.token or get_token()):
        raise PublishError("Nobody is logged in to the Hub.", hint=_LOGIN)
    api = HfApi(token=access.token)
    try:
        who: dict[str, Any] = retried(api.whoami)
    except Exception as error:  # as above
        if status_of(error) == 401 or "Invalid user token" in str(error):
            raise PublishError("The Hub does not accept the token.", hint=_LOGIN) from error
        if status_of(error) is None:
            raise PublishError(
                f"{constants.ENDPOINT} cannot be reached.",
                hint="Check the network; --output-dir DIR writes the folder without it.",
            ) from error
        raise hub_error(error, repo_id, None, access) from error
    name, namespace = str(who["name"]), repo_id.partition("/")[0]
    if ((who.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        raise PublishError(f"The token of {name} may only read.", hint=_LOGIN)
    if not create_pr and namespace not in (name, *(one["name"] for one in who.get("orgs") or ())):
        raise PublishError(
            f"{name} may not write to {namespace}/.",
            hint=f"Push to {name}/{repo_id.partition('/')[2]}, or propose it to an existing repository: --create-pr",
        )
    return name
