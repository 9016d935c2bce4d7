"""What tests of pipelines need: tiny random models of every architecture, made offline, and runs on all of them."""

from __future__ import annotations

from pipesmith.pipelines.testing.tiny_models import MissingLibraryError, TinyModel, tiny_architectures, tiny_model
from pipesmith.pipelines.testing.tiny_runs import ArchitectureRun, run_on_architectures, run_pipeline_test

__all__ = [
    "ArchitectureRun",
    "MissingLibraryError",
    "TinyModel",
    "run_on_architectures",
    "run_pipeline_test",
    "tiny_architectures",
    "tiny_model",
]
