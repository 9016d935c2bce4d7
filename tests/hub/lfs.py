"""LFS uploads: the batch call, the second origin that takes the bytes, whole or in parts, and the check afterwards."""

from __future__ import annotations

import hashlib
from typing import Any

from hub.call import Call
from hub.downloads import check_signature
from hub.messages import HubError, Response, json_response
from hub.store import Repository


def batch(call: Call) -> Response:
    """Where to put each object; nowhere if it is there already."""
    asked = call.request.json()
    if asked.get("operation") != "upload":
        raise HubError(400, message="Only uploads go through this call here")
    repo = call.repo()
    # Whoever may open a pull request may upload for it.
    call.hub.require_write_token(call.account)
    parts = call.hub.part_size if "multipart" in asked.get("transfers", ()) else None
    objects = [_place(call, repo, each["oid"], each["size"], parts) for each in asked["objects"]]
    in_parts = any("header" in each.get("actions", {}).get("upload", {}) for each in objects)
    answer = {"transfer": "multipart" if in_parts else "basic", "objects": objects}
    return json_response(answer, headers={"Content-Type": "application/vnd.git-lfs+json"})


def _place(call: Call, repo: Repository, oid: str, size: int, part_size: int | None) -> dict[str, Any]:
    if size > call.hub.lfs_limit:
        error = {"code": 422, "message": f"The file is larger than {call.hub.lfs_limit} bytes"}
        return {"oid": oid, "size": size, "error": error}
    if oid in repo.lfs:
        return {"oid": oid, "size": size, "authenticated": True}
    upload: dict[str, Any] = {"href": _upload_url(call, repo, oid, size)}
    if part_size and size > part_size:
        count = -(-size // part_size)
        urls = {f"{part:05d}": _upload_url(call, repo, oid, size, part) for part in range(1, count + 1)}
        upload["header"] = {"chunk_size": str(part_size), **urls}
    verify = {"href": f"{call.hub.endpoint}/{repo.url_path}.git/info/lfs/objects/verify"}
    return {"oid": oid, "size": size, "authenticated": True, "actions": {"upload": upload, "verify": verify}}


def _upload_path(repo: Repository, oid: str) -> str:
    return f"/upload/{repo.kind}s/{repo.id}/{oid}"


def _upload_url(call: Call, repo: Repository, oid: str, size: int, part: int = 0) -> str:
    path = _upload_path(repo, oid)
    return f"{call.hub.cdn}{path}?size={size}&part={part}&signature={call.hub.sign('upload', path, size, part)}"


def put(call: Call) -> Response:
    """Bytes of an object, or of one part of it."""
    repo, size, part = _signed(call)
    content = call.request.body
    if part:
        call.hub.parts.setdefault(_upload_path(repo, call.args["oid"]), {})[part] = content
    else:
        _keep(repo, call.args["oid"], size, content)
    return Response(200, b"", {"ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'})


def complete(call: Call) -> Response:
    """Put the parts of an object together."""
    repo, size, _ = _signed(call)
    oid = call.args["oid"]
    there = call.hub.parts.pop(_upload_path(repo, oid), {})
    listed = sorted(call.request.json()["parts"], key=lambda part: part["partNumber"])
    for part in listed:
        content = there.get(part["partNumber"], b"")
        if part["etag"].strip('"') != hashlib.md5(content, usedforsecurity=False).hexdigest():
            raise HubError(400, message=f"Part {part['partNumber']} is missing or another one")
    _keep(repo, oid, size, b"".join(there[part["partNumber"]] for part in listed))
    return json_response({"success": True})


def _signed(call: Call) -> tuple[Repository, int, int]:
    """The repository, the object's size and the part's number that the signed URL names."""
    repo = call.hub.repositories.get((call.kind, call.repo_id))
    if repo is None:
        raise HubError(404, message="No such repository")
    size, part = (int(call.request.query.get(name, -1)) for name in ("size", "part"))
    check_signature(call, "upload", _upload_path(repo, call.args["oid"]), size, part)
    return repo, size, part


def _keep(repo: Repository, oid: str, size: int, content: bytes) -> None:
    if len(content) != size or hashlib.sha256(content).hexdigest() != oid:
        raise HubError(400, message="The content is not what was announced")
    repo.add_lfs(content)


def verify(call: Call) -> Response:
    """Whether the object has arrived."""
    repo, asked = call.repo(), call.request.json()
    if len(repo.lfs.get(asked["oid"], b"")) != asked["size"] or asked["oid"] not in repo.lfs:
        raise HubError(404, message="The object was not uploaded")
    return json_response({"success": True})
