"""What a user's modules see of transformers and huggingface_hub: the real modules, and behind them what 4 had.

A user's module imports through `import_module`, which hands out a facade of the real module: it has all that the real
one has, and falls back on the names of this file. The real modules stay as they are, and all other code sees them.
Not covered: `importlib.import_module("transformers")`, and `from transformers import *`, get the real module.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from pipesmith.pipelines.compat import gone
from pipesmith.pipelines.compat.classes import pipeline_of_4
from pipesmith.pipelines.compat.returned import returned, returned_module
from pipesmith.pipelines.compat.table import needed, note

_FACED = ("transformers", "huggingface_hub")
_MOVED_MODULES = {"transformers.deepspeed": "transformers.integrations.deepspeed"}
# Where the names of a module that lost them are now, and the name of the shim.
_HOMES = {
    "transformers.modeling_utils": ("transformers.pytorch_utils", "modeling_utils"),
    "transformers.tokenization_utils": ("transformers.tokenization_utils_base", "tokenization_utils"),
    "transformers.tokenization_utils_fast": ("transformers.tokenization_utils_base", "tokenization_utils"),
}
_TENSORFLOW_CLASS = re.compile(r"(TF|Flax)[A-Z]\w+")
_TENSORFLOW_MAPPING = re.compile(r"(TF|FLAX)_[A-Z0-9_]+")


def import_module(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Stand in for `__import__` in a user's module: the same, but modules of transformers come as facades."""
    if level or name.partition(".")[0] not in _FACED or not needed() or (fromlist and "*" in fromlist):
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    given_back = returned_module(name)
    if given_back is not None:
        return given_back if fromlist else facade(sys.modules[name.partition(".")[0]])
    if name in _MOVED_MODULES and importlib.util.find_spec(name) is None:
        note("deepspeed")
        home = importlib.import_module(_MOVED_MODULES[name])
        return facade(home if fromlist else sys.modules[name.partition(".")[0]])
    return facade(builtins.__import__(name, globals, locals, fromlist or (), 0))


@functools.cache
def facade(module: ModuleType) -> ModuleType:
    """Return the facade of a module, always the same one."""
    return _Facade(module)


class _Facade(ModuleType):
    """A module that has what another has, and what transformers 4 had there."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__, module.__doc__)
        for name in ("__spec__", "__loader__", "__package__", "__file__", "__path__"):
            if hasattr(module, name):
                self.__dict__[name] = getattr(module, name)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__["_module"]
        replaced = _REPLACED.get((module.__name__, name))
        if replaced is not None:
            return replaced(getattr(module, name))
        try:
            value = getattr(module, name)
        except AttributeError as error:
            value = _missing(module.__name__, name, error)
        return facade(value) if _is_faced(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_module"], name, value)  # a user's own patch goes where the user meant it to go

    def __delattr__(self, name: str) -> None:
        delattr(self.__dict__["_module"], name)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_module"])


def _is_faced(value: Any) -> bool:
    return isinstance(value, ModuleType) and value.__name__.partition(".")[0] in _FACED


def _missing(module: str, name: str, error: AttributeError) -> Any:
    """Return what a module of transformers 4 had under a name that it lacks on 5.

    Raises:
        AttributeError: the one that the real module raised, if nothing is known of the name.
    """
    given = _GIVEN.get((module, name))
    if given is not None:
        return given()
    given_back = returned(module, name)
    if given_back is not None:
        return given_back
    if module.partition(".")[0] == "transformers":
        if name in ("is_tf_available", "is_flax_available"):
            note("is_tf_available")
            return _not_available
        if _TENSORFLOW_CLASS.fullmatch(name):
            note("TensorFlow names")
            return _tensorflow_class(name)
        if _TENSORFLOW_MAPPING.fullmatch(name):
            note("TensorFlow names")
            return None
    home, shim = _HOMES.get(module, ("", ""))
    if home and hasattr(importlib.import_module(home), name):
        note(shim)
        return getattr(importlib.import_module(home), name)
    raise error


def _not_available() -> bool:
    return False


@functools.cache
def _tensorflow_class(name: str) -> type:
    library = "TensorFlow" if name.startswith("TF") else "Flax"
    return gone.placeholder(
        name,
        "transformers",
        f"transformers 5 has no {library} models",
        f"Use the PyTorch class {name.removeprefix('TF').removeprefix('Flax')}, or an environment with transformers 4: "
        f"{gone.PIN_WITH_TENSORFLOW if library == 'TensorFlow' else gone.PIN}",
    )


@functools.cache
def _model_card() -> type:
    note("ModelCard")
    return gone.placeholder(
        "ModelCard",
        "transformers.modelcard",
        "transformers 5 has removed it",
        f"huggingface_hub has a ModelCard of its own; else use an environment with transformers 4: {gone.PIN}",
    )


@functools.cache
def _repository() -> type:
    note("Repository")
    return gone.placeholder(
        "Repository",
        "huggingface_hub",
        "huggingface_hub 1 has removed it",
        "Use huggingface_hub.snapshot_download and upload_folder.",
    )


@functools.cache
def _adamw() -> type:
    """Return torch's AdamW with the defaults of transformers 4's; its epsilon counts a little differently."""
    import torch

    note("AdamW")

    class AdamW(torch.optim.AdamW):  # type: ignore[misc]
        def __init__(
            self,
            params: Any,
            lr: float = 1e-3,
            betas: tuple[float, float] = (0.9, 0.999),
            eps: float = 1e-6,
            weight_decay: float = 0.0,
            correct_bias: bool = True,
            no_deprecation_warning: bool = False,
        ) -> None:
            if not correct_bias:
                raise gone.GoneError("AdamW(correct_bias=False) is not in torch.", hint=f"Use {gone.PIN}.")
            super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    return AdamW


def _endpoint() -> str:
    from huggingface_hub import constants

    note("HUGGINGFACE_CO_RESOLVE_ENDPOINT")
    return str(constants.ENDPOINT)


def _deepspeed() -> ModuleType:
    note("deepspeed")
    return importlib.import_module(_MOVED_MODULES["transformers.deepspeed"])


def _parameter_device() -> Callable[[Any], Any]:
    note("modeling_utils")
    return lambda module: next(module.parameters()).device


def _parameter_dtype() -> Callable[[Any], Any]:
    note("modeling_utils")
    return lambda module: next(each.dtype for each in module.parameters() if each.is_floating_point())


def _init_weights() -> bool:
    note("modeling_utils")
    return True


_GIVEN: dict[tuple[str, str], Callable[[], Any]] = {
    ("transformers", "ModelCard"): _model_card,
    ("transformers.modelcard", "ModelCard"): _model_card,
    ("transformers", "AdamW"): _adamw,
    ("transformers.optimization", "AdamW"): _adamw,
    ("transformers", "deepspeed"): _deepspeed,
    ("transformers.utils", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"): _endpoint,
    ("transformers.utils.hub", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"): _endpoint,
    ("transformers.file_utils", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"): _endpoint,
    ("transformers.modeling_utils", "get_parameter_device"): _parameter_device,
    ("transformers.modeling_utils", "get_parameter_dtype"): _parameter_dtype,
    ("transformers.modeling_utils", "_init_weights"): _init_weights,
    ("huggingface_hub", "Repository"): _repository,
}


class _Registry:
    """transformers' own registry, with `register_pipeline` in the form of transformers 4."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def register_pipeline(
        self,
        task: str,
        pipeline_class: type,
        pt_model: Any = None,
        tf_model: Any = None,
        default: Any = None,
        type: str | None = None,
    ) -> None:
        """Register a task with transformers; a TensorFlow model class is left out."""
        if _is_default(tf_model):  # positional arguments in the order of 5, which has no tf_model
            tf_model, default, type = None, tf_model, type or default
        if tf_model is not None:
            note("register_pipeline(tf_model=)")
        self._registry.register_pipeline(
            task, pipeline_class=pipeline_class, pt_model=pt_model, default=_default_of_5(default), type=type
        )


def _is_default(value: Any) -> bool:
    """Tell a default model from a TensorFlow model class."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(part, str) for part in value)
    return isinstance(value, Mapping) or (isinstance(value, str) and not value.startswith("TF"))


def _default_of_5(default: Any) -> Any:
    """Turn a default model in one of the forms of 4 into that of 5, {"model": (repo, revision)}."""
    model = default.get("model", default) if isinstance(default, Mapping) else default
    if isinstance(model, Mapping):
        if not {"pt", "tf"} & set(model):
            return default  # by options of the task, which 5 has as well
        model = model.get("pt")
    if isinstance(model, str):
        model = (model, "main")
    of_5 = None if model is None else {"model": tuple(model)}
    if of_5 != default:
        note('default={"pt": ...}')
    return of_5


_REPLACED: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("transformers.pipelines", "PIPELINE_REGISTRY"): _Registry,
    ("transformers.pipelines", "pipeline"): pipeline_of_4,
    ("transformers", "pipeline"): pipeline_of_4,
}
