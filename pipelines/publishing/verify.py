"""A repository as a stranger gets it: downloaded into an empty cache, its checksums compared, loaded and run.

The clients do not compare the content of plain downloads with the Hub's checksums; here it is done.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines import trust
from pipesmith.pipelines.checkpoint import checkpoint_entry, code_files, code_modules, read_checkpoint
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.hub import HubAccess, hub_error, no_repository, retried
from pipesmith.pipelines.publishing.example import EXAMPLES_FILE, Example, read_examples
from pipesmith.pipelines.publishing.proof import prove
from pipesmith.pipelines.publishing.remote import checksum, read_remote


@dataclass(frozen=True)
class Verified:
    """A repository that loads.

    Args:
        repo_id: user/repo.
        commit: the commit that was looked at.
        files: how many files it holds; each had its checksum.
        tasks: the tasks that were loaded.
        compared: those whose output was compared with the one that the repository names.
    """

    repo_id: str
    commit: str
    files: int
    tasks: tuple[str, ...]
    compared: tuple[str, ...]


def verify(
    repo_id: str,
    revision: str | None,
    access: HubAccess,
    *,
    trusted: bool,
    examples: Sequence[Example] | None = None,
    absent: Iterable[str] = (),
) -> Verified:
    """Download a repository afresh, compare its checksums, and load it with plain transformers in a fresh process.

    Args:
        repo_id: user/repo.
        revision: branch, tag or commit; main if None.
        access: how the Hub is reached.
        trusted: whether its code may run.
        examples: what is run; the repository's own if None.
        absent: packages that the process must do without, beside pipesmith.

    Raises:
        PublishError: a file differs from its checksum, it does not load, or an output differs.
        UntrustedCodeError: it brings code and nobody agreed to that.
        HubError: it cannot be fetched.
    """
    remote = read_remote(repo_id, revision, access)
    if remote.head is None:
        raise no_repository(repo_id, access)
    with tempfile.TemporaryDirectory(prefix="pipe-verify-") as cache:
        folder = _download(repo_id, remote.head, Path(cache), access)
        damaged = [name for name, (_, digest) in remote.files.items() if checksum(folder / name, digest) != digest]
        if damaged:
            raise PublishError(
                f"{repo_id} at {remote.head}: {', '.join(damaged)} did not arrive as the Hub holds it.",
                hint="Verify again; if it stays, something between here and the Hub changes files.",
            )
        checkpoint = read_checkpoint(folder, f"{repo_id} at commit {remote.head}", repo_id)
        if examples is None:
            file = folder / EXAMPLES_FILE
            examples = read_examples(file) if file.is_file() else [Example(task) for task in _tasks(folder, repo_id)]
        files = {
            file: os.path.relpath(file, folder)
            for example in examples
            for file in code_files(folder, code_modules(checkpoint, example.task).get("", ()))
        }
        trust.require(checkpoint.name, files, trusted=trusted)
        code = [file.name for file in files]
        prove(repo_id, examples, revision=remote.head, access=access, cache=Path(cache), absent=absent, code=code)
    tasks = tuple(example.task for example in examples)
    compared = tuple(example.task for example in examples if example.has_output)
    return Verified(repo_id, remote.head, len(remote.files), tasks, compared)


def _download(repo_id: str, commit: str, cache: Path, access: HubAccess) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(retried(lambda: snapshot_download(repo_id, revision=commit, cache_dir=cache, token=access.token)))
    except Exception as error:  # the network's, the Hub's and the file system's errors have no common base
        raise hub_error(error, repo_id, commit, access) from error


def _tasks(folder: Path, repo_id: str) -> list[str]:
    """Name the tasks of a repository: those of its own, else the one that it is likeliest for."""
    checkpoint = read_checkpoint(folder, repo_id, repo_id)
    if checkpoint.custom_pipelines:
        return list(checkpoint.custom_pipelines)
    found = checkpoint_entry(checkpoint, None)
    return [found.task if isinstance(found, PipelineEntry) else found[0]]
