"""A folder as one commit of a repository, guarded by the commit that it was compared with.

Safe to repeat: unchanged files are not sent, LFS files that have arrived are not sent again, and a commit whose answer
was lost is recognised. huggingface_hub retries an LFS upload by itself; the commit it does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import PublishError, causes
from pipesmith.pipelines.hub import (
    ATTEMPTS,
    HubAccess,
    hub_error,
    is_passing,
    no_repository,
    no_revision,
    pause,
    retried,
    status_of,
)
from pipesmith.pipelines.publishing.remote import Remote, read_remote

# Weights that transformers would prefer to, or mix up with, those of a new folder.
_WEIGHTS = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")


@dataclass(frozen=True)
class Destination:
    """Where and how a folder is published.

    Args:
        repo_id: user/repo.
        kind: model or space.
        revision: the branch to commit to; main if None.
        message: of the commit.
        private: whether a new repository is private.
        create_pr: whether to open a pull request instead.
        tag: what the commit is tagged with.
        access: how the Hub is reached.
    """

    repo_id: str
    kind: str = "model"
    revision: str | None = None
    message: str | None = None
    private: bool = False
    create_pr: bool = False
    tag: str | None = None
    access: HubAccess = field(default_factory=HubAccess)


@dataclass(frozen=True)
class Change:
    """What a push does with one file: its path, its size in bytes, and new, changed, same or deleted."""

    path: str
    size: int
    state: str


@dataclass(frozen=True)
class Published:
    """A commit with a folder's files.

    Args:
        commit: its id.
        is_new: whether it was made now; else everything was there already.
        pull_request: its URL, if it is one.
    """

    commit: str
    is_new: bool = True
    pull_request: str | None = None


def check_destination(destination: Destination, remote: Remote) -> None:
    """Refuse what would fail after the work, or publish what was to be private.

    Raises:
        PublishError, HubError: the options do not fit the repository.
    """
    repo_id, access = destination.repo_id, destination.access
    if destination.create_pr and destination.tag:
        raise PublishError("A pull request cannot be tagged.", hint="Leave --tag out; tag it when it is merged.")
    if remote.head is None:
        nothing = no_repository(repo_id, access)
        if destination.create_pr or destination.revision or "not a model" in nothing.message:
            raise nothing
        return
    if destination.private and not remote.private:
        raise PublishError(
            f"{repo_id} is there already, and public.",
            hint=f"Make it private first: hf repos settings {repo_id} --private",
        )
    refs = _refs(destination)
    if destination.revision and destination.revision not in [ref.name for ref in refs.branches]:
        raise no_revision(repo_id, destination.revision, access)
    for tag in refs.tags:
        if tag.name == destination.tag and tag.target_commit != remote.head:
            raise PublishError(f"{repo_id} has a tag {tag.name} already.", hint="Choose another --tag.")


def _refs(destination: Destination) -> Any:
    from huggingface_hub import HfApi

    api = HfApi(token=destination.access.token)
    try:
        return retried(lambda: api.list_repo_refs(destination.repo_id, repo_type=destination.kind))
    except Exception as error:  # the network's and the Hub's errors have no common base
        raise hub_error(error, destination.repo_id, None, destination.access) from error


def compare(folder: Path, remote: Remote) -> list[Change]:
    """List a folder's files and what a push would do with each, and the old weights that it would delete."""
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    changes = [
        Change(
            name,
            file.stat().st_size,
            "new" if name not in remote.files else "same" if remote.holds(file, name) else "changed",
        )
        for name, file in files.items()
    ]
    if any(_WEIGHTS.fullmatch(name) for name in files):
        old = [name for name in remote.files if _WEIGHTS.fullmatch(name) and name not in files]
        changes += [Change(name, remote.files[name][0], "deleted") for name in old]
    return changes


def upload(folder: Path, destination: Destination, remote: Remote, notify: Callable[[str], None]) -> Published:
    """Commit a folder's new and changed files.

    Args:
        folder: the files.
        destination: where to.
        remote: what the folder was made for and compared with; if it has moved since, nothing is committed.
        notify: told of attempts that failed.

    Raises:
        PublishError: the repository has moved, the login may not write, or the Hub refuses or cannot be reached.
    """
    if remote.head is None:
        remote = _create(destination)
    proposed = _landed(folder, destination, remote) if destination.create_pr else None
    if proposed is not None:  # by a command that was killed then
        return replace(proposed, is_new=False)
    for attempt in range(1, ATTEMPTS + 1):
        changes = [change for change in compare(folder, remote) if change.state != "same"]
        if not changes:
            return _tagged(Published(str(remote.head), is_new=False), destination)
        try:
            return _tagged(_commit(folder, changes, destination, remote), destination)
        except Exception as error:  # as above
            landed = _landed(folder, destination, remote)
            if landed is not None:
                return _tagged(landed, destination)
            if not is_passing(error) or attempt == ATTEMPTS:
                raise _refusal(error, destination) from error
            notify(f"The upload was interrupted ({_cause(error)}); trying again.")
        pause(attempt)
    raise AssertionError("the last attempt returns or raises")


def _create(destination: Destination) -> Remote:
    from huggingface_hub import HfApi

    repo_id, access, kind = destination.repo_id, destination.access, destination.kind
    api = HfApi(token=access.token)
    sdk = "gradio" if kind == "space" else None
    try:
        retried(
            lambda: api.create_repo(repo_id, private=destination.private, repo_type=kind, exist_ok=True, space_sdk=sdk)
        )
    except Exception as error:  # as above
        raise _refusal(error, destination) from error
    return read_remote(repo_id, None, access, kind)


def _commit(folder: Path, changes: list[Change], destination: Destination, remote: Remote) -> Published:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    made = HfApi(token=destination.access.token).create_commit(
        destination.repo_id,
        [
            CommitOperationDelete(change.path)
            if change.state == "deleted"
            else CommitOperationAdd(change.path, folder / change.path)
            for change in changes
        ],
        commit_message=destination.message or "Publish with pipe push",
        repo_type=destination.kind,
        revision=destination.revision,
        create_pr=destination.create_pr,
        parent_commit=remote.head,
    )
    return Published(made.oid, pull_request=made.pr_url)


def _landed(folder: Path, destination: Destination, before: Remote) -> Published | None:
    """Look whether a commit whose answer was lost has been made.

    Raises:
        PublishError: somebody else's was.
    """
    revisions = _pull_requests(destination) if destination.create_pr else [destination.revision]
    for revision in revisions:
        now = read_remote(destination.repo_id, revision, destination.access, destination.kind)
        if now.head == before.head:
            continue
        if all(change.state == "same" for change in compare(folder, now)):
            return Published(str(now.head), pull_request=revision if destination.create_pr else None)
        if not destination.create_pr:
            raise PublishError(
                f"{destination.repo_id} has got another commit meanwhile, {now.head}: nothing was uploaded.",
                hint="Look at it, and push again.",
            )
    return None


def _pull_requests(destination: Destination) -> list[str]:
    from huggingface_hub import HfApi

    api = HfApi(token=destination.access.token)
    try:
        found = retried(lambda: list(api.get_repo_discussions(destination.repo_id, repo_type=destination.kind)))
    except Exception as error:  # as above
        raise hub_error(error, destination.repo_id, None, destination.access) from error
    return [f"refs/pr/{one.num}" for one in found if one.is_pull_request and one.status == "open"]


def _tagged(published: Published, destination: Destination) -> Published:
    if destination.tag:
        from huggingface_hub import HfApi

        tag = destination.tag
        api = HfApi(token=destination.access.token)
        try:
            retried(
                lambda: api.create_tag(
                    destination.repo_id, tag=tag, revision=published.commit, repo_type=destination.kind, exist_ok=True
                )
            )
        except Exception as error:  # as above
            raise _refusal(error, destination) from error
    return published


def _refusal(error: Exception, destination: Destination) -> PublishError:
    """Say in a sentence why the Hub did not take what it was sent."""
    if isinstance(error, PublishError):
        return error
    repo_id, status = destination.repo_id, status_of(error)
    if status in (401, 403):
        return PublishError(
            f"The login may not write to {repo_id}.",
            hint="Log in with a token that may write: hf auth login; or propose it: --create-pr",
        )
    if status == 412:
        return PublishError(f"{repo_id} has got another commit meanwhile.", hint="Look at it, and push again.")
    if status is None or status >= 500:
        found = hub_error(error, repo_id, destination.revision, destination.access)
        if not any(isinstance(one, ValueError) for one in causes(error)) or status is not None:
            return PublishError(
                found.message.replace("cannot be fetched", "cannot be uploaded").replace("was fetched", "was uploaded"),
                hint="Run the same command again: what has arrived is not sent again.",
            )
    message = " ".join(str(error).split())
    for secret in filter(None, (destination.access.token, _login())):
        message = message.replace(secret, "***")
    message = re.sub(r"https?://\S+", "", message)  # of uploads: they are signed
    return PublishError(f"The Hub refuses {repo_id}: {message[:300].rstrip('. ')}.", hint="Mend that and push again.")


def _login() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _cause(error: Exception) -> str:
    status = status_of(error)
    return f"the Hub answered {status}" if status else "the connection broke off"
