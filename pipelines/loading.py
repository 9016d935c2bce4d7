"""A task and a model to a live pipeline.

Does what `transformers.pipeline(...)` does with the class's `_load_*` flags, and refuses what that would let pass:
newly initialised weights, weights of another framework, an architecture that the task does not take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines import trust
from pipesmith.pipelines.checkpoint import Checkpoint, check_weights, code_files, read_checkpoint
from pipesmith.pipelines.errors import ParameterError, PipeError, PipelineLoadError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import find_project
from pipesmith.pipelines.registry import DefaultModel, ModelClass, PipelineEntry
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.targets import LoadOptions, Target, resolve
from pipesmith.pipelines.user_code import describe, load_class, missing_library, user_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUR_METHODS = ("_sanitize_parameters", "preprocess", "_forward", "postprocess")


def load(target: Target, options: LoadOptions) -> Any:
    """Load the class and the model of a target.

    Args:
        target: what `resolve` found.
        options: how to load it.

    Returns:
        A live transformers.Pipeline, its model in eval mode.

    Raises:
        PipelineLoadError, UntrustedCodeError: the class, the checkpoint or one of its parts cannot be loaded.
    """
    entry = target.entry
    model = _chosen_model(target, options)
    checkpoint = _checkpoint(model, entry)
    remote = entry.origin == "checkpoint"
    if checkpoint is not None:
        code = code_files(checkpoint, entry.task if remote else None)
        trust.require(str(checkpoint.folder), code, trusted=options.trust_remote_code)
        check_weights(checkpoint)
    pipeline_class = _remote_class(entry, model, options) if remote else _own_class(entry)
    _check_class(pipeline_class, entry)
    hub = {"revision": model.revision or "main", "trust_remote_code": options.trust_remote_code}
    live_model = _load_model(entry, model, checkpoint, options, hub)
    parts = _load_parts(pipeline_class, model, checkpoint, hub)
    return _construct(pipeline_class, entry, live_model, parts, options)


def _chosen_model(target: Target, options: LoadOptions) -> DefaultModel:
    chosen = DefaultModel(options.model, options.revision) if options.model else target.model
    if chosen is None:
        raise PipelineLoadError(
            f"{target.entry.task} has no default model.",
            hint="Name one: --model FOLDER, --model user/repo, or --model tiny for random weights.",
        )
    name, _, architecture = chosen.model.partition(":")
    if name == "tiny" and options.model:
        from pipesmith.pipelines.testing import tiny_model

        entry = target.entry
        if not entry.pt_model:
            raise PipelineLoadError(f"{entry.task} names no model class.", hint="Name one with --pt-model.")
        first = entry.pt_model[0]
        model_class = load_class(first) if isinstance(first, ClassReference) else first
        return DefaultModel(
            str(tiny_model(model_class, architecture or None, modality=entry.type, task=entry.task).path)
        )
    return chosen


def _checkpoint(model: DefaultModel, entry: PipelineEntry) -> Checkpoint | None:
    """Read the checkpoint if the model is a folder; None if it is a repository."""
    folder = Path(model.model).expanduser()
    if folder.exists() or model.model.startswith(("/", "./", "../", "~")) or model.model.count("/") > 1:
        return read_checkpoint(folder)
    if "/" not in model.model and entry.default != model:
        raise PipelineLoadError(
            f"There is no checkpoint folder {model.model}.",
            hint="--model takes a folder, a repository (user/repo), or tiny for random weights.",
        )
    return None


def _own_class(entry: PipelineEntry) -> type[Any]:
    reference = entry.pipeline_class
    return load_class(reference) if isinstance(reference, ClassReference) else reference


def _remote_class(entry: PipelineEntry, model: DefaultModel, options: LoadOptions) -> type[Any]:
    """Load a pipeline class that the checkpoint brings, as transformers does."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    assert isinstance(entry.pipeline_class, ClassReference) and entry.pipeline_class.file
    module = entry.pipeline_class.file.stem
    with _failing(f"The pipeline code of {model}"):
        found = get_class_from_dynamic_module(f"{module}.{entry.pipeline_class.name}", model.model)
    assert isinstance(found, type)
    return found


def _check_class(pipeline_class: type[Any], entry: PipelineEntry) -> None:
    from transformers import Pipeline

    where = f" ({entry.place})" if entry.place else ""
    if not issubclass(pipeline_class, Pipeline):
        raise PipelineLoadError(
            f"{pipeline_class.__name__} is not a subclass of transformers.Pipeline{where}.",
            hint="Write `class MyPipeline(Pipeline):` with the four methods.",
        )
    missing = sorted(pipeline_class.__abstractmethods__, key=lambda name: FOUR_METHODS.index(name))
    if missing:
        raise PipelineLoadError(
            f"{pipeline_class.__name__} lacks {' and '.join(missing)}{where}.",
            hint=f"A pipeline implements {', '.join(FOUR_METHODS)}.",
        )


def _load_model(
    entry: PipelineEntry,
    model: DefaultModel,
    checkpoint: Checkpoint | None,
    options: LoadOptions,
    hub: Mapping[str, Any],
) -> Any:
    """Load the model with the first class that takes it, and refuse weights that start at random."""
    from transformers import AutoConfig

    with _failing(f"The configuration of {model}"):
        config = AutoConfig.from_pretrained(model.model, **hub)
    classes = [_model_class(name, entry) for name in entry.pt_model] or _architecture_classes(config)
    if not classes:
        raise PipelineLoadError(f"{entry.task} names no model class.", hint="Name one with --pt-model.")
    taken = [candidate for candidate in classes if _takes(candidate, config)]
    if not taken:
        known = ", ".join(config.architectures or ()) or "none named"
        raise PipelineLoadError(
            f"{model} is a {config.model_type} model ({known}), which {_listed(classes)} does not take.",
            hint=f"{entry.task} needs a model for {_listed(classes)}; name another with --model.",
        )
    arguments = {"dtype": _dtype(options.dtype), **options.model_kwargs}
    first_error: Exception | None = None
    for candidate in taken:
        try:
            live, info = _from_pretrained(candidate, model.model, config=config, **hub, **arguments)
        except Exception as error:  # transformers raises what it likes; the next class may take the weights
            first_error = first_error or error
            continue
        _check_loaded(live, info, model, candidate, options)
        return live
    assert first_error is not None
    raise PipelineLoadError(
        f"The weights of {model} do not load as {taken[0].__name__}: {describe(first_error)}.",
        hint="Run again with --verbose for the whole traceback.",
    ) from first_error


def _from_pretrained(model_class: Any, name: str, **arguments: Any) -> tuple[Any, Mapping[str, Any]]:
    """Load a model, and what transformers says of the weights that it found."""
    try:
        live, info = model_class.from_pretrained(name, output_loading_info=True, **arguments)
    except AttributeError as error:
        if "'tuple' object" not in str(error):
            raise
        # An override that goes on to use what it has loaded, as decision models' does, cannot hand the report out.
        return model_class.from_pretrained(name, **arguments), {}
    return live, info


def _listed(classes: Sequence[Any]) -> str:
    return ", ".join(candidate.__name__ for candidate in classes)


def _model_class(model_class: ModelClass, entry: PipelineEntry) -> Any:
    if isinstance(model_class, ClassReference):
        return load_class(model_class)
    if not isinstance(model_class, str):
        return model_class
    import transformers

    try:
        return getattr(transformers, model_class)
    except (AttributeError, ImportError) as error:
        auto = [name for name in dir(transformers) if name.startswith("AutoModel")]
        place = f" ({entry.place})" if entry.place else ""
        raise PipelineLoadError(
            f"This transformers ({transformers.__version__}) has no model class {model_class}{place}.",
            hint=near_miss(model_class, auto) or f"It has {', '.join(auto[:6])} and others.",
        ) from error


def _architecture_classes(config: Any) -> list[Any]:
    import transformers

    return [getattr(transformers, name) for name in config.architectures or () if hasattr(transformers, name)]


def _takes(model_class: Any, config: Any) -> bool:
    """Tell whether an Auto class knows a configuration; any other class decides itself when it loads."""
    mapping = getattr(model_class, "_model_mapping", None)
    if mapping is None:
        wanted = getattr(model_class, "config_class", None)
        return wanted is None or isinstance(config, wanted)
    auto_map = getattr(config, "auto_map", None) or {}
    return type(config) in mapping or model_class.__name__ in auto_map


def _check_loaded(
    live: Any, info: Mapping[str, Any], model: DefaultModel, candidate: Any, options: LoadOptions
) -> None:
    missing = sorted(info.get("missing_keys") or ())
    mismatched = sorted(
        str(key[0]) if isinstance(key, (tuple, list)) else str(key) for key in info.get("mismatched_keys") or ()
    )
    if (not missing and not mismatched) or options.allow_random_weights:
        return
    names = [*missing, *mismatched]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    raise PipelineLoadError(
        f"{model} does not hold all weights of {type(live).__name__}: {shown} would start at random.",
        hint=f"Use a model that was trained for {candidate.__name__}, or --allow-random-weights to run anyway.",
    )


def _dtype(name: str) -> Any:
    if name == "auto":
        return "auto"
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ParameterError(
            f"--dtype: {name!r} is no data type of torch.", hint="Use auto, float32, bfloat16 or float16."
        )
    return dtype


# A pipeline's parts besides its model: the class's flag, the Auto class, and the files (globs) that hold one. Where
# none of them is there the part is not asked for: it saves seconds of imports, and transformers 5 makes an empty
# tokenizer out of nothing, which reads every word as unknown.
_PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tokenizer": ("AutoTokenizer", ("*token*", "vocab*", "*.model", "merges.txt", "spiece*", "tekken.json")),
    "image_processor": ("AutoImageProcessor", ("preprocessor_config.json", "processor_config.json")),
    "video_processor": (
        "AutoVideoProcessor",
        ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json"),
    ),
    "feature_extractor": ("AutoFeatureExtractor", ("preprocessor_config.json", "processor_config.json")),
    "processor": (
        "AutoProcessor",
        ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"),
    ),
}


def _load_parts(
    pipeline_class: type[Any], model: DefaultModel, checkpoint: Checkpoint | None, hub: Mapping[str, Any]
) -> dict[str, Any]:
    """Load the tokenizer and processors that the class wants: a flag of True demands one, None takes it if there."""
    import transformers

    parts = {}
    for name, (auto_class, files) in _PARTS.items():
        flag = getattr(pipeline_class, f"_load_{name}", False)
        held = _may_hold(checkpoint, files)
        if flag is False or (flag is None and not held):
            continue
        try:
            if not held:
                raise FileNotFoundError("none of its files is there")
            part = getattr(transformers, auto_class).from_pretrained(model.model, **hub)
            if name == "processor" and not isinstance(part, transformers.ProcessorMixin):
                raise TypeError(f"it is a {type(part).__name__}, not a processor")
        except Exception as error:  # the same rule as transformers': an optional part that fails is left out
            if flag:
                raise PipelineLoadError(
                    f"{model} has no {name.replace('_', ' ')} that loads: {describe(error)}.",
                    hint=f"{pipeline_class.__name__} needs one; save it into the checkpoint with save_pretrained().",
                ) from error
            continue
        parts[name] = part
    return parts


def _may_hold(checkpoint: Checkpoint | None, files: Sequence[str]) -> bool:
    if checkpoint is None or checkpoint.config.get("model_type") == "timm_wrapper":  # its processor is in config.json
        return True
    return any(any(checkpoint.folder.glob(pattern)) for pattern in files)


def _construct(
    pipeline_class: type[Any], entry: PipelineEntry, model: Any, parts: Mapping[str, Any], options: LoadOptions
) -> Any:
    arguments = {"device": _device(options.device), **options.init}
    try:
        return pipeline_class(model=model, task=entry.task, **parts, **arguments)
    except TypeError as error:
        if "__init__()" not in str(error):
            raise _failed(f"{pipeline_class.__name__} cannot be made", error) from error
        raise PipelineLoadError(
            f"{pipeline_class.__name__} cannot be made: {error}.",
            hint="Give further arguments of its __init__ with --init NAME=JSON.",
        ) from error
    except PipeError:
        raise
    except Exception as error:
        raise _failed(f"{pipeline_class.__name__} cannot be made", error) from error


def _device(name: str | None) -> Any:
    if name is None:
        return None
    import torch

    try:
        device = torch.device(int(name) if name.lstrip("-").isdigit() and int(name) >= 0 else name.replace("-1", "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # AssertionError: torch built without CUDA
        raise ParameterError(
            f"--device: {name!r} is not a device of this machine ({str(error).partition(chr(10))[0]}).",
            hint="Use cpu, or leave --device out for the first accelerator there is.",
        ) from error
    return device


@contextmanager
def _failing(what: str) -> Iterator[None]:
    """Turn whatever transformers raises while loading one thing into a sentence about it."""
    try:
        yield
    except PipeError:
        raise
    except Exception as error:
        raise _failed(f"{what} cannot be loaded", error) from error


def _failed(what: str, error: Exception) -> PipelineLoadError:
    library = missing_library(error)
    if library is not None:
        return PipelineLoadError(f"{what}: it needs {library}.", hint=f"Install it: pip install {library}")
    return PipelineLoadError(
        f"{what}: {describe(error)}.{user_frame(error)}", hint="Run again with --verbose for the whole traceback."
    )


def pipeline(
    task: str,
    model: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str = "auto",
    trust_remote_code: bool = False,
    allow_random_weights: bool = False,
    model_kwargs: Mapping[str, Any] | None = None,
    pt_model: str | None = None,
    **init: Any,
) -> Any:
    """Load a pipeline by the name that `pipe run` takes: a task, a file, or a checkpoint folder.

    Args:
        task: a registered task, `file.py:Class`, or a checkpoint folder.
        model: a checkpoint folder, a repo_id, or "tiny"; the task's default if None.
        revision: branch, tag or commit of a repository.
        device: "cpu", "cuda:0", ...; the first accelerator if None.
        dtype: "float32", "bfloat16", ...; the checkpoint's own if "auto".
        trust_remote_code: whether code that the checkpoint brings may run.
        allow_random_weights: whether weights that the checkpoint lacks may start at random.
        model_kwargs: passed on to the model's from_pretrained.
        pt_model: the model class of a file's pipeline that has no entry.
        **init: parameters of the pipeline, and further arguments of its `__init__`.

    Returns:
        A live transformers.Pipeline.

    Raises:
        PipeError: see `resolve` and `load`.
    """
    options = LoadOptions(
        model=str(model) if model is not None else None,
        revision=revision,
        pt_model=pt_model,
        device=device,
        dtype=dtype,
        model_kwargs=model_kwargs or {},
        init=init,
        trust_remote_code=trust_remote_code,
        allow_random_weights=allow_random_weights,
    )
    project = find_project()
    target = resolve(task, options, project, run_registries=True)
    settings = project.tasks.get(target.entry.task) if project else None
    if settings and settings.parameters:
        options = replace(options, init={**settings.parameters, **init})
    return load(target, options)
