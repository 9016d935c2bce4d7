"""Parameters read from source: of users' classes, and of all of transformers' own against the live classes."""

from __future__ import annotations

import copy
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.signature import Parameter, ParameterType, Signature, pipeline_classes, read_signature
from pipesmith.pipelines.signature.names import pipeline_file
from pipesmith.pipelines.signature.parameter_types import JSON_LIST, JSON_OBJECT
from pipesmith.pipelines.source import ClassReference, package_folder

pytestmark = pytest.mark.both_lines

STRATEGIES = "one of none, simple, first, average, max"

PAIR = '''
from transformers import Pipeline

class PairPipeline(Pipeline):
    """Say whether two texts mean the same.

    Not a paraphraser.

    Args:
        second_text: The text to compare with. It may be long.
    """

    def _sanitize_parameters(self, **kwargs):
        preprocess_params, postprocess_params = {}, {}
        if "second_text" in kwargs:
            preprocess_params["second_text"] = kwargs["second_text"]
        if "top_k" in kwargs:
            postprocess_params["top_k"] = kwargs["top_k"]
        return preprocess_params, {}, postprocess_params

    def preprocess(self, text, second_text=None):
        """Tokenize.

        Args:
            text: The first text.
        """
        return self.tokenizer(text, text_pair=second_text, return_tensors="pt")

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs, top_k: int = 5):
        """Rank.

        Args:
            top_k (`int`, *optional*): How many labels
                to return.
        """
        return model_outputs
'''


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files and return the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def read(folder: Path, text: str, name: str = "MyPipeline", files: dict[str, str] | None = None) -> Signature:
    write(folder, {"mine.py": text, **(files or {})})
    return read_signature(ClassReference(name, folder / "mine.py"))


def pipeline(
    sanitize: str, preprocess: str = "text", forward: str = "x", postprocess: str = "x", head: str = ""
) -> str:
    """A pipeline whose `_sanitize_parameters` is given as "arguments: body", and stages by their arguments."""
    arguments, _, body = sanitize.partition("\n")
    return (
        textwrap.dedent(head)
        + "\nfrom transformers import Pipeline\n\nclass MyPipeline(Pipeline):\n"
        + f"    def _sanitize_parameters(self, {arguments}):\n{textwrap.indent(textwrap.dedent(body), ' ' * 8)}\n"
        + f"    def preprocess(self, {preprocess}):\n        return self.tokenizer(text)\n"
        + f"    def _forward(self, {forward}):\n        return self.model(**x)\n"
        + f"    def postprocess(self, {postprocess}):\n        return x\n"
    )


def named(signature: Signature) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in signature.parameters}


def ways(signature: Signature) -> dict[str, tuple[str, ...]]:
    return {one.name: one.stages for one in signature.parameters if one.group == "task"}


def test_a_pipeline_of_the_guide(tmp_path: Path) -> None:
    signature = read(tmp_path, PAIR, "PairPipeline")
    assert signature.class_name == "PairPipeline"
    assert signature.line == 4
    assert signature.doc == "Say whether two texts mean the same."
    assert signature.is_pipeline
    assert signature.missing_methods == ()
    assert signature.transformers_base is None
    assert signature.unknown_parameters == "dropped"
    assert signature.notes == ()
    assert signature.input is not None
    assert (signature.input.name, signature.input.annotation, signature.input.takes_json) == ("text", None, False)
    assert signature.input.doc == "The first text."
    second, top_k = signature.parameters
    assert second == Parameter(
        "second_text", ("preprocess",), ParameterType(("str",)), None, "The text to compare with."
    )
    assert top_k == Parameter(
        "top_k", ("postprocess",), ParameterType(("int",)), "5", "How many labels to return.", default_value=5
    )
    assert signature.method_places["postprocess"] == (tmp_path / "mine.py", 32)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('**kw\nreturn {"a": kw["a"], "b": kw.get("b", 1)}, {"c": kw.pop("c")}, {}', "a:p b:p c:f"),
        ('**kw\npre = {k: kw[k] for k in ("a", "b") if k in kw}\nreturn pre, {}, {}', "a:p b:p"),
        ('**kw\npre = {k: v for k, v in kw.items() if k in {"a", "b"}}\nreturn pre, {}, {}', "a:p b:p"),
        (
            '**kw\npre = {}\nfor k in ("a", "b"):\n    if k in kw:\n        pre[k] = kw[k]\nreturn pre, {}, {}',
            "a:p b:p",
        ),
        (
            '**kw\npre, post = {}, {}\nfor k, v in kw.items():\n    if k == "a":\n        pre[k] = v\n'
            '    elif k in ("b", "c"):\n        post[k] = v\n    else:\n        raise ValueError(k)\n'
            "return pre, {}, post",
            "a:p b:o c:o",
        ),
        (
            '**kw\npre, post = {}, {}\nfor d, names in ((pre, ("a",)), (post, ("b",))):\n    for k in names:\n'
            "        if k in kw:\n            d[k] = kw[k]\nreturn pre, {}, post",
            "a:p b:o",
        ),
        ("a=None, b=None\nreturn dict(a=a), {}, {**({} if b is None else {'b': b})}", "a:p b:o"),
        ("a=None\nparams = {}\nif a:\n    params.update(a=a)\nreturn params, {}, params", "a:po"),
        ("a=None\nparams = {}\nother = params\nother['a'] = a\nreturn params, {}, {}", "a:p"),
        ("a=None\nparams = {}\ncopied = dict(params)\nparams['a'] = a\nreturn copied, {}, params", "a:o"),
        ("a=None, b=None\nreturn {'a': a} | {'b': b}, {}, {}", "a:p b:p"),
        ("a=None\nids = [one.lower() for one in a or []]\nreturn {}, {'ids': ids}, {}", "a:f"),
        ("a=False\nkind = None\nif a:\n    kind = 'full'\nreturn {}, {}, {'kind': kind}", "a:o"),
        ("a=None\nself.a = a\nreturn {}, {}, {}", "a:"),
        ("a=None\nreturn {}, {}, {'pair': [1, a]}", "a:o"),
        ("a=None, *, b\nreturn ({'a': a}, {'b': b}, {})", "a:p b:f"),
        ("a=None, b=None\nif a is None:\n    return {}, {}, {'b': b}\nreturn {'a': a}, {}, {'b': b}", "a:p b:o"),
        ("a=None\nresult = ({}, {}, {})\nresult[0]['a'] = a\nreturn result", "a:p"),
    ],
)
def test_where_a_parameter_goes(tmp_path: Path, body: str, expected: str) -> None:
    signature = read(tmp_path, pipeline(body, "text, **kw", "x, **kw", "x, **kw"))
    letters = {"preprocess": "p", "_forward": "f", "postprocess": "o"}
    found = {name: "".join(letters[stage] for stage in stages) for name, stages in ways(signature).items()}
    assert " ".join(f"{name}:{stages}" for name, stages in sorted(found.items())) == expected
    assert signature.notes == ()


def test_shapes_of_real_projects(tmp_path: Path) -> None:
    text = """
    from transformers import Pipeline

    class Base(Pipeline):
        def _sanitize_parameters(self, question=None, limit: int = 50, **kwargs):
            self.pre = {}
            if question is not None:
                self.pre["question"] = question
            forward = {"num_beams": 4, "do_sample": False}
            forward.update(kwargs)
            return self.pre, {"limit": limit, **forward}, {}

        def preprocess(self, text, question=None): ...

        def _forward(self, x, limit=1, **kwargs):
            lang = kwargs.pop("lang", "en")
            return self.model.generate(**x, **kwargs)

        def postprocess(self, x, *, mode="all"): ...

    class MyPipeline(Base):
        def _sanitize_parameters(self, *args, limit=20, query=None, **kwargs):
            self.query = query
            pre, forward, post = super()._sanitize_parameters(*args, limit=limit, style="x", **kwargs)
            post = {"mode": "first", **post}
            if kwargs.get("mode"):
                post["mode"] = kwargs["mode"]
            return pre, forward, post
    """
    parameters = named(read(tmp_path, text))
    assert parameters["question"].stages == ("preprocess",)
    assert (parameters["limit"].stages, parameters["limit"].default) == (("_forward",), "20")
    assert (parameters["query"].stages, parameters["query"].warning) == ((), None)
    assert (parameters["mode"].stages, parameters["mode"].default) == (("_forward", "postprocess"), '"first"')
    assert (parameters["lang"].stages, parameters["lang"].default) == (("_forward",), '"en"')
    assert (parameters["num_beams"].group, parameters["num_beams"].default) == ("generation", "4")
    assert parameters["do_sample"].default == "false"


def test_keys_in_constants_and_helpers_are_found(tmp_path: Path) -> None:
    text = """
    from transformers import Pipeline

    POST = ("c",)

    def split(kwargs, names):
        return {k: kwargs[k] for k in names if k in kwargs}

    class MyPipeline(Pipeline):
        PRE = ("a", "b")

        def _pick(self, kwargs):
            return {k: kwargs[k] for k in self.PRE if k in kwargs}

        def _sanitize_parameters(self, **kwargs):
            return self._pick(kwargs), {}, split(kwargs, POST)

        def preprocess(self, text, a=1, b="x"): ...
        def _forward(self, x): ...
        def postprocess(self, x, c=None): ...
    """
    signature = read(tmp_path, text)
    assert ways(signature) == {"a": ("preprocess",), "b": ("preprocess",), "c": ("postprocess",)}
    assert [one.default for one in signature.parameters] == ["1", '"x"', None]
    assert signature.notes == ()


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("int", "int"),
        ("'int'", "int"),
        ("int | None", "int"),
        ("Optional[float]", "float"),
        ("typing.Union[bool, str]", "bool or str"),
        ("str | list[str]", "str, or a list"),
        ("list[str]", "list of str"),
        ("Sequence[int]", "list of int"),
        ("tuple[float, float]", "list of float"),
        ("List['int']", "list of int"),
        ("list", "list of str"),
        ("list[dict[str, str]]", "list of JSON object"),
        ("list[list[int]]", "JSON list"),
        ("dict", "JSON object"),
        ("Mapping[str, int]", "JSON object"),
        ("Dict[str, Any] | None", "JSON object"),
        ("str | dict", "JSON object or str"),
        ("dict | list[int]", "int or JSON, or a list"),
        ("dict | list[list[int]]", "JSON"),
        ("float | bool", "float or bool"),
        ("Literal['a', 'b']", "one of a, b"),
        ("Literal[1, 2] | None", "one of 1, 2"),
        ("bool | Literal['longest']", "one of true, false, longest"),
        ("Mode", "one of soft, hard"),
        ("Labels", "list of str"),
        ("Options", "JSON object"),
        ("Record", "JSON object"),
        ("Annotated[int, 'positive']", "int"),
        ("Any", "str"),
        ("torch.Tensor", "str"),
        ("Path", "str"),
        ("UserId", "int"),
        ("'not python at all ['", "str"),
    ],
)
@pytest.mark.parametrize("place", ["stage", "sanitize"])
def test_type_of_an_annotation(tmp_path: Path, annotation: str, expected: str, place: str) -> None:
    head = """
    from __future__ import annotations
    import typing
    from dataclasses import dataclass
    from enum import Enum
    from pathlib import Path
    from typing import *
    from typing import Annotated, Any, List, Literal, Mapping, NewType, Optional, Sequence, TypedDict
    import torch

    Labels = list[str]
    UserId = NewType("UserId", int)

    class Mode(str, Enum):
        SOFT = "soft"
        HARD = "hard"

    @dataclass
    class Options:
        depth: int = 1

    class Record(TypedDict):
        text: str
    """
    in_sanitize = f"a: {annotation} = None" if place == "sanitize" else "a=None"
    in_stage = f"text, a: {annotation} = None" if place == "stage" else "text, a=None"
    signature = read(tmp_path, pipeline(f"{in_sanitize}\nreturn {{'a': a}}, {{}}, {{}}", in_stage, head=head))
    assert str(signature.parameters[0].type) == expected


def test_the_stage_s_annotation_comes_first_then_sanitize_s_then_the_default(tmp_path: Path) -> None:
    body = "a: int = None, b: int = None, c=None, d=None\nreturn dict(a=a, b=b, c=c, d=d), {}, {}"
    signature = read(tmp_path, pipeline(body, "text, a: float = 1, b=0.5, c=0.5, d=None"))
    assert [str(one.type) for one in signature.parameters] == ["float", "int", "float", "str"]


def test_names_alone_say_nothing_about_a_user_s_parameter(tmp_path: Path) -> None:
    body = "timeout=None, my_kwargs=None, top_k=None\n"
    body += "return dict(timeout=timeout, my_kwargs=my_kwargs, top_k=top_k), {}, {}"
    signature = read(tmp_path, pipeline(body, "text, timeout=None, my_kwargs=None, top_k=None"))
    assert {str(one.type) for one in signature.parameters} == {"str"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a (`int`, *optional*, defaults to 5): text", "int"),
        ("a (`str` or `list[str]`, *optional*): text", "str, or a list"),
        ("a (int, optional): text", "int"),
        ("a (float or bool): text", "float or bool"),
        ("a (`MyThing`): text", "str"),
        ("a: int or so, perhaps", "str"),
        (":param int a: text", "int"),
        (":param a: text\n    :type a: float", "float"),
        ("a : int\n        text", "int"),
    ],
)
def test_type_and_words_of_a_docstring(tmp_path: Path, line: str, expected: str) -> None:
    text = pipeline("a=None\nreturn {'a': a}, {}, {}", "text, a=None")
    text = text.replace("(Pipeline):\n", f'(Pipeline):\n    """A thing.\n\n    {line}\n    """\n')
    parameter = read(tmp_path, text).parameters[0]
    assert str(parameter.type) == expected
    assert parameter.doc in ("text", "int or so, perhaps")


def test_a_docstring_widens_the_default_s_type_and_never_narrows_it(tmp_path: Path) -> None:
    text = pipeline("a=None, b=None\nreturn {'a': a, 'b': b}, {}, {}", "text, a=0, b='x'")
    doc = '    """A thing.\n\n    Args:\n        a (`float`): One.\n        b (`int`): Two.\n    """\n'
    signature = read(tmp_path, text.replace("(Pipeline):\n", f"(Pipeline):\n{doc}"))
    assert [str(one.type) for one in signature.parameters] == ["float", "str"]


@pytest.mark.parametrize(
    ("body", "stage", "expected"),
    [
        ("a=None\npre = {}\nif a is not None:\n    pre['a'] = a\nreturn pre, {}, {}", "a=5", "5"),
        ("a=''\npre = {}\nif isinstance(a, int) or a is None:\n    pre['a'] = a\nreturn pre, {}, {}", "a=5", "5"),
        ("a=UNSET\npre = {}\nif a is not UNSET:\n    pre['a'] = a\nreturn pre, {}, {}", "a=5", "5"),
        ("a=3\nreturn {'a': a}, {}, {}", "a=5", "3"),
        ("a=None\nreturn {'a': a if a is not None else 7}, {}, {}", "a=5", "7"),
        ("a=None\nreturn {'a': a or 7}, {}, {}", "a=5", "7"),
        ("a=None\na = 7 if a is None else a\nreturn {'a': a}, {}, {}", "a=5", "7"),
        ("a=None\nif a is None:\n    a = 7\nreturn {'a': a}, {}, {}", "a=5", "7"),
        ("a=None\nreturn {'a': a}, {}, {}", "a=5", None),
        ("**kw\nreturn {'a': kw.get('a', 7)}, {}, {}", "a=5", "7"),
        ("**kw\npre = {}\nif 'a' in kw:\n    pre['a'] = kw['a']\nreturn pre, {}, {}", "a=512 / 1024", "0.5"),
        (
            "a=None\npre = {}\npre['a'] = self.model.config.size if a is None else a\nreturn pre, {}, {}",
            "a=5",
            "computed",
        ),
        ("**kw\nreturn kw, {}, {}", "a=LIMIT", "64"),
        ("**kw\nreturn kw, {}, {}", "a='none'", '"none"'),
        ("**kw\nreturn kw, {}, {}", "a=True", "true"),
        ("**kw\nreturn kw, {}, {}", "a=('x', 1)", '["x", 1]'),
        ("**kw\nreturn kw, {}, {}", "a=make()", "computed"),
        ("**kw\nreturn kw, {}, {}", "a=None", None),
    ],
)
def test_the_default_is_the_one_in_effect(tmp_path: Path, body: str, stage: str, expected: str | None) -> None:
    text = pipeline(body, f"text, {stage}", head="UNSET = object()\nLIMIT = 64\n")
    assert named(read(tmp_path, text))["a"].default == expected


# `_sanitize_parameters` as users write it: stages that name and annotate, and many ways to fill the dictionaries

STYLE_HEAD = """
import contextlib
import inspect
from types import SimpleNamespace
from toolz import valfilter
from transformers import Pipeline

MISSING = object()
DEFAULTS = {"lang": "de", "top_k": 9}


def drop_none(**kw):
    return {k: v for k, v in kw.items() if v is not None}


class Base(Pipeline):
    NAMES = {"preprocess": ["lang", "maxlen"], "_forward": ["steps"], "postprocess": ["top_k", "thr"]}

    def preprocess(self, text, lang="en", maxlen: int = 12): ...
    def _forward(self, m, steps: int = 3): ...
    def postprocess(self, o, top_k: int = 5, thr=0.3): ...

    @staticmethod
    def _drop(**kw):
        return {k: v for k, v in kw.items() if v is not None}


class Parent(Base):
    def _sanitize_parameters(self, lang="", steps=-1, top_k="", thr=None):
        pre = {"lang": lang} if lang != "" else {}
        return pre, ({"steps": steps} if steps != -1 else {}), drop_none(top_k=top_k or None, thr=thr)


"""
ALL_NONE = "lang=None, maxlen=None, steps=None, top_k=None, thr=None"
ALL = {
    "lang": ("preprocess", "str", '"en"'),
    "maxlen": ("preprocess", "int", "12"),
    "steps": ("_forward", "int", "3"),
    "top_k": ("postprocess", "int", "5"),
    "thr": ("postprocess", "float", "0.3"),
}


def of_style(folder: Path, body: str, base: str = "Base") -> Signature:
    arguments, _, body = body.partition("\n")
    text = f"class MyPipeline({base}):\n    def _sanitize_parameters(self, {arguments}):\n"
    (folder / "mine.py").write_text(STYLE_HEAD + text + textwrap.indent(body, " " * 8) + "\n", encoding="utf-8")
    return read_signature(ClassReference("MyPipeline", folder / "mine.py"))


def shown(signature: Signature) -> dict[str, tuple[str, str, str | None]]:
    return {one.name: (", ".join(one.stages), str(one.type), one.default) for one in signature.parameters}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            'lang="", maxlen=None, steps=-1, top_k="", thr=None\n'
            'pre = {**({"lang": lang} if lang != "" else {}), **({} if maxlen is None else {"maxlen": maxlen})}\n'
            'post = {k: v for k, v in {"top_k": top_k, "thr": thr}.items() if v not in ("", None)}\n'
            'return pre, ({"steps": steps} if steps != -1 else {}), post',
            id="conditional expressions and sentinels",
        ),
        pytest.param(
            f"{ALL_NONE}\nreturn self._drop(lang=lang, maxlen=maxlen), drop_none(steps=steps), "
            "self._drop(top_k=top_k, thr=thr)",
            id="a method and a function that drop None",
        ),
        pytest.param(
            f"{ALL_NONE}\npre = dict(zip(['lang', 'maxlen'], [lang, maxlen]))\n"
            "post = dict(zip(('top_k', 'thr'), (top_k, thr)))\n"
            "filled = [{k: v for k, v in one.items() if v is not None} for one in (pre, dict(steps=steps), post)]\n"
            "return filled",
            id="zip, and a list of filtered dictionaries",
        ),
        pytest.param(
            "**kwargs\npre = {k: kwargs[k] for k in ('lang', 'maxlen') if k in kwargs}\n"
            'forward = dict(steps=kwargs.pop("steps")) if "steps" in kwargs else {}\npost = {}\n'
            'post.update({k: kwargs[k] for k in {"top_k", "thr"} & set(kwargs)})\n'
            "return pre, forward, post",
            id="a conditional pop, and an intersection of keys",
        ),
        pytest.param(
            "lang=None, maxlen=None, **kw\nforward, post = {}, {}\n"
            "match kw:\n    case {'steps': steps}:\n        forward['steps'] = steps\n"
            "match kw:\n    case {'top_k': k, **rest}:\n        post['top_k'] = k\n"
            "if (t := kw.get('thr')) is not None:\n    post['thr'] = t\npre = {}\n"
            "if lang:\n    pre.setdefault('lang', lang)\nif maxlen is not None:\n    pre = {**pre, 'maxlen': maxlen}\n"
            "return pre, forward, post",
            id="match on the keywords",
        ),
        pytest.param(
            "**kwargs\npre, forward, post = {}, {}, {}\nfor key, value in kwargs.items():\n    match key:\n"
            "        case 'lang' | 'maxlen':\n            pre[key] = value\n"
            "        case 'steps':\n            forward[key] = value\n"
            "        case 'top_k' | 'thr':\n            post[key] = value\n"
            "        case _:\n            raise TypeError(key)\nreturn pre, forward, post",
            id="match on each key",
        ),
        pytest.param(
            "**kwargs\n"
            "pre = {k: v for k, v in kwargs.items() if k in inspect.signature(self.preprocess).parameters}\n"
            "names = set(inspect.signature(self._forward).parameters.keys())\n"
            "forward = {k: v for k, v in kwargs.items() if k in names}\n"
            "post = {k: kwargs[k] for k in inspect.signature(self.postprocess).parameters if k in kwargs}\n"
            "return pre, forward, post",
            id="the signatures of the stages",
        ),
        pytest.param(
            "**kwargs\ndef pick(method):\n    signature = inspect.signature(method)\n"
            "    return {k: v for k, v in kwargs.items() if k in signature.parameters}\n"
            "return pick(self.preprocess), pick(self._forward), pick(self.postprocess)",
            id="the signatures of the stages in a local function",
        ),
        pytest.param(
            f"{ALL_NONE}\npre, forward, post = {{}}, {{}}, {{}}\n"
            "def put(target, key, value):\n    if value is not None:\n        target[key] = value\n"
            "put(pre, 'lang', lang)\nput(pre, 'maxlen', maxlen)\nput(forward, 'steps', steps)\n"
            "put(post, 'top_k', top_k)\nput(post, 'thr', thr)\nreturn pre, forward, post",
            id="a local function that fills",
        ),
        pytest.param(
            "**kwargs\npre, forward, post = {}, {}, {}\n"
            "try:\n    pre['lang'] = kwargs['lang']\nexcept KeyError:\n    pass\n"
            "with contextlib.suppress(KeyError):\n    pre['maxlen'] = int(kwargs.pop('maxlen'))\n"
            "try:\n    steps = kwargs.pop('steps')\nexcept KeyError:\n    pass\nelse:\n    forward = {'steps': steps}\n"
            "for k in ('top_k', 'thr'):\n    v = kwargs.get(k)\n    if v is not None:\n        post[k] = v\n"
            "return pre, forward, post",
            id="KeyError",
        ),
        pytest.param(
            f"{ALL_NONE}\npre, forward, post = dict(lang=lang, maxlen=maxlen), dict(steps=steps), "
            "dict(top_k=top_k, thr=thr)\n"
            "for one in (pre, post):\n    for k in list(one):\n        if one[k] is None:\n            del one[k]\n"
            "for k in [k for k, v in forward.items() if v is None]:\n    forward.pop(k)\nreturn pre, forward, post",
            id="keys removed afterwards",
        ),
        pytest.param(
            f"{ALL_NONE}\nvalues = locals()\n"
            "pick = lambda *names: {n: values[n] for n in names if values[n] is not None}\n"
            "return pick('lang', 'maxlen'), pick('steps'), pick('top_k', 'thr')",
            id="locals and a lambda",
        ),
        pytest.param(
            "**kwargs\nfound = {}\nfor stage, names in self.NAMES.items():\n"
            "    found[stage] = {n: kwargs[n] for n in names if n in kwargs}\n"
            "return found['preprocess'], found['_forward'], found['postprocess']",
            id="a table of names",
        ),
        pytest.param(
            "lang=None, maxlen=None, steps=0, top_k=0, thr=None\nif not lang:\n    pre = {}\n"
            "else:\n    pre = {'lang': lang}\n"
            "pre |= {} if maxlen is None else {'maxlen': maxlen}\n"
            "forward = steps and {'steps': steps} or {}\n"
            "return pre, forward, {**(dict(top_k=top_k) if top_k else {}), **(thr is not None and {'thr': thr} or {})}",
            id="and, or, if and else",
        ),
        pytest.param(
            f"{ALL_NONE}\npre = dict(filter(lambda kv: kv[1] is not None, dict(lang=lang, maxlen=maxlen).items()))\n"
            "return pre, valfilter(bool, {'steps': steps}), valfilter(bool, {'top_k': top_k, 'thr': thr})",
            id="functions that are not read",
        ),
    ],
)
def test_a_style_of_filling_changes_neither_type_nor_default(tmp_path: Path, body: str) -> None:
    signature = of_style(tmp_path, body)
    assert shown(signature) == ALL
    assert {one.warning for one in signature.parameters} == {None}
    assert not any("never passes on" in note for note in signature.notes)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            "**kwargs\nparams = {**DEFAULTS, **kwargs}\n"
            "return {'lang': params['lang']}, {}, {'top_k': params.get('top_k')}",
            {"lang": '"de"', "top_k": "9"},
            id="a dictionary of defaults",
        ),
        pytest.param(
            "**kwargs\nparams = DEFAULTS | kwargs\nreturn {'lang': params['lang']}, {}, {}",
            {"lang": '"de"'},
            id="defaults merged with |",
        ),
        pytest.param(
            "**kwargs\nreturn {'maxlen': int(kwargs.get('maxlen', '512'))}, {}, {}",
            {"maxlen": "512"},
            id="a cast",
        ),
        pytest.param(
            "**kwargs\nparams = kwargs\nif 'top_k' not in params:\n    params['top_k'] = 50\nreturn {}, {}, params",
            {"top_k": "50", "thr": "0.3"},
            id="set if missing",
        ),
        pytest.param(
            "**kwargs\ntry:\n    steps = kwargs.pop('steps')\nexcept KeyError:\n    steps = 4\n"
            "return {}, {'steps': steps}, {}",
            {"steps": "4"},
            id="set in the handler",
        ),
        pytest.param(
            "lang=MISSING, **kwargs\nk = kwargs.pop('top_k', MISSING)\n"
            "return {'lang': 'xx' if lang is MISSING else lang}, {}, {'top_k': 2 if k is MISSING else k}",
            {"lang": '"xx"', "top_k": "2"},
            id="a sentinel replaced",
        ),
        pytest.param(
            "lang=MISSING, top_k=...\n"
            "return ({'lang': lang} if lang is not MISSING else {}), {}, ({} if top_k is ... else {'top_k': top_k})",
            {"lang": '"en"', "top_k": "5"},
            id="a sentinel dropped",
        ),
        pytest.param(
            "lang='xx', top_k=4\np = SimpleNamespace(lang=lang, top_k=top_k)\n"
            "return {'lang': p.lang}, {}, {'top_k': p.top_k}",
            {"lang": '"xx"', "top_k": "4"},
            id="an object that holds them",
        ),
        pytest.param(
            "**kwargs\noptions = Options(**kwargs)\nreturn {'lang': options.lang}, {}, {'top_k': options.top_k}",
            {"lang": "computed", "top_k": "computed"},
            id="an object made of the keywords",
        ),
        pytest.param(
            "lang=None, top_k=None\nmatch lang:\n    case None:\n        pre = {}\n    case _:\n"
            "        pre = {'lang': lang}\nreturn pre, {}, {'top_k': top_k} if top_k else {}",
            {"lang": '"en"', "top_k": "5"},
            id="match on a value",
        ),
    ],
)
def test_defaults_that_sanitize_sets_itself(tmp_path: Path, body: str, expected: dict[str, str]) -> None:
    signature = of_style(tmp_path, body)
    assert {one.name: one.default for one in signature.parameters} == expected
    assert {name: found[:2] for name, found in shown(signature).items()} == {name: ALL[name][:2] for name in expected}


def test_a_subclass_that_writes_into_its_parent_s_dictionary(tmp_path: Path) -> None:
    body = "extra=None, **kw\na, b, c = super()._sanitize_parameters(**kw)\n"
    body += "if extra is not None:\n    c['thr'] = extra\nreturn a, b, c"
    found = shown(of_style(tmp_path, body, "Parent"))
    assert found == {name: ALL[name] for name in ("lang", "steps", "top_k", "thr")} | {"extra": ALL["thr"]}


def test_what_is_returned_unread_is_what_the_stages_name(tmp_path: Path) -> None:
    signature = of_style(tmp_path, "lang=None, **kwargs\nreturn split(lang=lang, **kwargs)")
    assert shown(signature) == ALL
    assert "split(...) gets the parameters and was not read" in "\n".join(signature.notes)
    refusing = of_style(tmp_path, "lang=None, thr=None\nreturn split(lang, thr)")
    assert shown(refusing) == {name: ALL[name] for name in ("lang", "thr")}


def test_a_parameter_that_several_stages_name_goes_to_all_of_them_if_unread(tmp_path: Path) -> None:
    text = pipeline("size=None\nreturn split(size)", "text, size: int = 2", "x", "x, size: int = 2")
    assert shown(read(tmp_path, text)) == {"size": ("preprocess, postprocess", "int", "2")}


def test_a_stage_s_names_are_no_parameters_if_sanitize_drops_or_renames_them(tmp_path: Path) -> None:
    assert shown(of_style(tmp_path, "**kwargs\nreturn {}, {}, {}")) == {}
    body = "**kwargs\npre = {k[4:]: v for k, v in kwargs.items() if k.startswith('pre_')}\nreturn pre, {}, {}"
    signature = of_style(tmp_path, body)
    assert shown(signature) == {}
    assert "a key that is decided at run time" in signature.notes[0]


def test_keys_that_a_stage_reads_from_its_keywords_are_its_names(tmp_path: Path) -> None:
    text = pipeline("**kw\npost = {k: kw[k] for k in {'top_k'} & set(kw)}\nreturn {}, {}, post", postprocess="x, **kw")
    text = text.replace("        return x\n", "        k = kw.get('top_k', 4)\n        return x\n")
    assert shown(read(tmp_path, text)) == {"top_k": ("postprocess", "int", "4")}


@pytest.mark.parametrize(
    ("stage", "default", "value"),
    [
        ("a=5", "5", 5),
        ("a='x'", '"x"', "x"),
        ("a=False", "false", False),
        ("a=('x', 1)", '["x", 1]', ["x", 1]),
        ("a={'b': [None]}", '{"b": [null]}', {"b": [None]}),
        ("a=Strategy.FIRST", '"first"', "first"),
        ("a=1e999", "Infinity", None),
        ("a=make()", "computed", None),
        ("a=None", None, None),
    ],
)
def test_a_default_is_also_given_as_a_value(tmp_path: Path, stage: str, default: str | None, value: object) -> None:
    head = "from enum import Enum\nclass Strategy(Enum):\n    FIRST = 'first'\n"
    text = pipeline("**kw\nreturn kw, {}, {}", f"text, {stage}", head=head)
    parameter = named(read(tmp_path, text))["a"]
    assert (parameter.default, parameter.default_value) == (default, value)
    assert hash(parameter)


def test_defaults_of_helpers_and_of_none_are_the_stage_s_own(tmp_path: Path) -> None:
    text = """
    from transformers import Pipeline

    class MyPipeline(Pipeline):
        def _sanitize_parameters(self, **kwargs):
            post = {k: kwargs[k] for k in ("length", "labels", "limit") if k in kwargs}
            return {}, {}, post

        def preprocess(self, text): ...
        def _forward(self, x): ...

        def postprocess(self, x, labels=None, limit=None, **kwargs):
            if labels is None:
                labels = ["O"]
            if limit is None:
                limit = self.model.config.num_labels
            return self.decode(x, **kwargs)

        def decode(self, x, length: int = 15): ...
    """
    signature = read(tmp_path, text)
    assert {one.name: one.default for one in signature.parameters} == {
        "length": "15",
        "labels": '["O"]',
        "limit": "computed",
    }
    assert str(named(signature)["length"].type) == "int"


def test_enumerations_are_choices(tmp_path: Path) -> None:
    head = """
    import enum

    class Strategy(enum.Enum):
        FIRST = "first"
        LAST = "last"

    class Size(enum.Enum):
        SMALL = enum.auto()
        LARGE = enum.auto()
    """
    body = """a=None, b=None, c=None, d=None, e: Strategy | None = None
    if isinstance(a, str):
        a = Strategy[a.upper()]
    if c not in (None, "x", "y"):
        raise ValueError(c)
    return dict(a=a, b=b, c=c, d=d, e=e), {}, {}"""
    body = body.replace("\n    ", "\n")
    signature = read(tmp_path, pipeline(body, "text, a=Strategy.FIRST, b=Size.SMALL, c=None, d=1, e=None", head=head))
    a, b, c, _, e = signature.parameters
    assert (a.type.choices, a.default, a.warning) == (("first", "last"), None, None)
    assert b.type.choices == ("SMALL", "LARGE")
    assert b.warning == "the code compares it with members of Size, which text does not equal"
    assert c.type.choices == ("x", "y")
    assert e.type.choices == ("first", "last")
    assert e.warning == "the code compares it with members of Strategy, which text does not equal"


def test_keywords_that_go_to_generate_or_to_the_tokenizer_are_flags(tmp_path: Path) -> None:
    text = """
    from transformers import Pipeline

    class MyPipeline(Pipeline):
        def _sanitize_parameters(self, style=None, max_length=None, **generate_kwargs):
            pre = {"truncation": generate_kwargs.pop("truncation")} if "truncation" in generate_kwargs else {}
            if max_length is not None:
                pre["max_length"] = max_length
            return pre, generate_kwargs, {"style": style}

        def preprocess(self, text, **tokenizer_kwargs):
            return self.tokenizer(text, return_tensors="pt", **tokenizer_kwargs)

        def _forward(self, model_inputs, **generate_kwargs):
            generate_kwargs = {"num_beams": 2, **generate_kwargs}
            return self.model.generate(**model_inputs, **generate_kwargs)

        def postprocess(self, x, style=None): ...
    """
    parameters = named(read(tmp_path, text))
    assert str(parameters["max_new_tokens"].type) == "int"
    assert parameters["max_new_tokens"].group == "generation"
    assert parameters["max_new_tokens"].stages == ("_forward",)
    assert parameters["max_new_tokens"].doc
    assert str(parameters["do_sample"].type) == "bool"
    assert str(parameters["temperature"].type) == "float"
    assert "transformers_version" not in parameters
    # named ones are the task's own, and get their types from where they go
    assert (parameters["truncation"].group, str(parameters["truncation"].type)) == ("task", "bool or str")
    assert (parameters["max_length"].group, str(parameters["max_length"].type)) == ("task", "int")
    assert parameters["max_length"].stages == ("preprocess",)
    assert "stride" not in parameters


def test_tokenizer_keywords(tmp_path: Path) -> None:
    text = pipeline("**kw\nreturn kw, {}, {}", "text, lang='en', **tokenizer_kwargs")
    text = text.replace("self.tokenizer(text)", "self._encode(text, **tokenizer_kwargs)")
    text += "    def _encode(self, text, **more):\n        return self.tokenizer(text, **more)\n"
    signature = read(tmp_path, text)
    assert signature.unknown_parameters == "preprocess"
    assert [(one.name, str(one.type), one.group) for one in signature.parameters] == [
        ("lang", "str", "task"),
        ("truncation", "bool or str", "tokenizer"),
        ("max_length", "int", "tokenizer"),
        ("padding", "bool or str", "tokenizer"),
        ("stride", "int", "tokenizer"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a=None\nreturn {}, {}, {}", "refused"),
        ("a=None, **kw\nreturn {}, {}, {}", "dropped"),
        ("a=None, **kw\nreturn {}, kw, {}", "_forward"),
        ("a=None, **kw\nreturn dict(kw), kw, {}", "preprocess, _forward"),
        ("a=None, **kw\nreturn {}, {}, kw", "refused"),  # postprocess takes no **
        ("**kw\na = kw.pop('a', None)\nif kw:\n    raise TypeError(kw)\nreturn {}, {}, {}", "refused"),
        ("**kw\nfor k in kw:\n    if k not in ('a', 'b'):\n        raise TypeError(k)\nreturn {}, {}, {}", "refused"),
    ],
)
def test_what_becomes_of_unknown_parameters(tmp_path: Path, body: str, expected: str) -> None:
    assert read(tmp_path, pipeline(body, "text, **kw", "x, **kw", "x")).unknown_parameters == expected


def test_inheritance_through_every_kind_of_import(tmp_path: Path) -> None:
    base = pipeline("a=None, **kw\nreturn {'a': a}, kw, {}", "text, a: int = 1", "x, **kw").replace(
        "MyPipeline", "Base"
    )
    child = """
    class MyPipeline({base}):
        def _sanitize_parameters(self, b=None, **kwargs):
            pre, forward, post = super()._sanitize_parameters(**kwargs)
            if b is not None:
                post["b"] = b
            return pre, forward, post

        def postprocess(self, x, b=2.5): ...
    """
    child = textwrap.dedent(child)
    package = {"pkg/__init__.py": "from .base import Base as Exported\n", "pkg/base.py": base}
    sources = {
        "pkg/relative.py": "from .base import Base\n" + child.format(base="Base"),
        "pkg/exported.py": "from . import Exported\n" + child.format(base="Exported"),
        "pkg/absolute.py": "from pkg.base import Base\n" + child.format(base="Base"),
        "pkg/dotted.py": "import pkg.base\n" + child.format(base="pkg.base.Base"),
        "pkg/module.py": "from pkg import base as b\n" + child.format(base="b.Base"),
        "pkg/star.py": "from .base import *\n" + child.format(base="Base"),
        "pkg/alias.py": "from .base import Base\nOther = Base\n" + child.format(base="Other"),
        "pkg/guarded.py": "try:\n    from missing import Base\nexcept ImportError:\n    from .base import Base\n"
        + child.format(base="Base"),
        "flat/base.py": base,
        "flat/bare.py": "from base import Base\n" + child.format(base="Base"),
        "flat/bare_module.py": "import base\n" + child.format(base="base.Base"),
    }
    write(tmp_path, {**package, **sources})
    for name in sources:
        if name == "flat/base.py":
            continue
        signature = read_signature(ClassReference("MyPipeline", tmp_path / name))
        assert ways(signature) == {"b": ("postprocess",), "a": ("preprocess",)}, name
        assert (signature.is_pipeline, signature.missing_methods, signature.notes) == (True, (), ()), name
        assert [one.default for one in signature.parameters] == ["2.5", None], name
        assert signature.unknown_parameters == "_forward", name


def test_a_subclass_of_transformers_own_pipeline(tmp_path: Path) -> None:
    for line, base in (
        ("from transformers import TextClassificationPipeline", "TextClassificationPipeline"),
        ("import transformers", "transformers.TextClassificationPipeline"),
        ("import transformers.pipelines as tp", "tp.TextClassificationPipeline"),
        ("from transformers.pipelines.text_classification import TextClassificationPipeline as T", "T"),
    ):
        text = f"""
        {line}

        class MyPipeline({base}):
            def _sanitize_parameters(self, scale=None, **kwargs):
                pre, forward, post = super()._sanitize_parameters(**kwargs)
                if scale is not None:
                    post["scale"] = scale
                return pre, forward, post

            def postprocess(self, outputs, scale: float = 1.0, **kwargs):
                return super().postprocess(outputs, **kwargs)
        """
        signature = read(tmp_path, text)
        parameters = named(signature)
        assert signature.transformers_base == "TextClassificationPipeline"
        assert signature.is_pipeline and not signature.missing_methods
        assert set(parameters) - {"return_all_scores"} == {  # transformers 4 has that one
            *("scale", "function_to_apply", "top_k"),
            *("truncation", "max_length", "padding", "stride"),
        }
        assert (str(parameters["scale"].type), parameters["scale"].default) == ("float", "1.0")
        assert (str(parameters["top_k"].type), parameters["top_k"].default) == ("int", "1")


def test_missing_methods_and_other_classes(tmp_path: Path) -> None:
    text = """
    from transformers import ChunkPipeline, Pipeline
    from somewhere_else import TheirPipeline

    class Partial(Pipeline):
        def preprocess(self, text): ...

    class Chunked(ChunkPipeline):
        def postprocess(self, x): ...

    class Plain:
        def preprocess(self, text): ...

    class Child(TheirPipeline):
        def preprocess(self, text): ...
    """
    write(tmp_path, {"mine.py": text})

    def signature(name: str) -> Signature:
        return read_signature(ClassReference(name, tmp_path / "mine.py"))

    assert signature("Partial").missing_methods == ("_sanitize_parameters", "_forward", "postprocess")
    assert signature("Chunked").missing_methods == ("_sanitize_parameters", "preprocess", "_forward")
    assert signature("Chunked").input is None
    assert not signature("Plain").is_pipeline
    child = signature("Child")
    assert child.is_pipeline and child.missing_methods == ()
    assert child.notes == (f"{tmp_path / 'mine.py'}:14: the base class TheirPipeline was not found",)


def test_pipeline_classes_of_a_file(tmp_path: Path) -> None:
    text = PAIR + (
        "class Half(Pipeline):\n    def preprocess(self, text): ...\n\n"
        "class _Private(PairPipeline): ...\n\n"
        "class Other: ...\n\n"
        "if True:\n    class Second(PairPipeline): ...\n"
    )
    write(tmp_path, {"mine.py": text, "half.py": "from transformers import Pipeline\nclass Half(Pipeline): ...\n"})
    assert pipeline_classes(tmp_path / "mine.py") == ["PairPipeline", "Second"]
    assert pipeline_classes(tmp_path / "half.py") == ["Half"]


def test_parameters_of_init(tmp_path: Path) -> None:
    text = pipeline("**kw\nreturn {}, {}, {}") + (
        "    def __init__(self, table, *args, depth: int = 2, **kwargs):\n"
        "        self.mode = kwargs.pop('mode', 'fast')\n"
        "        super().__init__(*args, **kwargs)\n"
    )
    found = [(one.name, str(one.type), one.default, one.required) for one in read(tmp_path, text).init_parameters]
    assert found == [
        ("table", "str", None, True),
        ("depth", "int", "2", False),
        ("mode", "str", '"fast"', False),
    ]


@pytest.mark.parametrize(
    ("first", "takes_json"),
    [
        ("x", False),
        ("x: str", False),
        ("x: dict", True),
        ("x: dict[str, str]", True),
        ("x: 'list[str]'", True),
        ("x: tuple[str, str]", True),
        ("x: Sequence[str]", True),
        ("x: str | list[str]", False),
        ("x: Optional[dict]", True),
        ("x: Union[str, dict]", False),
        ("x: Row", True),
        ("x: Pair", False),
        ("x: Either", False),
        ("x: Point", False),
        ("x: str | Pair", False),
        ("x: list[Pair]", True),
        ("x: Mapping[str, str]", True),
        ("x: list[list[int]]", True),
        ("x: Any", False),
        ("x: np.ndarray", False),
        ("x: Image | dict", True),
    ],
)
def test_whether_a_row_is_json(tmp_path: Path, first: str, takes_json: bool) -> None:
    head = """
    from dataclasses import dataclass
    from typing import Any, Mapping, NamedTuple, Optional, Sequence, TypedDict, Union

    class Row(TypedDict):
        text: str

    class Point(NamedTuple):
        x: int

    @dataclass
    class Pair:
        one: str

    Either = Union[str, dict]
    """
    signature = read(tmp_path, pipeline("\nreturn {}, {}, {}", first, head=head))
    assert signature.input is not None
    assert signature.input.takes_json is takes_json
    assert signature.input.annotation == (first.partition(": ")[2].strip("'") or None)


def test_slips_are_noted(tmp_path: Path) -> None:
    body = "a=None, b=None, unused=None\nreturn {'a': a}, {}, {'b': b}"
    signature = read(tmp_path, pipeline(body, "text, a=1, lang='en'", "x", "x"))
    parameters = named(signature)
    assert parameters["b"].warning == "postprocess does not take b"
    assert parameters["unused"].warning == "_sanitize_parameters takes it and drops it"
    assert parameters["unused"].stages == ()
    assert parameters["a"].warning is None
    place = signature.method_places["preprocess"]
    assert signature.notes == (
        f"{place[0]}:{place[1]}: preprocess takes 'lang', which _sanitize_parameters never passes on",
    )


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("**kw\nreturn split(kw)", "split(...) gets the parameters and was not read"),
        (
            "**kw\nname = pick()\npre = {}\npre[name] = 1\nreturn pre, {}, {}",
            "a key that is decided at run time (pre[name])",
        ),
        ("**kw\nreturn build()", "what _sanitize_parameters returns was not read"),
        ("**kw\npass", "what _sanitize_parameters returns was not read"),
    ],
)
def test_what_cannot_be_read_is_noted(tmp_path: Path, body: str, note: str) -> None:
    assert note in "\n".join(read(tmp_path, pipeline(body)).notes)


ODD = """
import functools
from transformers import Pipeline

def _helper(self, outputs, top_k: int = 3):
    return outputs

def traced(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

try:
    class MyPipeline(Pipeline):
        if True:
            @traced
            def preprocess(self, *texts, lang: "str" = "en", **kw):
                def nested(a, b=lambda c: c):
                    return a
                return [nested(one) for one in texts]

        _forward = lambda self, x, scale=2: x
        postprocess = _helper

        def _sanitize_parameters(self, *args, lang=None, top_k=None, scale=None, **kw):
            import os
            global THING
            if (size := kw.get("size")) is not None:
                kw["size"] = size
            match lang:
                case "en" | "de":
                    pre = {"lang": lang}
                case [first, *rest]:
                    pre = {"lang": first}
                case _:
                    pre = {}
            with open("x") as stream, stream:
                pass
            try:
                pre["lang"] = lang
            except* KeyError:
                raise
            while pre:
                break
            del kw["size"]
            first, *others = 1, 2, 3
            pre |= {f"{one}": None for one in []}
            async def unused(): yield
            return pre, {"scale": scale}, {"top_k": top_k}
except Exception:
    class MyPipeline: ...
"""


def test_odd_source_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    text = ODD if sys.version_info >= (3, 11) else ODD.replace("except* ", "except ")
    (tmp_path / "mine.py").write_text(text.replace("class MyPipeline: ...", "pass"))
    signature = read_signature(ClassReference("MyPipeline", tmp_path / "mine.py"))
    assert signature.missing_methods == ()
    assert ways(signature) == {
        "lang": ("preprocess",),
        "top_k": ("postprocess",),
        "scale": ("_forward",),
        "size": (),
    }
    assert (named(signature)["top_k"].type, named(signature)["scale"].type) == (ParameterType(("int",)),) * 2
    assert signature.input is not None and signature.input.name == "texts"
    assert signature.method_places["postprocess"] == (tmp_path / "mine.py", 5)


@pytest.mark.parametrize("text", ["class MyPipeline(make(), *BASES, metaclass=M): ...", "class MyPipeline: x = 1"])
def test_no_source_raises_anything_unexpected(tmp_path: Path, text: str) -> None:
    signature = read(tmp_path, text)
    assert signature.parameters == ()


def test_a_dictionary_that_holds_itself_is_read(tmp_path: Path) -> None:
    body = "a=None, **kw\nd = {}\nd['d'] = d\nif a:\n    d = {'d': d, 'a': a}\nelse:\n    d['d'] = dict(d)\n"
    signature = read(
        tmp_path, pipeline(body + "for k in d:\n    d[k] = d\nreturn d, d if a else kw, {}", "text, a=1, d=None")
    )
    assert named(signature)["a"].stages[0] == "preprocess"


def test_circles_end(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "from b import Base\nX = X\nclass A(Base): ...\nclass Own(Own): ...\n",
            "b.py": "from a import Base\n",
        },
    )
    assert not read_signature(ClassReference("A", tmp_path / "a.py")).is_pipeline
    assert not read_signature(ClassReference("Own", tmp_path / "a.py")).is_pipeline


def test_files_of_transformers_itself_are_read_without_surprise() -> None:
    """Every class statement of transformers' pipelines folder, pipelines or not: read without an exception."""
    folder = package_folder("transformers")
    assert folder is not None
    for file in sorted((folder / "pipelines").glob("*.py")):
        for name in pipeline_classes(file):
            assert read_signature(ClassReference(name, file)).class_name == name


def test_errors_name_the_place(tmp_path: Path) -> None:
    write(tmp_path, {"broken.py": "class A(\n", "mine.py": PAIR})
    with pytest.raises(PipelineLoadError, match=r"nowhere\.py cannot be read"):
        read_signature(ClassReference("A", tmp_path / "nowhere.py"))
    with pytest.raises(PipelineLoadError, match=r"broken\.py:1 does not parse"):
        read_signature(ClassReference("A", tmp_path / "broken.py"))
    with pytest.raises(PipelineLoadError, match=r"mine\.py has no class PairPipelin\.") as error:
        read_signature(ClassReference("PairPipelin", tmp_path / "mine.py"))
    assert error.value.hint == "Did you mean PairPipeline? The file defines PairPipeline."
    with pytest.raises(PipelineLoadError, match=r"No source was found for no_such_module\.A"):
        read_signature(ClassReference("A", None, "no_such_module"))


# values


def test_texts_become_values() -> None:
    assert ParameterType(("int",)).parse("5") == 5
    assert ParameterType(("float",)).parse("1e-3") == 0.001
    assert ParameterType(("bool", "str")).parse("True") is True
    assert ParameterType(("bool", "str")).parse("max_length") == "max_length"
    assert ParameterType(("int", "bool")).parse("1") == 1
    assert ParameterType(("json",)).parse("[1]") == [1]
    assert JSON_OBJECT.parse('{"a": 1}') == {"a": 1}
    assert JSON_LIST.parse("[[1]]") == [[1]]
    assert ParameterType(("json",), nullable=True, shape="object").parse("null") is None
    assert ParameterType(("json", "str"), shape="object").parse("[1]") == "[1]"
    assert ParameterType(("json", "str")).parse("5") == "5"
    assert ParameterType(("json", "str")).parse('{"a": 1}') == {"a": 1}
    assert ParameterType(("str",)).parse("2024") == "2024"
    assert ParameterType(("int",), nullable=True).parse("none") is None
    assert ParameterType(("str",), nullable=True).parse("none") == "none"
    assert ParameterType(("str",), choices=("a", "none"), nullable=True).parse("none") == "none"


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        (ParameterType(("int",)), "2.5", "an integer"),
        (ParameterType(("float",)), "x", "a number"),
        (ParameterType(("float", "bool")), "x", "a number or true or false"),
        (ParameterType(("json",)), "{", "JSON"),
        (JSON_OBJECT, "[1]", "a JSON object"),
        (JSON_OBJECT, "{", "a JSON object"),
        (JSON_LIST, '{"a": 1}', "a JSON list"),
        (JSON_LIST, "5", "a JSON list"),
        (ParameterType(("int", "json"), shape="object"), "[1]", "an integer or a JSON object"),
        (ParameterType(("str",), choices=("a", "b")), "c", "one of a, b"),
    ],
)
def test_a_wrong_value_says_what_was_wanted(kind: ParameterType, text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"^{wanted}$"):
        kind.parse(text)


def test_a_repeated_flag_is_a_list() -> None:
    assert ParameterType(("str",), is_list=True).parse_many(["a"]) == "a"
    assert ParameterType(("str",), is_list=True).parse_many(["a", "b"]) == ["a", "b"]
    assert ParameterType(("int",), is_list=True, is_scalar=False).parse_many(["1"]) == [1]
    objects = ParameterType(("json",), is_list=True, is_scalar=False)
    assert objects.parse_many(['{"a": 1}']) == [{"a": 1}]
    assert objects.parse_many(['[{"a": 1}]']) == [{"a": 1}]
    wanted = ParameterType(("json",), is_list=True, is_scalar=False, shape="object")
    assert wanted.parse_many(['[{"a": 1}, {}]']) == [{"a": 1}, {}]
    assert wanted.parse_many(['{"a": 1}', "{}"]) == [{"a": 1}, {}]
    with pytest.raises(ValueError, match=r"^a JSON object$"):
        wanted.parse_many(["[1]"])
    with pytest.raises(ValueError, match="one value"):
        ParameterType(("int",)).parse_many(["1", "2"])


def test_reading_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    write(tmp_path, {"mine.py": PAIR + "\nraise SystemExit('executed')\n"})
    code = """
    import sys
    from pathlib import Path
    from pipesmith.pipelines.signature import read_signature
    from pipesmith.pipelines.source import ClassReference, package_folder
    read_signature(ClassReference("PairPipeline", Path(sys.argv[1])))
    file = package_folder("transformers") / "pipelines" / "text_generation.py"
    assert len(read_signature(ClassReference("TextGenerationPipeline", file)).parameters) > 20
    heavy = {"torch", "transformers", "huggingface_hub", "rich", "numpy", "typer"} & set(sys.modules)
    assert not heavy, heavy
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "mine.py")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# transformers' own pipelines, checked against the live classes


class _Live:
    """A live pipeline with just enough attributes for `_sanitize_parameters` to run without a model."""

    def __init__(self, cls: type) -> None:
        from unittest.mock import MagicMock

        self.name = cls.__name__
        self.pipe = cls.__new__(cls)
        self.pipe.model = MagicMock(name="model")
        self.pipe.model.config.num_labels = 9
        del self.pipe.model.config.return_all_scores  # transformers 4 asks whether it is there
        self.pipe.model.output_modalities = ("text", "image", "audio")
        self.pipe.tokenizer = MagicMock(name="tokenizer")
        self.pipe.tokenizer.model_max_length = 512
        self.pipe.tokenizer.get_vocab.return_value = {"text": 1}
        self.pipe.processor = MagicMock(name="processor")
        self.pipe.framework = "pt"  # transformers 4
        self.pipe.type = "seq2seq_whisper"
        self.pipe.task = "translation_en_to_de"
        self.pipe.assistant_model = self.pipe.assistant_tokenizer = None
        self.pipe._args_parser = MagicMock(name="args_parser")

        self.without = self._call()

    def _call(self, **given: object) -> dict[str, object]:
        names = ("preprocess", "_forward", "postprocess")
        return dict(zip(names, map(_shape, self.pipe._sanitize_parameters(**given)), strict=True))

    def reached(self, name: str, values: Iterable[object]) -> set[str] | None:
        """The stages that a parameter really reaches, with the values that pass its checks; None if it is refused."""
        found: set[str] = set()
        is_taken = False
        for value in values:
            try:
                with_it = self._call(**{name: copy.deepcopy(value)})  # some classes write into the value
            except TypeError as error:
                if "unexpected keyword" in str(error):
                    return None
                continue
            except (ValueError, KeyError, AttributeError):  # a check that this value does not pass
                continue
            is_taken = True
            found |= {stage for stage, keys in with_it.items() if keys != self.without[stage]}
        assert is_taken or (self.name, name) in _ONLY_WITH_OTHERS, f"{self.name}.{name}: no value passed the checks"
        return found


_VALUES: tuple[object, ...] = (3, "text", True, 0.5, ["text"], {"timeout": 7}, "none", "hole", "simple", "word")


def _shape(value: object) -> object:
    """A value such that two of separate mocks are equal."""
    from unittest.mock import NonCallableMock

    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items()}
    return "mock" if isinstance(value, NonCallableMock) else repr(value)


# Acts only beside another parameter, which the one-at-a-time check does not give.
_ONLY_WITH_OTHERS = {
    ("TokenClassificationPipeline", "delimiter", "preprocess"),  # with is_split_into_words
    ("TextGenerationPipeline", "add_special_tokens", "_forward"),  # with prefix
    ("AnyToAnyPipeline", "load_audio_from_video", "_forward"),  # with a Qwen-Omni model
    ("ImageTextToTextPipeline", "stop_sequence"),  # transformers 4: fails without generate_kwargs
    ("ImageTextToTextPipeline", "stop_sequence", "_forward"),
}


def _live_classes() -> dict[str, type]:
    from transformers import pipelines

    found: dict[str, type] = {}
    for info in pipelines.SUPPORTED_TASKS.values():
        impl = info["impl"]
        cls = pipelines._resolve_impl(impl) if isinstance(impl, str) else impl
        found[cls.__name__] = cls
    return found


def test_parameters_of_transformers_tasks_are_those_of_the_live_classes(capsys: pytest.CaptureFixture[str]) -> None:
    classes = _live_classes()
    read_of = {name: read_signature(ClassReference(name, Path(inspect.getfile(cls)))) for name, cls in classes.items()}
    pool = {parameter.name for signature in read_of.values() for parameter in signature.parameters}
    missed, invented, elsewhere = [], [], []
    checked = 0
    for name, cls in classes.items():
        live, found = _Live(cls), named(read_of[name])
        declared = set(inspect.signature(cls._sanitize_parameters).parameters) - {"self"}
        of_stages = {one for stage in ("preprocess", "_forward", "postprocess") for one in _arguments(cls, stage)}
        unknown = live.reached("a_name_that_nobody_has", _VALUES)
        for candidate in sorted(pool | declared | of_stages):
            parameter = found.get(candidate)
            reached = live.reached(candidate, _VALUES if parameter is None else (*_VALUES, *parameter.type.choices))
            if parameter is None:
                if reached is not None and reached != unknown:
                    missed.append((name, candidate, reached))
                continue
            checked += 1
            if reached is None:
                invented.append((name, candidate))
                continue
            for stage in reached ^ set(parameter.stages):
                if (name, candidate, stage) not in _ONLY_WITH_OTHERS:
                    elsewhere.append((name, candidate, reached, parameter.stages))
    with capsys.disabled():
        print(f"\n{len(classes)} classes, {checked} parameters:", f"{missed=}, {invented=}, {elsewhere=}")
    assert not missed
    assert not invented
    assert not elsewhere


def _arguments(cls: type, stage: str) -> list[str]:
    parameters = list(inspect.signature(getattr(cls, stage)).parameters.values())[2:]
    return [one.name for one in parameters if one.kind is not one.VAR_KEYWORD and not one.name.startswith("_")]


def test_generation_fields_are_those_of_the_live_generation_config() -> None:
    from transformers import GenerationConfig

    live = {name for name in vars(GenerationConfig()) if not name.startswith("_")} - {"transformers_version"}
    signature = transformers_signature("TextGenerationPipeline")
    assert live - set(named(signature)) <= {"is_assistant"}  # 4.57 sets it without reading it
    assert {one.name for one in signature.parameters if one.group == "generation"} <= live
    typed = {one.name: str(one.type) for one in signature.parameters if one.group == "generation"}
    assert sum(kind == "str" for kind in typed.values()) < 6, typed
    assert all(one.doc for one in signature.parameters if one.name in ("max_new_tokens", "num_beams", "temperature"))


def transformers_signature(name: str) -> Signature:
    return read_signature(ClassReference(name, None, "transformers"))


@pytest.mark.parametrize(
    ("name", "parameter", "kind", "default", "stages"),
    [
        ("TextClassificationPipeline", "top_k", "int", "1", "postprocess"),
        ("TextClassificationPipeline", "function_to_apply", "one of sigmoid, softmax, none", "computed", "postprocess"),
        ("TextClassificationPipeline", "truncation", "bool or str", None, "preprocess"),
        ("FillMaskPipeline", "top_k", "int", "5", "postprocess"),
        ("FillMaskPipeline", "targets", "str, or a list", None, "postprocess"),
        ("FillMaskPipeline", "tokenizer_kwargs", "JSON object", "{}", "preprocess"),
        ("TextGenerationPipeline", "max_new_tokens", "int", None, "preprocess, _forward"),
        ("TextGenerationPipeline", "return_full_text", "bool", "computed", "postprocess"),
        ("ZeroShotClassificationPipeline", "candidate_labels", "str, or a list", None, "preprocess"),
        ("ZeroShotClassificationPipeline", "multi_label", "bool", "false", "postprocess"),
        ("AutomaticSpeechRecognitionPipeline", "chunk_length_s", "float", "0", "preprocess"),
        ("AutomaticSpeechRecognitionPipeline", "stride_length_s", "float, or a list", "computed", "preprocess"),
        ("AutomaticSpeechRecognitionPipeline", "return_timestamps", "bool or str", "false", "_forward, postprocess"),
        ("TokenClassificationPipeline", "aggregation_strategy", STRATEGIES, '"none"', "postprocess"),
        ("TokenClassificationPipeline", "ignore_labels", "list of str", '["O"]', "postprocess"),
        ("TokenClassificationPipeline", "is_split_into_words", "bool", "false", "preprocess"),
        ("TokenClassificationPipeline", "stride", "int", None, "preprocess"),
        ("DocumentQuestionAnsweringPipeline", "max_answer_len", "int", "15", "postprocess"),
        ("AudioClassificationPipeline", "top_k", "int", "computed", "postprocess"),
        ("ObjectDetectionPipeline", "threshold", "float", "0.5", "postprocess"),
        ("MaskGenerationPipeline", "crop_overlap_ratio", "float", "0.3413333333333333", "preprocess"),
        ("ImageToTextPipeline", "max_new_tokens", "int", None, "_forward"),
    ],
)
def test_what_transformers_tasks_show(name: str, parameter: str, kind: str, default: str | None, stages: str) -> None:
    if pipeline_file(name) is None:
        pytest.skip(f"this transformers has no {name}")
    found = named(transformers_signature(name))[parameter]
    assert (str(found.type), found.default, ", ".join(found.stages)) == (kind, default, stages)


def test_defects_of_transformers_are_warned_of() -> None:
    document = named(transformers_signature("DocumentQuestionAnsweringPipeline"))
    assert document["max_question_len"].warning == "preprocess does not take max_question_len"
    assert document["max_seq_len"].warning is None
    generation = named(transformers_signature("TextGenerationPipeline"))
    assert "ReturnType" in (generation["return_type"].warning or "")
