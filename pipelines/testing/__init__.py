"""What tests of pipelines need: tiny random models of every architecture, made offline, and runs on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipesmith.pipelines.errors import MissingLibraryError
    from pipesmith.pipelines.testing.asserting import ANY, nested_simplify, require_tf, require_torch, slow
    from pipesmith.pipelines.testing.expected import Expected, expected_outputs
    from pipesmith.pipelines.testing.tiny_models import TinyModel, tiny_architectures, tiny_model
    from pipesmith.pipelines.testing.tiny_runs import ArchitectureRun, run_on_architectures, run_pipeline_test

__all__ = [
    "ANY",
    "ArchitectureRun",
    "Expected",
    "MissingLibraryError",
    "TinyModel",
    "expected_outputs",
    "nested_simplify",
    "require_tf",
    "require_torch",
    "run_on_architectures",
    "run_pipeline_test",
    "slow",
    "tiny_architectures",
    "tiny_model",
]
_NAMES = {
    "errors": ("MissingLibraryError",),
    "testing.asserting": ("ANY", "nested_simplify", "require_tf", "require_torch", "slow"),
    "testing.expected": ("Expected", "expected_outputs"),
    "testing.tiny_models": ("TinyModel", "tiny_architectures", "tiny_model"),
    "testing.tiny_runs": ("ArchitectureRun", "run_on_architectures", "run_pipeline_test"),
}


def __getattr__(name: str) -> Any:  # pytest loads the plugin of this package in every project, so it has to be light
    import importlib

    for module, names in _NAMES.items():
        if name in names:
            return getattr(importlib.import_module(f"pipesmith.pipelines.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
