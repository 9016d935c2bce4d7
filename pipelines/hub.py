"""Model repositories of the Hub, as folders of one commit in huggingface_hub's cache.

A repository is fetched in two steps, so that its code can be looked at before gigabytes arrive: first the small files
(configuration, tokenizer, code), then the weights of one format. Not here: what the files mean (`checkpoint.py`), and
whether their code may run (`trust/`).
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pipesmith.pipelines.errors import HubError, ParameterError, causes
from pipesmith.pipelines.names import near_miss

Result = TypeVar("Result")

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/\w[\w.-]{0,95}", re.ASCII)
_WEIGHTS = re.compile(r".*\.(safetensors|bin|h5|msgpack|onnx|pt|pth|ckpt|gguf|ot|tflite|pb|mlmodel|npz|pkl)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
ATTEMPTS = 5
_PATIENCE = 20.0  # seconds after which a fault is taken for lasting
_FIRST_WAIT = 0.5  # seconds; doubled after each attempt


@dataclass(frozen=True)
class HubAccess:
    """How the Hub is reached.

    Args:
        token: an access token; huggingface_hub's login if None.
        offline: whether only the cache may be read.
    """

    token: str | None = field(default=None, repr=False)
    offline: bool = False

    def __post_init__(self) -> None:
        if self.token is None:
            return
        token = self.token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ParameterError("The token is empty, or holds characters that no token has.", hint="hf auth login")
        object.__setattr__(self, "token", token)


@dataclass(frozen=True)
class Snapshot:
    """Files of a repository at one commit.

    Args:
        repo_id: user/repo.
        commit: 40 hexadecimal digits.
        folder: where the files lie.
        checksums: the repository's files, if the Hub was asked: of each the SHA-256, or git's id of its content (40
            digits) if it is small; "" if the Hub did not say.
        revision: what was asked for; None for the main branch.
    """

    repo_id: str
    commit: str
    folder: Path
    checksums: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The repository's files; none if the Hub was not asked."""
        return tuple(self.checksums)

    def __str__(self) -> str:
        return f"{self.repo_id} at commit {self.commit}"


def is_repo_id(name: str) -> bool:
    """Tell whether a name has the form user/repo."""
    is_bad = any(part in name for part in ("..", "--")) or name.endswith((".", "-", ".git"))
    return _REPO_ID.fullmatch(name) is not None and not is_bad


def fetch_small_files(
    repo_id: str, revision: str | None, access: HubAccess, *, endings: tuple[str, ...] = ("",)
) -> Snapshot:
    """Fetch a repository's files except its weights, at the commit that a revision names now.

    Args:
        repo_id: user/repo.
        revision: a branch, a tag or a commit; the main branch if None.
        access: how the Hub is reached.
        endings: how the names of the files that are wanted end.

    Raises:
        HubError: the repository, the revision or the network is not there, or the token does not open it.
    """
    if access.offline or _offline_by_environment():
        return cached(repo_id, revision) or _not_cached(repo_id, revision)
    from huggingface_hub import HfApi

    api = HfApi(token=access.token)
    try:
        info = retried(lambda: api.model_info(repo_id, revision=revision, files_metadata=True))
    except Exception as error:  # the network's, the Hub's and the file system's errors have no common base
        found = cached(repo_id, revision) if _is_unreachable(error) else None
        if found is not None:
            return found
        raise hub_error(error, repo_id, revision, access) from error
    checksums = {sibling.rfilename: _checksum(sibling) for sibling in info.siblings or ()}
    small = [name for name in checksums if not _WEIGHTS.fullmatch(name) and name.endswith(endings)]
    commit = info.sha or revision or "main"
    folder = download(repo_id, commit, small, access)
    asked = revision if revision and _COMMIT.fullmatch(revision) else commit
    if folder.name != asked:
        raise HubError(
            f"{repo_id} has a branch or tag with the name of a commit, {asked}, which is at {folder.name}.",
            hint="Such a name misleads on purpose. Name another revision, if you know its owner.",
        )
    _remember(folder, revision or "main")
    return Snapshot(repo_id, folder.name, folder, checksums, revision)


def resolve_commit(repo_id: str, revision: str | None, access: HubAccess) -> str:
    """Ask the Hub which commit a revision of a repository is now; its main branch if None.

    Raises:
        HubError: as `fetch_small_files`, or nobody may ask.
    """
    if access.offline or _offline_by_environment():
        found = cached(repo_id, revision) or _not_cached(repo_id, revision)
        return found.commit
    from huggingface_hub import HfApi

    try:
        info = retried(lambda: HfApi(token=access.token).model_info(repo_id, revision=revision))
    except Exception as error:  # as in fetch_small_files
        raise hub_error(error, repo_id, revision, access) from error
    return str(info.sha)


def fetch_weights(snapshot: Snapshot, access: HubAccess, *, allow_pickle: bool = False, verify: bool = False) -> None:
    """Fetch the weights of a snapshot, in one format: safetensors if there are any, else PyTorch's own.

    Args:
        snapshot: what `fetch_small_files` returned.
        access: how the Hub is reached.
        allow_pickle: whether PyTorch's own format, which can hold code, is taken.
        verify: whether every byte is compared with what the Hub says of the commit.

    Raises:
        HubError: as `fetch_small_files`; the weights are pickles; or a byte is not the commit's.
    """
    # If only the cache could be asked, it holds them or not.
    wanted = _weights_of_one_format(snapshot.names or _files_in(snapshot.folder))
    pickles = [name for name in wanted if name.endswith(_PICKLES)]
    if pickles and not allow_pickle:
        raise HubError(
            f"The weights of {snapshot} are in a format that can hold code: {pickles[0]}.",
            hint="Ask its author for safetensors; if you trust the repository: --allow-pickle",
        )
    if wanted and snapshot.names:
        download(snapshot.repo_id, snapshot.commit, wanted, access)
    if verify:
        for name in snapshot.names or _files_in(snapshot.folder):
            if (snapshot.folder / name).is_file():
                check_file(snapshot, name)


def check_file(snapshot: Snapshot, name: str, content: bytes | None = None) -> None:
    """Compare a downloaded file with what the Hub says of the commit, or else with the name that its cache gave it.

    Args:
        snapshot: where the file lies.
        name: its path there.
        content: its bytes, if they are read already.

    Raises:
        HubError: a byte differs.
    """
    file = (snapshot.folder / name).resolve()
    expected = snapshot.checksums.get(name) or file.name  # the cache calls a blob by its checksum
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", expected):
        return
    digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1()
    if len(expected) == 40:  # git's id of a content
        digest.update(f"blob {file.stat().st_size if content is None else len(content)}\0".encode())
    if content is not None:
        digest.update(content)
    else:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    if digest.hexdigest() != expected:
        raise HubError(
            f"{name} is not what {snapshot} holds: the downloaded file was changed.",
            hint=f"Remove it, and it is fetched again: rm {file}",
        )


def _checksum(sibling: Any) -> str:
    lfs = sibling.lfs
    sha256 = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
    return str(sha256 or sibling.blob_id or "")


def _files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


def cached(repo_id: str, revision: str | None) -> Snapshot | None:
    """Return what the cache holds of a repository's revision, without asking the network; None if it holds nothing."""
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"
    reference = place / "refs" / (revision or "main")
    commit = reference.read_text() if reference.is_file() else (revision or "")
    folder = place / "snapshots" / commit
    # A repository of code alone, which others name, has no config.json.
    holds_enough = _COMMIT.fullmatch(commit) and ((folder / "config.json").is_file() or any(folder.glob("*.py")))
    return Snapshot(repo_id, commit, folder, revision=revision) if holds_enough else None


def fetch_pinned(repo_id: str, commit: str | None, access: HubAccess) -> Snapshot:
    """Fetch a repository's small files at a commit, from the cache if the Hub does not give them any more.

    Args:
        repo_id: user/repo.
        commit: 40 digits; None for what the main branch is now.
        access: how the Hub is reached.

    Raises:
        HubError: neither the Hub nor the cache gives them.
    """
    try:
        return fetch_small_files(repo_id, commit, access)
    except HubError:
        kept = cached(repo_id, commit) if commit else None
        if kept is None:
            raise
        return kept


def _remember(folder: Path, revision: str) -> None:
    """Note in the cache which commit a branch or tag named, as huggingface_hub does when it is asked by that name."""
    if revision == folder.name:
        return
    reference = folder.parent.parent / "refs" / revision
    if not reference.is_file() or reference.read_text() != folder.name:
        reference.parent.mkdir(parents=True, exist_ok=True)
        draft = reference.with_name(f"{reference.name}.{os.getpid()}.part")
        draft.write_text(folder.name)
        draft.replace(reference)


def _offline_by_environment() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _not_cached(repo_id: str, revision: str | None) -> Snapshot:
    raise HubError(
        f"{repo_id}{f' at {revision}' if revision else ''} is not in the cache, and the Hub may not be asked.",
        hint="Run once without --offline and HF_HUB_OFFLINE, or name a folder.",
    )


def _weights_of_one_format(names: Iterable[str]) -> list[str]:
    top = [name for name in names if "/" not in name]
    wanted = []
    kinds = [("model", "pytorch_model")]
    if "adapter_config.json" in top:
        kinds.append(("adapter_model", "adapter_model"))
    for stems in kinds:  # safetensors before PyTorch's own
        for stem, ending in zip(stems, ("safetensors", "bin")):
            chosen = [name for name in top if re.fullmatch(rf"{stem}(-\d+-of-\d+)?\.{ending}", name)]
            if chosen:
                wanted += chosen
                break
    return wanted or [name for name in top if name in ("tf_model.h5", "flax_model.msgpack")]


def download(repo_id: str, commit: str, names: Iterable[str], access: HubAccess, *, cache: Path | None = None) -> Path:
    """Fetch files of a commit: small ones together, weights one after the other, each with its progress bar.

    huggingface_hub's own bars for several files are drawn over each other, and over what is said after them.

    Args:
        repo_id: user/repo.
        commit: 40 hexadecimal digits.
        names: the files.
        access: how the Hub is reached.
        cache: the folder that is downloaded to; huggingface_hub's own cache if None.

    Returns:
        The folder of this commit.

    Raises:
        HubError: a file cannot be fetched.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    names = list(names)
    at: dict[str, Any] = {"revision": commit, "cache_dir": cache, "token": access.token}
    weights = [name for name in names if _WEIGHTS.fullmatch(name)]
    others = [glob.escape(name) for name in names if name not in weights]
    has_bars = not are_progress_bars_disabled()
    try:
        if others or not weights:
            disable_progress_bars()
            try:
                folder = Path(retried(lambda: snapshot_download(repo_id, allow_patterns=others, **at)))
            finally:
                if has_bars:
                    enable_progress_bars()
        for name in weights:
            file = retried(functools.partial(hf_hub_download, repo_id, name, **at))
            folder = Path(file).parents[name.count("/")]
    except Exception as error:  # as above
        raise hub_error(error, repo_id, commit, access) from error
    return folder


def is_passing(error: BaseException) -> bool:
    """Tell whether another attempt may help: 5xx, 429, and lost connections."""
    return status_of(error) in (429, 500, 502, 503, 504) or _is_lost_connection(error)


def retried(call: Callable[[], Result]) -> Result:
    """Call the Hub again, with growing pauses, where another attempt may help."""
    start = time.monotonic()
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except Exception as error:  # re-raised unless it is a passing fault
            if not is_passing(error):
                raise
            if time.monotonic() - start > _PATIENCE:  # huggingface_hub tries again by itself, too
                raise
        pause(attempt)
    return call()


def pause(attempt: int) -> None:
    """Wait before the next attempt: half a second after the first, then twice as long each time."""
    time.sleep(_FIRST_WAIT * 2 ** (attempt - 1))


def status_of(error: BaseException) -> int | None:
    """Return the status of the Hub's answer that an exception came from, None if there was no answer."""
    for one in causes(error):
        response: Any = getattr(one, "response", None)
        if response is not None and isinstance(getattr(response, "status_code", None), int):
            return int(response.status_code)
    return None


# By name: huggingface_hub 2 raises httpx2's errors, 1 httpx's and 0.36 those of requests and urllib3.
_LOST = {
    "RemoteProtocolError",
    "ReadError",
    "WriteError",
    "ReadTimeout",
    "ConnectionError",
    "ProtocolError",
    "ChunkedEncodingError",
}
_UNREACHABLE = {
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "ConnectTimeoutError",
    "NewConnectionError",
    "ProxyError",
}


def _is_lost_connection(error: BaseException) -> bool:
    return any(type(one).__name__ in _LOST for one in causes(error)) and not _is_refused(error)


def _is_refused(error: BaseException) -> bool:
    return any(
        isinstance(one, ConnectionRefusedError) or "NewConnectionError" in type(one).__name__ for one in causes(error)
    )


def _is_unreachable(error: BaseException) -> bool:
    names = {type(one).__name__ for one in causes(error)}
    return bool(names & (_UNREACHABLE | _LOST)) or (status_of(error) or 0) >= 500


def hub_error(error: Exception, repo_id: str, revision: str | None, access: HubAccess) -> HubError:
    """Say in a sentence why the Hub did not give what was asked.

    Args:
        error: what huggingface_hub raised.
        repo_id: user/repo.
        revision: what was asked for.
        access: how it was asked.
    """
    from huggingface_hub import constants, errors, get_token

    if isinstance(error, HubError):
        return error
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{repo_id} is gated: its owner gives access on request.",
            hint=f"Ask for it at {constants.ENDPOINT}/{repo_id}, then log in: hf auth login",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return no_revision(repo_id, revision, access)
    if isinstance(error, errors.RepositoryNotFoundError):
        return no_repository(repo_id, access)
    if isinstance(error, errors.HFValidationError):
        return HubError(f"{repo_id} is no name of a repository.", hint="A repository is user/repo.")
    status = status_of(error)
    if status == 401 or "Invalid user token" in str(error):
        return HubError(
            f"The Hub does not accept the token with which {repo_id} was asked for.",
            hint="Log in again: hf auth login, or give another --token.",
        )
    if status == 403:
        return HubError(f"The token may not read {repo_id}.", hint="Give it read access, or log in as somebody else.")
    if status is not None:
        return HubError(
            f"The Hub answered {status} for {repo_id}, again and again."
            if status >= 500
            else f"The Hub answered {status} for {repo_id}.",
            hint="Try again later, or name a folder with --model.",
        )
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)) or (
        _is_unreachable(error) and not _is_lost_connection(error)
    ):
        return HubError(
            f"{constants.ENDPOINT} cannot be reached, and {repo_id} is not in the cache.",
            hint="Check the network, or name a folder with --model.",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return HubError(
            f"{repo_id} cannot be stored: {error.strerror}.",
            hint="Look at the disk and at HF_HOME, where it would lie.",
        )
    if _is_lost_connection(error):
        return HubError(
            f"The connection to {constants.ENDPOINT} broke off again and again while {repo_id} was fetched.",
            hint="Run again: what has arrived is kept.",
        )
    first_line = str(error).strip().partition("\n")[0]
    for secret in (access.token, get_token()):
        first_line = first_line.replace(secret, "***") if secret else first_line
    return HubError(f"{repo_id} cannot be fetched: {type(error).__name__}: {first_line}.")


def no_repository(repo_id: str, access: HubAccess) -> HubError:
    """Say that there is no such model repository, or what else has that name."""
    from huggingface_hub import HfApi, get_token

    api = HfApi(token=access.token)
    for kind, words in (("dataset", "a data set"), ("space", "a Space")):
        try:
            api.repo_info(repo_id, repo_type=kind)
        except Exception:  # the first error stands; this only looks for a better word
            continue
        return HubError(f"{repo_id} is {words}, not a model.", hint="Name a model repository.")
    if access.token or get_token():
        return HubError(
            f"There is no model repository {repo_id}, or your token may not see it.",
            hint="Check the name, and whether the repository is another user's private one.",
        )
    return HubError(
        f"There is no model repository {repo_id}, or it is private.",
        hint="Check the name; for a private repository log in: hf auth login",
    )


def no_revision(repo_id: str, revision: str | None, access: HubAccess) -> HubError:
    """Say that a repository lacks a revision, and which it has."""
    from huggingface_hub import HfApi

    try:
        refs = HfApi(token=access.token).list_repo_refs(repo_id)
    except Exception:  # the first error stands
        return HubError(f"{repo_id} has no revision {revision}.")
    names = [ref.name for ref in [*refs.branches, *refs.tags]]
    return HubError(
        f"{repo_id} has no revision {revision}.",
        hint=near_miss(revision or "", names) or f"It has {', '.join(names[:10]) or 'none'}.",
    )
