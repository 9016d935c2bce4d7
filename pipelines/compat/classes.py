"""A user's pipeline and model classes, given what their base classes in transformers 4 had.

Between a user's class and its base in transformers a class of this file is put: what the user's class defines itself
comes first as before, its `super()` finds what 4 had, and transformers' own classes stay as they are. Not covered:
`Pipeline.__init__(self, ...)` written out instead of `super().__init__(...)`.
"""

from __future__ import annotations

import builtins
import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pipesmith.pipelines.compat import gone
from pipesmith.pipelines.compat.returned import is_returned, returned_pipeline
from pipesmith.pipelines.compat.saving import saving
from pipesmith.pipelines.compat.table import needed, note
from pipesmith.pipelines.errors import PipelineLoadError


class _Supplied:
    """A value that an instance has until it sets one of its own; reading it counts as use of the shim."""

    def __init__(self, shim: str, value: Any) -> None:
        self.shim = shim
        self.value = value

    def __get__(self, instance: object, owner: type) -> Any:
        note(self.shim)
        return self.value


class _GenerationConfig:
    """What 4 put together for a pipeline that calls generate(): the model's parameters, and the pipeline's own."""

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None or not hasattr(instance, "_generate_kwargs"):  # 5 keeps there what it was made with
            raise AttributeError(f"{owner.__name__!r} object has no attribute 'generation_config'")
        note("generation_config")
        given = instance._prepare_generate_kwargs({})
        config = given.pop("generation_config", None) or copy.deepcopy(instance.model.generation_config)
        config.update(**given)
        instance.generation_config = config
        return config


@functools.cache
def _between(base: type) -> type:
    """Make the class that stands between a user's class and one of transformers' pipeline classes.

    It is a subclass of that class, and no mixin beside it: only so can Python exchange the bases of a class that is
    already there.
    """

    class PipelineOf4(base):  # type: ignore[misc]
        framework = _Supplied("framework", "pt")
        modelcard = _Supplied("modelcard", None)
        generation_config = _GenerationConfig()

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if "framework" in kwargs:
                self.framework = _checked_framework(kwargs.pop("framework"))
            if "modelcard" in kwargs:
                note("modelcard=")
                self.modelcard = kwargs.pop("modelcard")
            super().__init__(*args, **kwargs)

        def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> Any:
            """Save as 4 did: without `safe_serialization`, and with generation parameters where they belong."""
            if args or "safe_serialization" in kwargs:
                note("safe_serialization=")
                kwargs.pop("safe_serialization", None)
            with saving(self.model):
                return super().save_pretrained(save_directory, **kwargs)

    class TokenClassificationOf4(PipelineOf4):
        def _sanitize_parameters(self, *args: Any, **kwargs: Any) -> Any:
            return super()._sanitize_parameters(*args, **_with_aggregation_strategy(kwargs))

    from transformers import TokenClassificationPipeline

    return TokenClassificationOf4 if issubclass(base, TokenClassificationPipeline) else PipelineOf4


def is_adapted(cls: type) -> bool:
    """Tell whether a class is a user's pipeline class that has been given what 4 had."""
    return any(isinstance(vars(owner).get("framework"), _Supplied) for owner in cls.__mro__)


def adapt_class(cls: type) -> type:
    """Give a class and the user's classes that it inherits from what 4 had; the same class is returned.

    On transformers 4, and for classes of transformers and of pipesmith, this does nothing.
    """
    if needed() and any(base.__module__.startswith("transformers.") for base in cls.__mro__):
        for owner in cls.__mro__:
            if is_users(owner):
                _adapt(owner)
    return cls


def is_users(cls: type) -> bool:
    """Tell whether a class was written neither in transformers nor here, nor comes from Python or torch."""
    return cls.__module__.partition(".")[0] not in ("transformers", "pipesmith", "builtins", "abc", "torch")


def build_class(function: Any, name: str, *bases: Any, **keywords: Any) -> Any:
    """Stand in for `__build_class__` in a user's module: every class that it defines is adapted at once."""
    built = builtins.__build_class__(function, name, *bases, **keywords)
    return adapt_class(built) if isinstance(built, type) else built


def _adapt(owner: Any) -> None:
    from transformers import Pipeline, PreTrainedModel

    if issubclass(owner, PreTrainedModel) and not hasattr(owner, "all_tied_weights_keys"):
        owner.all_tied_weights_keys = _TiedWeights()
    if issubclass(owner, Pipeline) and not is_adapted(owner):
        own = [is_users(base) or not issubclass(base, Pipeline) for base in owner.__bases__]
        if all(own):
            return
        try:
            owner.__bases__ = tuple(base if kept else _between(base) for base, kept in zip(owner.__bases__, own))
        except TypeError:  # Python cannot exchange these bases: the class gets the attributes at least
            owner.framework, owner.modelcard = _Supplied("framework", "pt"), _Supplied("modelcard", None)


class _TiedWeights:
    """The keys of tied weights of a model whose class does not call post_init(): none, in a dict of its own."""

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return {}
        note("all_tied_weights_keys")
        return instance.__dict__.setdefault("all_tied_weights_keys", {})


def init_arguments(pipeline_class: type[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Make the arguments that transformers 4 gave a pipeline class fit on 5.

    Args:
        pipeline_class: the class that is to be made.
        arguments: what its user asked for.

    Returns:
        The arguments to make it with: with `framework` for a class that demands it, without what only 4 knew for one
        of transformers' own.

    Raises:
        PipelineLoadError: a framework other than PyTorch.
    """
    given = dict(arguments)
    wanted = inspect.signature(pipeline_class).parameters.get("framework")
    if wanted is not None and wanted.default is wanted.empty and wanted.kind is not wanted.VAR_KEYWORD:
        given.setdefault("framework", "pt")  # transformers 4's pipeline() always passed it
    if not needed():
        return given
    if "framework" in given:
        _checked_framework(given["framework"])
    if not is_adapted(pipeline_class):
        if "modelcard" in given:
            note("modelcard=")
        for name in ("framework", "modelcard"):
            given.pop(name, None)
        from transformers import TokenClassificationPipeline

        fits = issubclass(pipeline_class, TokenClassificationPipeline)
        return _with_aggregation_strategy(given) if fits else given
    return given


def pipeline_of_4(pipeline: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap transformers.pipeline for a user's module: arguments that only 4 knew do not reach the pipeline's class."""

    @functools.wraps(pipeline)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if "framework" in kwargs:
            _checked_framework(kwargs.pop("framework"))
        if "modelcard" in kwargs:
            note("modelcard=")
            kwargs.pop("modelcard")
        if is_returned(args[0] if args else kwargs.get("task")) and kwargs.get("pipeline_class") is None:
            return returned_pipeline(*args, **kwargs)
        return pipeline(*args, **_with_aggregation_strategy(kwargs))

    return wrapped


def _checked_framework(framework: Any) -> str:
    note("framework=")
    if framework not in (None, "pt"):
        raise PipelineLoadError(
            f"framework={framework!r} cannot be had: transformers 5 runs PyTorch models only.",
            hint=f"Leave it out, or use an environment with transformers 4: {gone.PIN_WITH_TENSORFLOW}",
        )
    return "pt"


def _with_aggregation_strategy(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Replace grouped_entities and ignore_subwords as transformers 4 did; they overrule aggregation_strategy."""
    left = dict(parameters)
    grouped, subwords = left.pop("grouped_entities", None), left.pop("ignore_subwords", None)
    if grouped is None and subwords is None:
        return left
    note("grouped_entities")
    left["aggregation_strategy"] = "none" if not grouped else "first" if subwords else "simple"
    return left
