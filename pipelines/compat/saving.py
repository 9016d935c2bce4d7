"""A model's config as it is saved: without what was supplied to it here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipesmith.pipelines.compat.table import note

CONFIG_DEFAULTS = {"prefix": None, "task_specific_params": None, "torchscript": False}  # that every config had on 4


@contextmanager
def saving(model: Any) -> Iterator[None]:
    """Have model.config without what was supplied, and generation parameters where 4 moved them before it saved."""
    found = generation_parameters(model.config) if hasattr(model, "generation_config") else {}
    for name, value in found.items():
        note("generation parameters of config")
        setattr(model.generation_config, name, value)
        setattr(model.config, name, None)
    held = vars(model.config)
    supplied = {name: value for name, value in CONFIG_DEFAULTS.items() if name in held and held[name] is value}
    for name in supplied:
        delattr(model.config, name)
    try:
        yield
    finally:
        for name, value in supplied.items():
            setattr(model.config, name, value)


def generation_parameters(config: Any) -> Mapping[str, Any]:
    """Return the generation parameters that a model's config holds, where 4 had them; none on 4 itself."""
    read = getattr(config, "_get_generation_parameters", None)  # what generate() of 5 itself asks before it refuses
    return read() if read is not None else {}
