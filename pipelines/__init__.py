"""The core of pipesmith: pipelines found, loaded and run, without a terminal.

Public: `pipeline`, `run_pipeline`, `PIPELINE_REGISTRY`, `records`, `testing` and the errors in `errors`. Nothing heavy
is imported until a pipeline is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipesmith.pipelines import records, testing
    from pipesmith.pipelines.loading import pipeline
    from pipesmith.pipelines.registry import PIPELINE_REGISTRY
    from pipesmith.pipelines.streaming import run_pipeline

__all__ = ["PIPELINE_REGISTRY", "pipeline", "records", "run_pipeline", "testing"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "PIPELINE_REGISTRY":
        return importlib.import_module("pipesmith.pipelines.registry").PIPELINE_REGISTRY
    if name == "pipeline":
        return importlib.import_module("pipesmith.pipelines.loading").pipeline
    if name == "run_pipeline":
        return importlib.import_module("pipesmith.pipelines.streaming").run_pipeline
    if name in ("records", "testing"):
        return importlib.import_module(f"pipesmith.pipelines.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
