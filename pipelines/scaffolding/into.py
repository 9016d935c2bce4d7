"""A task planned into a checkout of transformers: module, entry, public names, tests and documentation.

What the checkout lacks is reported and not created. Nothing of pipesmith stays there: `pipe update` does not apply.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pipesmith.pipelines.errors import ScaffoldError, TaskConflictError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.scaffolding.answers import Answers
from pipesmith.pipelines.scaffolding.model_classes import tensorflow_class
from pipesmith.pipelines.scaffolding.names import check_task_name
from pipesmith.pipelines.scaffolding.plan import Change, Plan
from pipesmith.pipelines.scaffolding.rendering import render_template
from pipesmith.pipelines.scaffolding.transformers_source import (
    LICENCE,
    has_tensorflow,
    other_names,
    supported_tasks,
    with_blank_lines,
    with_documentation,
    with_public_name,
    with_relative_imports,
    with_task,
)
from pipesmith.pipelines.source import MEND, syntax_sentence
from pipesmith.pipelines.staging import read_source

_PACKAGE = Path("src", "transformers")
_REGISTRY = _PACKAGE / "pipelines" / "__init__.py"
_PUBLIC = _PACKAGE / "__init__.py"
_MODELS = _PACKAGE / "models" / "auto"
_TESTS = Path("tests", "pipelines")
_T = TypeVar("_T")
_DOCUMENTATION = Path("docs", "source", "en", "main_classes", "pipelines.md")


def make_plan_into(checkout: Path, answers: Answers) -> tuple[Plan, tuple[str, ...]]:
    """Plan a task in a checkout of transformers, and say what it lacks or leaves to its author, a sentence each.

    Args:
        checkout: the folder that holds src/transformers.
        answers: what the task is made from.

    Raises:
        ScaffoldError: it is no checkout of transformers, or its source cannot be read or has no such model class.
        TaskConflictError: the task is another class's there.
    """
    source = read_source(checkout / _REGISTRY)
    tasks = _parsed(checkout / _REGISTRY, source, supported_tasks)
    if tasks is None:
        raise ScaffoldError(
            f"{checkout} is no checkout of transformers: {_REGISTRY.as_posix()} has no SUPPORTED_TASKS.",
            hint="git clone https://github.com/huggingface/transformers, and name that folder.",
        )
    framework = answers.framework if has_tensorflow(source) else "pt"
    answers = replace(answers, framework=framework, pipelines=_REGISTRY.parent.as_posix())
    _check(answers, tasks, other_names(source), checkout)
    known = _classes(checkout / _MODELS / "modeling_tf_auto.py") if answers.framework == "both" else []
    found = [tensorflow_class(one, answers.type) for one in answers.model_classes]
    tf_models = [tf for tf in found if tf is not None and tf in known]
    changes: list[Change] = []
    notes: list[str] = []

    template = "subclass.py.jinja" if answers.parent else "pipeline.py.jinja"
    text = render_template(template, answers).replace("It needs transformers alone. ", "")
    text = LICENCE + with_relative_imports(text, (checkout / _REGISTRY).parent)
    _change(changes, checkout, _REGISTRY.parent / f"{answers.module}.py", lambda _: text, is_edit=False)
    if (checkout / _TESTS).is_dir():
        tests = render_template("transformers_test.py.jinja", _of_tests(answers, checkout))
        tests = LICENCE + "\n" + with_blank_lines(tests)
        _change(changes, checkout, _tests(answers), lambda _: tests, is_edit=False)
    else:
        notes.append(f"There is no {_TESTS.as_posix()}: the tests were not written.")

    def documented(page: str) -> str:
        found = with_documentation(page, answers.class_name, answers.type)
        if found is None:
            notes.append(f"{_DOCUMENTATION.as_posix()} has no section for {answers.type}: it was left alone.")
        return page if found is None else found

    if (checkout / _DOCUMENTATION).is_file():
        _change(changes, checkout, _DOCUMENTATION, documented)
    else:
        notes.append(f"There is no {_DOCUMENTATION.as_posix()}: the class is not documented.")

    def noted(path: Path, edited: tuple[str, list[str]]) -> str:
        notes.extend(f"{path.as_posix()}: {what} is yours to add, there is no such list." for what in edited[1])
        return edited[0]

    if (checkout / _PUBLIC).is_file():
        _change(changes, checkout, _PUBLIC, lambda old: noted(_PUBLIC, with_public_name(old, answers.class_name)))
    else:
        notes.append(f"There is no {_PUBLIC.as_posix()}: the class is not public.")
    _change(changes, checkout, _REGISTRY, lambda old: noted(_REGISTRY, with_task(old, answers, tf_models)))
    notes += _left_to_author(answers, checkout)
    return Plan(checkout, answers, is_new_project=False, changes=tuple(changes)), tuple(notes)


def _check(answers: Answers, tasks: dict[str, str], others: list[str], checkout: Path) -> None:
    """Refuse what transformers could not take."""
    place = checkout / _REGISTRY
    if answers.task not in tasks:
        check_task_name(answers.task, [*tasks, *others])
    elif tasks[answers.task].strip("'").rpartition(".")[2] != answers.class_name:
        raise TaskConflictError(
            f"{place} has a task {answers.task} already, of {tasks[answers.task]}.", hint="Choose another name."
        )
    if answers.parent is not None and answers.parent.module != "transformers":
        raise ScaffoldError(
            f"{answers.parent.class_name} is not transformers' own.", hint="--from takes a task of the checkout here."
        )
    if answers.default and not answers.revision:
        raise ScaffoldError(
            f"{answers.default} is a folder, which nobody else has.", hint="--default user/model@revision"
        )
    known = _classes(checkout / _MODELS / "modeling_auto.py")
    for model in answers.model_classes:
        if model not in known:
            raise ScaffoldError(f"{checkout} has no Auto class {model}.", hint=near_miss(model, known))


def _left_to_author(answers: Answers, checkout: Path) -> list[str]:
    """Say what only its author can do, or a script of the checkout."""
    notes = []
    if not answers.default:
        notes.append("It has no default model: --default user/model@revision names one.")
    if (checkout / "utils" / "check_pipeline_typing.py").is_file():
        notes.append(
            "The overloads of pipeline() are generated: python utils/check_pipeline_typing.py --fix_and_overwrite"
        )
    if (checkout / "tests" / "test_pipeline_mixin.py").is_file():
        notes.append("tests/test_pipeline_mixin.py names the tasks that every architecture is tested with: add yours.")
    return notes


def _of_tests(answers: Answers, checkout: Path) -> Answers:
    """Return the answers that tests are made from: the last versions of 4 run TensorFlow and no longer test it."""
    has_tests = "def require_tf(" in read_source(checkout / _PACKAGE / "testing_utils.py")
    return answers if has_tests else replace(answers, framework="pt")


def _tests(answers: Answers) -> Path:
    return _TESTS / f"test_pipelines_{answers.module}.py"


def _change(
    changes: list[Change], checkout: Path, path: Path, edit: Callable[[str], str], *, is_edit: bool = True
) -> None:
    """Plan a file's new text, line ends as they are; a text that stays is no change."""
    before = read_source(checkout / path)
    is_windows = before.count("\r\n") == before.count("\n") > 0
    after = _parsed(checkout / path, before.replace("\r\n", "\n") if is_windows else before, edit)
    if is_windows:
        after = after.replace("\n", "\r\n")
    if after != before:
        changes.append(Change(path, before, after, is_edit))


def _parsed(file: Path, source: str, read: Callable[[str], _T]) -> _T:
    try:
        return read(source)
    except (SyntaxError, ValueError) as error:
        raise ScaffoldError(syntax_sentence(file, error), hint=MEND) from error


def _classes(file: Path) -> list[str]:
    nodes = _parsed(file, read_source(file), ast.parse).body
    return [node.name for node in nodes if isinstance(node, ast.ClassDef)]
