"""A repository as a stranger gets it: downloaded into an empty cache, its checksums compared, loaded and run.

The clients do not compare the content of plain downloads with the Hub's checksums; here it is done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines import trust
from pipesmith.pipelines.checkpoint import Checkpoint, checkpoint_entry, code_modules, read_checkpoint
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PublishError, UntrustedCodeError
from pipesmith.pipelines.hub import Snapshot, download, no_repository
from pipesmith.pipelines.publishing.example import EXAMPLES_FILE, Example, read_examples
from pipesmith.pipelines.publishing.proof import prove
from pipesmith.pipelines.publishing.remote import checksum, read_remote
from pipesmith.pipelines.targets import LoadOptions


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
    options: LoadOptions,
    *,
    is_own: bool = False,
    examples: Sequence[Example] | None = None,
    absent: Iterable[str] = (),
) -> Verified:
    """Download a repository afresh, compare its checksums, and load it with plain transformers in a fresh process.

    Args:
        repo_id: user/repo.
        revision: branch, tag or commit; main if None.
        options: `access`, and those of `trust.require`.
        is_own: whether its code is the user's own, just uploaded: it needs no consent.
        examples: what is run; the repository's own if None.
        absent: packages that the process must do without, beside pipesmith.

    Raises:
        PublishError: a file differs from its checksum, it does not load, or an output differs.
        UntrustedCodeError: it brings code and nobody agreed to that.
        HubError: it cannot be fetched.
    """
    access = options.access
    remote = read_remote(repo_id, revision, access)
    if remote.head is None:
        raise no_repository(repo_id, access)
    with tempfile.TemporaryDirectory(prefix="pipe-verify-") as cache:
        options.notify(f"Downloading {repo_id} into an empty cache")
        folder = download(repo_id, remote.head, remote.files, access, cache=Path(cache))
        damaged = [name for name, (_, digest) in remote.files.items() if checksum(folder / name, digest) != digest]
        if damaged:
            raise PublishError(
                f"{repo_id} at {remote.head}: {', '.join(damaged)} did not arrive as the Hub holds it.",
                hint="Verify again; if it stays, something between here and the Hub changes files.",
            )
        checkpoint = read_checkpoint(folder, Snapshot(repo_id, remote.head, folder, revision=revision))
        if examples is None:
            file = folder / EXAMPLES_FILE
            examples = read_examples(file) if file.is_file() else [Example(task) for task in _tasks(checkpoint)]
        code_revision = None if is_own else _require_trust(checkpoint, examples, options)
        code = [file.name for file in folder.glob("*.py")]
        pins = {"revision": remote.head, "code_revision": code_revision}
        options.notify("Loading it in a fresh process with plain transformers")
        prove(repo_id, examples, **pins, access=access, cache=Path(cache), absent=absent, code=code)
    tasks = tuple(example.task for example in examples)
    compared = tuple(example.task for example in examples if example.has_output)
    return Verified(repo_id, remote.head, len(remote.files), tasks, compared)


def _require_trust(checkpoint: Checkpoint, examples: Sequence[Example], options: LoadOptions) -> str | None:
    """Pass the gate; return the commit that plain transformers is to take other repositories' code from."""
    task = next((one.task for one in examples if code_modules(checkpoint, one.task)), None)
    code = trust.require(checkpoint, task, options)
    if code is None or code.code_revision in (None, code.commits[checkpoint.repo_id]):
        return None
    if any("--" not in name for name in code.contents):  # one `code_revision` holds for all that it loads
        raise UntrustedCodeError(
            f"{code} are needed together, and plain transformers can pin only one of them.",
            hint=f"`pipe run {checkpoint.repo_id}` pins both.",
        )
    return code.code_revision


def _tasks(checkpoint: Checkpoint) -> list[str]:
    """Name the tasks of a repository: those of its own, else the one that it is likeliest for."""
    if checkpoint.custom_pipelines:
        return list(checkpoint.custom_pipelines)
    found = checkpoint_entry(checkpoint, None)
    return [found.task if isinstance(found, PipelineEntry) else found[0]]
