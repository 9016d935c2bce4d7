"""Rules about what is imported from transformers and huggingface_hub: gone, or moved."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipesmith.pipelines.compat.gone import PIN, removed_task
from pipesmith.pipelines.doctor.edits import ChangeImport, Replace
from pipesmith.pipelines.doctor.finding import Hit, hit, rule
from pipesmith.pipelines.doctor.gone import gone
from pipesmith.pipelines.doctor.source_file import SourceFile, has_any

_TENSORFLOW = re.compile(r"(TF|Flax)[A-Z]\w+|(TF|FLAX)_[A-Z0-9_]*MAPPING\w*")
_TENSORFLOW_MODULE = re.compile(r"(^|[._])(tf|flax|keras)([._]|$)")
_TENSORFLOW_STARTS = (b"TF", b"Flax", b"FLAX", b"tf_", b"_tf", b"flax", b"keras")
# Parts of all names of REMOVED_TASKS, as classes and as modules.
_OF_REMOVED_TASKS = (b"ext2", b"ummarization", b"ranslation", b"uestion", b"mage", b"onversation")
_AVAILABLE = ("is_tf_available", "is_flax_available")
_TOKENS = ("TruncationStrategy", "PaddingStrategy", "BatchEncoding", "TensorType")
_INPUTS = (
    "TextInput",
    "TextInputPair",
    "PreTokenizedInput",
    "PreTokenizedInputPair",
    "EncodedInput",
    "EncodedInputPair",
)
_ENDPOINT = ("huggingface_hub.constants", "ENDPOINT")
# Names that 5 has elsewhere, in a place that 4.57 has as well. "*": whatever the module holds.
MOVED: dict[tuple[str, str], tuple[str, str]] = {
    **{
        ("transformers.modeling_utils", name): ("transformers.pytorch_utils", name)
        for name in ("apply_chunking_to_forward", "prune_linear_layer", "Conv1D")
    },
    **{
        ("transformers.tokenization_utils", name): ("transformers.tokenization_utils_base", name)
        for name in (*_TOKENS, *_INPUTS)
    },
    ("transformers.deepspeed", "*"): ("transformers.integrations.deepspeed", "*"),
    ("transformers.utils", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"): _ENDPOINT,
    ("transformers.utils.hub", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"): _ENDPOINT,
    ("transformers.file_utils", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"): _ENDPOINT,
    ("transformers.utils", "cached_property"): ("functools", "cached_property"),
}
# On 4.57 each of these is its image processor, with a warning.
_IMAGE_PROCESSORS = (
    "Beit", "CLIP", "ChineseCLIP", "ConditionalDetr", "ConvNext", "DPT", "DeformableDetr", "DeiT", "Detr",
    "Donut", "Flava", "GLPN", "ImageGPT", "LayoutLMv2", "LayoutLMv3", "Levit", "MaskFormer", "MobileNetV1",
    "MobileNetV2", "MobileViT", "OwlViT", "Perceiver", "PoolFormer", "Segformer", "ViT", "VideoMAE", "Vilt",
    "Yolos",
)  # fmt: skip
MOVED |= {
    ("transformers", f"{model}FeatureExtractor"): ("transformers", f"{model}ImageProcessor")
    for model in _IMAGE_PROCESSORS
}
_FIRST_PARAMETER = "Take the first parameter's: next(model.parameters()).device, or .dtype."
_CLASSES_BY_INPUT = "Use AutoModelForCausalLM, AutoModelForSeq2SeqLM or AutoModelForMaskedLM."
_CARD = "huggingface_hub has a ModelCard of its own, made from text: from huggingface_hub import ModelCard"
_GENERATE = "Call generate(), with num_beams=, top_k= and top_p=."
# Names that 5 has nowhere, and what to do instead; `gone.txt` has the others.
GONE: dict[tuple[str, str], str] = {
    ("transformers", "ModelCard"): _CARD,
    ("transformers.modelcard", "ModelCard"): _CARD,
    ("transformers", "AdamW"): "Use torch.optim.AdamW; its weight_decay is 0.01 unless you pass transformers' 0.0.",
    ("transformers.optimization", "AdamW"): "Use torch.optim.AdamW, with weight_decay=0.0 as transformers had it.",
    ("transformers.modeling_utils", "get_parameter_device"): _FIRST_PARAMETER,
    ("transformers.modeling_utils", "get_parameter_dtype"): _FIRST_PARAMETER,
    ("transformers.modeling_utils", "_init_weights"): "Use torch.nn.init, or leave it to post_init().",
    ("transformers.modeling_utils", "find_pruneable_heads_and_indices"): f"Leave pruning out, or run with 4: {PIN}",
    ("transformers.pytorch_utils", "find_pruneable_heads_and_indices"): f"Leave pruning out, or run with 4: {PIN}",
    ("transformers", "AutoModelWithLMHead"): _CLASSES_BY_INPUT,
    ("transformers", "BeamSearchScorer"): _GENERATE,  # gone in 4.57 already, as the next are
    ("transformers.generation", "BeamSearchScorer"): _GENERATE,
    ("transformers", "top_k_top_p_filtering"): _GENERATE,
    ("transformers", "AutoModelForVision2Seq"): "Use AutoModelForImageTextToText, which 4.57 has as well.",
    ("transformers.utils", "TRANSFORMERS_CACHE"): "Use huggingface_hub.constants.HF_HUB_CACHE.",
    ("transformers.utils", "is_safetensors_available"): "Leave the question out: safetensors is always installed.",
    ("transformers.file_utils", "cached_path"): "Use huggingface_hub.hf_hub_download.",
    ("transformers.pipelines.base", "infer_framework_load_model"): "Load with the model class's from_pretrained.",
    ("transformers.pipelines", "infer_framework_load_model"): "Load with the model class's from_pretrained.",
    ("transformers.pipelines", "get_framework"): 'Leave it out: it is always "pt".',
    ("huggingface_hub", "Repository"): "Use huggingface_hub.snapshot_download and upload_folder.",
    ("huggingface_hub", "cached_download"): "Use huggingface_hub.hf_hub_download.",
    ("huggingface_hub", "HfFolder"): "Use huggingface_hub.get_token, login and logout.",
}
_ADAMW = """\
import torch
class {name}(torch.optim.AdamW):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0, *, no_deprecation_warning=True
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)"""
# What does the same as a name of 4: the lines of an `except ImportError:`.
EQUIVALENT: dict[str, str] = {
    "AdamW": _ADAMW,
    "get_parameter_device": "def {name}(module):\n    return next(module.parameters()).device",
    "get_parameter_dtype": "def {name}(module):\n"
    "    return next(each.dtype for each in module.parameters() if each.is_floating_point())",
    "_init_weights": "{name} = True",
    "is_safetensors_available": "def {name}():\n    return True",
    "get_framework": 'def {name}(model, revision=None):\n    return "pt"',
    "AutoModelForVision2Seq": "from transformers import AutoModelForImageTextToText as {name}",
    "TRANSFORMERS_CACHE": "from huggingface_hub.constants import HF_HUB_CACHE as {name}",
}
# The same for names that are written out, transformers.some.name.
EQUIVALENT_ATTRIBUTE: dict[str, str] = {
    "is_safetensors_available": 'getattr({owner}, "is_safetensors_available", lambda: True)',
    "AutoModelForVision2Seq": 'getattr({owner}, "AutoModelForVision2Seq", {owner}.AutoModelForImageTextToText)',
}
# What stands for a class that is gone, where code only asks whether something is one, or annotates with it.
_STAND_IN = """\
class {name}:
    def __init__(self, *args, **kwargs):
        raise ImportError("{library} has no {name}")"""


def _is_used(file: SourceFile, alias: ast.alias, leaving_out: Sequence[ast.expr] = ()) -> bool:
    """Tell whether the file uses a name that it imports, in expressions or in strings (`__all__`, annotations).

    Args:
        file: the file.
        alias: the import.
        leaving_out: expressions that do not count.
    """
    name = alias.asname or alias.name
    if file.count(name) <= 1 + sum(isinstance(one, ast.Name) and one.id == name for one in leaving_out):
        return False
    without = {id(one) for node in leaving_out for one in ast.walk(node)}
    return any(id(use.node) not in without for use in file.uses(name))


def _mend_gone(
    file: SourceFile, node: ast.ImportFrom, alias: ast.alias, leaving_out: Sequence[ast.expr] = ()
) -> ChangeImport | None:
    """Return the edit for an import of a name that is gone, None if code would not do what it did.

    An unused one is left out; else there is an equivalent, or a class that stands for one that is not really used.
    A package's `__init__.py` imports for others.
    """
    if file.path.name == "__init__.py" and not _registers(file):
        return None
    if not _is_used(file, alias, leaving_out):
        return ChangeImport(file.span(node), alias.name)
    fallback = EQUIVALENT.get(alias.name)
    if fallback is None:
        # No PyTorch model leads into functions that use a class of TensorFlow.
        of_tensorflow = _TENSORFLOW.fullmatch(alias.name) is not None
        uses = file.uses(alias.asname or alias.name)
        if not alias.name[0].isupper() or any(use.real and not (of_tensorflow and use.apart) for use in uses):
            return None
        fallback = "{name} = None" if alias.name.isupper() else _STAND_IN
    words = {"name": alias.asname or alias.name, "library": _library(node.module or "")}
    for word, value in words.items():
        fallback = fallback.replace(f"{{{word}}}", value)
    return ChangeImport(file.span(node), alias.name, fallback=fallback)


def _registers(file: SourceFile) -> bool:
    return bool(file.calls.get("register_pipeline"))


def tf_model_arguments(file: SourceFile) -> Iterator[tuple[ast.Call, ast.keyword]]:
    """Yield the `tf_model=` arguments that transformers' own registry is given."""
    for call, keyword, scope in file.keywords.get("tf_model", ()):
        if not scope.guarded and is_transformers_registry(file, call):
            yield call, keyword


def is_transformers_registry(file: SourceFile, call: ast.Call) -> bool:
    """Tell whether a call is `register_pipeline` of transformers' registry, not of pipesmith's."""
    dotted = file.dotted(call.func)
    return dotted.startswith("transformers.") and dotted.endswith(".register_pipeline")


@rule(
    "PS102",
    "tensorflow-name",
    "transformers 5 has no {name}: there is no TensorFlow and no Flax, and the import fails.",
    "Use the PyTorch class, or import it under `if is_tf_available():` in a try.",
    safe=True,
)
def tensorflow_name(file: SourceFile) -> Iterator[Hit]:
    """Classes and mappings of TensorFlow and Flax. One that only a `tf_model=` uses goes with that."""
    if not has_any(file.data, _TENSORFLOW_STARTS):
        return
    leaving = [keyword.value for _, keyword in tf_model_arguments(file)]
    for node, alias, _ in file.library_imports:
        module = node.module or ""
        if module.startswith("transformers") and (
            _TENSORFLOW.fullmatch(alias.name) or _TENSORFLOW_MODULE.search(module)
        ):
            yield hit(alias, _mend_gone(file, node, alias, leaving), name=alias.name)
    for alias in file.library_modules:
        if _TENSORFLOW_MODULE.search(alias.name):
            yield hit(alias, name=alias.name)
    without = {id(one) for node in leaving for one in ast.walk(node)} if file.library_attributes else ()
    for attribute, _, name in file.library_attributes:
        if _TENSORFLOW.fullmatch(name) and id(attribute) not in without:
            yield hit(attribute, name=name)


@rule(
    "PS103",
    "tf-available",
    "transformers 5 has no {name}, and the import fails.",
    "Import it in a try, with a function that returns False where there is none.",
    safe=True,
    words=_AVAILABLE,
)
def tf_available(file: SourceFile) -> Iterator[Hit]:
    """is_tf_available and is_flax_available."""
    for node, alias, _ in file.library_imports:
        if alias.name in _AVAILABLE and (node.module or "").startswith("transformers"):
            bound = alias.asname or alias.name
            fallback = f"def {bound}():\n    return False"
            yield hit(alias, ChangeImport(file.span(node), alias.name, fallback=fallback), name=alias.name)
    for attribute, _, name in file.library_attributes:
        if name in _AVAILABLE:
            instead = f'getattr({ast.unparse(attribute.value)}, "{name}", lambda: False)'
            yield hit(attribute, Replace(file.span(attribute), instead), name=name)


@rule(
    "PS104",
    "removed-pipeline",
    "transformers 5 has removed the task {task}, and {name} with it.",
    f"Copy the class from transformers 4.57 into a file of your own, or run with transformers 4: {PIN}",
)
def removed_pipeline(file: SourceFile) -> Iterator[Hit]:
    """Classes and modules of tasks that 5 has removed."""
    if not has_any(file.data, _OF_REMOVED_TASKS):
        return
    for node, alias, _ in file.library_imports:
        module = node.module or ""
        of_module = removed_task(module) if module.startswith("transformers.pipelines.") else None
        task = of_module or (removed_task(alias.name) if module.startswith("transformers") else None)
        if task is not None:
            yield hit(alias, name=alias.name, task=task)
    for attribute, _, name in file.library_attributes:
        task = removed_task(name)
        if task is not None:
            yield hit(attribute, name=name, task=task)


@functools.lru_cache(maxsize=4096)
def _home(module: str, name: str) -> tuple[str, str] | None:
    """Return where both lines have what a module lost: its module and name there; None if it is not so."""
    if _has_own_rule(module, name):
        return None
    home = MOVED.get((module, name)) or MOVED.get((module, "*"))
    if home is not None:
        return home[0], name if home[1] == "*" else home[1]
    of_table = None if (module, name) in GONE else gone(module, name)
    return (of_table, name) if of_table else None


@functools.lru_cache(maxsize=4096)
def _instead(module: str, name: str) -> str | None:
    """Return what to do about a name that a module lost, and that has no home; None if it is not so."""
    instead = GONE.get((module, name))
    if instead is not None or _has_own_rule(module, name) or (module, name) in MOVED or gone(module, name) != "":
        return instead
    library = module.partition(".")[0]
    pin = PIN if library == "transformers" else f'{PIN} "huggingface_hub<1"'
    return f"Copy it from {_OLD[library]} into a file of your own, or run with that: {pin}"


_OLD = {"transformers": "transformers 4.57", "huggingface_hub": "huggingface_hub 0.36"}


def _has_own_rule(module: str, name: str) -> bool:
    if _TENSORFLOW.fullmatch(name) or _TENSORFLOW_MODULE.search(module) or name in _AVAILABLE:
        return True
    of_task = removed_task(module) if module.startswith("transformers.pipelines.") else None
    return (of_task or removed_task(name)) is not None


@rule(
    "PS106",
    "moved-import",
    "transformers 5 has no {name} in {module}, and the import fails.",
    "Import it from {home}, where 4.57 has it as well.",
    safe=True,
)
def moved_import(file: SourceFile) -> Iterator[Hit]:
    """Names with a home that both lines know."""
    for node, alias, _ in file.library_imports:
        module = node.module or ""
        home = _home(module, alias.name)
        if home is not None:
            edit = ChangeImport(file.span(node), alias.name, home=home) if alias.name != "*" else None
            yield hit(alias, edit, name=alias.name, module=module, home=".".join(home))
    for alias in file.library_modules:
        if (alias.name, "*") in MOVED:
            module, _, name = alias.name.rpartition(".")
            home_module = MOVED[alias.name, "*"][0]
            line, column, _, _ = file.span(alias)
            edit_name = Replace((line, column, line, column + len(alias.name)), home_module)
            yield hit(alias, edit_name, name=name, module=module, home=home_module)
    for attribute, module, name in file.library_attributes:
        whole = MOVED.get((f"{module}.{name}", "*"))
        if whole is not None and module == "transformers":
            instead = ast.unparse(attribute.value) + whole[0].removeprefix(module)
            yield hit(attribute, Replace(file.span(attribute), instead), name=name, module=module, home=whole[0])
            continue
        home = _home(module, name)
        if home is not None:
            yield hit(attribute, _elsewhere(file, attribute, home), name=name, module=module, home=".".join(home))


def _elsewhere(file: SourceFile, attribute: ast.Attribute, home: tuple[str, str]) -> Replace | None:
    """Return the edit for `transformers.old.name`: the whole dotted name, if it starts with the library's."""
    written = ast.unparse(attribute)
    top = home[0].partition(".")[0]
    return Replace(file.span(attribute), ".".join(home)) if written.startswith(f"{top}.") else None


@rule(
    "PS107",
    "gone-import",
    "{library} has no {name} any more, and the import fails.",
    "{instead}",
    safe=True,
)
def gone_import(file: SourceFile) -> Iterator[Hit]:
    """Names without a home."""
    for node, alias, _ in file.library_imports:
        module = node.module or ""
        instead = _instead(module, alias.name)
        if instead is not None:
            edit = _mend_gone(file, node, alias) if alias.name != "*" else None
            name = alias.name if alias.name != "*" else module
            yield hit(alias, edit, name=name, instead=instead, library=_library(module))
    for alias in file.library_modules:
        instead = _instead(alias.name, "*") if (alias.name, "*") not in MOVED else None
        if instead is not None:
            yield hit(alias, name=alias.name, instead=instead, library=_library(alias.name))
    for attribute, module, name in file.library_attributes:
        instead = _instead(module, name)
        if instead is not None:
            replaced = EQUIVALENT_ATTRIBUTE.get(name, "").format(owner=ast.unparse(attribute.value))
            mended = Replace(file.span(attribute), replaced) if replaced else None
            yield hit(attribute, mended, name=name, instead=instead, library=_library(module))


def _library(module: str) -> str:
    return "transformers 5" if module.startswith("transformers") else "huggingface_hub 1"


@rule(
    "PS118",
    "undeclared-requests",
    "requests is not installed with transformers 5 any more, and nothing here says that this file needs it.",
    "Name requests among your dependencies, and install it: pip install requests",
    words=("requests",),
)
def undeclared_requests(file: SourceFile) -> Iterator[Hit]:
    """`import requests` in a file that counted on transformers to bring it."""
    for node, scope in file.imports:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if any(name.partition(".")[0] == "requests" for name in names) and not scope.guarded:
            level = node.level if isinstance(node, ast.ImportFrom) else 0
            if not level and file.imports_transformers() and not _declares_requests(file.path.parent):
                yield hit(node)


@functools.lru_cache(maxsize=1024)
def _declares_requests(folder: Path) -> bool:
    """Tell whether a folder, or one of the five above it, holds a list of dependencies that names requests."""
    for place in [folder, *folder.parents][:6]:
        lists = [
            *place.glob("requirements*.txt"),
            *(place / name for name in ("pyproject.toml", "setup.py", "setup.cfg")),
        ]
        if any(one.is_file() and b"requests" in one.read_bytes() for one in lists):
            return True
        if (place / ".git").exists():
            return False
    return False
