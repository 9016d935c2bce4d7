"""Registries read from their source: what is listed, what is noted, and that nothing of the user's is executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import write

from pipesmith.pipelines.compat import needed
from pipesmith.pipelines.declarations import (
    Declarations,
    read_declarations,
    registers_tasks,
    transformers_aliases,
    transformers_declarations,
    transformers_removed,
)
from pipesmith.pipelines.entries import DefaultModel, PipelineEntry
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.source import ClassReference

OURS = "from pipesmith.pipelines import PIPELINE_REGISTRY\n"
THEIRS = "from transformers.pipelines import PIPELINE_REGISTRY\n"
# Importing this file would leave a file behind.
TASKS = """
from pathlib import Path
from transformers import Pipeline
Path(__file__).with_name("executed").touch()

class A(Pipeline):
    TASK = "by-attribute"

class B(A):
    pass
"""


def read(folder: Path, registry: str, **files: str) -> Declarations:
    """Write pipelines/__init__.py with tasks.py beside it, and read it; `a__b` names the file a/b.py."""
    texts = {f"pipelines/{name.replace('__', '/')}.py": text for name, text in files.items()}
    write(folder, {"pipelines/tasks.py": TASKS, **texts, "pipelines/__init__.py": registry})
    found = read_declarations(folder / "pipelines" / "__init__.py", "project")
    assert not (folder / "pipelines" / "executed").exists()
    return found


def classes(found: Declarations) -> list[tuple[str, str]]:
    """Return each task with the class that runs it."""
    return [(entry.task, class_name(entry)) for entry in found.entries]


def conditional(found: Declarations) -> set[tuple[str, str, str | None, bool | None]]:
    """Return each task with its class, its condition and whether that holds here."""
    return {(entry.task, class_name(entry), entry.condition, entry.holds) for entry in found.entries}


def class_name(entry: PipelineEntry) -> str:
    assert isinstance(entry.pipeline_class, ClassReference)
    return entry.pipeline_class.name


def class_file(entry: PipelineEntry) -> Path | None:
    assert isinstance(entry.pipeline_class, ClassReference)
    return entry.pipeline_class.file


def unread(found: Declarations) -> list[str]:
    """Return the notes on what was not read, as line and message."""
    return [f"{note.place.line}: {note.message}" for note in found.notes if note.unread]


def warnings(found: Declarations) -> list[str]:
    return [f"{note.place.line}: {note.message}" for note in found.notes if not note.unread]


# What is read.


@pytest.mark.both_lines
def test_names_given_as_text(tmp_path: Path) -> None:
    registry = """
        from pipesmith.pipelines import PIPELINE_REGISTRY

        PIPELINE_REGISTRY.register_pipeline(
            "my-task",
            pipeline_class="tasks.A",
            pt_model="AutoModelForSequenceClassification",
            tf_model=("TFAutoModelForSequenceClassification", "TFAutoModel"),
            default={"pt": ("user/awesome_model", "abcdef")},
            type="text",
        )
    """
    found = read(tmp_path, registry)
    (entry,) = found.entries
    assert not found.notes
    assert entry.task == "my-task"
    assert entry.pipeline_class == ClassReference("A", tmp_path / "pipelines" / "tasks.py")
    assert entry.pt_model == ("AutoModelForSequenceClassification",)
    assert entry.tf_model == ("TFAutoModelForSequenceClassification", "TFAutoModel")
    assert entry.default == DefaultModel("user/awesome_model", "abcdef")
    assert (entry.type, entry.origin, entry.condition, entry.unread) == ("text", "project", None, ())
    assert str(entry.place) == f"{tmp_path / 'pipelines' / '__init__.py'}:3"


@pytest.mark.both_lines
@pytest.mark.parametrize(
    "text", ["tasks.A", "sub.mod.A", "tasks.py:A", "sub/mod.py:A", "pipelines.tasks.A", "pipelines.sub.mod.A"]
)
def test_class_as_text_is_found_beside_the_file(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', {text!r})", sub__mod="class A: ...")
    file = class_file(found.entries[0])
    assert not found.notes
    assert file == tmp_path / "pipelines" / ("sub/mod.py" if "mod" in text else "tasks.py")


@pytest.mark.both_lines
def test_class_as_text_with_an_absolute_path(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/file.py": "class Far: ..."})
    path = tmp_path / "elsewhere" / "file.py"
    found = read(tmp_path, f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', '{path}:Far')")
    assert found.entries[0].pipeline_class == ClassReference("Far", path)


@pytest.mark.both_lines
def test_class_that_is_re_exported_is_found_where_it_is_defined(tmp_path: Path) -> None:
    registry = f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', 'api.Public')"
    found = read(tmp_path, registry, api="from .tasks import A as Public")
    assert found.entries[0].pipeline_class == ClassReference("A", tmp_path / "pipelines" / "tasks.py")


@pytest.mark.both_lines
def test_imports_of_every_kind(tmp_path: Path) -> None:
    registry = """
        import transformers
        import tasks as bare
        import pipelines.tasks
        from transformers import AutoModel as Auto, pipelines as theirs
        from . import tasks
        from .tasks import B as Renamed
        from pipelines.tasks import A as Absolute
        from .models import *

        class Here(Renamed): ...

        theirs.PIPELINE_REGISTRY.register_pipeline(pipeline_class=tasks.A, task="module", pt_model=Auto)
        theirs.PIPELINE_REGISTRY.register_pipeline("renamed", Renamed, (transformers.AutoModelForMaskedLM, MyModel))
        transformers.pipelines.PIPELINE_REGISTRY.register_pipeline("absolute", Absolute)
        theirs.PIPELINE_REGISTRY.register_pipeline("dotted", pipelines.tasks.A)
        theirs.PIPELINE_REGISTRY.register_pipeline("bare", bare.B)
        theirs.PIPELINE_REGISTRY.register_pipeline("star", Star)
        theirs.PIPELINE_REGISTRY.register_pipeline("here", Here)
        theirs.PIPELINE_REGISTRY.register_pipeline("theirs", transformers.TextClassificationPipeline)
    """
    found = read(tmp_path, registry, models="class MyModel: ...\nclass Star: ...\n_hidden = 1")
    by_task = {entry.task: entry for entry in found.entries}
    pipelines = tmp_path / "pipelines"
    assert not found.notes
    assert {task: (class_name(entry), class_file(entry)) for task, entry in by_task.items() if task != "theirs"} == {
        "module": ("A", pipelines / "tasks.py"),
        "renamed": ("B", pipelines / "tasks.py"),
        "absolute": ("A", pipelines / "tasks.py"),
        "dotted": ("A", pipelines / "tasks.py"),
        "bare": ("B", pipelines / "tasks.py"),
        "star": ("Star", pipelines / "models.py"),
        "here": ("Here", pipelines / "__init__.py"),
    }
    assert by_task["module"].pt_model == ("AutoModel",)
    assert by_task["renamed"].pt_model == ("AutoModelForMaskedLM", ClassReference("MyModel", pipelines / "models.py"))
    theirs = by_task["theirs"].pipeline_class
    assert isinstance(theirs, ClassReference)
    assert theirs.module == "transformers.pipelines.text_classification"
    assert theirs.file is not None and theirs.file.name == "text_classification.py"


@pytest.mark.both_lines
def test_constants_and_computed_values(tmp_path: Path) -> None:
    registry = """
        from pathlib import Path
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from . import constants
        from .constants import NAME, DEFAULTS, Kind
        from .tasks import A

        PREFIX = "my"
        COMMON = {"pipeline_class": A, "type": "text"}
        R.register_pipeline(f"{PREFIX}-{NAME}", **COMMON, default=DEFAULTS["x"])
        R.register_pipeline("{}-{n}".format(PREFIX, n=constants.NAME.upper()), **{**COMMON, "type": "audio"})
        R.register_pipeline(PREFIX + "_%d" % 2, A, *["AutoModel"], default=Path(__file__).parent / "model")
        R.register_pipeline(A.TASK, A, type=Kind.IMAGE.value)
        R.register_pipeline(("x", "indexed")[-1], [A][0])
    """
    constants = """
        from enum import Enum
        NAME = "pair"
        DEFAULTS = {"x": ("u/x", "1")}
        class Kind(str, Enum):
            IMAGE = "image"
    """
    found = read(tmp_path, registry, constants=constants)
    assert not found.notes
    assert classes(found) == [
        ("my-pair", "A"),
        ("my-PAIR", "A"),
        ("my_2", "A"),
        ("by-attribute", "A"),
        ("indexed", "A"),
    ]
    assert [entry.type for entry in found.entries] == ["text", "audio", "multimodal", "image", "multimodal"]
    assert found.entries[0].default == DefaultModel("u/x", "1")
    assert found.entries[2].default == DefaultModel(str(tmp_path / "pipelines" / "model"))


@pytest.mark.both_lines
@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ('{"pt": ("u/m", "r")}', DefaultModel("u/m", "r")),
        ('{"pt": "u/m"}', DefaultModel("u/m")),
        ('"u/m"', DefaultModel("u/m")),
        ('("u/m", "r")', DefaultModel("u/m", "r")),
        ('["u/m", None]', DefaultModel("u/m")),
        ('{"model": ("u/m", "r")}', DefaultModel("u/m", "r")),
        ('{"model": "u/m"}', DefaultModel("u/m")),
        ('{"model": {"tf": ("u/t", "t"), "pt": ("u/m", "r")}}', DefaultModel("u/m", "r")),
        ('{"tf": ("u/t", "t")}', DefaultModel("u/t", "t")),
        ("None", None),
    ],
)
def test_every_form_of_a_default_model(tmp_path: Path, default: str, expected: DefaultModel | None) -> None:
    found = read(tmp_path, f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', 'tasks.A', default={default})")
    assert found.entries[0].default == expected
    assert not found.notes


@pytest.mark.both_lines
def test_loops_over_what_is_written_there(tmp_path: Path) -> None:
    registry = """
        from dataclasses import dataclass
        from pipesmith.pipelines import PIPELINE_REGISTRY
        from .tasks import A, B

        for name in ["first", "skipped", "second"]:
            if name == "skipped":
                continue
            PIPELINE_REGISTRY.register_pipeline(name, A)
        for name, cls in {"x": A, "y": B}.items():
            PIPELINE_REGISTRY.register_pipeline(name, cls)
        for number, cls in enumerate((A, B), start=1):
            PIPELINE_REGISTRY.register_pipeline(f"n{number}", cls)
        [PIPELINE_REGISTRY.register_pipeline(name, A) for name in ("c", "d") if name != "d"]
        specs = {name: {"pipeline_class": cls} for name, cls in zip(["z1", "z2"], [A, B])}
        specs["z3"] = dict(pipeline_class=A)
        for name in sorted(specs):
            PIPELINE_REGISTRY.register_pipeline(name, **specs[name])
        count = 0
        while count < 2:
            PIPELINE_REGISTRY.register_pipeline(f"w{count}", A)
            count += 1

        @dataclass
        class Spec:
            name: str
            cls: type = A

        def tasks():
            yield Spec("s1")
            yield Spec("s2", cls=B)

        for spec in tasks():
            PIPELINE_REGISTRY.register_pipeline(spec.name, spec.cls)
    """
    found = read(tmp_path, registry)
    assert not found.notes
    assert classes(found) == [
        *[("first", "A"), ("second", "A"), ("x", "A"), ("y", "B"), ("n1", "A"), ("n2", "B"), ("c", "A")],
        *[("z1", "A"), ("z2", "B"), ("z3", "A"), ("w0", "A"), ("w1", "A"), ("s1", "A"), ("s2", "B")],
    ]


@pytest.mark.both_lines
def test_aliases_and_helpers_are_followed(tmp_path: Path) -> None:
    registry = """
        import functools
        import pipesmith.pipelines as smith
        import pipelines.helpers
        from .helpers import add as plus, task
        from .registers_itself import C
        from .tasks import A, B

        REGISTRY = smith.PIPELINE_REGISTRY
        register = REGISTRY.register_pipeline
        register("alias", A)
        of_text = functools.partial(register, pipeline_class=A, type="text")
        of_text("partial")
        functools.partial(REGISTRY.register_pipeline, "positional")(B)
        plus("helper", B, default="u/m")
        pipelines.helpers.add("dotted", cls=B)

        @task("decorated")
        class D(A): ...

        @functools.lru_cache(maxsize=None)
        def several(prefix, *names, **more):
            for name in names:
                register(prefix + name, **more)

        several("p-", "1", "2", pipeline_class=B)
        (lambda name: register(name, A))("lambda")
        list(map(lambda name: getattr(REGISTRY, "register_pipeline")(name, A), ["mapped"]))
    """
    helpers = """
        from pipesmith.pipelines import PIPELINE_REGISTRY

        def add(name, cls=None, **more):
            PIPELINE_REGISTRY.register_pipeline(name, pipeline_class=cls, **more)

        def task(name):
            def decorate(cls):
                add(name, cls)
                return cls
            return decorate
    """
    itself = """
        from pipesmith.pipelines import PIPELINE_REGISTRY
        class C: ...
        PIPELINE_REGISTRY.register_pipeline("itself", C)
    """
    found = read(tmp_path, registry, helpers=helpers, registers_itself=itself)
    assert not found.notes
    assert classes(found) == [
        *[("itself", "C"), ("alias", "A"), ("partial", "A"), ("positional", "B"), ("helper", "B"), ("dotted", "B")],
        *[("decorated", "D"), ("p-1", "B"), ("p-2", "B"), ("lambda", "A"), ("mapped", "A")],
    ]
    by_task = {entry.task: entry for entry in found.entries}
    assert by_task["partial"].type == "text"
    assert by_task["helper"].default == DefaultModel("u/m")
    # A helper's task is placed where the helper is called, not inside it.
    lines = (tmp_path / "pipelines" / "__init__.py").read_text().splitlines()
    assert [lines[by_task[task].place.line - 1].strip() for task in ("helper", "decorated")] == [  # type: ignore[union-attr]
        'plus("helper", B, default="u/m")',
        '@task("decorated")',
    ]
    assert by_task["itself"].place is not None and by_task["itself"].place.file.name == "registers_itself.py"


# Conditions.


@pytest.mark.both_lines
def test_conditions_on_the_machine_know_whether_they_hold_here(tmp_path: Path) -> None:
    registry = """
        import sys
        from importlib.util import find_spec
        from typing import TYPE_CHECKING
        from packaging import version
        import transformers
        from transformers import is_torch_available
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from .tasks import A, B

        if TYPE_CHECKING:
            R.register_pipeline("type-checking", A)
        if is_torch_available() and sys.version_info >= (3, 10):
            R.register_pipeline("torch", A)
        if version.parse(transformers.__version__) < version.parse("4.0"):
            R.register_pipeline("old", A)
        elif find_spec("transformers") is not None:
            R.register_pipeline("new", A)
        try:
            import no_such_package_at_all as missing
        except ImportError:
            missing = None
        R.register_pipeline("without", A if missing is None else B)
        if __name__ == "__main__":
            R.register_pipeline("main", A)
    """
    found = read(tmp_path, registry)
    old = "version.parse(transformers.__version__) < version.parse('4.0')"
    assert conditional(found) == {
        ("torch", "A", "is_torch_available() and sys.version_info >= (3, 10)", True),
        ("old", "A", old, False),
        ("new", "A", f"not ({old}) and find_spec('transformers') is not None", True),
        ("without", "A", "missing is None", True),
        ("without", "B", "not (missing is None)", False),
    }
    assert not unread(found)
    assert warnings(found) == [
        "11: not registered here, because `TYPE_CHECKING` is false",
        "24: not registered here, because `__name__ == '__main__'` is false",
    ]


@pytest.mark.both_lines
@pytest.mark.parametrize(
    ("source", "condition"),
    [
        ("if sys.platform == 'no-system': PLACE", "sys.platform == 'no-system'"),
        ("if 'no-system' in sys.platform: PLACE", "'no-system' in sys.platform"),
        ("if sys.platform.startswith('no-'): PLACE", "sys.platform.startswith('no-')"),
        ("if os.name == 'other': PLACE", "os.name == 'other'"),
        ("NO = sys.platform == 'no-system'\nif NO: PLACE", "sys.platform == 'no-system'"),
        ("if not sys.version_info >= (3, 10): PLACE", "not (sys.version_info >= (3, 10))"),
        ("major, minor = sys.version_info[:2]\nif (major, minor) < (3, 10): PLACE", "(major, minor) < (3, 10)"),
        ("if sys.version_info.major < 3 or sys.platform == 'x': PLACE", None),
        ("if find_spec('no_such_package_at_all'): PLACE", "find_spec('no_such_package_at_all')"),
        ("if os.environ.get('NO') and os.name == 'x': PLACE", "os.environ.get('NO') and os.name == 'x'"),
        ("match = None\nif sys.platform == 'x' and flag(): PLACE", "sys.platform == 'x' and flag()"),
        ("try: import no_such_package_at_all\nexcept ImportError: pass\nelse: PLACE", None),
        ("with suppress(ImportError):\n    from no_such_package_at_all import x\n    PLACE", None),
        ("from importlib import metadata\nif metadata.version('transformers') < '1': PLACE", None),
        ("def f():\n    if os.name != 'x': return\n    PLACE\nf()", "not (os.name != 'x')"),
        (
            "names = []\nif os.name == 'x': names.append('t')\nfor n in names: R.register_pipeline(n, A)",
            "os.name == 'x'",
        ),
        ("names = {'t': A}\nif os.name != 'x': del names['t']\nfor n in names: R.register_pipeline(n, names[n])", None),
        (
            "names = {'t': A}\nif os.name != 'x': names.pop('t', 0)\nfor n in names: R.register_pipeline(n, names[n])",
            None,
        ),
        ("if os.name == 'x': from . import other", "os.name == 'x'"),
    ],
)
def test_what_is_registered_on_another_machine_only_is_listed(
    tmp_path: Path, source: str, condition: str | None
) -> None:
    start = f"import os, sys\nfrom contextlib import suppress\nfrom importlib.util import find_spec\n{OURS}as R\n"
    start = start.replace("\nas R", " as R") + "from .tasks import A\n"
    registry = start + source.replace("PLACE", "R.register_pipeline('t', A)")
    (entry,) = read(tmp_path, registry, other=f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', 'tasks.A')").entries
    assert (entry.task, class_name(entry), entry.holds) == ("t", "A", False)
    assert entry.condition
    assert condition in (None, entry.condition)


@pytest.mark.both_lines
def test_alternatives_of_the_machine_go_where_the_names_go(tmp_path: Path) -> None:
    registry = """
        import sys
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from . import common
        if sys.platform == "no-system":
            from . import shared
            from .tasks import A as Pipe
            common.NAME = "other"
        else:
            from . import shared
            from .tasks import B as Pipe
        R.register_pipeline("t", Pipe)
        R.register_pipeline(common.NAME, Pipe)
        R.register_pipeline(f"on-{sys.platform}", Pipe if sys.platform == "no-system" else "tasks.B")
    """
    shared = f"{OURS}PIPELINE_REGISTRY.register_pipeline('shared', 'tasks.A')"
    found = read(tmp_path, registry, common="NAME = 'this'", shared=shared)
    yes, no = "sys.platform == 'no-system'", "not (sys.platform == 'no-system')"
    assert conditional(found) == {
        ("shared", "A", no, True),
        ("t", "A", yes, False),
        ("t", "B", no, True),
        ("other", "A", yes, False),
        ("this", "B", no, True),
        (f"on-{sys.platform}", "A", yes, False),
        (f"on-{sys.platform}", "B", no, True),
    }
    assert not found.notes


@pytest.mark.both_lines
def test_file_first_imported_where_this_machine_does_not_come_is_read_again(tmp_path: Path) -> None:
    registry = """
        try:
            from . import extra
        except ImportError:
            extra = None
        from . import common
    """
    extra = "import no_such_package_at_all\nfrom . import common"
    common = f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', 'tasks.A')"
    found = read(tmp_path, registry, extra=extra, common=common)
    assert conditional(found) == {("t", "A", None, True)}


@pytest.mark.both_lines
def test_many_conditions_of_the_machine_do_not_hide_a_task(tmp_path: Path) -> None:
    tries = "".join(
        f"try:\n    import no_such_package_{i} as m{i}\nexcept ImportError:\n    m{i} = None\n" for i in range(6)
    )
    models = ", ".join(f"'A{i}' if m{i} else 'B{i}'" for i in range(6))
    found = read(tmp_path, f"{OURS}{tries}PIPELINE_REGISTRY.register_pipeline('t', 'tasks.A', ({models}))")
    (entry,) = [entry for entry in found.entries if entry.holds]
    assert entry.pt_model == tuple(f"B{i}" for i in range(6))
    assert not found.notes


@pytest.mark.both_lines
def test_undecided_conditions_are_named_and_both_branches_listed(tmp_path: Path) -> None:
    registry = """
        import os
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from .tasks import A, B

        if os.environ.get("FAST"):
            R.register_pipeline("fast", A)
        else:
            R.register_pipeline("slow", A)
        R.register_pipeline("either", A if os.environ.get("FAST") else B)
        if os.environ.get("STOP") or os.environ.get("HALT"):
            raise SystemExit
        R.register_pipeline("late", A)
    """
    found = read(tmp_path, registry)
    assert [(entry.task, class_name(entry), entry.condition) for entry in found.entries] == [
        ("fast", "A", "os.environ.get('FAST')"),
        ("slow", "A", "not os.environ.get('FAST')"),
        ("either", "A", "os.environ.get('FAST')"),
        ("either", "B", "not os.environ.get('FAST')"),
        ("late", "A", "not (os.environ.get('STOP') or os.environ.get('HALT'))"),
    ]
    assert not found.notes


@pytest.mark.both_lines
def test_imports_that_may_fail_give_both_alternatives(tmp_path: Path) -> None:
    registry = """
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from .tasks import A, B
        try:
            from transformers import SomethingThatMayExist as Model
            EXTRA = True
        except ImportError:
            from transformers import AutoModel as Model
            EXTRA = False
        R.register_pipeline("both", A, Model)
        if EXTRA:
            R.register_pipeline("extra", B)
    """
    found = read(tmp_path, registry)
    assert [(entry.task, entry.pt_model, entry.condition) for entry in found.entries] == [
        ("both", ("SomethingThatMayExist",), "`from transformers import SomethingThatMayExist as Model` works"),
        ("both", ("AutoModel",), "`from transformers import SomethingThatMayExist as Model` fails"),
        ("extra", (), "`from transformers import SomethingThatMayExist as Model` works"),
    ]


@pytest.mark.both_lines
def test_imports_that_work_hold_here(tmp_path: Path) -> None:
    registry = """
        try:
            from transformers import AutoModelForSequenceClassification as Model
            from pipesmith.pipelines import PIPELINE_REGISTRY as R
            from .tasks import A
        except ImportError:
            R = None
        else:
            R.register_pipeline("t", A, Model)
        if R is not None:
            R.register_pipeline("u", A, Model)
        R.register_pipeline("v", A)
    """
    found = read(tmp_path, registry)
    condition = "the imports at line 1 work"
    assert conditional(found) == {(task, "A", condition, True) for task in "tuv"}
    assert not found.notes


@pytest.mark.both_lines
def test_imports_of_pipesmith_need_no_condition(tmp_path: Path) -> None:
    registry = """
        try:
            from pipesmith.pipelines import PIPELINE_REGISTRY
        except ImportError:
            from transformers.pipelines import PIPELINE_REGISTRY
        PIPELINE_REGISTRY.register_pipeline("t", "tasks.A")
    """
    found = read(tmp_path, registry)
    assert conditional(found) == {("t", "A", None, True)}
    assert not found.notes


@pytest.mark.both_lines
def test_what_is_added_to_a_list_under_a_condition_keeps_it(tmp_path: Path) -> None:
    registry = """
        import os
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        names = ["always"]
        if os.environ.get("MORE"):
            names.append("more")
            names += ["most"]
        for name in names:
            R.register_pipeline(name, "tasks.A")
    """
    found = read(tmp_path, registry)
    more = "os.environ.get('MORE')"
    assert [(entry.task, entry.condition) for entry in found.entries] == [
        ("always", None),
        ("more", more),
        ("most", more),
    ]


# What cannot be read.


@pytest.mark.both_lines
@pytest.mark.parametrize(
    ("source", "note"),
    [
        ('R.register_pipeline(os.environ["T"], A)', "a task whose name is decided at run time (os.environ['T'])"),
        ("R.register_pipeline(name(), A)", "a task whose name is decided at run time (name())"),
        ('R.register_pipeline(f"x-{name()}", A)', "a task whose name is decided at run time (f'x-{name()}')"),
        ("R.register_pipeline(*EXTRA)", "a task whose name is decided at run time (EXTRA)"),
        ("for t in open('f'): R.register_pipeline(t, A)", "registers tasks in a loop over open('f'), not listed"),
        ("[R.register_pipeline(t, A) for t in names()]", "registers tasks in a loop over names(), not listed"),
        (
            "for n, v in vars().items(): R.register_pipeline(n, v)",
            "registers tasks in a loop over vars().items(), not listed",
        ),
        (
            "while more(): n = name(); R.register_pipeline(n, A)",
            "registers tasks in a loop over while more(), not listed",
        ),
        ("exec(code)", "exec() may register more"),
        ("eval('1')", "eval() may register more"),
        (
            "def f(): R.register_pipeline('x', A)",
            "not listed: inside f, which was not followed",
        ),
        (
            "class K:\n    def m(self): add('x', A)\nadd = R.register_pipeline",
            "not listed: inside K.m, which was not followed",
        ),
        (
            "@elsewhere.hook\ndef f(): R.register_pipeline('x', A)\nf()",
            "not listed: inside f, which was not followed",
        ),
        ("other().register_pipeline('x', A)", "registers with other().register_pipeline, which is no registry that"),
        ("R.supported_tasks['x'] = {'impl': A}", "writes to R.supported_tasks['x'], not listed"),
        ("R.supported_tasks.update(x={})", "R.supported_tasks.update() registers tasks, not listed"),
        ("SUPPORTED_TASKS['x'] = {}", "writes to SUPPORTED_TASKS['x'], not listed"),
        ("elsewhere.add('x', A)", "elsewhere.add() of another package is given A and may register it"),
        ("elsewhere.add(R)", "elsewhere.add() is given the registry and may register more"),
        ("pool.map(R.register_pipeline, names)", "pool.map() is given register_pipeline and may register more"),
        ("import_module(name())", "imports a module whose name is decided at run time (import_module(name()))"),
        ("from . import broken", "does not parse: "),
    ],
)
def test_what_cannot_be_listed_is_noted_with_its_line(tmp_path: Path, source: str, note: str) -> None:
    registry = "\n".join(
        [
            "import os, elsewhere",
            "from importlib import import_module",
            "from transformers.pipelines import PIPELINE_REGISTRY as R, SUPPORTED_TASKS",
            "from elsewhere import EXTRA",
            "from .tasks import A",
            source,
        ]
    )
    found = read(tmp_path, registry, broken="def (:")
    (message,) = unread(found)
    line = next(i for i, text in enumerate(registry.splitlines(), 1) if i > 5 and "elsewhere.hook" not in text)
    offset = 1 if source.startswith("class K") else 0
    assert message.startswith(f"{1 if 'broken' in source else line + offset}: {note}")
    assert not found.entries


@pytest.mark.both_lines
def test_values_decided_at_run_time_leave_their_fields_unread(tmp_path: Path) -> None:
    registry = """
        import os
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from .tasks import A
        R.register_pipeline("made", type("X", (A,), {}))
        R.register_pipeline("fields", A, model(), default=(os.environ["M"], "r"), type="text")
        R.register_pipeline("all", **load())
    """
    found = read(tmp_path, registry)
    assert [(entry.task, entry.unread) for entry in found.entries] == [
        ("made", ("pipeline_class",)),
        ("fields", ("pt_model", "default")),
        ("all", ("pipeline_class", "pt_model", "tf_model", "default", "type")),
    ]
    assert unread(found) == [
        "4: task made: class decided at run time (type('X', (A,), {}))",
        "5: task fields: pt_model decided at run time (model())",
        "5: task fields: default model decided at run time (os.environ['M'])",
        "6: task all: class, pt_model, tf_model, default model, type decided at run time (load())",
    ]
    assert [note.task for note in found.notes] == ["made", "fields", "fields", "all"]


@pytest.mark.both_lines
def test_every_registering_call_is_an_entry_or_a_note(tmp_path: Path) -> None:
    registry = """
        import os
        from pipesmith.pipelines import PIPELINE_REGISTRY as R
        from .tasks import A
        def add(name):
            R.register_pipeline(name, A)
        def plugin():
            add("from-plugin")
        add("followed")
        if False:
            add("never")
        def deep(n):
            deep(n + 1)
            R.register_pipeline("deep", A)
        deep(0)
    """
    found = read(tmp_path, registry)
    assert ("followed", "A") in classes(found)
    assert "7: not listed: inside plugin, which was not followed" in unread(found)
    assert any("more than 5 calls deep" in message for message in unread(found))
    assert warnings(found) == ["10: not registered here, because `False` is false"]


@pytest.mark.both_lines
@pytest.mark.parametrize(
    ("pipeline_class", "warning"),
    [
        ("'tasks.Nope'", "pipeline_class='tasks.Nope': tasks has no class Nope"),
        ("'nope.A'", "pipeline_class='nope.A': there is no nope.py beside __init__.py"),
        ("'nope.py:A'", "pipeline_class='nope.py:A': {folder}/nope.py does not exist"),
        ("'broken.A'", "pipeline_class='broken.A': broken.py cannot be read"),
        ("'not a class'", "pipeline_class='not a class' names no module"),
    ],
)
def test_class_that_is_not_there_is_a_warning(tmp_path: Path, pipeline_class: str, warning: str) -> None:
    registry = f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', {pipeline_class})"
    found = read(tmp_path, registry, broken="def (:")
    (message,) = warnings(found)
    assert message.startswith(f"2: task t: {warning.format(folder=tmp_path / 'pipelines')}")
    assert [entry.task for entry in found.entries] == ["t"]
    assert not unread(found)


@pytest.mark.both_lines
def test_class_imported_from_a_missing_or_broken_file_keeps_its_place(tmp_path: Path) -> None:
    registry = f"{OURS}from .gone import X\nfrom .broken import Y\nfrom .tasks import Z\n" + "".join(
        f"PIPELINE_REGISTRY.register_pipeline('{name}', {name.upper()})\n" for name in "xyz"
    )
    found = read(tmp_path, registry, broken="class Y:\n    def f(:")
    folder = tmp_path / "pipelines"
    assert [class_file(entry) for entry in found.entries] == [
        folder / "gone.py",
        folder / "broken.py",
        folder / "tasks.py",
    ]
    (broken,) = [note for note in found.notes if note.unread]
    assert (broken.place.file, broken.place.line) == (folder / "broken.py", 2)
    assert len(warnings(found)) == 3


@pytest.mark.both_lines
def test_two_entries_of_one_name_are_both_kept(tmp_path: Path) -> None:
    calls = "PIPELINE_REGISTRY.register_pipeline('t', A)\nPIPELINE_REGISTRY.register_pipeline('t', B)\n"
    ours = read(tmp_path, f"{OURS}from .tasks import A, B\n{calls}")
    theirs = read(tmp_path, f"{THEIRS}from .tasks import A, B\n{calls}")
    assert classes(ours) == classes(theirs) == [("t", "A"), ("t", "B")]
    assert not ours.notes
    (note,) = theirs.notes
    assert note.message.endswith("the last one counts") and not note.unread and note.place.line == 4


# transformers' registry and its signature.


@pytest.mark.skipif(not needed(), reason="transformers 4 refuses none of it")
def test_what_transformers_5_refuses_is_a_warning(tmp_path: Path) -> None:
    registry = """
        from transformers.pipelines import PIPELINE_REGISTRY as R
        from transformers import AutoModel
        from .tasks import A
        R.register_pipeline("text", "tasks.A")
        R.register_pipeline("tf", A, pt_model=AutoModel, tf_model=AutoModel)
        R.register_pipeline("pt", A, default={"pt": ("u/m", "r")})
        R.register_pipeline("fine", A, AutoModel, ("u/m", "r"), "text")
        R.register_pipeline("too", A, default={"model": ("u/m", "r")})
    """
    found = read(tmp_path, registry)
    assert not unread(found)
    texts = [message.split(":", 2) for message in warnings(found)]
    assert [(int(line), task) for line, task, _ in texts] == [(4, " task text"), (5, " task tf"), (6, " task pt")]
    assert {note.about for note in found.notes} == {"transformers"}
    assert all("pipe" in message for _, _, message in texts)  # that pipe takes it
    assert [entry.default for entry in found.entries[2:]] == [DefaultModel("u/m", "r")] * 3
    assert found.entries[3].type == "text"  # the fourth argument of 5's register_pipeline is the default


@pytest.mark.both_lines
def test_positional_arguments_are_bound_as_the_installed_transformers_does(tmp_path: Path) -> None:
    import inspect

    from transformers.pipelines import PIPELINE_REGISTRY

    names = list(inspect.signature(PIPELINE_REGISTRY.register_pipeline).parameters)
    values = {"task": "'t'", "pipeline_class": "A", "pt_model": "M", "tf_model": "M", "default": "D", "type": "'text'"}
    registry = (
        f"{THEIRS}from transformers import AutoModel as M\nfrom .tasks import A\nD = ('u/m', 'r')\n"
        f"PIPELINE_REGISTRY.register_pipeline({', '.join(values[name] for name in names)})"
    )
    (entry,) = read(tmp_path, registry).entries
    assert (entry.default, entry.type) == (DefaultModel("u/m", "r"), "text")
    assert entry.tf_model == (("AutoModel",) if "tf_model" in names else ())


@pytest.mark.both_lines
def test_transformers_own_tasks_are_those_it_has() -> None:
    from transformers import pipelines

    has_tensorflow = getattr(pipelines, "is_tf_available", bool)()
    found = transformers_declarations()
    assert not found.notes
    own = {  # other tests register tasks
        task
        for task, row in pipelines.SUPPORTED_TASKS.items()
        if isinstance(row["impl"], str) or row["impl"].__module__.startswith("transformers.")
    }
    assert {entry.task for entry in found.entries} == own
    for entry in found.entries:
        row = pipelines.SUPPORTED_TASKS[entry.task]
        impl = row["impl"] if isinstance(row["impl"], str) else f"{row['impl'].__module__}.{row['impl'].__name__}"
        reference = entry.pipeline_class
        assert isinstance(reference, ClassReference)
        assert str(reference) == impl
        assert reference.file is not None and f"class {reference.name}(" in reference.file.read_text()
        assert entry.pt_model == tuple(model.__name__ for model in row["pt"])
        if has_tensorflow:
            assert entry.tf_model == tuple(model.__name__ for model in row.get("tf", ()))
        assert (entry.type, entry.origin) == (row["type"], "transformers")
        assert entry.place is not None
        assert f'"{entry.task}": {{' in entry.place.file.read_text().splitlines()[entry.place.line - 1]
        model = row["default"].get("model")
        model = model["pt"] if isinstance(model, dict) else model
        assert entry.default == (DefaultModel(*model) if model else None)
    assert transformers_aliases() == pipelines.TASK_ALIASES
    assert transformers_removed() == getattr(pipelines, "REMOVED_TASKS", {})


# Odd sources.


@pytest.mark.both_lines
def test_registry_that_does_not_parse_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineLoadError, match=r"__init__\.py:2 does not parse") as error:
        read(tmp_path, "x = 1\nPIPELINE_REGISTRY.register_pipeline('t'\n")
    assert "PIPELINE_REGISTRY.register_pipeline('t'" in str(error.value)
    with pytest.raises(PipelineLoadError, match="cannot be read"):
        read_declarations(tmp_path / "nowhere.py", "project")


@pytest.mark.both_lines
def test_modules_that_import_each_other(tmp_path: Path) -> None:
    registry = f"""
{OURS}
NAME = "round"
from .one import One
PIPELINE_REGISTRY.register_pipeline(NAME, One)
"""
    one = "from . import two\nfrom . import NAME, PIPELINE_REGISTRY\nfrom .two import Two\nclass One(Two): ...\n"
    two = "from .one import One\nfrom . import NAME\nclass Two: ...\n"
    found = read(tmp_path, registry, one=one, two=two)
    assert classes(found) == [("round", "One")]
    assert not found.notes


@pytest.mark.both_lines
def test_folder_that_links_to_itself(tmp_path: Path) -> None:
    write(tmp_path, {"pipelines/tasks.py": TASKS})
    (tmp_path / "pipelines" / "again").symlink_to(tmp_path / "pipelines", target_is_directory=True)
    (tmp_path / "pipelines" / "loop.py").symlink_to(tmp_path / "pipelines" / "loop.py")
    registry = (
        f"{OURS}from .again.again.tasks import A\nfrom . import loop\nPIPELINE_REGISTRY.register_pipeline('t', A)"
    )
    found = read(tmp_path, registry)
    assert classes(found) == [("t", "A")]


@pytest.mark.both_lines
@pytest.mark.parametrize(
    "source",
    [
        "x = " + " + ".join(["1"] * 20_000),
        "x = " + "(" * 150 + "1" + ")" * 150,
        "x = " + "[" * 90 + "]" * 90,
        "x = f" + ".a" * 3_000,
        "x = 9 ** 9 ** 9",
        "x = '%9999999999d' % 1",
        "x = ['a'] * 10 ** 10",
        "x = list(range(10 ** 12))",
        "while True: pass",
        "for a in range(10 ** 9):\n    for b in range(10 ** 9): pass",
        "def f(): f()\nf()",
        "x = [1]\nfor y in x: x.append(y)",
        "x = []\nx.append(x)\ny = f'{x}'",
        "x, *y = 1\n(a, b), c = [[1]]\ndel z\nx[0] = 1",
        "class A(A): ...\nA.missing\nA[0]",
        "from ....... import far\nfrom . import *\nfrom .tasks import *",
        "match f():\n    case 1: pass\n    case [a, *b]: pass\n    case _: pass",
        "lambda *a, b=1, **c: (yield)",
        "async def f(): await g()\nwith open('x') as y, z: pass",
    ],
)
def test_odd_source_never_breaks_the_reading(tmp_path: Path, source: str) -> None:
    registry = f"{OURS}from . import odd\nPIPELINE_REGISTRY.register_pipeline('t', 'tasks.A')\n"
    beside = read(tmp_path, registry, odd=source)
    assert classes(beside) == [("t", "A")] or any("stopped here" in message for message in unread(beside))
    try:
        itself = read(tmp_path, f"{OURS}{source}\nPIPELINE_REGISTRY.register_pipeline('t', 'tasks.A')\n")
    except PipelineLoadError as error:
        assert "does not parse" in str(error)
    else:
        assert classes(itself) == [("t", "A")] or unread(itself)


@pytest.mark.both_lines
def test_large_package_is_read_only_where_it_is_used(tmp_path: Path) -> None:
    registry = f"""
{OURS}
from acme.api import TASK, Used
PIPELINE_REGISTRY.register_pipeline(TASK, Used)
"""
    filler = "x = [" + "1, " * 50_000 + "]\n"
    write(
        tmp_path,
        {
            "acme/__init__.py": "",
            "acme/api.py": f"from .big import TASK, Used\nfrom .unused import Other\n{filler}",
            "acme/big.py": f"from .plugin import late\nTASK = 'big'\nclass Used: ...\n{filler}",
            "acme/unused.py": "def (:",
            "acme/plugin.py": f"{OURS}def late(): ...\nPIPELINE_REGISTRY.register_pipeline('plugin', 'api.Used')",
            "acme/pipelines/__init__.py": registry,
        },
    )
    found = read_declarations(tmp_path / "acme" / "pipelines" / "__init__.py", "project")
    assert [entry.task for entry in found.entries] == ["plugin", "big"]
    assert not found.notes


@pytest.mark.both_lines
def test_classes_of_an_installed_plug_in_are_named_by_module(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "acme/__init__.py": "raise SystemExit",
            "acme/tasks.py": f"{OURS}from acme.deep.cls import X\n"
            "PIPELINE_REGISTRY.register_pipeline('x', X)\nPIPELINE_REGISTRY.register_pipeline('y', 'deep.cls.X')",
            "acme/deep/cls.py": "class X: ...",
        },
    )
    found = read_declarations(tmp_path / "acme" / "tasks.py", "package", import_root=tmp_path)
    file = tmp_path / "acme" / "deep" / "cls.py"
    assert [entry.pipeline_class for entry in found.entries] == [ClassReference("X", file, "acme.deep.cls")] * 2
    assert {entry.origin for entry in found.entries} == {"package"}
    assert not found.notes


@pytest.mark.both_lines
def test_a_file_that_registers_is_recognised(tmp_path: Path) -> None:
    texts = {
        "call.py": f"{OURS}PIPELINE_REGISTRY.register_pipeline('t', 'a.A')",
        "alias.py": f"{OURS}add = PIPELINE_REGISTRY.register_pipeline",
        "broken.py": "PIPELINE_REGISTRY.register_pipeline(",
        "text.py": '"""Says register_pipeline( only."""\ndef register_pipeline(task): ...',
        "empty.py": "",
    }
    write(tmp_path, texts)
    assert [registers_tasks(tmp_path / name) for name in texts] == [True, True, True, False, False]
    assert not registers_tasks(tmp_path / "nowhere.py")
    assert not registers_tasks(tmp_path)


@pytest.mark.both_lines
def test_reading_imports_nothing_heavy(tmp_path: Path) -> None:
    write(tmp_path, {"pipelines/tasks.py": TASKS, "pipelines/__init__.py": f"{THEIRS}import torch\n{OURS}"})
    program = """if True:
        import json, sys
        from pathlib import Path
        from pipesmith.pipelines.declarations import read_declarations, transformers_declarations
        read_declarations(Path(sys.argv[1]), "project")
        assert transformers_declarations().entries
        heavy = {"torch", "transformers", "huggingface_hub", "rich", "typer", "numpy", "pipelines", "tasks"}
        print(json.dumps(sorted(heavy & set(sys.modules))))
    """
    command = [sys.executable, "-c", program, str(tmp_path / "pipelines" / "__init__.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert json.loads(done.stdout) == []
