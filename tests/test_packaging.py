"""The package: its list of folders, the wheel, and the command from the wheel outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git would give a fresh clone."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(out.glob("*.whl"))


def _folders_with_code() -> set[str]:
    found = set()
    for top in ("cli", "pipelines", "templates"):
        for file in (ROOT / top).rglob("*.py"):
            if "__pycache__" not in file.parts and "checkpoints" not in file.parts:
                found.add("pipesmith." + ".".join(file.parent.relative_to(ROOT).parts))
    return found


def test_every_folder_with_code_is_a_package() -> None:
    assert set(SETTINGS["tool"]["setuptools"]["packages"]) == _folders_with_code()
    for package in SETTINGS["tool"]["setuptools"]["packages"]:
        assert (ROOT.joinpath(*package.split(".")[1:]) / "__init__.py").is_file(), package


def test_wheel_holds_every_module_the_checkpoint_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for top in ("cli", "pipelines", "templates"):
        for file in (ROOT / top).rglob("*.py"):
            if "__pycache__" not in file.parts:
                assert f"pipesmith/{file.relative_to(ROOT)}" in names
    checkpoint = "pipesmith/pipelines/builtin/checkpoints/pair-classification"
    assert {f"{checkpoint}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")} <= names
    assert {"pipesmith/cli/py.typed", "pipesmith/pipelines/py.typed"} <= names
    assert {name.partition("/")[0] for name in names} == {"pipesmith", f"pipesmith-{_version()}.dist-info"}


def _version() -> str:
    return str(SETTINGS["project"]["version"])


def test_built_in_task_runs_from_the_wheel_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import sys, pipesmith.cli.main as main; "
        f"assert main.__file__.startswith({str(tmp_path)!r}), main.__file__; sys.exit(main.app())"
    )
    arguments = ["run", "pair-classification", "--top-k", "2", "--second-text", "He bought a car.", "He got a car."]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '"equivalent"' in done.stdout and '"not_equivalent"' in done.stdout
    assert done.stderr == ""


def test_constraints_name_every_dependency() -> None:
    pinned = {line.partition("==")[0].strip().lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted = [*SETTINGS["project"]["dependencies"], *SETTINGS["project"]["optional-dependencies"]["dev"]]
    for dependency in wanted:
        name = dependency.split(";")[0].split(">")[0].split("[")[0].strip().lower()
        assert name in pinned or name == "tomli", dependency


def test_lowest_constraints_are_the_lower_bounds() -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    for dependency in SETTINGS["project"]["dependencies"]:
        name, _, bound = dependency.partition(";")[0].strip().partition(">=")
        if name not in ("transformers", "huggingface_hub", "tomli"):
            assert (tested[name] + ".0").startswith(bound + "."), dependency


def test_public_names() -> None:
    import pipesmith.pipelines as public

    assert sorted(public.__all__) == ["PIPELINE_REGISTRY", "pipeline", "records", "run_pipeline", "testing"]
    assert all(hasattr(public, name) for name in public.__all__)
