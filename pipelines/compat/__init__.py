"""Pipelines written for transformers 4 on transformers 5: their code runs unchanged, with the results that it had.

`table.py` is the table of what is supplied and the record of what was used; `imports.py` gives it to the imports of a
user's modules, `classes.py` to their classes, `instances.py` to the models and tokenizers that these are given;
`gone.py` says what no longer exists. `remote.py` loads code that a checkpoint brings in the same way. transformers'
own modules and classes are never changed, and on transformers 4 nothing here does anything.
`returned.py` has the classes of tasks that 5 has removed.

Not here: TensorFlow; code that reaches into the internals of models.
"""

from __future__ import annotations

from pipesmith.pipelines.compat.classes import adapt_class, build_class, init_arguments
from pipesmith.pipelines.compat.gone import GoneError, pin_hint
from pipesmith.pipelines.compat.imports import import_module
from pipesmith.pipelines.compat.instances import adapt_parts
from pipesmith.pipelines.compat.table import SHIMS, Shim, needed, used

__all__ = [
    "SHIMS",
    "GoneError",
    "Shim",
    "adapt_class",
    "adapt_parts",
    "build_class",
    "import_module",
    "init_arguments",
    "needed",
    "pin_hint",
    "used",
]
