"""The import closure of published code: loaded by plain transformers in a process without pipesmith, or refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import LENGTH_ENTRY, write

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.publishing.closure import Closure, import_closure
from pipesmith.pipelines.user_code import load_module

pytestmark = pytest.mark.both_lines

PIPELINE = """
{imports}
from transformers import Pipeline


class MyPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {{}}, {{}}, {{}}

    def preprocess(self, text):
        return {{"text": text}}

    def _forward(self, inputs):
        return inputs

    def postprocess(self, outputs):
        return {result}
"""
ROOT = {"pyproject.toml": "[tool.pipe]\n", "pipelines/__init__.py": LENGTH_ENTRY}
HELPER = {"pipelines/helper.py": "def f(): return 'helper'\nX = 'x'\n"}
DEEP = {
    "pipelines/sub/__init__.py": "",
    "pipelines/sub/mod.py": "from ..helper import X\nfrom . import other\ndef f(): return X + other.Y\n",
    "pipelines/sub/other.py": "Y = 'y'\n",
    **HELPER,
}
PACKAGE = {
    "pipelines/pack/__init__.py": "'''A package.'''\nfrom .inner import g\nfrom . import inner\nNAME = 'pack'\n",
    "pipelines/pack/inner.py": "def g(): return 'inner'\n",
}

# name -> imports, the expression that postprocess returns, its value, and files besides
LOADED: dict[str, tuple[str, str, Any, dict[str, str]]] = {
    "relative": ("from .helper import f", "f()", "helper", HELPER),
    "module": ("from . import helper", "helper.f()", "helper", HELPER),
    "module-as": (
        "from . import helper as h, other",
        "h.f() + other.Z",
        "helperz",
        {**HELPER, "pipelines/other.py": "Z='z'"},
    ),
    "deep": ("from .sub.mod import f", "f()", "xy", DEEP),
    "deep-module": ("from .sub import mod", "mod.f()", "xy", DEEP),
    "chain": (
        "from .a import A",
        "A",
        "abc",
        {
            "pipelines/a.py": "from .b import B\nA = 'a' + B\n",
            "pipelines/b.py": "from . import c\nB = 'b' + c.C\n",
            "pipelines/c.py": "C = 'c'\n",
        },
    ),
    "absolute": ("from pipelines.helper import f\nimport pipelines.helper as h", "f() + h.X", "helperx", HELPER),
    "dotted": (
        "import os.path, pipelines.sub.mod, pipelines.helper",
        "pipelines.sub.mod.f() + pipelines.helper.X",
        "xyx",
        DEEP,
    ),
    "bare": ("import helper\nfrom helper import X", "helper.f() + X", "helperx", HELPER),
    "several": (
        "import json, helper; from helper import (  # a comment\n    f,\n    X as Y,\n)",
        "json.dumps(f() + Y)",
        '"helperx"',
        HELPER,
    ),
    "conditional": (
        "import sys\nif sys.version_info >= (3,): from .helper import f\nelse: from .sub.mod import f",
        "f()",
        "helper",
        DEEP,
    ),
    "tried": (
        "try:\n    from .helper import f\nexcept ImportError:\n    from helper import f\n"
        "try:\n    from ._version import version\nexcept ImportError:\n    version = '0'\n"
        "try:\n    import surely_not_installed\nexcept ImportError:\n    surely_not_installed = None",
        "f() + version",
        "helper0",
        HELPER,
    ),
    "function": (
        "def late():\n    from .sub import mod\n    from .helper import X\n    return mod.f() + X",
        "late()",
        "xyx",
        DEEP,
    ),
    "typing": (
        "from __future__ import annotations\nimport typing\nif typing.TYPE_CHECKING:\n    from .helper import f",
        "'typed'",
        "typed",
        HELPER,
    ),
    "package": (
        "from .pack import g, NAME\nfrom . import pack",
        "g() + NAME + pack.inner.g()",
        "innerpackinner",
        PACKAGE,
    ),
    "package-star": ("from .pack import *", "g() + NAME", "innerpack", PACKAGE),
    "package-runs-first": (
        "from .registry.table import TABLE",
        "TABLE",
        ["filled"],
        {
            "pipelines/registry/__init__.py": "from . import fill\n",
            "pipelines/registry/fill.py": "from .table import TABLE\nTABLE.append('filled')\n",
            "pipelines/registry/table.py": "TABLE = []\n",
        },
    ),
    "same-names": (
        "from .one.util import U as A\nfrom .two.util import U as B\nfrom .two_util import U as C",
        "A + B + C",
        "123",
        {"pipelines/one/util.py": "U='1'", "pipelines/two/util.py": "U='2'", "pipelines/two_util.py": "U='3'"},
    ),
    "beside-the-project": (
        "from shared.words import W\nimport rootmodule",
        "W + rootmodule.R",
        "wr",
        {"shared/__init__.py": "", "shared/words.py": "W='w'", "rootmodule.py": "R='r'"},
    ),
    "src-beside": (
        "import acme.deep.words\nimport acme\nfrom acme import __version__\nfrom acme.deep import words as w",
        "acme.deep.words.W + acme.NAME + __version__ + w.W",
        "wacme1w",
        {
            "src/acme/__init__.py": "from acme.names import *\n__version__ = '1'\n",
            "src/acme/names.py": "NAME = 'acme'\n",
            "src/acme/deep/words.py": "from ..names import NAME\nW = 'w' if NAME else ''\n",
        },
    ),
    "src-as-a-folder": ("from src.words import W\nimport src.words as s", "W + s.W", "ww", {"src/words.py": "W='w'"}),
    "name-of-module-and-function": (
        "from .tok import tok",
        "tok()",
        "function",
        {
            "pipelines/tok/__init__.py": "from .tok import tok\n",
            "pipelines/tok/tok.py": "def tok(): return 'function'\n",
        },
    ),
    "non-ascii": ("X = 'é'; from .sub import mod; Y = 'ü'", "X + mod.f() + Y", "éxyü", DEEP),
}

LOAD = """
import json, sys
sys.modules["pipesmith"] = None  # an import of it fails
from transformers import pipeline
found = {}
for folder in sys.argv[1:]:
    try:
        found[folder.rpartition("/")[2]] = pipeline(model=folder, trust_remote_code=True)("text")
    except Exception as error:
        found[folder.rpartition("/")[2]] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


def closure_of(root: Path, imports: str, result: str, files: dict[str, str]) -> Closure:
    """Write a project with one pipeline file, and return the file's closure."""
    write(root, {**ROOT, **files, "pipelines/my_task.py": PIPELINE.format(imports=imports, result=result)})
    return import_closure([root / "pipelines" / "my_task.py"])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> dict[str, Any]:
    """What each published folder returns in one process of plain transformers."""
    root = tmp_path_factory.mktemp("published")
    for name, case in LOADED.items():
        closure = closure_of(root / "projects" / name, case[0], case[1], case[3])
        folder = root / name.replace("-", "_")
        shutil.copytree(tiny_checkpoint, folder)
        config = json.loads((folder / "config.json").read_text())
        info = {"impl": "my_task.MyPipeline", "pt": ["AutoModelForSequenceClassification"], "type": "text"}
        (folder / "config.json").write_text(json.dumps({**config, "custom_pipelines": {"my-task": info}}))
        write(folder, closure.files)
    folders = [str(root / name.replace("-", "_")) for name in LOADED]
    environment = {**os.environ, "HF_HOME": str(root / "home"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-c", LOAD, *folders]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", LOADED)
def test_plain_transformers_loads_it(loaded: dict[str, Any], name: str) -> None:
    assert loaded[name.replace("-", "_")] == LOADED[name][2]


@pytest.mark.parametrize("name", LOADED)
def test_it_is_the_same_at_home(tmp_path: Path, name: str) -> None:
    imports, result, expected, files = LOADED[name]
    write(tmp_path, {**ROOT, **files, "pipelines/my_task.py": PIPELINE.format(imports=imports, result=result)})
    module = load_module(tmp_path / "pipelines" / "my_task.py")
    assert module.MyPipeline.postprocess(None, {}) == expected


def test_folder_that_a_script_adds_to_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    hack = "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), '..', 'lib'))\n"
    files = {"lib/words_of_a_script.py": "W = 'w'"}
    source = PIPELINE.format(imports=f"{hack}from words_of_a_script import W", result="W")
    file = write(tmp_path, {**ROOT, **files, "pipelines/my_task.py": source}) / "pipelines" / "my_task.py"
    assert load_module(file).W == "w"
    assert set(import_closure([file]).files) == {"my_task.py", "lib_words_of_a_script.py"}


def test_what_needs_no_change_is_not_changed(tmp_path: Path) -> None:
    closure = closure_of(tmp_path, "from .helper import (\n    f,  # kept\n)", "f()", HELPER)
    for name, text in closure.files.items():
        assert text == (tmp_path / "pipelines" / name).read_text()
    assert set(closure.files) == {"my_task.py", "helper.py"} and closure.requirements == ()


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    imports = "from . import helper\nfrom .sub.mod import f\n# a comment"
    text = closure_of(tmp_path, imports, "f()", DEEP).files["my_task.py"]
    own = (tmp_path / "pipelines" / "my_task.py").read_text().splitlines()
    assert text.splitlines()[: len(own)] == [own[0], "from .sub_mod import f", *own[2:]]


def test_requirements(tmp_path: Path) -> None:
    imports = """
import json
import torch, numpy as np
import transformers.utils
import yaml
from huggingface_hub import hf_hub_download
try:
    import PIL.Image
    import not_there_at_all
except ImportError:
    PIL = None
"""
    found = {str(one).partition(">")[0]: one for one in closure_of(tmp_path, imports, "1", {}).requirements}
    assert {*found} == {"huggingface_hub", "pillow", "PyYAML"}
    assert found["PyYAML"].module == "yaml" and re.fullmatch(r"PyYAML>=\d+\..*", str(found["PyYAML"]))
    assert found["pillow"].is_optional and not found["PyYAML"].is_optional


REFUSED: dict[str, tuple[str, dict[str, str], str, str]] = {
    "pipesmith": ("import json\nfrom pipesmith.pipelines import PIPELINE_REGISTRY", {}, "2 imports pipesmith", "entry"),
    "pipesmith-in-helper": (
        "from .helper import f",
        {"pipelines/helper.py": "\ndef f():\n    import pipesmith\n"},
        r"helper.py:2 imports pipesmith",
        "",
    ),
    "registry": ("from . import LENGTH", {}, r"1 imports LENGTH from .*pipelines/__init__.py", "file of its own"),
    "registry-absolute": ("from pipelines import X", {}, "1 imports X from .*registers tasks", "file of its own"),
    "relative-missing": ("from .nothing import f", {}, "1 imports .*nothing, which is not there", ""),
    "name-missing": ("from .bare import nothing", {"pipelines/bare/mod.py": ""}, "1 imports .*bare/nothing", ""),
    "missing": ("import surely_not_installed", {}, "1 imports surely_not_installed", "pip install"),
    "by-call": ("import importlib\nh = importlib.import_module('helper')", HELPER, "2 imports helper by a call", ""),
    "docstring": (
        "'''Use:\n\nfrom .usage import thing\n'''",
        {},
        "my_task.py:3 is text that transformers takes for an import",
        ">>>",
    ),
    "attribute": (
        "from .pack import inner\nfrom . import pack\nz = pack.late",
        {**PACKAGE, "pipelines/pack/late.py": ""},
        "3 uses pack.late",
        "from .pack import late",
    ),
    "dotted-otherwise": ("import pipelines.helper\nz = pipelines", HELPER, "2 uses the name pipelines", "as helper"),
    "data": (
        "from pathlib import Path\nL = (Path(__file__).parent / 'labels.txt').read_text()",
        {"pipelines/labels.txt": "a"},
        "2 reads labels.txt",
        "Python file",
    ),
    "encoding": ("from .latin import X", {"pipelines/latin.py": "# coding: latin-1\nX = 1\n"}, "latin.py:1 is in", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_published_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    imports, files, message, hint = REFUSED[name]
    with pytest.raises(PublishError, match=message) as caught:
        closure_of(tmp_path, imports, "1", files)
    assert hint in (caught.value.hint or "")
    assert re.search(r"\.py:\d+ ", caught.value.message)


@pytest.mark.parametrize("with_project", [True, False])
def test_package_imports_itself_by_its_name(tmp_path: Path, with_project: bool) -> None:
    files = {
        "src/acme/__init__.py": "",
        "src/acme/pipelines/__init__.py": "",
        "src/acme/pipelines/text/__init__.py": "",
        "src/acme/pipelines/text/one.py": "from acme.net.layers import A\nimport acme.net.layers as layers\n",
        "src/acme/net/__init__.py": "",
        "src/acme/net/layers.py": "A = 1\n",
    }
    if with_project:
        files["pyproject.toml"] = "[tool.pipe]\npipelines = 'src/acme/pipelines'\n"
        files["src/acme/pipelines/__init__.py"] = ROOT["pipelines/__init__.py"]
    write(tmp_path, files)
    closure = import_closure([tmp_path / "src/acme/pipelines/text/one.py"])
    assert set(closure.files) == {"one.py", "net_layers.py"} and not closure.requirements
    assert "from .net_layers import A" in closure.files["one.py"]


def test_code_that_a_checkpoint_brings_stays_as_it_is(tmp_path: Path) -> None:
    brought = {"model/modeling.py": "from .blocks import B\n", "model/blocks.py": "B = 1\n"}
    write(tmp_path, {**ROOT, "pipelines/one.py": "A = 1\n"})
    elsewhere = write(tmp_path.parent / f"{tmp_path.name}-elsewhere", brought)
    closure = import_closure([tmp_path / "pipelines/one.py", elsewhere / "model/modeling.py"])
    assert closure.files == {"one.py": "A = 1\n", "modeling.py": brought["model/modeling.py"], "blocks.py": "B = 1\n"}


def test_several_files_share_one_closure(tmp_path: Path) -> None:
    files = {
        "pipelines/one.py": "from .shared.base import B\n",
        "pipelines/two.py": "from .shared import base\n",
        "pipelines/shared/base.py": "B = 1\n",
    }
    write(tmp_path, {**ROOT, **files})
    closure = import_closure([tmp_path / "pipelines/one.py", tmp_path / "pipelines/two.py"])
    assert set(closure.files) == {"one.py", "two.py", "shared_base.py"}
    assert "from .shared_base import __name__" in closure.files["two.py"]
    assert closure.modules[tmp_path / "pipelines/shared/base.py"] == "shared_base"
