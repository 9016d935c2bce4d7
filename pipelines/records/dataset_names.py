"""Data sets of the Hub by name, and in a sentence why the Hub does not give one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.hub import HubAccess, hub_error
from pipesmith.pipelines.names import near_miss

URL = re.compile(
    r"(?:hf://datasets/)?(?P<repo_id>[^/@:]+(?:/[^/@:]+)?)(?:@(?P<revision>[^/:]+))?(?::(?P<config>[^/]+))?/?"
)
FILE_URL = re.compile(r"hf://datasets/(?P<repo_id>[^/@:]+/[^/@:]+)(?:@(?P<revision>[^/]+))?/(?P<path>.+)")


@dataclass(frozen=True)
class Place:
    """What a name of the Hub says.

    Args:
        name: as its user wrote it.
        repo_id: user/name, or the name alone of an old one.
        revision: a branch, tag or commit.
        config: one of the configurations of a data set.
        path: of a file in the repository.
    """

    name: str
    repo_id: str
    revision: str | None
    config: str | None = None
    path: str = ""


def place_of(form: re.Pattern[str], name: str) -> Place:
    """Take apart a name of one of the forms above.

    Raises:
        InputError: it has another form.
    """
    found = form.fullmatch(name)
    if found is None:
        raise InputError(
            f"{name} is no data set of the Hub.",
            hint="Write hf://datasets/user/name, with @revision, :config or /file after it.",
        )
    return Place(name, **{key: unquote(part) if part else part for key, part in found.groupdict().items()})


def is_offline(access: HubAccess) -> bool:
    """Tell whether only the cache may be read."""
    from huggingface_hub import constants

    return access.offline or bool(constants.HF_HUB_OFFLINE)


def failure(error: Exception, place: Place, access: HubAccess) -> InputError:
    """Say in a sentence why the Hub, or the library `datasets`, did not give what was asked."""
    from huggingface_hub import constants, errors

    if isinstance(error, InputError):
        return error
    name = f"The data set {place.repo_id}"
    if isinstance(error, errors.GatedRepoError):
        return InputError(
            f"{name} is gated: its owner gives access on request.",
            hint=f"Ask for it at {constants.ENDPOINT}/datasets/{place.repo_id}, then log in: hf auth login",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{name} has no revision {place.revision}.")
    if isinstance(error, errors.LocalEntryNotFoundError) and is_offline(access):
        return InputError(
            f"{place.name} is not in the cache, and the Hub may not be asked.",
            hint="Run once without --offline and HF_HUB_OFFLINE.",
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return InputError(f"{name} has no file {place.path}.", hint=_near_file(place, access))
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            f"There is no data set {place.repo_id} on the Hub, or it is private.",
            hint="Check the name; for a private one log in: hf auth login",
        )
    if isinstance(error, RuntimeError) and "scripts are no longer supported" in str(error):
        return InputError(
            f"{name} is made by a script of its repository, which pipesmith does not run.",
            hint=f"The Hub may have it as parquet: hf://datasets/{place.repo_id}@refs%2Fconvert%2Fparquet",
        )
    said = hub_error(error, place.repo_id, place.revision, access)
    return InputError(said.message, hint=None if "--model" in (said.hint or "") else said.hint)


def _near_file(place: Place, access: HubAccess) -> str | None:
    from huggingface_hub import HfApi

    try:
        files = HfApi(token=access.token).list_repo_files(place.repo_id, revision=place.revision, repo_type="dataset")
    except Exception:  # the first error stands; this only looks for a better hint
        return None
    return near_miss(place.path, files)
