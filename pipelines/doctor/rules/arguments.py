"""Rules about calls: arguments and methods that transformers 5 does not take."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pipesmith.pipelines.compat.gone import PIN, REMOVED_TASKS
from pipesmith.pipelines.doctor.edits import ChangeArguments, Unwrap
from pipesmith.pipelines.doctor.finding import Hit, hit, rule
from pipesmith.pipelines.doctor.rules.imports import is_transformers_registry, tf_model_arguments
from pipesmith.pipelines.doctor.source_file import SourceFile

_REMOVED_NAMES = ({*REMOVED_TASKS.values()} | {"vqa"}) - {"image-to-text"}  # the last is redirected
_PIPELINE = ("transformers.pipeline", "transformers.pipelines.pipeline")


_TOKENIZER_METHODS = {
    "all_special_tokens_extended",
    "as_target_tokenizer",
    "build_inputs_with_special_tokens",
    "create_token_type_ids_from_sequences",
    "prepare_for_model",
    "prepare_seq2seq_batch",
    "sanitize_special_tokens",
    "special_tokens_map_extended",
    "truncate_sequences",
}


def _drop(file: SourceFile, call: ast.Call, name: str) -> ChangeArguments:
    return ChangeArguments(file.span(call), ((name, None),))


def pipeline_calls(file: SourceFile) -> Iterator[ast.Call]:
    """Yield the calls of transformers' own `pipeline`."""
    for call, scope in file.calls.get("pipeline", ()):
        if not scope.guarded and file.dotted(call.func) in _PIPELINE:
            yield call


def _is_constant(node: ast.expr | None, *values: object) -> bool:
    return isinstance(node, ast.Constant) and any(node.value is value or node.value == value for value in values)


@rule(
    "PS105",
    "removed-task",
    "transformers 5 has no task {task}: this call fails.",
    "Load model and tokenizer and call generate() or the model itself, register a pipeline of your own, "
    f"or run with transformers 4: {PIN}",
    words=("pipeline",),
)
def removed_task_name(file: SourceFile) -> Iterator[Hit]:
    """`pipeline("summarization")` and the other tasks that 5 has removed, unless the file registers one."""
    registered = {
        call.args[0].value
        for call, _ in file.calls.get("register_pipeline", ())
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    for call in pipeline_calls(file):
        given = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "task")]
        for node in given:
            task = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            is_removed = task in _REMOVED_NAMES or re.fullmatch(r"translation_\w+_to_\w+", task)
            if is_removed and task not in registered:
                yield hit(node, task=task)


@rule(
    "PS108",
    "tf-model-argument",
    "register_pipeline() of transformers 5 has no argument tf_model: this call is a TypeError.",
    "Leave it out: PyTorch models are all that 5 runs.",
    safe=True,
    words=("tf_model",),
)
def tf_model_argument(file: SourceFile) -> Iterator[Hit]:
    """`tf_model=` for transformers' registry; pipesmith's takes it."""
    for call, keyword in tf_model_arguments(file):
        yield hit(keyword, _drop(file, call, "tf_model"))


@rule(
    "PS109",
    "default-by-framework",
    "transformers 5 takes this default without a word, and pipeline(task) fails later: it wants one model, and not "
    "one for each framework.",
    'For 5 write default={{"model": (repo, revision)}}; 4.57 wants {{"model": {{"pt": (repo, revision)}}}}. No form is '
    "right for both: choose by version, name the model where pipeline() is called, or register with pipesmith.",
    words=("default",),
)
def default_by_framework(file: SourceFile) -> Iterator[Hit]:
    """`default={"pt": ...}` for transformers' registry."""
    for call, keyword, scope in file.keywords.get("default", ()):
        if not scope.guarded and is_transformers_registry(file, call) and _by_framework(file, keyword.value):
            yield hit(keyword)


def _by_framework(file: SourceFile, node: ast.expr) -> bool:
    node = file.constant(node)
    if isinstance(node, ast.Call):
        return (
            isinstance(node.func, ast.Name)
            and node.func.id == "dict"
            and any(
                keyword.arg in ("pt", "tf") or (keyword.arg == "model" and _by_framework(file, keyword.value))
                for keyword in node.keywords
            )
        )
    if not isinstance(node, ast.Dict):
        return False
    for key, value in zip(node.keys, node.values):
        if _is_constant(key, "pt", "tf") or (_is_constant(key, "model") and _by_framework(file, value)):
            return True
    return False


@rule(
    "PS110",
    "framework-argument",
    "transformers 5 has no argument {name}: it becomes a parameter of the task, and fails or is ignored there.",
    "Leave it out; models that need TensorFlow run with transformers 4.",
    safe=True,
    words=("framework", "modelcard"),
)
def framework_argument(file: SourceFile) -> Iterator[Hit]:
    """`framework=` and `modelcard=` for pipeline(), a pipeline's class and Pipeline.__init__."""
    if file.keywords.keys().isdisjoint(("framework", "modelcard")):
        return
    calls = {id(call) for call in pipeline_calls(file)}
    for name, harmless in (("framework", ("pt", None)), ("modelcard", (None,))):
        for call, keyword, scope in file.keywords.get(name, ()):
            is_init = (
                isinstance(call.func, ast.Attribute)
                and call.func.attr == "__init__"
                and not scope.guarded
                and file.is_pipeline(scope.cls)
            )
            if id(call) in calls or is_init or (not scope.guarded and _makes_pipeline(file, call)):
                edit = _drop(file, call, name) if _is_constant(keyword.value, *harmless) else None
                yield hit(keyword, edit, name=name)


def _makes_pipeline(file: SourceFile, call: ast.Call) -> bool:
    """Tell whether a call is of a pipeline class that has no `__init__` of its own to take what it likes."""
    found = file.find_class(call.func)
    if isinstance(found, str):
        return found.startswith("transformers.") and found.endswith("Pipeline")
    return found is not None and found[0].is_pipeline(found[1]) and not found[0].defines(found[1], "__init__")


@rule(
    "PS111",
    "encode-plus",
    "Tokenizers of transformers 5 have no {name}.",
    "Call the tokenizer. Mind that encode_plus((a, b)) is a pair and tokenizer((a, b)) a batch of two: write "
    "tokenizer(a, b).",
    safe=True,
    words=("encode_plus", "batch_encode_plus"),
)
def encode_plus(file: SourceFile) -> Iterator[Hit]:
    """encode_plus and batch_encode_plus, of anything but the class's own."""
    for name in ("encode_plus", "batch_encode_plus"):
        for call, scope in file.calls.get(name, ()):
            if not isinstance(call.func, ast.Attribute) or scope.guarded:
                continue
            receiver = call.func.value
            if _is_tokenizer(file, receiver) and file.is_about_transformers(scope):
                edit = Unwrap(file.span(call.func)) if _takes_the_same(name, call) else None
                yield hit(call.func, edit, name=name)


def _is_tokenizer(file: SourceFile, node: ast.expr) -> bool:
    """Tell whether a call of encode_plus is one of a tokenizer, not of a class's own method, nor of another library."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained"
    if isinstance(node, ast.Name) and re.search(
        rb"\b%s\s*=[^=\n]*Tokenizer\w*\.from_pretrained\(" % node.id.encode(), file.data
    ):
        return True
    return _speaks_of_tokenizer(node)


def _speaks_of_tokenizer(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return "tok" in name.lower()


def _takes_the_same(name: str, call: ast.Call) -> bool:
    """Tell whether the tokenizer itself, called with these arguments, certainly does the same."""
    keywords = {keyword.arg for keyword in call.keywords}
    if {None, "is_split_into_words", "batch_text_or_text_pairs"} & keywords or not call.args:
        return False
    if name == "batch_encode_plus":
        return len(call.args) == 1 and not isinstance(call.args[0], ast.Starred)
    pairs = [keyword.value for keyword in call.keywords if keyword.arg == "text_pair"]
    return len(call.args) <= 2 and all(_is_text(node) for node in [*call.args, *pairs])


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "str"
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


@rule(
    "PS116",
    "grouped-entities",
    "transformers 5 has no {name}: aggregation_strategy took its place.",
    'Write aggregation_strategy: "simple" for grouped_entities=True, "first" with ignore_subwords=True, else "none".',
    safe=True,
    words=("grouped_entities", "ignore_subwords"),
)
def grouped_entities(file: SourceFile) -> Iterator[Hit]:
    """grouped_entities= and ignore_subwords= for a token classification pipeline."""
    calls = {id(call) for call in pipeline_calls(file)}
    for name in ("grouped_entities", "ignore_subwords"):
        for call, keyword, scope in file.keywords.get(name, ()):
            of_super = isinstance(call.func, ast.Attribute) and file.is_pipeline(scope.cls) and not scope.guarded
            of_class = not scope.guarded and _makes_pipeline(file, call)
            if id(call) in calls or (of_super and _is_super(call.func)) or of_class:
                yield hit(keyword, _as_strategy(file, call, name), name=name)


def _is_super(node: ast.expr) -> bool:
    value = node.value if isinstance(node, ast.Attribute) else node
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"


def _as_strategy(file: SourceFile, call: ast.Call, name: str) -> ChangeArguments | None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    values = [given.get("grouped_entities"), given.get("ignore_subwords")]
    known = all(value is None or _is_constant(value, True, False) for value in values)
    if not known or "aggregation_strategy" in given or None in given:
        return None
    grouped, subwords = (bool(getattr(value, "value", False)) for value in values)
    strategy = "none" if not grouped else "first" if subwords else "simple"
    if name == "ignore_subwords" and "grouped_entities" in given:
        return _drop(file, call, name)
    return ChangeArguments(file.span(call), ((name, ("aggregation_strategy", f'"{strategy}"')),))


@rule(
    "PS120",
    "weights-of-another-framework",
    "from_pretrained() of transformers 5 has no {name}: it loads PyTorch weights and no others.",
    "Leave it out; convert TensorFlow and Flax weights once with transformers 4, model.save_pretrained(folder).",
    safe=True,
    words=("from_pt", "from_tf", "from_flax"),
)
def weights_of_another_framework(file: SourceFile) -> Iterator[Hit]:
    """from_pt=, from_tf= and from_flax= for from_pretrained."""
    for name in ("from_pt", "from_tf", "from_flax"):
        for call, keyword, scope in file.keywords.get(name, ()):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained" and not scope.guarded:
                edit = _drop(file, call, name) if _is_constant(keyword.value, False) else None
                yield hit(keyword, edit, name=name)


@rule(
    "PS126",
    "chat-template-result",
    "apply_chat_template() of transformers 5 returns a dict of tensors where 4 returned the token ids.",
    "Say return_dict=False for the ids, as 4.57 understands too, or return_dict=True and take what you need.",
    words=("apply_chat_template",),
    safe=True,
)
def chat_template_result(file: SourceFile) -> Iterator[Hit]:
    """apply_chat_template of a tokenizer without `return_dict=`, unless it returns text."""
    for call, scope in file.calls.get("apply_chat_template", ()):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if scope.guarded or None in given or "return_dict" in given or _is_constant(given.get("tokenize"), False):
            continue
        of_tokenizer = isinstance(call.func, ast.Attribute) and _speaks_of_tokenizer(call.func.value)
        if of_tokenizer and len(call.args) == 1 and file.is_about_transformers(scope):
            yield hit(call, ChangeArguments(file.span(call), added=(("return_dict", "False"),)))


@rule(
    "PS127",
    "tokenizer-method",
    "Fast tokenizers of transformers 5, which AutoTokenizer gives, have no {name}.",
    "Call the tokenizer: tokenizer(text, pair), with text_target= for targets; its all_special_tokens and "
    f"special_tokens_map are left. Or run with transformers 4: {PIN}",
    words=_TOKENIZER_METHODS,
)
def tokenizer_method(file: SourceFile) -> Iterator[Hit]:
    """Methods and attributes that a tokenizer had."""
    for name in sorted(_TOKENIZER_METHODS & file.attributes.keys()):
        for node, scope in file.attributes[name]:
            if not scope.guarded and _speaks_of_tokenizer(node.value) and file.is_about_transformers(scope):
                yield hit(node, name=name)


@rule(
    "PS128",
    "use-auth-token",
    "transformers 5 has no use_auth_token: it is ignored, or an error.",
    "Write token=, which 4.57 takes as well.",
    safe=True,
    words=("use_auth_token",),
)
def use_auth_token(file: SourceFile) -> Iterator[Hit]:
    """use_auth_token= for from_pretrained, push_to_hub and pipeline()."""
    calls = {id(call) for call in pipeline_calls(file)}
    for call, keyword, scope in file.keywords.get("use_auth_token", ()):
        of_method = isinstance(call.func, ast.Attribute) and call.func.attr in ("from_pretrained", "push_to_hub")
        if id(call) in calls or (of_method and not scope.guarded and file.imports_transformers()):
            edit = None
            if not {"token", None} & {one.arg for one in call.keywords}:
                value = ast.get_source_segment("\n".join(file.lines), keyword.value) or ast.unparse(keyword.value)
                edit = ChangeArguments(file.span(call), (("use_auth_token", ("token", value)),))
            yield hit(keyword, edit)


@rule(
    "PS122",
    "safe-serialization",
    "save_pretrained() of transformers 5 has no safe_serialization: it writes safetensors, always.",
    "Leave it out; True is the default of 4.57.",
    safe=True,
    words=("safe_serialization",),
)
def safe_serialization(file: SourceFile) -> Iterator[Hit]:
    """safe_serialization= for save_pretrained and push_to_hub, in a file that imports transformers."""
    for call, keyword, scope in file.keywords.get("safe_serialization", ()):
        is_saving = isinstance(call.func, ast.Attribute) and call.func.attr in ("save_pretrained", "push_to_hub")
        if is_saving and not scope.guarded and file.imports_transformers():
            yield hit(keyword, _drop(file, call, "safe_serialization") if _is_constant(keyword.value, True) else None)


_PUSH = ("use_temp_dir", "commit_message", "private", "token", "max_shard_size", "create_pr")


@rule(
    "PS123",
    "push-by-position",
    "push_to_hub() of transformers 5 takes keyword arguments only, after the repository.",
    "Name the arguments: push_to_hub(repo_id, commit_message=..., private=..., token=...).",
    safe=True,
    words=("push_to_hub",),
)
def push_by_position(file: SourceFile) -> Iterator[Hit]:
    """push_to_hub(repo, x, y)."""
    for call, scope in file.calls.get("push_to_hub", ()):
        if len(call.args) < 2 or not isinstance(call.func, ast.Attribute) or scope.guarded:
            continue
        if file.imports_transformers() and not _is_data_set(call.func.value):
            edit = None
            plain = not any(isinstance(one, ast.Starred) for one in call.args) and len(call.args) <= len(_PUSH) + 1
            if plain and _is_constant(call.args[1], None):  # use_temp_dir, which 5 has not
                names = tuple(enumerate(_PUSH[: len(call.args) - 1], 1))
                edit = ChangeArguments(file.span(call), (("use_temp_dir", None),), names)
            yield hit(call.args[1], edit)


def _is_data_set(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return "data" in name.lower() or name in ("ds", "api")
