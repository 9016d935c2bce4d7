"""The checks of the contract, each a small function; their order here is that of reports.

interface.py     the four methods, and what `_sanitize_parameters` routes
parameters.py    parameters at construction and at call
outputs.py       what `postprocess` returns
batches.py       batches, lists, generators, order
state.py         calls that do not know of each other
surroundings.py  inputs, and the process around
models.py        eval mode, devices, precisions
failures.py      bad rows
publishing.py    saved, published, the other framework
"""

from __future__ import annotations

from pipesmith.pipelines.testing.contract.checks import (
    batches,
    failures,
    interface,
    models,
    outputs,
    parameters,
    publishing,
    state,
    surroundings,
)

__all__ = ["batches", "failures", "interface", "models", "outputs", "parameters", "publishing", "state", "surroundings"]
