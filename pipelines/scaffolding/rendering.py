"""Answers and templates to the text of files. What stands in a project is not looked at here.

A template is given the fields of `Answers`, and: `model_class` (the first one), `model_mapping` and
`tf_model_mapping` (their names in transformers), `tf_model_class` (None without one), `output` (which of
templates/outputs/), `parameters` (the template's own ones, then the author's), `at_least_one` (names of those that
have to be), `has(name, stage)`, `default_of(name)` (source), `base` (the base class), and what `examples_of` in
rows.py gives: the inputs and parameters of the tests.
The filter `import_block` sorts import lines.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines.errors import ParameterError, ScaffoldError
from pipesmith.pipelines.scaffolding.answers import Answers, Parameter
from pipesmith.pipelines.scaffolding.model_classes import model_mappings, output_of, tensorflow_class
from pipesmith.pipelines.scaffolding.parents import copied_files
from pipesmith.pipelines.scaffolding.rows import examples_of

if TYPE_CHECKING:
    import jinja2

_LINE = 120  # characters
_DOCS = {
    "second_text": "The text that goes with the first; without it the first stands alone.",
    "max_length": "The most tokens of a piece.",
    "stride": "How many tokens a piece shares with the one before it.",
    "chunk_length_s": "How long a piece is, in seconds.",
    "tiles": "How many rows and columns the image is cut into.",
    "clips": "How many clips the video is cut into.",
    "hypothesis_template": "The sentence that the text is put into, at {}.",
    "top_k": "How many labels to return, best first.",
    "threshold": "The lowest score that a token is returned for.",
    "max_new_tokens": "The most tokens to write.",
    "normalize": "Whether the features are scaled to a length of 1.",
    "add_special_tokens": "Whether the tokenizer adds the tokens that mark the begin and the end.",
}
_AT_LEAST_ONE = ("max_length", "tiles", "clips", "top_k", "max_new_tokens")


def render(answers: Answers, templates: Path | None = None) -> dict[str, str]:
    """Return the text of each file of a task by its path, relative to the project, with / on every system.

    Args:
        answers: what the task is made from.
        templates: a folder whose templates go before pipesmith's own; None if there is none.

    Raises:
        ScaffoldError: the folder or a template is missing, or a template fails or makes no Python.
        ParameterError: a parameter of the author's clashes with one of the template's.
    """
    if templates is not None and not templates.is_dir():
        raise ScaffoldError(
            f"There is no folder {templates}, which pyproject.toml has as [tool.pipe] templates.",
            hint="Make it, or take that line out: the templates are pipesmith's then.",
        )
    environment = _environment(templates)
    context = _context(answers)
    template = "subclass.py.jinja" if answers.parent else "pipeline.py.jinja"
    copied = copied_files(answers.parent)
    return {
        **{f"{answers.pipelines}/{name}": text for name, text in copied.items()},
        f"{answers.pipelines}/{answers.module}.py": _render(environment, template, context),
        f"tests/test_pipelines_{answers.module}.py": _render(environment, "test_pipelines.py.jinja", context),
    }


def render_template(name: str, answers: Answers) -> str:
    """Return the text that one of pipesmith's own templates gives of a task; it raises what `render` does."""
    return _render(_environment(None), name, _context(answers))


def parameters_of(answers: Answers) -> tuple[Parameter, ...]:
    """Return the template's own parameters, with the author's defaults, and then those that the author added.

    Raises:
        ParameterError: one of the author's has the name of the template's, and another type or stage.
    """
    own = {} if answers.parent else {parameter.name: parameter for parameter in _own_parameters(answers)}
    added = []
    for parameter in answers.parameters:
        known = own.get(parameter.name)
        if known is None:
            used = not answers.parent and (parameter.name, parameter.stage) in _known_to_templates(answers)
            doc = _DOCS[parameter.name] if used else parameter.doc or "What it does is yours to write."
            added.append(replace(parameter, doc=doc, is_used=used))
        elif (known.type, known.stage) != (parameter.type, parameter.stage):
            raise ParameterError(
                f"--param {parameter.name}: the template has a {known.name}:{known.type}@{known.stage} of its own.",
                hint=f"Write {known.name}:{known.type}=VALUE@{known.stage}, or choose another name.",
            )
        else:
            own[parameter.name] = replace(known, default=parameter.default)
    return (*own.values(), *added)


def _own_parameters(answers: Answers) -> Iterable[Parameter]:
    def own(name: str, kind: str, default: Any, stage: str) -> Parameter:
        return Parameter(name, kind, default, stage, _DOCS[name], is_used=True)

    if answers.pair:
        yield own("second_text", "str", None, "preprocess")
    if answers.type == "multimodal":
        yield own("hypothesis_template", "str", "This is a photo of {}.", "preprocess")
    if answers.chunk and answers.type == "text":
        yield own("max_length", "int", 128, "preprocess")
        yield own("stride", "int", 16, "preprocess")
    elif answers.chunk and answers.type == "audio":
        yield own("chunk_length_s", "float", 10.0, "preprocess")
    elif answers.chunk and answers.type in ("image", "multimodal"):
        yield own("tiles", "int", 2, "preprocess")
    elif answers.chunk:
        yield own("clips", "int", 2, "preprocess")
    output = output_of(answers.type, answers.model_classes[0])
    if output == "classification":
        yield own("top_k", "int", 5, "postprocess")
    elif output == "tokens":
        yield own("threshold", "float", 0.0, "postprocess")
    elif output == "generation":
        yield own("max_new_tokens", "int", 20, "_forward")
    elif output == "features":
        yield own("normalize", "bool", False, "postprocess")


def _known_to_templates(answers: Answers) -> set[tuple[str, str]]:
    """Return what the tokenizer is given beside the template's own parameters, if an author asks for it."""
    return {("max_length", "preprocess"), ("add_special_tokens", "preprocess")} if answers.type == "text" else set()


def _context(answers: Answers) -> dict[str, Any]:
    parameters = parameters_of(answers)
    model_class = answers.model_classes[0]
    tf_class = tensorflow_class(model_class, answers.type)
    mapping = model_mappings()[model_class]
    return {
        **{name: getattr(answers, name) for name in ("task", "type", "model_classes", "pair", "chunk", "framework")},
        **{name: getattr(answers, name) for name in ("parent", "default", "revision", "pipelines")},
        **{name: getattr(answers, name) for name in ("module", "class_name", "package")},
        "model_class": model_class,
        "model_mapping": mapping,
        "tf_model_class": tf_class if answers.framework == "both" else None,
        "tf_model_mapping": f"TF_{mapping}",
        "output": output_of(answers.type, model_class),
        "parameters": parameters,
        "at_least_one": [one.name for one in parameters if one.is_used and one.name in _AT_LEAST_ONE],
        "has": lambda name, stage: any((one.name, one.stage) == (name, stage) for one in parameters),
        "default_of": {one.name: one.literal for one in parameters}.__getitem__,
        "base": "ChunkPipeline" if answers.chunk else "Pipeline",
        **examples_of(answers.parent, model_class),
    }


@functools.cache
def _environment(templates: Path | None) -> jinja2.Environment:
    import jinja2

    own = jinja2.FileSystemLoader(str(resources.files("pipesmith.templates")))
    loaders = [jinja2.FileSystemLoader(str(templates)), own] if templates else [own]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders), undefined=jinja2.StrictUndefined, autoescape=False
    )
    environment.filters["import_block"] = import_block
    return environment


def _render(environment: jinja2.Environment, name: str, context: dict[str, Any]) -> str:
    import jinja2

    try:
        text = tidied(environment.get_template(name).render(context))
    except jinja2.TemplateSyntaxError as error:
        raise ScaffoldError(
            f"{error.filename or error.name}:{error.lineno} is no template of Jinja: {error.message}.",
            hint="Mend that line and run again.",
        ) from error
    except Exception as error:  # what a template calls may raise anything
        raise ScaffoldError(
            f"{_failed_line(error) or name} fails: {type(error).__name__}: {error}.",
            hint=f"What a template is given stands at the top of {__file__}.",
        ) from error
    try:
        ast.parse(text)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise ScaffoldError(
            f"The template {name} makes no Python: {error.msg}, at line {error.lineno} of what it makes: {line}",
            hint="Mend the template and run again; nothing was written.",
        ) from error
    return text


def _failed_line(error: Exception) -> str:
    """Return the line of a template that raised an error, as file:line; empty if none is known."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.endswith(".jinja")]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def import_block(text: str) -> str:
    """Sort import lines as ruff does: one line a module, the standard library, then others, then the project's own."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("import "):
            plain.add(line)
        else:
            _, module, _, imported = line.split(maxsplit=3)
            names.setdefault(module, set()).update(name.strip() for name in imported.split(","))
    blocks: dict[int, list[str]] = {}
    for line in sorted(plain):
        blocks.setdefault(_section(line.split()[1]), []).append(line)
    for module in sorted(names, key=lambda module: (module.startswith("."), module.casefold())):
        blocks.setdefault(_section(module), []).append(_from_line(module, sorted(names[module], key=_isort_key)))
    return "\n\n".join("\n".join(blocks[section]) for section in sorted(blocks))


def _from_line(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _isort_key(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def _section(module: str) -> int:
    top = module.partition(".")[0]
    if not top:
        return 3
    if top in sys.stdlib_module_names:
        return 0
    return 1 if top in ("numpy", "torch", "transformers", "PIL", "pipesmith", "pytest") else 2


def tidied(text: str) -> str:
    """Set the blank lines of a Python text right, and put each argument of a long `def` on a line of its own.

    Templates are free of that care so, and can be read.
    """
    lines: list[str] = []
    blank = 0
    for line in map(str.rstrip, text.strip("\n").splitlines()):
        if not line:
            blank += 1
            continue
        lines += [""] * (_blank_lines(lines[-1], line, blank) if lines else 0)
        blank = 0
        lines += _wrapped(line)
    return "\n".join(lines) + "\n"


def _blank_lines(before: str, line: str, found: int) -> int:
    if before.lstrip().startswith("@"):
        return 0
    if not line.startswith((" ", ")", "]", "}")) and (before[0] == " " or line.startswith(("def ", "class ", "@"))):
        is_continued = before.rstrip().endswith(("(", "[", "{", ","))
        return 0 if is_continued else 2
    if before.endswith((":", "(", "[", "{")) and not before.lstrip().startswith(('"""', "Args")):
        return 0
    if line.lstrip().startswith(("def ", "@")):
        return 1
    return min(found, 1) if not line.startswith((")", "]", "}")) else 0


def _wrapped(line: str) -> list[str]:
    """Break a `def` that is too long: its arguments together on the next line, or one a line."""
    match = re.fullmatch(r"(\s*)(def \w+\()(.*)(\) -> .*:)", line)
    if len(line) <= _LINE or match is None:
        return [line]
    indent, begin, arguments, end = match.groups()
    if len(indent) + 4 + len(arguments) <= _LINE:
        return [indent + begin, f"{indent}    {arguments}", indent + end]
    each = re.split(r", (?=\*{0,2}\w+(?::|$))", arguments)
    return [indent + begin, *(f"{indent}    {argument}," for argument in each), indent + end]
