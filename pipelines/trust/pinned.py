"""A repository at the commit that was trusted, whatever its branch has become since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipesmith.pipelines.checkpoint import read_checkpoint
from pipesmith.pipelines.errors import HubError, PipelineLoadError
from pipesmith.pipelines.hub import Snapshot, cached, fetch_small_files
from pipesmith.pipelines.trust import review
from pipesmith.pipelines.trust.code import code_of
from pipesmith.pipelines.trust.gate import described, open_locks, record

if TYPE_CHECKING:
    from pipesmith.pipelines.targets import LoadOptions


def fetch_trusted(repo_id: str, revision: str | None, options: LoadOptions) -> Snapshot:
    """Fetch a repository's small files at the commit that a lock pins; at a revision if none does.

    If the branch has moved since, the difference of the code is shown, and a person at a terminal may agree to it;
    otherwise the trusted commit is what runs. It also runs, from the cache, if the repository is gone.

    Args:
        repo_id: user/repo.
        revision: branch, tag or commit; None for what was trusted, or the main branch.
        options: `access`, `trust_project`, `ask` and `notify` matter here.

    Raises:
        HubError: neither the Hub nor the cache gives it.
    """
    access = options.access
    locks = open_locks(repo_id, options)
    entry = locks.find(repo_id)
    commit = entry.commits.get(repo_id) if entry is not None else None
    if entry is None or commit is None or revision not in (None, entry.revision):
        return fetch_small_files(repo_id, revision, access)
    kept = cached(repo_id, commit)
    kept = replace(kept, revision=entry.revision) if kept is not None else None
    if access.offline and kept is not None:
        return kept
    asked = None if entry.revision == "main" else entry.revision
    try:
        latest = fetch_small_files(repo_id, asked, access)
        if latest.commit == commit and len(entry.commits) == 1:
            return latest
        pinned = replace(fetch_small_files(repo_id, commit, access), revision=entry.revision)
    except HubError as error:
        if kept is None:
            raise
        options.notify(f"{error.message} The commit that was trusted runs, from the cache: {commit}.")
        return kept
    try:
        new = code_of(read_checkpoint(latest.folder, latest), access)
    except HubError as error:  # another repository, whose code this one names
        options.notify(f"{error.message} The code that was trusted runs, from the cache.")
        return pinned
    except PipelineLoadError as error:
        options.notify(f"{repo_id} has moved to commit {latest.commit}, which is not used: {error.message}")
        return pinned
    moved = [f"{name} has moved to commit {now}" for name, now in new.commits.items() if entry.commits.get(name) != now]
    if not moved:
        return latest
    before = code_of(read_checkpoint(pinned.folder, pinned), access, entry.commits)
    difference = review.diff(entry, new, before)
    if difference and options.ask:
        if options.ask(f"{described(new, entry, before)}\nTrust it?", review.source(new)):
            record(locks, new, options.notify)
            return latest
        options.notify(f"What was trusted runs: {before}.")
        return pinned
    code = f"its code differs:\n{review.shortened(difference)}" if difference else "its code is the same."
    options.notify(
        f"{' and '.join(moved)}; {code}\nWhat was trusted runs: {before}. To take the new one: pipe trust {new.request}"
    )
    return pinned
