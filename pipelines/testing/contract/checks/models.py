"""The model: in eval mode, without gradients, on any device, in any precision."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import PipeError
from pipesmith.pipelines.publishing.closure import import_closure
from pipesmith.pipelines.source import parse
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import Subject, line_of_call, source_file
from pipesmith.pipelines.user_code import describe, user_line

_DEVICE = re.compile(r"(cuda|mps|xpu|npu|hpu)(:\d+)?")
_MOVES = ("cuda", "mps", "xpu", "npu", "hpu")  # methods that move a tensor or a model
_CALLED = ("forward", "generate")  # of a model
_LOW = ("float16", "bfloat16", "half")


@check(
    "eval-mode",
    why="In training mode dropout makes every result a game of chance; with gradients every row keeps its memory.",
    hint="Do not call model.train() or torch.enable_grad(): transformers has set the model to eval mode already.",
)
def eval_mode(subject: Subject) -> Verdict | None:
    """Look at the model while rows go through it."""
    import torch

    seen: dict[str, str] = {}

    def look(module: Any, arguments: Any) -> None:
        if any(part.training for part in module.modules()):
            seen.setdefault("the model is in training mode", "training")
        if torch.is_grad_enabled():
            seen.setdefault("gradients are computed", "with gradients")

    handle = subject.pipe.model.register_forward_pre_hook(look)
    try:
        subject.run(subject.few[:2])
    finally:
        handle.remove()
    for what, got in seen.items():
        line = line_of_call(subject, "train", "enable_grad", "set_grad_enabled")
        return fail(what, at=line or subject.place("_forward"), expected="eval mode, no gradients", got=got)
    return None


@check(
    "no-fixed-device",
    why="A pipeline that names a device fails, or is slow, on every machine that has another one.",
    hint="Make tensors with device=self.device; transformers moves what preprocess returns, and the model, by itself.",
    needs_run=False,
)
def no_fixed_device(subject: Subject) -> Verdict | None:
    """Look for devices in the class's file and in those that it imports, then run the user's lines on torch's meta."""
    files = _source_files(subject)
    if not files:
        return not_applicable("the class is one of transformers'" if subject.pipe is not None else "no source")
    for file in files:
        for line, text in _named_devices(parse(file)):
            return fail(f"a device is named: {text}", at=f"{file}:{line}", expected="self.device", got=text)
    return _on_meta(subject) if subject.inputs else None


def _source_files(subject: Subject) -> list[Path]:
    """Return the user's file that defines the class, and those of the user's that it imports."""
    file = source_file(subject)
    if file is None:
        return []
    try:
        return list(import_closure([file]).modules)
    except PipeError:  # `imports-publishable` says so
        return [file]


def _named_devices(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the lines that choose a device by name; one that compares with a name chooses nothing."""
    if isinstance(node, ast.Compare):
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and _DEVICE.fullmatch(node.value):
            yield node.lineno, repr(node.value)
        return
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Dict):
        children = list(node.values)
    elif isinstance(node, ast.Subscript):
        children = [node.value]
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("startswith", "endswith", "hasattr", "getattr"):
            return
        numbers = [word.value for word in node.keywords if word.arg == "device"]
        numbers += node.args if called == "device" else []
        receiver = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if (receiver not in ("", "torch") and called in _MOVES and not receiver.endswith("backends")) or any(
            isinstance(one, ast.Constant) and type(one.value) is int for one in numbers
        ):
            yield node.lineno, ast.unparse(node)
            return
    for child in children:
        yield from _named_devices(child)


def _on_meta(subject: Subject) -> Verdict | None:
    """Run `_forward` with everything on the meta device; only errors of devices in the user's own lines count.

    Some models cannot run there, since they look at the values of a mask: what the model returned on the processor is
    handed to the user's lines again, moved to the meta device.
    """
    import torch

    pipe, row = subject.pipe, subject.few[0]
    stages = subject.sanitized(**row.parameters)
    inputs = pipe.preprocess(row.inputs, **{**pipe._preprocess_params, **stages[0]})
    if isinstance(inputs, Iterator):
        inputs = next(inputs)
    meta = torch.device("meta")
    parameters = {**pipe._forward_params, **stages[1]}
    returned: list[Any] = []
    try:
        on_meta = pipe._ensure_tensor_on_device(inputs, device=meta)
        with torch.no_grad():
            for name in _CALLED:
                _replace(pipe.model, name, lambda function: _recording(function, returned))
            pipe._forward(inputs, **parameters)
            returned = [pipe._ensure_tensor_on_device(one, device=meta) for one in returned]
            for name in _CALLED:
                _replace(pipe.model, name, lambda function: _handing_out(returned))
            pipe.model.to(meta)
            pipe.device = meta
            with _moving_to_the_processor():
                pipe._forward(on_meta, **parameters)
    except Exception as error:
        if _is_users_own(error) and _is_of_devices(error):
            return fail(
                f"_forward does not run on another device: {describe(error)}",
                at=user_line(error),
                expected="tensors on self.device",
                got="tensors on the processor",
            )
    return None


def _replace(model: Any, name: str, by: Callable[[Any], Any]) -> None:
    function = getattr(model, name, None)
    if function is not None:
        setattr(model, name, by(function))


def _recording(function: Any, returned: list[Any]) -> Any:
    """Return a function that keeps what another returns, but not what this one calls itself."""

    def call(*arguments: Any, **words: Any) -> Any:
        before = len(returned)
        result = function(*arguments, **words)
        returned[before:] = [result]
        return result

    return call


def _handing_out(returned: list[Any]) -> Any:
    """Return a function that stands for the model on another device, and takes no tensor of the processor."""
    import torch

    def call(*arguments: Any, **words: Any) -> Any:
        for one in [*arguments, *words.values()]:
            if isinstance(one, torch.Tensor) and one.dim() and one.device.type == "cpu":
                raise RuntimeError("the model, on another device, is given a tensor on the processor")
        return returned.pop(0)

    return call


def _moving_to_the_processor() -> Any:
    """Return a context in which a tensor on meta can be moved to the processor, as from any other device."""
    import torch
    from torch.overrides import TorchFunctionMode

    def is_processor(value: Any) -> bool:
        value = value.device if isinstance(value, torch.Tensor) else value
        return value == "cpu" or (isinstance(value, torch.device) and value.type == "cpu")

    class Moving(TorchFunctionMode):  # type: ignore[misc]  # torch is imported here only
        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), words: Any = None) -> Any:
            words = words or {}
            is_move = function is torch.Tensor.cpu or (
                function is torch.Tensor.to and any(map(is_processor, [*arguments[1:], *words.values()]))
            )
            if is_move and arguments[0].is_meta:
                arguments = (torch.zeros_like(arguments[0], device="cpu"), *arguments[1:])
            return function(*arguments, **words)

    return Moving()


def _is_users_own(error: BaseException) -> bool:
    """Tell whether the line that raised it is the user's own, torch's own lines left out."""
    place = user_line(error)
    passed = traceback.extract_tb(error.__traceback__)
    frames = [one for one in passed if "torch" not in Path(one.filename).parts and one.filename != __file__]
    return bool(place and frames) and f"{frames[-1].filename}:{frames[-1].lineno}" == place


def _is_of_devices(error: BaseException) -> bool:
    text = str(error)
    return "device" in text and "data-dependent" not in text and "item()" not in text


@check(
    "no-fixed-dtype",
    why="A pipeline that names a precision fails, or is inexact, with a model that was loaded in another one.",
    hint="Cast floating inputs with .to(self.model.dtype), and nothing to float16 or bfloat16.",
    needs_run=False,
)
def no_fixed_dtype(subject: Subject) -> Verdict | None:
    """Look for low precisions in the source, then run the user's lines with the model in bfloat16."""
    files = _source_files(subject)
    if not files:
        return not_applicable("the class is one of transformers'" if subject.pipe is not None else "no source")
    for file, node in ((one, node) for one in files for node in ast.walk(parse(one))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [word.value for word in node.keywords if word.arg in ("dtype", "torch_dtype")]
        given += node.args if called in ("to", "astype", "type") else []
        names = [ast.unparse(value).rpartition(".")[2].strip("'\"") for value in given]
        if called in ("half", "bfloat16") or any(name in _LOW for name in names):
            text = ast.unparse(node)
            return fail(
                f"a precision is named: {text}", at=f"{file}:{node.lineno}", expected="self.model.dtype", got=text
            )
    if not subject.inputs or not _is_floating(subject):
        return None
    import torch

    subject.pipe.model.to(torch.bfloat16)
    for result in subject.results(subject.few):
        cause = result.error.__cause__ if result.error is not None else None
        if cause is not None and _is_of_dtypes(cause) and user_line(cause) and _stage(cause) == "_forward":
            return fail(
                f"_forward does not run with a model in bfloat16: {describe(cause)}",
                at=user_line(cause),
                expected="inputs in the model's precision",
                got="float32",
            )
    return None


def _is_floating(subject: Subject) -> bool:
    return any(parameter.is_floating_point() for parameter in subject.pipe.model.parameters())


def _is_of_dtypes(error: BaseException) -> bool:
    text = str(error)
    return "dtype" in text or "scalar type" in text or "should be the same" in text


def _stage(error: BaseException) -> str:
    stages = ("preprocess", "_forward", "postprocess")
    return next((one.name for one in traceback.extract_tb(error.__traceback__) if one.name in stages), "")


@check(
    "bfloat16",
    why="Large models are loaded in bfloat16, which numpy cannot read.",
    hint="Write .float() before .numpy(). `pipe run` does that for you; transformers alone does not.",
)
def bfloat16(subject: Subject) -> Verdict | None:
    """Run rows with the model in bfloat16, as transformers alone does."""
    import torch

    if not _is_floating(subject):
        return not_applicable("the model has no floating weights")
    subject.pipe.model.to(torch.bfloat16)
    try:
        subject.native("dataset", subject.inputs[:2])
    except Exception as error:
        if _stage(error) == "postprocess":
            return warn(
                f"postprocess cannot read a bfloat16 output: {describe(error)}",
                at=user_line(error) or subject.place("postprocess"),
                got=describe(error),
            )
        return not_applicable(f"the model does not run in bfloat16 here: {describe(error)}")
    return None
