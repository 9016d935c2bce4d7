"""What a person reads before agreeing to code: its files, hints of what they touch, and what has changed.

Hints come from the source alone. They help to read; code that hides what it does is not found out by them.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipesmith.pipelines.trust.checked import sha256
from pipesmith.pipelines.trust.code import Code
from pipesmith.pipelines.trust.lock import Entry

# What a name, or anything under it, is taken as a hint of; the longest name that fits counts.
_TOUCHES = {
    "network": """socket ssl http urllib urllib3 requests httpx aiohttp ftplib smtplib poplib imaplib telnetlib xmlrpc
        websockets websocket paramiko huggingface_hub webbrowser asyncio.open_connection torch.hub""",
    "subprocess": """subprocess pty os.system os.popen os.fork os.forkpty os.posix_spawn os.posix_spawnp os.startfile
        os.execv os.execve os.execvp os.execvpe os.execl os.execle os.execlp os.execlpe os.spawnl os.spawnle os.spawnlp
        os.spawnv os.spawnve os.spawnvp multiprocessing asyncio.create_subprocess_exec asyncio.create_subprocess_shell
        signal""",
    "files": """open io.open os.open os.remove os.unlink os.rmdir os.removedirs os.rename os.replace os.mkdir
        os.makedirs os.listdir os.scandir os.walk os.chmod os.chown os.link os.symlink shutil tempfile glob pathlib
        fileinput mmap sqlite3 zipfile tarfile""",
    "eval": """eval exec compile __import__ importlib runpy code codeop pickle marshal shelve dill joblib cloudpickle
        ctypes cffi types.FunctionType types.CodeType builtins torch.load inspect.getsource base64 sys.modules
        sys.meta_path gc""",
    "environment": "os.environ os.getenv os.putenv os.environb sys.path sys.argv getpass platform dotenv",
}
_HINTS = {name: what for what, names in _TOUCHES.items() for name in names.split()}


def hints(source: bytes) -> dict[str, list[str]]:
    """Name what a file's source touches: network, subprocess, files, eval, environment.

    Returns:
        "name (line N)" of each place where it is first seen, by what it touches; a file that does not parse is "eval".
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {"eval": ["does not parse"]}
    found: dict[str, dict[str, int]] = {}
    for name, line in sorted(_names(tree), key=lambda item: item[1]):
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            what = _HINTS.get(".".join(parts[:end]))
            if what is not None:
                found.setdefault(what, {}).setdefault(".".join(parts[:end]), line)
                break
    return {what: [f"{name} (line {line})" for name, line in found[what].items()] for what in _TOUCHES if what in found}


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the dotted names that a module imports or uses, as they are called where they come from."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and node not in inner:
            dotted, base = [], node
            while isinstance(base, ast.Attribute):
                dotted.append(base.attr)
                base = base.value  # type: ignore[assignment]  # what is no name ends the loop
                inner.add(base)
            if isinstance(base, ast.Name):
                yield ".".join([known.get(base.id, base.id), *reversed(dotted)]), node.lineno


def summary(code: Code) -> str:
    """List the files of code with their sizes, and what they touch."""
    shown = {name.replace("--", ": ", 1): f"{len(content):,} bytes" for name, content in code.contents.items()}
    shown |= {name.replace("--", ": ", 1): "missing" for name in code.missing}
    width = max(map(len, shown), default=0)
    lines = [f"  {name:<{width}}  {size}" for name, size in shown.items()]
    touched = {name: hints(content) for name, content in code.contents.items()}
    if any(touched.values()):
        lines.append("Hints, not proof, of what it touches:")
        for name, found in touched.items():
            lines += [f"  {name.replace('--', ': ', 1)}: {what}: {', '.join(where)}" for what, where in found.items()]
    return _visible("\n".join(lines))


def source(code: Code) -> str:
    """Return all of the code, each file under its name."""
    return "\n".join(f"=== {_visible(name)}\n{_decoded(content)}" for name, content in code.contents.items())


def diff(entry: Entry, code: Code, before: Code | None = None) -> str:
    """Show how code differs from what was agreed to, as a unified diff; "" if no file does.

    Args:
        entry: what was agreed to.
        code: what is there now.
        before: code that may still have what was agreed to; otherwise the texts kept then are used.
    """
    parts = []
    for name in sorted({*entry.files, *code.hashes}):
        agreed, now = entry.files.get(name), code.hashes.get(name)
        if agreed == now:
            continue
        old = _agreed_text(agreed, name, before)
        shown = _visible(name)
        title = f"{shown} {'as it was trusted' if agreed else '(new)'}", shown if now else f"{shown} (gone)"
        new = _decoded(code.contents[name]).split("\n") if now else []
        if old is None:
            parts.append(f"--- {title[0]}: its text is not at hand, so all of it is shown\n--- sha256 {agreed}")
            parts += [f"+++ {title[1]}\n+++ sha256 {now}", *(f"+{line}" for line in new)]
        else:
            parts += difflib.unified_diff(old.split("\n") if agreed else [], new, *title, lineterm="")
    return "\n".join(parts)


def shortened(text: str, lines: int = 40) -> str:
    """Return the first lines of a text, and how many more there are."""
    found = text.splitlines()
    more = len(found) - lines
    return "\n".join([*found[:lines], f"... and {more:,} lines more"]) if more > 0 else text


def keep_texts(contents: Mapping[str, bytes]) -> None:
    """Keep what was agreed to, so that a later difference can be shown. It is a cache: nothing depends on it."""
    with contextlib.suppress(OSError):
        folder = _texts()
        folder.mkdir(parents=True, exist_ok=True)
        for content in contents.values():
            (folder / sha256(content)).write_bytes(content)


def _agreed_text(agreed: str | None, name: str, before: Code | None) -> str | None:
    if agreed is None:
        return ""
    if before is not None and before.hashes.get(name) == agreed:
        return _decoded(before.contents[name])
    with contextlib.suppress(OSError):
        content = (_texts() / agreed).read_bytes()
        if sha256(content) == agreed:
            return _decoded(content)
    return None


def _texts() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("pipesmith") / "trusted"


def _decoded(content: bytes) -> str:
    return _visible(content.decode("utf-8", errors="backslashreplace"))


def _visible(text: str) -> str:
    """Show what a terminal would obey and not print: escapes, returns, and marks that turn the order of letters."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)
