"""`pipe new-task`: what it writes runs, is tested and reads well at once; nothing of a user's is lost."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from support import Ran, write

from pipesmith.pipelines.errors import ScaffoldError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.registry import read_level
from pipesmith.pipelines.scaffolding.answers import parse_parameter
from pipesmith.pipelines.scaffolding.choosing import Choices, choose
from pipesmith.pipelines.scaffolding.model_classes import model_mappings
from pipesmith.pipelines.testing.contract import check_pipeline

THREE = ["--param", "top_k:int=1@postprocess", "--param", "limit:float=0.5@postprocess", "--param", "words:list[str]"]
MATRIX = {
    "plain": [],
    "pair": ["--pair"],
    "chunk": ["--chunk"],
    "pair-chunk": ["--pair", "--chunk"],
    "three-parameters": THREE,
    "audio": ["--type", "audio"],
    "audio-chunk": ["--type", "audio", "--chunk"],
    "image": ["--type", "image"],
    "image-chunk": ["--type", "image", "--chunk"],
    "video": ["--type", "video"],
    "video-chunk": ["--type", "video", "--chunk"],
    "multimodal": ["--type", "multimodal"],
    "multimodal-chunk": ["--type", "multimodal", "--chunk"],
    "from": ["--from", "text-classification"],
    "from-own": ["--from", "my-plain"],
    "from-built-in": ["--from", "pair-classification"],
    "from-question-answering": ["--from", "question-answering"],
    "from-summarization": ["--from", "summarization"],
    "from-translation": ["--from", "translation"],
    "from-image-to-text": ["--from", "image-to-text"],
    "from-visual-question-answering": ["--from", "visual-question-answering"],
    "from-fill-mask": ["--from", "fill-mask"],
    "from-any-to-any": ["--model-class", "AutoModelForMultimodalLM"],
    "from-table": ["--from", "table-question-answering"],
    "from-video": ["--from", "video-classification"],
    "tokens": ["--model-class", "AutoModelForTokenClassification"],
    "generation": ["--model-class", "AutoModelForCausalLM"],
    "seq2seq": ["--model-class", "AutoModelForSeq2SeqLM", "--framework", "pt"],
    "features": ["--model-class", "AutoModel"],
    "audio-features": ["--type", "audio", "--model-class", "AutoModel"],
    "image-features": ["--type", "image", "--model-class", "AutoModel"],
    "video-features": ["--type", "video", "--model-class", "AutoModel"],
    "similarity": ["--type", "multimodal", "--model-class", "AutoModel"],
}
if version("transformers").startswith("4."):
    del MATRIX["from-any-to-any"]  # its class is new in 5
SAMPLE = ("plain", "pair", "chunk", "three-parameters", "audio", "image-chunk", "video", "multimodal", "from")
SAMPLE += ("audio-features", "similarity")


def _python(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=600
    )


def _pytest(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    plugin = [] if _plugin_is_installed() else ["-p", "pipesmith.pipelines.testing.plugin"]
    return _python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *args)


def _plugin_is_installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.name == "pipesmith" for point in entry_points(group="pytest11"))


def _make(pipe: Callable[..., Ran], names: Sequence[str]) -> None:
    for name in names:
        ran = pipe("new-task", f"my-{name}", *MATRIX[name], "--yes")
        assert ran.code == 0, ran.err


def _texts(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.mark.both_lines
def test_tests_of_new_tasks_are_green_and_the_task_runs(folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, SAMPLE)
    done = _pytest(folder)
    assert done.returncode == 0, done.stdout
    assert f"{len(SAMPLE)} passed" in done.stdout or "passed" in done.stdout
    ran = pipe("run", "my-plain", "text", "--model", "tiny", "--top-k", "1", "--format", "json")
    assert ran.code == 0, ran.err
    assert '"label"' in ran.out


@pytest.mark.slow
@pytest.mark.both_lines
def test_tests_of_the_whole_matrix_are_green(folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, list(MATRIX))
    done = _pytest(folder)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.both_lines
@pytest.mark.parametrize("name", [name for name in MATRIX if not name.startswith("from")])
def test_a_new_task_holds_the_contract(name: str, folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, [name])
    results = list(check_pipeline(f"my-{name}"))
    assert results
    assert [result for result in results if result.outcome == "fail"] == []


def _run_or_refuse(pipe: Callable[..., Ran], folder: Path, options: Mapping[str, Sequence[str]]) -> None:
    """Make a task of each of these options, and see that its tests are green, or that it is refused in a sentence."""
    made = 0
    for name, arguments in options.items():
        ran = pipe("new-task", name, *arguments, "--yes", "--framework", "pt")
        if ran.code:
            assert "No template makes the inputs of" in ran.err and "Hint: The nearest that there is: --" in ran.err
        made += not ran.code
    assert made > len(options) // 2
    done = _pytest(folder)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow  # two minutes
@pytest.mark.both_lines
def test_every_model_class_runs_or_is_refused(folder: Path, pipe: Callable[..., Ran]) -> None:
    options = {f"my-{name.lower()}": ["--model-class", name] for name in model_mappings()}
    _run_or_refuse(pipe, folder, options)


@pytest.mark.slow  # two minutes
@pytest.mark.both_lines
def test_every_task_of_transformers_can_be_started_from(folder: Path, pipe: Callable[..., Ran]) -> None:
    tasks = [entry.task for entry in read_level("transformers", None).entries]
    _run_or_refuse(pipe, folder, {f"my-{task}": ["--from", task] for task in tasks})


@pytest.mark.both_lines
def test_the_nearest_of_a_model_class_that_is_refused_is_to_be_had(folder: Path) -> None:
    refused = 0
    for name in model_mappings():
        try:
            choose(Choices("my-task", model_class=name), HubAccess())
        except ScaffoldError as error:
            nearest = re.search(r"(?:--type (\w+) |--pair )?--model-class (\w+)", error.hint or "")
            assert nearest, error
            choose(Choices("my-task", type=nearest[1], model_class=nearest[2]), HubAccess())
            refused += 1
    assert 0 < refused < len(model_mappings()) // 2


@pytest.mark.both_lines
def test_padding_does_not_change_features(folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, ["audio-features"])
    results = check_pipeline("my-audio-features", only=["batched-equals-single"])
    assert [result.outcome for result in results if result.name == "batched-equals-single"] == ["pass"]


def test_the_command_that_it_names_at_the_end_runs(folder: Path, pipe: Callable[..., Ran]) -> None:
    for task, *options in (
        ("my-zero-shot", "--from", "zero-shot-classification"),
        ("my-answers", "--model-class", "AutoModelForQuestionAnswering"),
    ):
        ran = pipe("new-task", task, *options, "--yes")
        assert ran.code == 0, ran.err
        command = shlex.split(ran.out.splitlines()[1])
        assert command[:3] == ["pipe", "run", task]
        ran = pipe(*command[1:])
        assert ran.code == 0 and '"score' in ran.out, ran.err


def test_tests_find_pipelines_under_src(folder: Path, pipe: Callable[..., Ran]) -> None:
    project = '[tool.pipe]\npipelines = "src/acme/tasks"\n'
    write(folder, {"pyproject.toml": project})
    assert pipe("new-task", "my-task", "--yes").code == 0
    text = (folder / "pyproject.toml").read_text()
    assert text.startswith(project)
    write(folder, {"tests/test_it.py": "from acme import tasks\n\ndef test_it(): assert tasks\n"})
    done = _pytest(folder, "tests/test_it.py")
    assert done.returncode == 0, done.stdout
    assert pipe("new-task", "other", "--yes").code == 0
    assert (folder / "pyproject.toml").read_text() == text
    write(folder, {"pytest.ini": "[pytest]\npythonpath = src\n", "pyproject.toml": project})
    assert pipe("new-task", "third", "--yes").code == 0
    assert (folder / "pyproject.toml").read_text() == project  # pytest is set up already


def test_renders_pass_ruff(folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, list(MATRIX))
    for command in (["check", "--select", "E,F,W,I,B,UP,SIM,C4,RUF,PTH"], ["format", "--check"]):
        done = _python(folder, "-m", "ruff", *command, "--isolated", "--line-length", "120", ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_renders_pass_mypy_in_one_run(folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, list(MATRIX))
    view = Path(__file__).parent.parent / ".typecheck"
    command = ["-m", "mypy", "--strict", "--disable-error-code", "override", "pipelines", "tests"]
    done = _python(folder, *command, MYPYPATH=f"{folder}:{view}")
    assert "source files" in done.stdout, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith(("pipelines/", "tests/"))] == []


def test_the_second_time_nothing_changes(folder: Path, pipe: Callable[..., Ran]) -> None:
    _make(pipe, ["pair"])
    before = {name: (folder / name).stat().st_mtime_ns for name in _texts(folder)}
    again = pipe("new-task", "my-pair", "--pair", "--yes")
    assert (again.code, "nothing changed" in again.err) == (0, True)
    assert {name: (folder / name).stat().st_mtime_ns for name in _texts(folder)} == before


def test_dry_run_prints_a_diff_that_patch_takes_and_writes_nothing(folder: Path, pipe: Callable[..., Ran]) -> None:
    ran = pipe("new-task", "my-task", "--yes", "--dry-run")
    assert ran.code == 0
    assert list(folder.iterdir()) == []
    (folder / "diff").write_text(ran.out)
    subprocess.run(["git", "apply", "diff"], cwd=folder, check=True)
    (folder / "diff").unlink()
    patched = _texts(folder)
    assert pipe("new-task", "my-task", "--yes").code == 0
    assert _texts(folder) == patched


def test_a_file_that_is_there_is_not_overwritten(folder: Path, pipe: Callable[..., Ran]) -> None:
    write(folder, {"pipelines/my_task.py": "MINE = 1\n"})
    ran = pipe("new-task", "my-task", "--yes")
    assert ran.code == 1
    assert "-MINE = 1" in ran.err
    assert _texts(folder) == {"pipelines/my_task.py": "MINE = 1\n"}


def test_an_existing_project_keeps_its_text(project: Path, pipe: Callable[..., Ran]) -> None:
    write(
        project, {"pyproject.toml": '[project]\nname = "acme"  # ours\n\n[tool.pytest.ini_options]\naddopts = "-q"\n'}
    )
    registry = (project / "pipelines/__init__.py").read_text()
    assert pipe("new-task", "my-task", "--yes").code == 0
    assert (project / "pipelines/__init__.py").read_text().startswith(registry.rstrip("\n"))
    assert '[project]\nname = "acme"  # ours\n' in (project / "pyproject.toml").read_text()
    assert pipe("info", "length").code == pipe("info", "my-task").code == 0


def test_killed_at_any_moment_the_same_command_completes_it(
    folder: Path, pipe: Callable[..., Ran], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("whole")
    command = [str(Path(sys.executable).with_name("pipe")), "new-task", "my-task", "--yes"]
    subprocess.run(command, cwd=whole, check=True, capture_output=True)
    for step in range(4):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        wanted = step * 2  # drafts and files that are there when it is killed
        while process.poll() is None and len(list(folder.rglob("*"))) <= wanted and time.monotonic() < deadline:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        registry = folder / "pipelines" / "__init__.py"
        if registry.is_file():
            assert (folder / "pipelines" / "my_task.py").is_file()
    assert pipe("new-task", "my-task", "--yes").code == 0
    assert _texts(folder) == _texts(whole)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["My Task"], "pipe new-task my-task"),
        (["../my-task"], "pipe new-task my-task"),
        (["class"], "pipe new-task my-class"),
        (["json"], "pipe new-task my-json"),
        (["text-classification"], "pipe new-task my-text-classification"),
        (["café-été"], "pipe new-task cafe-ete"),
        (["задача"], "pipe new-task my-task"),
        (["ﬁne"], "pipe new-task fine"),
        (["length_"], "pipe new-task"),
        (["Length"], "only in case"),
        (["t", "--type", "vidio"], "video"),
        (["t", "--model-class", "AutoModelForSequenceClasification"], "AutoModelForSequenceClassification"),
        (["t", "--type", "image", "--pair"], "--pair"),
        (["t", "--model-class", "AutoModelForMultipleChoice"], "--pair --model-class AutoModelForSequenceClassif"),
        (["t", "--model-class", "AutoModelForQuestionAnswering", "--pair"], "question-answering decides it"),
        (["t", "--model-class", "AutoModelForCTC", "--type", "image"], "AutoModelForCTC is for audio"),
        (["t", "--param", "class:int=1"], "a word of Python"),
        (["t", "--param", "inputs:str"], "the name of something else"),
        (["t", "--param", "size:int=big"], "'big' is not int"),
        (["t", "--param", "size:int=1", "--param", "size:int=2"], "twice"),
        (["t", "--param", "top_k:str=a"], "of its own"),
        (["t", "--from", "text-clasification"], "text-classification"),
        (["t", "--framework", "jax"], "pt or both"),
    ],
)
def test_a_wrong_answer_names_the_mend_and_writes_nothing(
    args: list[str], said: str, project: Path, pipe: Callable[..., Ran]
) -> None:
    before = _texts(project)
    ran = pipe("new-task", *args, "--yes")
    assert ran.code in (1, 2)
    assert said in ran.err
    assert "Hint: " in ran.err
    assert _texts(project) == before


def test_a_task_from_a_built_in_one_needs_transformers_alone(folder: Path, pipe: Callable[..., Ran]) -> None:
    assert pipe("new-task", "my-pairs", "--from", "pair-classification", "--yes").code == 0
    for file in ("my_pairs.py", "pair_classification.py"):
        assert "pipesmith" not in (folder / "pipelines" / file).read_text()
    ran = pipe("run", "my-pairs", "One text.", "--second-text", "Another.", "--model", "tiny", "--format", "json")
    assert ran.code == 0 and '"score"' in ran.out, ran.err
    copied = folder / "pipelines" / "pair_classification.py"
    copied.write_text(copied.read_text() + "# mine\n")
    assert pipe("new-task", "our-pairs", "--from", "pair-classification", "--yes").code == 0  # shares the copy
    assert copied.read_text().endswith("# mine\n")
    assert "Nothing to update" in pipe("update").out


def test_templates_of_the_project_go_first(folder: Path, pipe: Callable[..., Ran]) -> None:
    write(
        folder,
        {
            "pyproject.toml": '[tool.pipe]\ntemplates = "ours"\n',
            "ours/pipeline.py.jinja": "class {{ class_name }}: ...  # {{ task }} on {{ model_class }}\n",
        },
    )
    assert pipe("new-task", "my-task", "--yes").code == 0
    text = (folder / "pipelines/my_task.py").read_text()
    assert text == "class MyTaskPipeline: ...  # my-task on AutoModelForSequenceClassification\n"


def test_new_task_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys; from pipesmith.cli.main import app\n"
        "try: app(['new-task', 'my-task', '--yes'])\n"
        "finally: assert not {'torch', 'transformers', 'huggingface_hub', 'libcst', 'pydantic'} & set(sys.modules)"
    )
    done = _python(folder, "-c", code)
    assert done.returncode == 0, done.stderr
    assert (folder / "pipelines/my_task.py").is_file()


@pytest.mark.slow
def test_outputs_are_recorded_and_drift_fails(folder: Path, pipe: Callable[..., Ran], tiny_checkpoint: Path) -> None:
    import shutil

    shutil.copytree(tiny_checkpoint, folder / "checkpoint")
    assert pipe("new-task", "my-task", "--yes", "--default", "checkpoint", "--framework", "pt").code == 0
    large = "tests/test_pipelines_my_task.py::MyTaskPipelineTests::test_large_model_pt"
    assert "slow: pytest --slow runs it" in _pytest(folder, "-rs", large).stdout
    assert "1 passed" in _pytest(folder, "--slow", "--update-expected", large).stdout
    record = folder / "tests/expected/my-task.json"
    assert '"model": "checkpoint"' in record.read_text()
    record.write_text(record.read_text().replace('"score": 0.', '"score": 1.', 1))
    done = _pytest(folder, "--slow", large)
    assert done.returncode == 1
    assert "have drifted" in done.stdout


def test_the_plugin_is_light_and_leaves_other_folders_alone(folder: Path) -> None:
    write(
        folder,
        {
            "conftest.py": """
                def pytest_addoption(parser):
                    parser.addoption("--slow", action="store_true")
            """,
            "test_it.py": "import sys\n\ndef test_it(): assert 'torch' not in sys.modules\n",
        },
    )
    assert "1 passed" in _pytest(folder, "--slow").stdout
    write(folder, {"pyproject.toml": "[tool.pipe]\n"})  # a project with a --slow of its own
    assert "1 passed" in _pytest(folder, "--slow").stdout


@pytest.mark.parametrize(
    ("text", "declared", "stage"),
    [
        ("top_k:int=5@postprocess", "top_k: int = 5", "postprocess"),
        ("words:list[str]@preprocess", "words: list[str] | None = None", "preprocess"),
        ("loud:bool=yes@forward", "loud: bool = True", "_forward"),
        ("name", "name: str | None = None", "postprocess"),
    ],
)
def test_parameters_as_they_are_typed(text: str, declared: str, stage: str) -> None:
    parameter = parse_parameter(text)
    assert (parameter.declared, parameter.stage) == (declared, stage)
