"""The answers of `/api/...`, in the order of routes.py."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from hub import cards
from hub.accounts import Account
from hub.call import Call
from hub.messages import HubError, Response, entry_not_found, json_response, repo_not_found
from hub.state import Hub
from hub.store import REGULAR_LIMIT, Commit, File, PullRequest, Repository, is_lfs

_REPO_NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_][A-Za-z0-9_.-]{0,94}[A-Za-z0-9_]|[A-Za-z0-9_]")
_REF_NAME = re.compile(r"(?!refs/|.*(\.\.|//|@\{))[^\s~^:?*\[\\]+(?<![/.])")


def stamp(date: datetime) -> str:
    """A date as the clients parse it."""
    return date.strftime("%Y-%m-%dT%H:%M:%S.000Z")


# --- 1: who asks ---------------------------------------------------------------------------------------------------


def whoami(call: Call) -> Response:
    account = call.account
    if account is None:
        raise HubError(401, message="Invalid username or password.")
    organizations = call.hub.accounts.organizations
    token = {"displayName": account.role, "role": account.role, "createdAt": "2026-01-01T00:00:00.000Z"}
    answer = {
        "type": "user",
        "id": _hex_id(account.name),
        "name": account.name,
        "fullname": account.name.title(),
        "email": f"{account.name}@users.noreply.example",
        "orgs": [{"type": "org", "name": name} for name, members in organizations.items() if account.name in members],
        "auth": {"type": "access_token", "accessToken": token},
    }
    return json_response(answer)


def _hex_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


# --- 2, 3: repositories --------------------------------------------------------------------------------------------


def create_repo(call: Call) -> Response:
    asked = call.request.json()
    kind, repo_id = _named_repo(call, asked)
    namespace, _, name = repo_id.partition("/")
    call.hub.require_writer(call.account, namespace, f"create a {kind}")
    if not _REPO_NAME.fullmatch(name):
        raise HubError(400, message=f"Invalid repository name: {name}")
    prefix = "" if kind == "model" else f"{kind}s/"
    answer = {"url": f"{call.hub.endpoint}/{prefix}{repo_id}", "name": repo_id, "id": _hex_id(f"{kind}/{repo_id}")}
    if (kind, repo_id) in call.hub.repositories:
        message = f"You already created this {kind} repo"
        raise HubError(409, message=message, payload={"error": message, "url": answer["url"]})
    private = asked.get("private") is True or asked.get("visibility") == "private"
    call.hub.add(kind, repo_id, private=private, sdk=asked.get("sdk"))
    return json_response(answer)


def delete_repo(call: Call) -> Response:
    kind, repo_id = _named_repo(call, call.request.json())
    repo = call.hub.readable(call.account, kind, repo_id)
    call.hub.require_writer(call.account, repo.namespace, f"delete a {kind}")
    del call.hub.repositories[kind, repo_id]
    return json_response({})


def _named_repo(call: Call, asked: dict[str, Any]) -> tuple[str, str]:
    if call.account is None:
        raise HubError(401, message="Invalid username or password.")
    return asked.get("type") or "model", f"{asked.get('organization') or call.account.name}/{asked['name']}"


def repo_settings(call: Call) -> Response:
    repo, asked = call.writable_repo("change settings"), call.request.json()
    if "visibility" in asked or "private" in asked:
        repo.private = asked.get("private") is True or asked.get("visibility") == "private"
    if "gated" in asked:
        repo.gated = asked["gated"]
    return json_response({"private": repo.private, "gated": repo.gated})


def auth_check(call: Call) -> Response:
    call.hub.downloadable(call.account, call.kind, call.repo_id)
    return json_response({})


def auth_check_write(call: Call) -> Response:
    call.writable_repo()
    return json_response({})


# --- 4: the card's metadata ----------------------------------------------------------------------------------------


def validate_yaml(call: Call) -> Response:
    metadata, errors = cards.read_card(call.request.json()["content"])
    missing = [] if metadata or errors else [{"message": "empty or missing yaml metadata in repo card"}]
    answer = {"errors": [{"message": error} for error in errors], "warnings": missing}
    return json_response(answer, 400 if errors else 200)


# --- 5, 9: commits -------------------------------------------------------------------------------------------------


def preupload(call: Call) -> Response:
    """Which files are LFS, which to leave out, and which are there already."""
    (repo, _), asked = _committer(call), call.request.json()
    there = repo.at(call.args["rev"])
    hosted = there.files.get(".gitignore")
    ignored = _ignored(asked.get("gitIgnore") or (hosted.content.decode() if hosted else ""))
    attributes = asked.get("gitAttributes") or repo.attributes(there.id)
    files = [_preuploaded(there, each, attributes, ignored) for each in asked["files"]]
    return json_response({"files": files, "commitOid": there.id})


def _preuploaded(there: Commit, asked: dict[str, Any], attributes: str, ignored: list[str]) -> dict[str, Any]:
    path = asked["path"]
    lfs = is_lfs(path, asked["size"], attributes)
    answer = {
        "path": path,
        "uploadMode": "lfs" if lfs else "regular",
        "shouldIgnore": any(fnmatchcase(part, pattern) for part in [path, *path.split("/")] for pattern in ignored),
    }
    file = there.files.get(path)
    if file and bool(file.sha256) == lfs:
        answer["oid"] = file.sha256 or file.blob_id
    return answer


def _ignored(text: str) -> list[str]:
    """.gitignore's patterns, its plainest forms only: a name, a folder, a path."""
    lines = (line.strip() for line in text.splitlines())
    return [line.strip("/") for line in lines if line and line[0] not in "#!"]


def commit(call: Call) -> Response:
    (repo, account), revision = _committer(call), call.args["rev"]
    header, add, delete = _operations(repo, call.request.json_lines())
    title, description = header.get("summary") or "Upload files", header.get("description") or ""
    pull = None
    with repo.lock:
        head = repo.at(revision)
        if call.request.flag("create_pr"):
            if header.get("parentCommit") not in (None, head.id):
                raise HubError(412, message="A commit has happened since. Please refresh and try again.")
            pull = repo.open_pull(title, description, account.name)
        made = repo.commit(
            revision,
            add,
            delete,
            title=title,
            description=description,
            author=account.name,
            parent=header.get("parentCommit"),
            target=f"refs/pr/{pull.number}" if pull else None,
        )
    url = f"{call.hub.endpoint}/{repo.url_path}"
    answer = {"success": True, "commitOid": made.id, "commitUrl": f"{url}/commit/{made.id}", "hookOutput": ""}
    if pull:
        answer["pullRequestUrl"] = f"{url}/discussions/{pull.number}"
    return json_response(answer)


def _committer(call: Call) -> tuple[Repository, Account]:
    """The repository and who commits, if that is allowed; a pull request may come from anybody."""
    repo = call.repo()
    if call.request.flag("create_pr") or call.args["rev"].startswith("refs/pr/"):
        return repo, call.hub.require_write_token(call.account)
    return repo, call.hub.require_writer(call.account, repo.namespace, "commit")


def _operations(repo: Repository, operations: list[Any]) -> tuple[dict[str, Any], dict[str, File], list[str]]:
    """The header of a commit, the files it adds and the paths it deletes."""
    header: dict[str, Any] = {}
    add: dict[str, File] = {}
    delete: list[str] = []
    for operation in operations:
        key, value = operation["key"], operation["value"]
        if key == "header":
            header = value
        elif key == "file":
            add[_checked_path(value["path"])] = _regular_file(value)
        elif key == "lfsFile":
            add[_checked_path(value["path"])] = _lfs_file(repo, value)
        elif key == "deletedFile":
            delete.append(value["path"])
        elif key == "deletedFolder":
            delete.append(f"{value['path'].rstrip('/')}/")
        else:
            raise HubError(400, message=f"Unknown operation: {key}")
    return header, add, delete


def _checked_path(path: str) -> str:
    parts = path.split("/")
    if ".git" in parts or any(part in ("", ".", "..") for part in parts):
        raise HubError(400, message=f"Invalid path: {path}")
    return path


def _regular_file(value: dict[str, Any]) -> File:
    encoded = value.get("encoding") == "base64"
    content = base64.b64decode(value["content"]) if encoded else value["content"].encode()
    if len(content) > REGULAR_LIMIT:
        raise HubError(400, message=f"{value['path']} is too large for a regular file: it must be uploaded as LFS")
    if value["path"] == "README.md" and (errors := cards.read_card(content.decode(errors="replace"))[1]):
        raise HubError(400, message=f"Invalid metadata in README.md: {'; '.join(errors)}".replace("\n", " "))
    return File(content)


def _lfs_file(repo: Repository, value: dict[str, Any]) -> File:
    if value["oid"] not in repo.lfs:
        raise HubError(400, message=f"LFS object {value['oid']} of {value['path']} was not uploaded")
    return File(repo.lfs[value["oid"]], value["oid"])


# --- 10, 17: information -------------------------------------------------------------------------------------------


def repo_info(call: Call) -> Response:
    repo, made = call.repo(), call.commit()
    siblings = [_sibling(path, file, call.request.flag("blobs")) for path, file in sorted(made.files.items())]
    return json_response({**_summary(repo, made), "siblings": siblings})


def _summary(repo: Repository, made: Commit) -> dict[str, Any]:
    of_kind: dict[str, dict[str, Any]] = {"model": {"modelId": repo.id}, "dataset": {}, "space": {"sdk": repo.sdk}}
    return {
        "_id": _hex_id(f"{repo.kind}/{repo.id}"),
        "id": repo.id,
        **of_kind[repo.kind],
        "author": repo.namespace,
        "sha": made.id,
        "lastModified": stamp(made.date),
        "createdAt": stamp(repo.created),
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        **cards.describe(made),
    }


def _sibling(path: str, file: File, details: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if details:
        sibling |= {"size": file.size, "blobId": file.blob_id}
        if file.sha256:
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.blob)}
    return sibling


def list_repos(call: Call) -> Response:
    query = call.request.query
    wanted = [
        repo
        for repo in call.hub.repositories.values()
        if repo.kind == call.kind
        and query.get("search", "").lower() in repo.id.lower()
        and query.get("author", repo.namespace) == repo.namespace
        and (not repo.private or call.hub.accounts.member(call.account, repo.namespace))
    ]
    return json_response([_summary(repo, repo.at("main")) for repo in wanted[: int(query.get("limit", 1000))]])


# --- 11, 12: files -------------------------------------------------------------------------------------------------


def tree(call: Call) -> Response:
    """What stands in a folder, or with `recursive` at and under it."""
    repo, made, folder = call.repo(), call.commit(), call.args["path"].strip("/")
    if folder not in made.folders:
        raise entry_not_found(made.id)
    prefix = f"{folder}/" if folder else ""
    below = [path for path in [*made.folders, *made.files] if path and path.startswith(prefix)]
    if not call.request.flag("recursive"):
        below = [path for path in below if "/" not in path.removeprefix(prefix)]
    expand = call.request.flag("expand")
    entries = [_entry(repo, made, path, expand) for path in sorted(below)]
    return json_response(entries, headers={"X-Repo-Commit": made.id})


def paths_info(call: Call) -> Response:
    """The same of single paths; those that are absent are left out."""
    repo, made = call.repo(), call.commit()
    if "json" in call.request.headers.get("content-type", ""):
        asked = call.request.json()
        paths, expand = asked["paths"], asked.get("expand") is True
    else:
        form = call.request.form()
        paths, expand = form.get("paths", []), form.get("expand", [""])[-1].lower() == "true"
    there = [path for path in paths if path in made.files or path in made.folders]
    return json_response([_entry(repo, made, path, expand) for path in there])


def _entry(repo: Repository, made: Commit, path: str, expand: bool) -> dict[str, Any]:
    file = made.files.get(path)
    if file is None:
        entry = {"type": "directory", "oid": made.folders[path], "size": 0, "path": path}
    else:
        entry = {"type": "file", "oid": file.blob_id, "size": file.size, "path": path}
        if file.sha256:
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.blob)}
    if expand:
        last = _last_change(repo, made, path)
        entry["lastCommit"] = {"id": last.id, "title": last.title, "date": stamp(last.date)}
    return entry


def _last_change(repo: Repository, made: Commit, path: str) -> Commit:
    log = repo.log(made.id)
    for newer, older in itertools.pairwise(log):
        if _oid(newer, path) != _oid(older, path):
            return newer
    return log[-1]


def _oid(made: Commit, path: str) -> str | None:
    file = made.files.get(path)
    return file.blob_id if file else made.folders.get(path)


# --- 13, 14, 15: refs and history ----------------------------------------------------------------------------------


def refs(call: Call) -> Response:
    repo = call.repo()
    answer = {
        "branches": _refs_under(repo, "refs/heads/"),
        "converts": [],
        "tags": _refs_under(repo, "refs/tags/"),
    }
    if call.request.flag("include_prs"):
        answer["pullRequests"] = [{**pull, "name": pull["ref"]} for pull in _refs_under(repo, "refs/pr/")]
    return json_response(answer)


def _refs_under(repo: Repository, prefix: str) -> list[dict[str, str]]:
    found = [(ref, commit) for ref, commit in repo.refs.items() if ref.startswith(prefix)]
    return [{"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": commit} for ref, commit in found]


def commits(call: Call) -> Response:
    log = call.repo().log(call.args["rev"])
    entries = [
        {
            "id": made.id,
            "title": made.title,
            "message": made.description,
            "authors": [{"user": made.author}],
            "date": stamp(made.date),
        }
        for made in log
    ]
    return json_response(entries, headers={"X-Total-Count": str(len(log))})


def create_tag(call: Call) -> Response:
    repo, asked = call.writable_repo("tag"), call.request.json()
    return _add_ref(repo, f"refs/tags/{asked['tag']}", asked["tag"], repo.at(call.args["rev"]).id)


def create_branch(call: Call) -> Response:
    repo, name = call.writable_repo("branch"), call.args["rev"]
    start = repo.at(call.request.json().get("startingPoint") or "main")
    return _add_ref(repo, f"refs/heads/{name}", name, start.id)


def _add_ref(repo: Repository, ref: str, name: str, commit_id: str) -> Response:
    if not _REF_NAME.fullmatch(name):
        raise HubError(400, message=f"Invalid reference name: {name}")
    if ref in repo.refs:
        raise HubError(409, message=f"Reference already exists: {name}")
    repo.refs[ref] = commit_id
    return json_response({"ref": ref, "targetCommit": commit_id})


def delete_tag(call: Call) -> Response:
    return _delete_ref(call, "refs/tags/")


def delete_branch(call: Call) -> Response:
    if call.args["rev"] == "main":
        raise HubError(403, message="The main branch cannot be deleted")
    return _delete_ref(call, "refs/heads/")


def _delete_ref(call: Call, prefix: str) -> Response:
    repo, name = call.writable_repo("delete a reference"), call.args["rev"]
    if repo.refs.pop(prefix + name, None) is None:
        raise HubError(404, "RevisionNotFound", f"Reference does not exist: {name}")
    return json_response({})


# --- pull requests, beyond the table -------------------------------------------------------------------------------


def create_discussion(call: Call) -> Response:
    repo, asked = call.repo(), call.request.json()
    account = call.hub.require_write_token(call.account)
    if not asked.get("pullRequest"):
        raise HubError(400, message="Only pull requests are opened here")
    pull = repo.open_pull(asked["title"], asked.get("description") or "", account.name)
    return json_response({"num": pull.number, "url": f"{call.hub.endpoint}/{repo.url_path}/discussions/{pull.number}"})


def discussions(call: Call) -> Response:
    repo = call.repo()
    listed = [_pull(call.hub, repo, pull) for pull in repo.pulls.values()]
    return json_response({"discussions": listed, "count": len(listed), "start": 0})


def discussion(call: Call) -> Response:
    repo = call.repo()
    pull = repo.pulls.get(int(call.args["number"]))
    if pull is None:
        raise HubError(404, message="Discussion not found")
    changes = {"base": "refs/heads/main"}
    details = {"events": [], "filesWithConflicts": [], "changes": changes, "diff": ""}
    return json_response({**_pull(call.hub, repo, pull), **details})


def _pull(hub: Hub, repo: Repository, pull: PullRequest) -> dict[str, Any]:
    return {
        "num": pull.number,
        "title": pull.title,
        "author": {"name": pull.author, "type": "user"},
        "createdAt": stamp(pull.date),
        "status": "open",
        "isPullRequest": True,
        "repo": {"name": repo.id, "type": repo.kind},
    }


# --- everything else -----------------------------------------------------------------------------------------------


def no_such_repo(call: Call) -> Response:
    """A path of a repository whose name is of one part, or of a kind of page that is not here."""
    raise repo_not_found(call.account)


def absent(call: Call) -> Response:
    """What the real Hub has and this one has not; the clients take a 404 for it."""
    raise HubError(404, message="Not here")
