"""A task and a model to a live pipeline.

Does what `transformers.pipeline(...)` does with the class's `_load_*` flags, and refuses what that would let pass:
newly initialised weights, weights of another framework, an architecture that the task does not take.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines import compat, tensorflow, trust
from pipesmith.pipelines.checkpoint import (
    Checkpoint,
    check_weights,
    code_modules,
    holds_weights,
    read_checkpoint,
)
from pipesmith.pipelines.compat.remote import load_remote_class, only_checked_code
from pipesmith.pipelines.entries import DefaultModel, ModelClass, PipelineEntry
from pipesmith.pipelines.errors import HubError, ParameterError, PipeError, PipelineLoadError, causes
from pipesmith.pipelines.hub import HubAccess, fetch_weights, is_repo_id
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import find_project
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.targets import LoadOptions, Target, resolve
from pipesmith.pipelines.user_code import describe, failure_hint, load_class, missing_library, user_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

_SET_BY_US = {"config", "revision", "trust_remote_code", "code_revision", "output_loading_info"}
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
    if options.framework == "tf":
        tensorflow.prepare(options.dtype, options.compiled)
    _import_libraries()
    for text in target.notes:
        options.notify(text)
    entry = target.entry
    model = _chosen_model(target, options)
    checkpoint = _open_checkpoint(model, target, options)
    remote = target.checkpoint if entry.origin == "checkpoint" else None
    if remote is not None and remote.folder.resolve() == checkpoint.folder.resolve():
        remote = checkpoint
    if remote is not None and remote is not checkpoint:
        trust.require(remote, entry.task, options)
    code = trust.require(checkpoint, entry.task if remote is checkpoint else None, options)
    trusted: dict[str, Any] = {"trust_remote_code": code is not None}
    if code is not None and code.code_revision is not None:
        trusted |= {"code_revision": code.code_revision, "token": options.access.token}
    snapshot = checkpoint.snapshot
    if snapshot is not None:
        fetch_weights(snapshot, options.access, allow_pickle=options.allow_pickle, verify=options.verify)
    if snapshot is not None and not snapshot.names and not holds_weights(checkpoint):
        raise HubError(
            f"The weights of {checkpoint.name} are not in the cache, and the Hub was not asked.",
            hint="Run once without --offline and HF_HUB_OFFLINE.",
        )
    check_weights(checkpoint, options.framework)
    pipeline_class = _own_class(entry) if remote is None else _remote_class(entry, remote)
    _check_class(pipeline_class, entry)
    with only_checked_code():
        live_model = _load_model(entry, checkpoint, options, trusted)
        parts = _load_parts(pipeline_class, checkpoint, options.init, trusted)
        compat.adapt_parts(pipeline_class, live_model, parts, options.model_kwargs)
        pipe = _construct(pipeline_class, entry, live_model, parts, options)
    if options.framework == "tf":
        return pipe
    if options.dtype == "float16" and pipe.device.type == "cpu":
        raise ParameterError(
            "float16 on a processor is slower than float32 and less exact.", hint="Use --dtype bfloat16, or a GPU."
        )
    if options.compiled:
        pipe.model.compile(dynamic=True)
    return pipe


def _import_libraries() -> None:
    for library in ("torch", "transformers"):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise PipelineLoadError(
                f"{library} cannot be imported: {error}.", hint="Install it: pip install pipesmith"
            ) from error


def _chosen_model(target: Target, options: LoadOptions) -> DefaultModel:
    chosen = target.model
    is_pinned = target.checkpoint is not None and target.checkpoint.snapshot is not None
    if options.model is not None:
        chosen = DefaultModel(options.model, options.revision)
    elif chosen is not None and options.revision is not None and not is_pinned:
        chosen = replace(chosen, revision=options.revision)
    if chosen is None:
        raise PipelineLoadError(
            f"{target.entry.task} has no default model.",
            hint="Name one: --model FOLDER, --model user/repo, or --model tiny for random weights.",
        )
    if not chosen.model:
        raise ParameterError("--model is empty.", hint="Give a folder, user/repo, or tiny.")
    if options.revision is not None and not is_pinned and not _is_repository(chosen.model):
        raise ParameterError(
            f"--revision {options.revision}: {chosen.model} is no repository.",
            hint="A revision belongs to a repository: --model user/repo.",
        )
    if options.model is None and chosen.model.startswith(("./", "../", "/", "~")) and not _is_folder(chosen.model):
        raise PipelineLoadError(
            f"The default model of {target.entry.task}, {chosen.model}, is not there (entry in {target.entry.place}).",
            hint="Name another one with --model.",
        )
    name, _, architecture = chosen.model.partition(":")
    if name == "tiny" and not _is_repository(chosen.model):
        from pipesmith.pipelines.testing.tiny_models import tiny_model

        entry = target.entry
        if not entry.pt_model:
            raise PipelineLoadError(f"{entry.task} names no model class.", hint="Name one with --pt-model.")
        options.notify("The model is tiny and random: so are the results.")
        first = entry.pt_model[0]
        model_class = load_class(first) if isinstance(first, ClassReference) else first
        return DefaultModel(
            str(tiny_model(model_class, architecture or None, modality=entry.type, task=entry.task).path)
        )
    return chosen


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()


def _is_repository(name: str) -> bool:
    return is_repo_id(name) and not Path(name).expanduser().exists()


def _open_checkpoint(model: DefaultModel, target: Target, options: LoadOptions) -> Checkpoint:
    """Read the checkpoint of a model: a folder, or the small files of a repository at one commit."""
    if target.checkpoint is not None and options.model is None:
        return target.checkpoint
    folder = Path(model.model).expanduser()
    if folder.exists() or model.model.startswith(("/", "./", "../", "~")) or model.model.count("/") > 1:
        return read_checkpoint(folder)
    if not is_repo_id(model.model) and target.entry.default != model:
        raise PipelineLoadError(
            f"There is no checkpoint folder {model.model}.",
            hint="--model takes a folder, a repository (user/repo), or tiny for random weights.",
        )
    snapshot = trust.fetch_trusted(model.model, model.revision, options)
    return read_checkpoint(snapshot.folder, snapshot)


def _own_class(entry: PipelineEntry) -> type[Any]:
    reference = entry.pipeline_class
    found = load_class(reference) if isinstance(reference, ClassReference) else reference
    if not isinstance(found, type):
        raise PipelineLoadError(f"The pipeline_class of {entry.task} is {found!r}, not a class ({entry.place}).")
    return found


def _remote_class(entry: PipelineEntry, checkpoint: Checkpoint) -> type[Any]:
    """Load a pipeline class that a checkpoint brings, as transformers does."""
    reference = entry.pipeline_class
    assert isinstance(reference, ClassReference) and reference.file
    with _failing(f"The pipeline code of {checkpoint.name}"):
        return load_remote_class(reference.file.stem, reference.name, checkpoint.folder)


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


def _load_model(entry: PipelineEntry, checkpoint: Checkpoint, options: LoadOptions, trusted: Mapping[str, Any]) -> Any:
    """Load the model with the first class that takes it, and refuse weights that start at random."""
    from transformers import AutoConfig

    folder = str(checkpoint.folder)
    with _failing(f"The configuration of {checkpoint.name}"):
        config = AutoConfig.from_pretrained(folder, **trusted)
    in_tensorflow = options.framework == "tf"
    names = tensorflow.model_classes(entry) if in_tensorflow else entry.pt_model
    classes = [load_model_class(name, entry) for name in names] or _architecture_classes(config)
    if not classes:
        raise PipelineLoadError(f"{entry.task} names no model class.", hint="Name one with --pt-model.")
    taken = [candidate for candidate in classes if _takes(candidate, config)]
    if not taken:
        known = ", ".join(config.architectures or ()) or "none named"
        raise PipelineLoadError(
            f"{checkpoint.name} is a {config.model_type} model ({known}), which {_listed(classes)} does not take.",
            hint=f"{entry.task} needs a model for {_listed(classes)}; name another with --model.",
        )
    for key in _SET_BY_US & set(options.model_kwargs):
        raise ParameterError(f"model_kwargs: {key} is set already.", hint="--revision and --trust-remote-code set it.")
    own = tensorflow.loading_arguments(checkpoint) if in_tensorflow else {"dtype": _dtype(options.dtype)}
    arguments = {**own, **options.model_kwargs}
    first_error: Exception | None = None
    for candidate in taken:
        try:
            live, info = _from_pretrained(candidate, folder, config=config, **trusted, **arguments)
        except PipeError:
            raise
        except Exception as error:  # transformers raises what it likes; the next class may take the weights
            first_error = first_error or error
            continue
        _check_loaded(live, info, checkpoint, candidate, options)
        return live
    assert first_error is not None
    if any(isinstance(error, pickle.UnpicklingError) for error in causes(first_error)):
        raise PipelineLoadError(
            f"The weights of {checkpoint.name} hold more than weights: to read them would run code.",
            hint="Use weights in safetensors, or ask their author for them.",
        ) from first_error
    saved_with = checkpoint.config.get("transformers_version") if code_modules(checkpoint) else None
    raise PipelineLoadError(
        f"The weights of {checkpoint.name} do not load as {taken[0].__name__}: {describe(first_error)}."
        f"{user_frame(first_error)}",
        hint=failure_hint(first_error, saved_with),
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


def load_model_class(model_class: ModelClass, entry: PipelineEntry) -> Any:
    """Load a model class that an entry names.

    Raises:
        PipelineLoadError: this transformers has no such class, or the user's file fails.
    """
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
    live: Any, info: Mapping[str, Any], checkpoint: Checkpoint, candidate: Any, options: LoadOptions
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
        f"{checkpoint.name} does not hold all weights of {type(live).__name__}: {shown} would start at random.",
        hint=f"Use a model that was trained for {candidate.__name__}, or --allow-random-weights to run anyway.",
    )


def _dtype(dtype: Any) -> Any:
    import torch

    if dtype is None or dtype == "auto" or isinstance(dtype, torch.dtype):
        return dtype or "auto"
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ParameterError(
            f"--dtype {dtype!r} is no data type of torch.", hint="Use auto, float32, bfloat16 or float16."
        )
    return found


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
    pipeline_class: type[Any], checkpoint: Checkpoint, given: Mapping[str, Any], trusted: Mapping[str, Any]
) -> dict[str, Any]:
    """Load the tokenizer and processors that the class wants: a flag of True demands one, None takes it if there."""
    import transformers

    parts = {}
    for name, (auto_class, files) in _PARTS.items():
        if name in given:
            continue
        flag = getattr(pipeline_class, f"_load_{name}", False)
        held = _may_hold(checkpoint, files)
        if flag is False or (flag is None and not held):
            continue
        try:
            if not held:
                raise FileNotFoundError("none of its files is there")
            part = getattr(transformers, auto_class).from_pretrained(str(checkpoint.folder), **trusted)
            if name == "processor" and not isinstance(part, transformers.ProcessorMixin):
                raise TypeError(f"it is a {type(part).__name__}, not a processor")
        except PipeError:
            raise
        except Exception as error:  # the same rule as transformers': an optional part that fails is left out
            if flag:
                raise PipelineLoadError(
                    f"{checkpoint.name} has no {name.replace('_', ' ')} that loads: {describe(error)}.",
                    hint=f"{pipeline_class.__name__} needs one; save it into the checkpoint with save_pretrained().",
                ) from error
            continue
        parts[name] = part
    return parts


def _may_hold(checkpoint: Checkpoint, files: Sequence[str]) -> bool:
    if checkpoint.config.get("model_type") == "timm_wrapper":  # its processor is in config.json
        return True
    return any(any(checkpoint.folder.glob(pattern)) for pattern in files)


def _construct(
    pipeline_class: type[Any], entry: PipelineEntry, model: Any, parts: Mapping[str, Any], options: LoadOptions
) -> Any:
    arguments = {**parts, **compat.init_arguments(pipeline_class, options.init)}
    if options.framework == "tf":
        arguments |= {"device": tensorflow.device(options.device), "framework": "tf"}
    else:
        arguments = {"device": _device(options.device), **arguments}
    for name in ("model", "task"):
        if name in options.init:
            raise ParameterError(
                f"{name} is no further argument of {pipeline_class.__name__}: it is set already.", hint="Leave it out."
            )
    try:
        pipe = pipeline_class(model=model, task=_task_of(entry, model, options), **arguments)
    except TypeError as error:
        if "__init__()" not in str(error):
            raise _failed(f"{pipeline_class.__name__} cannot be made", error) from error
        refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        hint = "Give further arguments of its __init__ with --init NAME=JSON."
        if refused and refused[1] not in options.init:
            hint = (
                "transformers passes task, device and more: take **kwargs and hand them to super().__init__(**kwargs)."
            )
        raise PipelineLoadError(f"{pipeline_class.__name__} cannot be made: {error}.", hint=hint) from error
    except PipeError:
        raise
    except Exception as error:
        raise _failed(f"{pipeline_class.__name__} cannot be made", error) from error
    pipe.save_pretrained = functools.partial(_save, pipe, entry)
    return pipe


def _task_of(entry: PipelineEntry, model: Any, options: LoadOptions) -> str:
    """Return the task that a pipeline is told: of translation, the first pair of languages that its model names."""
    named = getattr(model.config, "task_specific_params", None) if entry.task == "translation" else None
    found = next((task for task in named or () if task.startswith("translation_")), entry.task)
    if found != entry.task:
        options.notify(f"The task is {found}, the first that the model knows.")
    return found


def _save(pipe: Any, entry: PipelineEntry, save_directory: Any, *args: Any, **kwargs: Any) -> None:
    """Stand in for a pipeline's `save_pretrained`: its code, its other tasks and all of its parts are saved as well."""
    from pipesmith.pipelines.publishing.folder import save_pipeline
    from pipesmith.pipelines.registry import entries_of_class

    save_pipeline(pipe, entries_of_class(entry), save_directory, *args, **kwargs)


def _device(device: Any) -> Any:
    if device is None:
        return None
    import torch

    if device in (-1, "-1"):  # transformers' word for the processor
        device = "cpu"
    try:
        found = torch.device(int(device) if isinstance(device, str) and device.isdigit() else device)
        torch.empty(0, device=found)
    # AssertionError: torch built without CUDA
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ParameterError(
            f"--device {device!r} is not there on this machine ({str(error).partition(chr(10))[0]}).",
            hint="Use cpu, or leave it out for the first accelerator there is.",
        ) from error
    return found


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
    frame = user_frame(error)
    hint = failure_hint(error)
    if re.search(r"from_pretrained\(\s*model\b", frame):
        hint = "It is handed a loaded model, as by transformers.pipeline: load only if isinstance(model, str)."
    return PipelineLoadError(f"{what}: {describe(error)}.{frame}", hint=hint)


def pipeline(
    task: str,
    model: Any = None,
    *,
    revision: str | None = None,
    device: Any = None,
    dtype: Any = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    allow_random_weights: bool = False,
    model_kwargs: Mapping[str, Any] | None = None,
    pt_model: str | None = None,
    framework: str = "pt",
    token: str | None = None,
    local_files_only: bool = False,
    **init: Any,
) -> Any:
    """Load a pipeline by the name that `pipe run` takes: a task, a file, or a checkpoint folder.

    Args:
        task: a registered task, `file.py:Class`, a checkpoint folder, or user/repo.
        model: a checkpoint folder, a repo_id, "tiny", or a live model; the task's default if None.
        revision: branch, tag or commit of a repository.
        device: "cpu", "cuda:0", 0, a torch.device; the first accelerator if None.
        dtype: "float32", "bfloat16", a torch.dtype; the checkpoint's own if "auto".
        trust_remote_code: whether code that the checkpoint brings may run, though no lock says so.
        allow_pickle: whether weights of a repository may be in a format that can hold code.
        allow_random_weights: whether weights that the checkpoint lacks may start at random.
        model_kwargs: passed on to the model's from_pretrained.
        pt_model: the model class of a file's pipeline that has no entry.
        framework: "pt", or "tf" for a TensorFlow model, with transformers 4.
        token: for the Hub; huggingface_hub's login if None.
        local_files_only: whether the Hub may only be read from the cache.
        **init: parameters of the pipeline, a live tokenizer or processor, and further arguments of its `__init__`.

    Returns:
        A live transformers.Pipeline.

    Raises:
        PipeError: see `resolve` and `load`.
    """
    is_live = model is not None and not isinstance(model, (str, Path))
    options = LoadOptions(
        model=None if model is None or is_live else str(model),
        revision=revision,
        pt_model=pt_model,
        device=device,
        dtype=dtype,
        model_kwargs=model_kwargs or {},
        init=init,
        framework=framework,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
        allow_random_weights=allow_random_weights,
        access=HubAccess(token, local_files_only),
    )
    project = find_project()
    target = resolve(task, options, project, to_run=True)
    settings = project.tasks.get(target.entry.task) if project else None
    if settings and settings.parameters:
        options = replace(options, init={**settings.parameters, **init})
    if is_live:
        remote = target.checkpoint if target.entry.origin == "checkpoint" else None
        if remote is not None:
            trust.require(remote, target.entry.task, options)
        pipeline_class = _own_class(target.entry) if remote is None else _remote_class(target.entry, remote)
        _check_class(pipeline_class, target.entry)
        return _construct(pipeline_class, target.entry, model, {}, options)
    return load(target, options)
