"""Git's object ids and LFS pointers, computed as git and git-lfs do; no repository on disk.

Format: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects and
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath


def _object_id(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def blob_id(content: bytes) -> str:
    """The id of a file's content."""
    return _object_id("blob", content)


def tree_ids(blobs: Mapping[str, str]) -> dict[str, str]:
    """The id of every folder, the root's under `""`, from the blob id of every path."""
    folders = {""} | {parent for path in blobs for parent in parents(path)}
    entries: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for path, blob in blobs.items():
        folder, _, name = path.rpartition("/")
        entries[folder].append((name, f"100644 {name}\0".encode() + bytes.fromhex(blob)))
    ids = {}
    for folder in sorted(folders, key=_depth, reverse=True):
        ids[folder] = _object_id("tree", b"".join(entry for _, entry in sorted(entries[folder])))
        if folder:
            above, _, name = folder.rpartition("/")
            # Git sorts a folder as if its name ended in a slash.
            entries[above].append((f"{name}/", f"40000 {name}\0".encode() + bytes.fromhex(ids[folder])))
    return ids


def parents(path: str) -> list[str]:
    """The folders above a path, without the root."""
    return [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "."]


def _depth(folder: str) -> int:
    return folder.count("/") + bool(folder)


def commit_id(*, tree: str, commit_parents: Sequence[str], author: str, date: datetime, message: str) -> str:
    """The id of a commit whose author is also its committer."""
    person = f"{author} <{author}@users.noreply.example> {int(date.timestamp())} +0000"
    lines = [
        f"tree {tree}",
        *(f"parent {parent}" for parent in commit_parents),
        f"author {person}",
        f"committer {person}",
        "",
        message,
        "",
    ]
    return _object_id("commit", "\n".join(lines).encode())


def lfs_pointer(sha256: str, size: int) -> bytes:
    """What git stores in place of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
