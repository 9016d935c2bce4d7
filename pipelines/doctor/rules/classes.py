"""Rules about what a class of pipelines or models does not do."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pipesmith.pipelines.doctor.finding import Hit, hit, rule
from pipesmith.pipelines.doctor.source_file import SourceFile
from pipesmith.pipelines.doctor.walk import Function

# What transformers' pipeline() gives every class that it makes, on 5.
_GIVEN = {"self", "model", "tokenizer", "feature_extractor", "image_processor", "video_processor", "processor"}
_GIVEN |= {"task", "device", "batch_size", "num_workers", "binary_output", "dtype"}


def method(cls: ast.ClassDef, name: str) -> Function | None:
    """Return a class's own method."""
    for node in cls.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return node
    return None


def _calls(file: SourceFile, node: ast.ClassDef | Function, name: str) -> bool:
    last = node.end_lineno or node.lineno
    return any(node.lineno <= one.lineno <= last for one, _ in file.attributes.get(name, ()))


@rule(
    "PS114",
    "no-post-init",
    "{name}.__init__ does not call self.post_init(): from_pretrained() of transformers 5 fails, for it finds no "
    "all_tied_weights_keys.",
    "End __init__ with self.post_init(), which every transformers 4 has had since 4.17. It also initialises weights "
    "that no checkpoint has.",
    words=("__init__",),
)
def no_post_init(file: SourceFile) -> Iterator[Hit]:
    """A model class right below a PreTrainedModel whose `__init__` does not end as transformers wants."""
    for cls in file.classes.values():
        init = method(cls, "__init__")
        if init is None or not cls.bases or not file.is_model(cls):
            continue
        own = file.own_classes(cls)
        if not any(_calls(where, one, "post_init") for where, one in own) and not file.defines(
            cls, "all_tied_weights_keys"
        ):
            yield hit(init, name=cls.name)


@rule(
    "PS125",
    "chunks-without-is-last",
    "preprocess of {name} yields chunks without is_last: only single inputs work, a list or a data set does not.",
    'Add "is_last": True to the last chunk of each input and False to the others.',
    words=("ChunkPipeline",),
)
def chunks_without_is_last(file: SourceFile) -> Iterator[Hit]:
    """A ChunkPipeline in whose file the word does not occur."""
    if b"ChunkPipeline" not in file.data or b"is_last" in file.data:
        return
    for cls in file.classes.values():
        preprocess = method(cls, "preprocess")
        if preprocess is None or not any(isinstance(node, ast.Yield) for node in ast.walk(preprocess)):
            continue
        if any(isinstance(one, str) and one.endswith(".ChunkPipeline") for one in file.ancestors(cls)):
            yield hit(preprocess, name=cls.name)


@rule(
    "PS205",
    "required-argument",
    "{name}.__init__ demands {argument}, which pipeline() does not pass: the task cannot be loaded by its name.",
    "Give it a default, or make it a parameter in _sanitize_parameters.",
    words=("__init__",),
)
def required_argument(file: SourceFile) -> Iterator[Hit]:
    """Arguments of a pipeline's `__init__` that have no default, `framework` among them."""
    for cls in file.pipelines:
        init = method(cls, "__init__")
        if init is None:
            continue
        arguments = init.args
        named = [*arguments.posonlyargs, *arguments.args]
        required = named[: len(named) - len(arguments.defaults)][1:]
        required += [one for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults) if default is None]
        for argument in required:
            if argument.arg not in _GIVEN:
                yield hit(argument, name=cls.name, argument=argument.arg)


@rule(
    "PS214",
    "init-takes-no-more",
    "{name}.__init__ does not take task and the like, which pipeline() passes: the task cannot be loaded by its name.",
    "Take **kwargs as well, and hand them on: super().__init__(..., **kwargs).",
    words=("__init__",),
)
def init_takes_no_more(file: SourceFile) -> Iterator[Hit]:
    """A pipeline's `__init__` that neither has `**kwargs` nor names the task."""
    for cls in file.pipelines:
        init = method(cls, "__init__")
        if init is None or init.args.kwarg is not None:
            continue
        if all(one.arg != "task" for one in (*init.args.args, *init.args.kwonlyargs)):
            yield hit(init, name=cls.name)


@rule(
    "PS215",
    "init-loads-its-model",
    "pipeline() hands {name}.__init__ a loaded model, and from_pretrained() wants a name: the task cannot be loaded by "
    "its name.",
    "Hand it on, super().__init__(model=model, ...), and load only if isinstance(model, str).",
    words=("from_pretrained",),
)
def init_loads_its_model(file: SourceFile) -> Iterator[Hit]:
    """from_pretrained(model) in a pipeline's `__init__` that does not ask what its model is."""
    for cls in file.pipelines:
        init = method(cls, "__init__")
        if init is None or all(one.arg != "model" for one in (*init.args.args, *init.args.kwonlyargs)):
            continue
        calls = [node for node in ast.walk(init) if isinstance(node, ast.Call) and node.args]
        of_model = [call for call in calls if isinstance(call.args[0], ast.Name) and call.args[0].id == "model"]
        if any(isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "type") for call in of_model):
            continue
        for call in of_model:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained":
                yield hit(call, name=cls.name)
                break


@rule(
    "PS206",
    "init-without-super",
    "{name}.__init__ does not call that of its base: tokenizer, device and parameters are not set, and batches fail.",
    "Call super().__init__(*args, **kwargs) first.",
    words=("__init__",),
)
def init_without_super(file: SourceFile) -> Iterator[Hit]:
    """A pipeline's `__init__` that skips Pipeline.__init__."""
    for cls in file.pipelines:
        init = method(cls, "__init__")
        if init is not None and not _calls(file, init, "__init__"):
            yield hit(init, name=cls.name)
