"""Files on their way to a client: resolve, raw, and the second origin's downloads."""

from __future__ import annotations

import hmac
import re
from urllib.parse import quote

from hub.call import Call
from hub.messages import HubError, Response, entry_not_found
from hub.store import Commit, File, Repository


def resolve(call: Call) -> Response:
    """A regular file itself; for an LFS file, where it can be had without a token."""
    repo, commit, file = _find(call)
    about = {"X-Repo-Commit": commit.id, "Accept-Ranges": "bytes"}
    if file.sha256 is None:
        about |= {"ETag": f'"{file.blob_id}"', "Content-Type": "text/plain; charset=utf-8"}
        return with_range(file.content, about, call.request.headers.get("range"))
    about |= {
        "X-Linked-Etag": f'"{file.sha256}"',
        "X-Linked-Size": str(file.size),
        "Location": download_url(call, repo, file.sha256),
    }
    return Response(302, f"Found. Redirecting to {about['Location']}".encode(), about)


def raw(call: Call) -> Response:
    """Git's blob: the pointer of an LFS file."""
    _, commit, file = _find(call)
    about = {"X-Repo-Commit": commit.id, "ETag": f'"{file.blob_id}"', "Content-Type": "text/plain; charset=utf-8"}
    return with_range(file.blob, about, call.request.headers.get("range"))


def _find(call: Call) -> tuple[Repository, Commit, File]:
    repo = call.hub.downloadable(call.account, call.kind, call.repo_id)
    commit = repo.at(call.args["rev"])
    file = commit.files.get(call.args["path"])
    if file is None:
        raise entry_not_found(commit.id)
    return repo, commit, file


def download_url(call: Call, repo: Repository, sha256: str) -> str:
    name = call.args["path"].rpartition("/")[2]
    signature = call.hub.sign("download", repo.kind, repo.id, sha256)
    return f"{call.hub.cdn}/download/{sha256}/{quote(name)}?repo={repo.kind}s/{repo.id}&signature={signature}"


def download(call: Call) -> Response:
    """An LFS file at the second origin."""
    kinds, _, repo_id = call.request.query.get("repo", "").partition("/")
    repo = call.hub.repositories.get((kinds.removesuffix("s"), repo_id))
    sha256 = call.args["oid"]
    if repo is None or sha256 not in repo.lfs:
        raise HubError(404, message="No such object")
    check_signature(call, "download", repo.kind, repo.id, sha256)
    about = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    return with_range(repo.lfs[sha256], about, call.request.headers.get("range"))


def check_signature(call: Call, *parts: object) -> None:
    if not hmac.compare_digest(call.request.query.get("signature", ""), call.hub.sign(*parts)):
        raise HubError(403, message="The signature does not match")


def with_range(content: bytes, about: dict[str, str], asked: str | None) -> Response:
    """The content, or the one range of it that was asked for."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.replace(" ", "")) if asked else None
    if not found or found.group(1, 2) == ("", ""):
        return Response(200, content, about)
    first, last = found.group(1, 2)
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= stop:
        return Response(416, b"", {**about, "Content-Range": f"bytes */{len(content)}"})
    return Response(206, content[start:stop], {**about, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"})
