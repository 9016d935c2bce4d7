"""What `pipe trust` does: show code, ask, record; accept a project's lock; list; revoke."""

from __future__ import annotations

from typing import Any

from pipesmith.cli import output
from pipesmith.pipelines.errors import UntrustedCodeError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.trust import Locks
from pipesmith.pipelines.trust.code import find_code, parse_name
from pipesmith.pipelines.trust.gate import described, differs, listed, record
from pipesmith.pipelines.trust.review import source


def agree(name: str, access: HubAccess, *, for_user: bool, yes: bool, trust_project: bool) -> None:
    """Show the code of a repository or folder, or what has changed in it, and record consent.

    Raises:
        UntrustedCodeError: nobody agreed.
        HubError, PipelineLoadError: the code cannot be had.
    """
    locks = Locks(trust_project)
    code = find_code(name, access)
    if not code.contents:
        output.note(f"{code} brings no code: there is nothing to trust.")
        return
    entry = locks.find(code.name)
    if entry is not None and entry.revision == code.revision and not differs(entry, code):
        output.note(f"{code} is trusted already.")
        return
    text = described(code, entry)
    output.print_text(text if entry else f"{source(code)}\n{text}")
    _confirm("Trust it?", source(code), yes, f"pipe trust {code.request} --yes")
    record(locks, code, output.note, for_user=for_user)
    if locks.project is not None and not locks.is_accepted and not for_user:
        output.note(f"{locks.project.path} is not accepted yet, so it was left alone: pipe trust --project")


def accept_project(*, yes: bool) -> None:
    """Show a project's lock, and let it count from here on.

    Raises:
        UntrustedCodeError: there is none, or nobody agreed.
    """
    locks = Locks()
    if locks.project is not None and locks.project.checksum:
        output.print_text(locks.project.text())
        if locks.is_accepted:
            output.note(f"{locks.project.path} is accepted already.")
            return
        question = f"{locks.project.path} lets this code run:\n{listed(locks.project)}\nAccept this lock?"
        _confirm(question, locks.project.text(), yes, "pipe trust --project --yes")
    locks.accept_project()
    output.note("Accepted, until the file changes.")


def revoke(name: str, *, trust_project: bool) -> None:
    """Take consent back.

    Raises:
        UntrustedCodeError: there was none.
    """
    for path in Locks(trust_project).revoke(parse_name(name)[0]):
        output.note(f"{name} is not trusted any more: removed from {path}.")


def show_list(*, as_json: bool, trust_project: bool) -> None:
    """Show every entry of the locks that there are here."""
    locks = Locks(trust_project)
    report: list[dict[str, Any]] = [
        {
            "name": name,
            "revision": entry.revision,
            "commits": dict(entry.commits),
            "files": dict(entry.files),
            "lock": str(lock.path),
            "counts": lock is locks.user or locks.is_accepted,
        }
        for lock, name, entry in locks.entries()
    ]
    if as_json:
        output.print_json(report)
        return
    rows = [
        [
            row["name"],
            row["revision"] or "-",
            ", ".join(f"{commit[:12]} ({repo_id})" for repo_id, commit in row["commits"].items()) or "-",
            f"{len(row['files'])}",
            row["lock"] if row["counts"] else f"{row['lock']} (not accepted: pipe trust --project)",
        ]
        for row in report
    ]
    if rows:
        output.print_table(["name", "revision", "commits", "files", "lock"], rows)
    else:
        output.note("Nothing is trusted here.")


def _confirm(question: str, more: str, yes: bool, command: str) -> None:
    if yes:
        return
    ask = output.asker()
    if ask is None:
        raise UntrustedCodeError("Nobody can be asked here, so nothing was recorded.", hint=f"If you agree: {command}")
    if not ask(question, more):
        raise UntrustedCodeError("Nothing was recorded.", hint="Nothing of it will run.")
