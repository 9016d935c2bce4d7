"""Models of TensorFlow, which transformers 4 has and 5 has not.

Two faults of 4.57 are worked around here: PyTorch weights in safetensors load only as `from_pt`, and a dtype of torch
is handed on to TensorFlow. Not here: how a batch goes through such a model (`engine/tensors.py`).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.checkpoint import Checkpoint, framework_of_weights
from pipesmith.pipelines.entries import ModelClass, PipelineEntry
from pipesmith.pipelines.errors import ParameterError, PipelineLoadError

_INSTALL = "pip install 'pipesmith[tf]'"


def require() -> None:
    """Refuse `--framework tf` where it cannot be had.

    Raises:
        PipelineLoadError: transformers 5 is installed, or TensorFlow is not.
    """
    if compat.needed():
        raise PipelineLoadError(
            "--framework tf: transformers 5 has no TensorFlow models.",
            hint="Leave it out: PyTorch gives the same results, from a checkpoint with PyTorch weights. Or make an "
            f"environment with transformers 4 and TensorFlow: {_INSTALL}",
        )
    if importlib.util.find_spec("tensorflow") is None or importlib.util.find_spec("tf_keras") is None:
        raise PipelineLoadError("--framework tf needs tensorflow and tf-keras.", hint=f"Install them: {_INSTALL}")


def prepare(dtype: Any, compiled: bool) -> None:
    """Let transformers see TensorFlow, before it is imported.

    Args:
        dtype: what the user asked for.
        compiled: whether torch.compile was asked for.

    Raises:
        PipelineLoadError: see `require`; or transformers is imported without TensorFlow.
        ParameterError: an option that is PyTorch's.
    """
    require()
    if dtype not in (None, "auto", "float32"):
        raise ParameterError(f"--dtype {dtype} is for PyTorch.", hint="TensorFlow models run in float32: leave it out.")
    if compiled:
        raise ParameterError("--compile is for PyTorch.", hint="Leave it out.")
    if "transformers" not in sys.modules:
        os.environ["USE_TF"] = "AUTO"  # 1 would do without torch
    from transformers import is_tf_available

    if not is_tf_available():
        raise PipelineLoadError(
            "transformers was imported without TensorFlow.", hint="Set USE_TF=AUTO before Python starts."
        )


def model_classes(entry: PipelineEntry) -> tuple[ModelClass, ...]:
    """Return the TensorFlow model classes of an entry; without any, those that its PyTorch classes have beside them.

    Raises:
        PipelineLoadError: there are none.
    """
    if entry.tf_model:
        return entry.tf_model
    import transformers

    names = [f"TF{model}" for model in entry.pt_model if isinstance(model, str)]
    names += [f"TF{model.__name__}" for model in entry.pt_model if isinstance(model, type)]
    known = tuple(name for name in names if hasattr(transformers, name))
    if not known:
        raise PipelineLoadError(
            f"{entry.task} has no TensorFlow model class.",
            hint="Register one (tf_model=...), or leave --framework tf out.",
        )
    return known


def loading_arguments(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what `from_pretrained` of a TensorFlow class is told about a checkpoint's weights."""
    return {} if framework_of_weights(checkpoint) == "tf" else {"from_pt": True}


def device(chosen: Any) -> int:
    """Return a device as a TensorFlow pipeline takes it: the number of a GPU, -1 for the processor.

    Raises:
        ParameterError: it is neither, or is not there.
    """
    import tensorflow

    count = len(tensorflow.config.list_physical_devices("GPU"))
    if chosen is None:
        return 0 if count else -1
    text = str(chosen).removeprefix("cuda:")
    number = -1 if text in ("cpu", "-1") else int(text) if text.isdigit() else None
    if number is None or number >= count:
        raise ParameterError(f"--device {chosen!r} is not there for TensorFlow.", hint="Use cpu, or leave it out.")
    return number
