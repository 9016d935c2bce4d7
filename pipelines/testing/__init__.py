"""What tests of pipelines need: tiny random models, made offline."""

from __future__ import annotations

from pipesmith.pipelines.testing.tiny_models import TinyModel, tiny_model

__all__ = ["TinyModel", "tiny_model"]
