"""The one gate before code of a checkpoint or a repository runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipesmith.pipelines.checkpoint import Checkpoint, code_modules
from pipesmith.pipelines.errors import UntrustedCodeError
from pipesmith.pipelines.names import counted
from pipesmith.pipelines.trust import checked, review
from pipesmith.pipelines.trust.code import Code, code_of, name_of
from pipesmith.pipelines.trust.lock import Entry, Lock
from pipesmith.pipelines.trust.locks import Locks

if TYPE_CHECKING:
    from pipesmith.pipelines.targets import LoadOptions

_declined: set[str] = set()  # checksums of projects' locks that their user did not accept in this process


def require(checkpoint: Checkpoint, task: str | None, options: LoadOptions) -> Code | None:
    """Let the code of a checkpoint run only if its user agreed: in a lock, at the terminal, or by --trust-remote-code.

    A lock has the last word: what differs from it is refused, --trust-remote-code or not.

    Args:
        checkpoint: the folder.
        task: the custom pipeline that is wanted from it; None if its model alone is.
        options: `access`, `trust_remote_code`, `trust_project`, `ask` and `notify` matter here.

    Returns:
        The code that may run; None if there is none.

    Raises:
        UntrustedCodeError: nobody agreed, or to something else; names the files, and shows the difference.
        HubError, PipelineLoadError: as `code_of`.
    """
    if not code_modules(checkpoint, task) and checkpoint.base_model is None:
        return None
    name = name_of(checkpoint)
    locks = open_locks(name, options)
    entry = locks.find(name)
    code = code_of(checkpoint, options.access, entry.commits if entry else None)
    if not code.contents and not code.missing:  # an adapter whose base model brings none
        return None
    if entry is not None and not differs(entry, code):
        pass
    elif entry is None and options.trust_remote_code:
        options.notify(f"The code of {code} runs, as --trust-remote-code says.")
    elif options.ask is not None and options.ask(f"{described(code, entry)}\nTrust it?", review.source(code)):
        record(locks, code, options.notify)
    else:
        raise _refusal(locks, code, entry)
    checked.allow(code.contents)
    return code


def differs(entry: Entry, code: Code) -> bool:
    """Tell whether code is another commit, or has another file, than what was agreed to."""
    other_commit = any(entry.commits.get(repo_id) != commit for repo_id, commit in code.commits.items())
    return other_commit or any(entry.files.get(name) != now for name, now in code.hashes.items())


def open_locks(name: str, options: LoadOptions) -> Locks:
    """Open the locks; if the project's alone speaks of a name and was never accepted, ask whether it counts."""
    locks = Locks(options.trust_project)
    if locks.project and options.ask and locks.is_only_proposed(name) and locks.project.checksum not in _declined:
        text = f"{locks.project.path} came with this project, and you have not accepted it. It trusts:"
        text += f"\n{listed(locks.project)}\nAccept this lock?"
        if options.ask(text, locks.project.text()):
            locks.accept_project()
        else:
            _declined.add(locks.project.checksum)
    return locks


def listed(lock: Lock) -> str:
    """Show a lock's entries, a line each."""
    return "\n".join(
        f"  {name}  {counted(len(entry.files), 'file')}"
        + "".join(f", {repo_id} at commit {commit}" for repo_id, commit in entry.commits.items())
        for name, entry in sorted(lock.code.items())
    )


def record(locks: Locks, code: Code, notify: Callable[[str], None], *, for_user: bool = False) -> None:
    """Write down that code was agreed to, and say where."""
    path = locks.record(code, for_user=for_user)
    review.keep_texts(code.contents)
    notify(f"{code} is trusted: recorded in {path}.")


def described(code: Code, entry: Entry | None, before: Code | None = None) -> str:
    """Say what would run, or what differs from what was agreed to.

    Args:
        code: what is there now.
        entry: what was agreed to; None if nothing was.
        before: code that still has what was agreed to, if it is at hand.
    """
    if entry is None:
        return f"{code} brings code that would run on this machine:\n{review.summary(code)}"
    return f"{_change(code, entry)}\n{review.diff(entry, code, before)}".rstrip()


def _change(code: Code, entry: Entry) -> str:
    changed = [name for name, now in code.hashes.items() if entry.files.get(name) != now]
    trusted = " and ".join(f"{repo_id} at commit {commit}" for repo_id, commit in entry.commits.items())
    what = f"{', '.join(changed)} {'differs' if len(changed) == 1 else 'differ'}" if changed else "its code is the same"
    return f"{code} is not what was trusted{f', {trusted}' if trusted else ''}: {what}."


def _refusal(locks: Locks, code: Code, entry: Entry | None) -> UntrustedCodeError:
    command = f"pipe trust {shlex.quote(code.request)}"
    if entry is not None:
        return UntrustedCodeError(
            review.shortened(described(code, entry)), hint=f"Read it, and agree to it as it is now: {command}"
        )
    proposed = ""
    if locks.project is not None and locks.is_only_proposed(code.name):
        proposed = (
            f"\n{locks.project.path} trusts it, and you have not accepted that lock: pipe trust --project "
            "(in a CI job: PIPE_TRUST_PROJECT=1 or --trust-project)."
        )
    return UntrustedCodeError(
        f"{described(code, None)}{proposed}",
        hint=f"Read it, and agree to this very code: {command}\nOr let it run this once with --trust-remote-code.",
    )
