"""Repositories: files, commits, branches, tags and pull requests, in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property

from hub import git
from hub.messages import HubError, revision_not_found

# The Hub puts it into a new repository's first commit; it decides which files are LFS whatever their size.
_LFS_ENDINGS = """
    7z arrow bin bz2 ckpt ftz gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar
    safetensors tar tflite tgz wasm xz zip zst
"""
GITATTRIBUTES = "".join(f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in _LFS_ENDINGS.split())
# A file above this is LFS whatever its name.
REGULAR_LIMIT = 10 * 1024 * 1024


@dataclass(frozen=True)
class File:
    """A file's content; `sha256` is given if it is LFS."""

    content: bytes
    sha256: str | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    @cached_property
    def blob(self) -> bytes:
        """What git stores: the content, or the pointer of an LFS file."""
        return git.lfs_pointer(self.sha256, self.size) if self.sha256 else self.content

    @cached_property
    def blob_id(self) -> str:
        return git.blob_id(self.blob)


@dataclass(frozen=True)
class Commit:
    """A state of all files.

    Args:
        folders: folder -> git's tree id, the root's under "".
    """

    id: str
    files: Mapping[str, File]
    folders: Mapping[str, str]
    parents: tuple[str, ...]
    title: str
    description: str
    author: str
    date: datetime


@dataclass
class PullRequest:
    """A pull request; its commits are at `refs/pr/<number>`."""

    number: int
    title: str
    description: str
    author: str
    date: datetime


@dataclass
class Repository:
    """A model, dataset or space.

    Args:
        kind: "model", "dataset" or "space".
        gated: False, "auto" or "manual".
        granted: users who may download from it though it is gated.
        refs: "refs/heads/main" -> commit id; also refs/tags/..., refs/pr/....
        lfs: the LFS files that were uploaded to it, by sha256; a commit can name these alone.
    """

    kind: str
    id: str
    now: Callable[[], datetime]
    private: bool = False
    gated: str | bool = False
    sdk: str | None = None
    granted: set[str] = field(default_factory=set)
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    lfs: dict[str, bytes] = field(default_factory=dict)
    # Tests commit from their own thread while the server may be doing so.
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        first = {".gitattributes": File(GITATTRIBUTES.encode())}
        self.created = self._write("refs/heads/main", first, (), "initial commit", "", self.namespace).date

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    @property
    def url_path(self) -> str:
        """The repository's path in URLs for people and for downloads."""
        return self.id if self.kind == "model" else f"{self.kind}s/{self.id}"

    def ref(self, revision: str) -> str | None:
        """The full name of a branch, tag or pull request."""
        revision = "main" if revision == "HEAD" else revision
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def at(self, revision: str) -> Commit:
        """The commit that a branch, tag, commit id, `refs/pr/N` or `HEAD` names."""
        name = self.ref(revision)
        commit = self.commits.get(self.refs[name] if name else revision)
        if commit is None:
            raise revision_not_found(revision)
        return commit

    def branch(self, revision: str) -> str:
        """The full name of a branch or pull request: what can be committed to."""
        name = self.ref(revision)
        if name is None or name.startswith("refs/tags/"):
            raise revision_not_found(revision)
        return name

    def log(self, revision: str) -> list[Commit]:
        """The commits behind a revision, the newest first, along first parents."""
        commits = [self.at(revision)]
        while commits[-1].parents:
            commits.append(self.commits[commits[-1].parents[0]])
        return commits

    def attributes(self, revision: str) -> str:
        """The text of .gitattributes."""
        file = self.at(revision).files.get(".gitattributes")
        return file.content.decode(errors="replace") if file else ""

    def file(self, path: str, content: bytes, revision: str = "main") -> File:
        """A file as it would be after an upload: an LFS file's content is stored as well."""
        return self.add_lfs(content) if is_lfs(path, len(content), self.attributes(revision)) else File(content)

    def add_lfs(self, content: bytes) -> File:
        sha256 = hashlib.sha256(content).hexdigest()
        self.lfs[sha256] = content
        return File(content, sha256)

    def commit(
        self,
        revision: str,
        add: Mapping[str, File],
        delete: Iterable[str] = (),
        *,
        title: str,
        description: str = "",
        author: str,
        parent: str | None = None,
        target: str | None = None,
    ) -> Commit:
        """Commit on top of a branch.

        Args:
            delete: paths; one that ends in a slash is a folder.
            parent: the commit that the branch must still be at.
            target: the full name of the ref to write, if it is another one (a new pull request).

        Raises:
            HubError: 412 if the branch moved.
        """
        with self.lock:
            branch = self.branch(revision)
            head = self.commits[self.refs[branch]]
            if parent and parent != head.id:
                raise HubError(412, message="A commit has happened since. Please refresh and try again.")
            files = dict(head.files)
            for path in delete:
                for gone in _covered(files, path):
                    del files[gone]
            files.update(add)
            return self._write(target or branch, files, (head.id,), title, description, author)

    def _write(
        self,
        ref: str,
        files: Mapping[str, File],
        parents: tuple[str, ...],
        title: str,
        description: str,
        author: str,
    ) -> Commit:
        date = self.now()
        folders = git.tree_ids({path: file.blob_id for path, file in files.items()})
        message = f"{title}\n\n{description}" if description else title
        oid = git.commit_id(tree=folders[""], commit_parents=parents, author=author, date=date, message=message)
        commit = Commit(oid, dict(files), folders, parents, title, description, author, date)
        self.commits[oid] = commit
        self.refs[ref] = oid
        return commit

    def open_pull(self, title: str, description: str, author: str) -> PullRequest:
        """A pull request that is still at the head of main."""
        with self.lock:
            number = len(self.pulls) + 1
            self.pulls[number] = PullRequest(number, title, description, author, self.now())
            self.refs[f"refs/pr/{number}"] = self.refs["refs/heads/main"]
            return self.pulls[number]


def is_lfs(path: str, size: int, attributes: str) -> bool:
    """Whether the Hub takes a file as LFS, by its size and .gitattributes."""
    lines = [line.split() for line in attributes.splitlines()]
    patterns = [line[0] for line in lines if "filter=lfs" in line]
    name = path.rpartition("/")[2]
    by_name = any(fnmatchcase(path if "/" in pattern else name, pattern) for pattern in patterns)
    return size > REGULAR_LIMIT or (by_name and size > 0)


def _covered(files: Iterable[str], path: str) -> list[str]:
    """The files that a path to delete means."""
    found = [file for file in files if file == path or (path.endswith("/") and file.startswith(path))]
    if not found:
        raise HubError(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
    return found
