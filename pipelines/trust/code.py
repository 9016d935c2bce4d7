"""The code that a checkpoint brings: every file that loading it can execute, read once.

Not whether it may run (`gate.py`), and not how the files are found in a folder (`checkpoint.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipesmith.pipelines.checkpoint import Checkpoint, code_files, code_modules, read_checkpoint
from pipesmith.pipelines.errors import HubError, PipelineLoadError, TaskNotFoundError, UntrustedCodeError
from pipesmith.pipelines.hub import HubAccess, Snapshot, check_file, fetch_pinned, fetch_small_files, is_repo_id
from pipesmith.pipelines.trust.checked import sha256


@dataclass(frozen=True)
class Code:
    """What loading a checkpoint would execute.

    Args:
        name: user/repo, or the absolute path of a folder.
        revision: the branch, tag or commit that was asked for; None for a folder.
        commits: 40 digits of each repository whose files count, the checkpoint's own first.
        contents: the bytes of each file by its path, or by `user/repo--path` if it lies in another repository.
        missing: files that are named and not there.
        code_revision: the commit that transformers is to take other repositories' code from, if there are any.
    """

    name: str
    revision: str | None
    commits: Mapping[str, str]
    contents: Mapping[str, bytes]
    missing: tuple[str, ...] = ()
    code_revision: str | None = None

    def __str__(self) -> str:
        others = [f"{repo_id} at commit {commit}" for repo_id, commit in self.commits.items()]
        return " and ".join(others if self.name in self.commits else [self.name, *others])

    @property
    def request(self) -> str:
        """What to ask `pipe trust` for."""
        return self.name if self.revision in (None, "main") else f"{self.name}@{self.revision}"

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return {name: sha256(content) for name, content in self.contents.items()}


@dataclass
class _Found:
    contents: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, folder: Path, modules: list[str], snapshot: Snapshot | None, prefix: str = "") -> None:
        """Read the files of modules, and what these import, from a folder."""
        for file in code_files(folder, modules):
            name = os.path.relpath(file, folder)
            if not file.is_file():
                self.missing.append(prefix + name)
                continue
            if not any(file.resolve().is_relative_to(place) for place in _places(folder)):
                raise UntrustedCodeError(
                    f"{file} leads out of {folder}, to {file.resolve()}: code of a checkpoint lies within it.",
                    hint="Put the file itself there.",
                )
            content = file.read_bytes()
            if snapshot is not None:
                if snapshot.names and Path(name).as_posix() not in snapshot.names:
                    raise HubError(
                        f"{name} is not among the files of {snapshot}: it was put into the cache.",
                        hint=f"Remove it: rm {file}",
                    )
                check_file(snapshot, Path(name).as_posix(), content)
            self.contents[prefix + Path(name).as_posix()] = content


def _places(folder: Path) -> Iterator[Path]:
    """Yield where files of a folder may lie: in it or, in the Hub's cache, among its repository's blobs."""
    resolved = folder.resolve()
    yield resolved
    if resolved.parent.name == "snapshots":
        yield resolved.parent.parent / "blobs"


def name_of(checkpoint: Checkpoint) -> str:
    """Return the name under which a lock holds the code of a checkpoint: user/repo, or the folder's absolute path."""
    return checkpoint.repo_id or str(checkpoint.folder.resolve())


def parse_name(name: str) -> tuple[str, str | None]:
    """Return what `pipe trust NAME` is about, as a lock calls it, and its revision: user/repo@v1, or a folder.

    Raises:
        TaskNotFoundError: it is neither.
    """
    path = Path(name).expanduser()
    if path.suffix == ".py":
        raise TaskNotFoundError(
            f"{name} is a file that you name yourself: it needs no consent.", hint=f"pipe run {name}"
        )
    if path.is_dir() or name.startswith((".", "/", "~")):
        return str(path.resolve()), None
    repo_id, _, revision = name.partition("@")
    if not is_repo_id(repo_id):
        raise TaskNotFoundError(
            f"{name} is neither a repository nor a folder.", hint="Write user/repo, user/repo@REVISION, or ./folder."
        )
    return repo_id, revision or None


def find_code(name: str, access: HubAccess) -> Code:
    """Read the code of a repository, as it is on the Hub now, or of a folder.

    Args:
        name: user/repo, user/repo@REVISION, or a checkpoint folder.
        access: how the Hub is reached.

    Raises:
        TaskNotFoundError: it is neither a repository nor a folder.
        HubError, PipelineLoadError, UntrustedCodeError: as `code_of`.
    """
    called, revision = parse_name(name)
    if Path(called).is_absolute():
        return code_of(read_checkpoint(Path(called)), access)
    snapshot = fetch_small_files(called, revision, access)
    return code_of(read_checkpoint(snapshot.folder, snapshot), access)


def code_of(checkpoint: Checkpoint, access: HubAccess, pins: Mapping[str, str] | None = None) -> Code:
    """Read all code that loading a checkpoint can execute, whichever of its tasks is wanted.

    Args:
        checkpoint: the folder.
        access: how other repositories are reached.
        pins: the commits of other repositories that were agreed to; their `main` branch otherwise.

    Raises:
        HubError: a repository cannot be fetched, or a downloaded file is not what its commit holds.
        UntrustedCodeError: a file is a link that leads elsewhere.
        PipelineLoadError: other repositories cannot all be pinned.
    """
    snapshot, pins = checkpoint.snapshot, pins or {}
    modules: dict[str, list[str]] = {}
    for task in (None, *checkpoint.custom_pipelines):
        for repo_id, names in code_modules(checkpoint, task).items():
            modules[repo_id] = list(dict.fromkeys([*modules.get(repo_id, []), *names]))
    found = _Found()
    own = modules.pop("", [])
    found.add(checkpoint.folder, own, snapshot)
    others = {repo_id: fetch_pinned(repo_id, pins.get(repo_id), access) for repo_id in modules}
    base = _base_code(checkpoint, access, pins)
    if base is not None:
        others[base[0].repo_id] = base[0]
        modules[base[0].repo_id] = [*modules.get(base[0].repo_id, []), *own, *base[1]]
    for repo_id, other in others.items():
        there = [name for name in modules[repo_id] if name not in own or (other.folder / f"{name}.py").is_file()]
        found.add(other.folder, list(dict.fromkeys(there)), other, f"{repo_id}--")
    commits = {snapshot.repo_id: snapshot.commit} if snapshot is not None else {}
    commits |= {repo_id: other.commit for repo_id, other in others.items()}
    passed = {commits[repo_id] for repo_id in others} | (
        {snapshot.commit} if snapshot is not None and checkpoint.names_itself else set()
    )
    code = Code(
        name_of(checkpoint),
        (snapshot.revision or "main") if snapshot is not None else None,
        commits,
        found.contents,
        tuple(found.missing),
        min(passed, default=None),
    )
    if len(passed) > 1:
        raise PipelineLoadError(
            f"{code} name code of each other, and only one of them can be pinned.",
            hint="Copy the code into one repository, so that one commit pins it all.",
        )
    return code


def _base_code(checkpoint: Checkpoint, access: HubAccess, pins: Mapping[str, str]) -> tuple[Snapshot, list[str]] | None:
    """Return an adapter's base model and the modules that it names; None if it is no adapter, or the base has none."""
    repo_id = checkpoint.base_model
    if repo_id is None:
        return None
    try:
        snapshot = fetch_pinned(repo_id, pins.get(repo_id), access)
        base = read_checkpoint(snapshot.folder, snapshot)
    except (HubError, PipelineLoadError):  # transformers may do without; if not, it says what it lacks
        return None
    modules = code_modules(base).get("", [])
    return (snapshot, modules) if modules else None
