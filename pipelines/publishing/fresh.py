"""What runs in the fresh process of a proof: plain transformers on a published folder, and nothing of pipesmith.

It is run as text by `python -c`, so that no folder of pipesmith is on the path. stdin holds the question as JSON, the
answer goes to a file: published code may print what it likes. Not to be imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any


class Absent(importlib.abc.MetaPathFinder):
    """Hides packages that a stranger's machine has not."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        known = importlib.metadata.packages_distributions() if len(names) > 1 else {}
        self.distributions = {one.casefold() for name in names for one in known.get(name, [])}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    def find_distributions(self, context: Any = None) -> Any:
        """Hide what `importlib.metadata.version` would say of them; this finder is asked first."""
        if context is not None and context.name and context.name.casefold() in self.distributions:
            raise importlib.metadata.PackageNotFoundError(context.name)
        return iter(())


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Load each task, run its example, and return the outputs as plain JSON values."""
    import transformers

    spec = importlib.util.spec_from_file_location("plain", question["plain"])
    assert spec is not None and spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    outputs = []
    for run in question["runs"]:
        pipe = transformers.pipeline(
            run["task"],
            model=question["model"],
            revision=question["revision"],
            code_revision=question["code_revision"],
            trust_remote_code=True,
            device="cpu",
        )
        pipe.model.eval()
        transformers.set_seed(0)
        if run["has_example"]:
            outputs.append(plain.to_plain(pipe(located(run["inputs"], question), **run["parameters"])))
        else:
            outputs.append(None)
    return {"outputs": outputs}


def located(value: Any, question: dict[str, Any]) -> Any:
    """Put paths in the place of {"file": name}, a file of the folder or repository, and sounds of {"sound": name}."""
    if isinstance(value, dict) and set(value) == {"file"}:
        return path_of(value["file"], question)
    if isinstance(value, dict) and set(value) == {"sound"}:
        import soundfile

        sound, rate = soundfile.read(path_of(value["sound"], question), dtype="float32")
        return {"raw": sound, "sampling_rate": rate}
    if isinstance(value, dict):
        return {key: located(item, question) for key, item in value.items()}
    return [located(item, question) for item in value] if isinstance(value, list) else value


def path_of(name: str, question: dict[str, Any]) -> str:
    """Return the path of a file; of a repository it is downloaded."""
    if question["revision"] is None:
        return str(Path(question["model"]) / name)
    from huggingface_hub import hf_hub_download

    return hf_hub_download(question["model"], name, revision=question["revision"])


def main() -> None:
    question = json.load(sys.stdin)
    sys.meta_path.insert(0, Absent(question["absent"]))
    try:
        found = answer(question)
    except BaseException as error:  # whatever published code raises is the answer
        frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        own = [place for place in frames if place.rpartition(":")[0] in question["code"]]
        found = {
            "error": f"{type(error).__name__}: {str(error).strip()}",
            "place": own[-1] if own else "",
            "trace": traceback.format_exc(),
        }
    Path(question["answer"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
