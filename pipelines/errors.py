"""The errors that pipesmith raises on purpose, each a sentence and a hint.

    PipeError
    ├── ProjectError           pyproject.toml or pipelines/__init__.py is wrong
    ├── PipelineLoadError      a pipeline file or a checkpoint cannot be loaded
    │   ├── HubError           a repository cannot be fetched
    │   ├── MissingLibraryError  a tiny model needs a library that is not installed
    │   └── UntrustedCodeError code of a checkpoint would run and nobody agreed to it
    ├── TaskNotFoundError      no task of that name
    ├── TaskConflictError      two entries of one name at one level
    ├── ParameterError         a parameter is unknown, or its value has the wrong type
    ├── InputError             an input cannot be read, or the model cannot take it
    ├── OutputError            results cannot be written
    ├── ScaffoldError          files cannot be planned or written
    ├── ContractError          a pipeline breaks the contract of pipelines
    └── PublishError           a repository cannot be published

This module is not where they are shown: `cli/group.py` turns them into text and an exit code.
"""

from __future__ import annotations


class PipeError(Exception):
    """An error that its reader can mend.

    Args:
        message: one sentence that names what failed and the offending value.
        hint: what to do next, often a command; None if nothing is known to help.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ProjectError(PipeError):
    """pyproject.toml or pipelines/__init__.py is wrong."""


class PipelineLoadError(PipeError):
    """A pipeline file or a checkpoint cannot be loaded."""


class MissingLibraryError(PipelineLoadError):
    """An architecture needs a library that is not installed.

    Args:
        architecture: its name.
        library: as pip knows it.
    """

    def __init__(self, architecture: str, library: str) -> None:
        super().__init__(
            f"A tiny {architecture} needs {library}, which is not installed.", hint=f"pip install {library}"
        )
        self.library = library


class HubError(PipelineLoadError):
    """A repository of the Hub cannot be fetched."""


class UntrustedCodeError(PipelineLoadError):
    """Code that a checkpoint or repository brings would run, and nobody agreed to it."""


class TaskNotFoundError(PipeError):
    """No task of that name."""

    exit_code = 2


class TaskConflictError(PipeError):
    """Two entries of one name at one level."""


class ParameterError(PipeError):
    """A parameter is unknown, or its value has the wrong type."""

    exit_code = 2


class InputError(PipeError):
    """An input cannot be read, or the model cannot take it."""


class OutputError(PipeError):
    """Results cannot be written."""


class ScaffoldError(PipeError):
    """Files cannot be planned or written."""


class ContractError(PipeError):
    """A pipeline breaks the contract of pipelines."""


class PublishError(PipeError):
    """A repository cannot be published."""


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those that it came from, in turn."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain
