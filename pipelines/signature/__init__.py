"""A task's parameters, read from source without importing it.

Not a check of the pipeline (`testing` runs it), and not the place where flags become values (`cli/flags.py`): this is
what `pipe run TASK --help`, `pipe info` and the flags are made of. Only source is read; neither torch nor transformers
nor the user's file is imported. What cannot be read becomes a note.

A type comes, in this order, from the annotation of the stage, that of `_sanitize_parameters`, the stage's default, the
call of `generate` or of the tokenizer that gets the parameter, and a docstring that names the type. Otherwise it is
text. For transformers' own pipelines, which annotate little, docstrings come before defaults, and checks in the code
and the names that transformers uses throughout come last.

Where a parameter goes is followed through `_sanitize_parameters` (`routing.py`); where that cannot be followed, it goes
to the stages that have a parameter of its name, with their annotation and default (`fallback.py`).
"""

from __future__ import annotations

from pathlib import Path

from pipesmith.pipelines.signature.model import InputParameter, Parameter, Signature
from pipesmith.pipelines.signature.parameter_types import ParameterType
from pipesmith.pipelines.source import ClassReference

__all__ = ["InputParameter", "Parameter", "ParameterType", "Signature", "pipeline_classes", "read_signature"]


def read_signature(reference: ClassReference) -> Signature:
    """Read the signature of a pipeline class.

    Raises:
        PipelineLoadError: the file is missing or does not parse, or has no such class.
    """
    from pipesmith.pipelines.signature import reading  # what only looks at the data above does not pay for the reader

    return reading.read_signature(reference)


def pipeline_classes(file: Path) -> list[str]:
    """List the pipelines that a file defines, in file order: no private ones, and no unfinished bases of others.

    Raises:
        PipelineLoadError: the file is missing or does not parse.
    """
    from pipesmith.pipelines.signature import reading

    return reading.pipeline_classes(file)
