"""Whether code that a repository or a checkpoint folder brings may run: what `pipe trust` records and every load asks.

    fetch_trusted     a repository's small files, at the commit that was trusted (pinned.py)
    code_of           the files that loading a checkpoint can execute, read once (code.py)
    require           the one gate: a lock, a person at a terminal, or --trust-remote-code (gate.py)
    checked.check     in the importer that executes a file: these very bytes, or nothing (checked.py)

Consent is a text file with commits and SHA-256 (lock.py); which of them count here is for locks.py. review.py is what a
person reads before saying yes. A file that the user names as the task is the user's own and does not come through here.
"""

from __future__ import annotations

from pipesmith.pipelines.trust.code import Code, code_of
from pipesmith.pipelines.trust.gate import require
from pipesmith.pipelines.trust.locks import Locks
from pipesmith.pipelines.trust.pinned import fetch_trusted

__all__ = ["Code", "Locks", "code_of", "fetch_trusted", "require"]
