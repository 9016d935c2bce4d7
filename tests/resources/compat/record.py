"""Record what transformers 4 returns for the pipelines in pipelines/, into numbers.json.

Run it in an environment with transformers 4.57, torch, accelerate and pipesmith (its tiny models only are used: equal
seeds give equal weights on both lines):

    python tests/resources/compat/record.py

cases.json names for each pipeline the rows of the table of differences that it stands for, its model (a sequence
classifier if none is named), and the calls to make. The pipelines run as they are, made with plain transformers; where
4.57 itself has lost a name that still older releases had, "on_4" says what to write instead for the recording.
numbers.json holds the versions, the date, a hash of each model's weights, and the results, rounded to 6 decimals.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    import accelerate
    import huggingface_hub
    import torch
    import transformers

    if not transformers.__version__.startswith("4."):
        sys.exit(f"This records transformers 4, and here is {transformers.__version__}.")
    cases = json.loads((HERE / "cases.json").read_text())
    numbers: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "versions": {
            module.__name__: module.__version__ for module in (accelerate, huggingface_hub, torch, transformers)
        },
        "weights": {},
        "results": {},
    }
    for name, case in cases.items():
        pipe, digest = make(name, case)
        if "architecture" not in case:
            numbers["weights"][case.get("model", "AutoModelForSequenceClassification")] = digest
        numbers["results"][name] = [rounded(pipe(inputs, **parameters)) for inputs, parameters in case["calls"]]
    (HERE / "numbers.json").write_text(json.dumps(numbers, indent=1) + "\n")


def make(name: str, case: dict[str, Any]) -> tuple[Any, str]:
    """Make a case's pipeline with plain transformers; return it and the hash of its model's weights file."""
    import transformers

    from pipesmith.pipelines.testing import tiny_model

    with tempfile.TemporaryDirectory() as folder:
        source = (HERE / "pipelines" / f"{case.get('file', name)}.py").read_text()
        for written, instead in case.get("on_4", {}).items():
            assert written in source, written
            source = source.replace(written, instead)
        file = Path(folder) / f"{name}.py"
        file.write_text(source)
        module = import_file(file)
        model_class = case.get("model", "AutoModelForSequenceClassification")
        checkpoint = Path(folder) / "checkpoint"
        shutil.copytree(tiny_model(model_class, case.get("architecture")).path, checkpoint)
        change_files(checkpoint, case)
        loader = getattr(module, case["model_class"]) if "model_class" in case else getattr(transformers, model_class)
        model = loader.from_pretrained(checkpoint, **case.get("model_kwargs", {})).eval()
        arguments = {"framework": "pt", **case.get("init", {})}
        if "model_kwargs" not in case:
            arguments["device"] = "cpu"
        found = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        pipeline_class = next(value for value in found if value.__name__.endswith("Pipeline"))
        pipe = pipeline_class(
            model=model, tokenizer=transformers.AutoTokenizer.from_pretrained(checkpoint), task=name, **arguments
        )
        return pipe, weights_hash(checkpoint)


def change_files(checkpoint: Path, case: dict[str, Any]) -> None:
    """Write the JSON files that a case wants in its checkpoint, and remove those that it wants gone."""
    for name, content in case.get("files", {}).items():
        (checkpoint / name).unlink(missing_ok=True)
        if content is not None:
            (checkpoint / name).write_text(json.dumps(content))


def import_file(file: Path) -> Any:
    """Import a file as plain Python does."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def weights_hash(checkpoint: Path) -> str:
    """Hash a checkpoint's weights: their names, and their bytes as float32."""
    from safetensors.torch import load_file

    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(checkpoint / "model.safetensors").items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()[:16]


def rounded(value: Any) -> Any:
    """Round all floats of a result to 6 decimals, so that the file stays small."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main()
