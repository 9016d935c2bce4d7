"""The fresh process: run as text with `python -c`, so that nothing of pipesmith is importable beside it.

Reads names of files with questions, and of files for the answers, from stdin, and answers each in a fork.
"""

import importlib.util
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any


def answer(question: dict[str, Any], framework: str, to_plain: Any) -> dict[str, Any]:
    """Load what is saved and return its results."""
    from torch.utils.data import Dataset
    from transformers import pipeline

    class OneRow(Dataset):  # type: ignore[misc]  # torch is untyped here
        def __init__(self, inputs: Any) -> None:
            self.inputs = inputs

        def __len__(self) -> int:
            return 1

        def __getitem__(self, place: int) -> Any:
            return self.inputs

    options: dict[str, Any] = {"trust_remote_code": True, "device": -1}
    if framework == "tf":
        options.update(framework="tf", dtype=None, model_kwargs={"from_pt": True})
        del options["device"]
    if question["task"]:
        options["task"] = question["task"]
    pipe = pipeline(model=question["folder"], **options)
    brief = {"do_sample": False, "max_new_tokens": 3, "num_beams": 1}  # as `write_briefly` does
    for holder in (pipe, pipe.model):
        if getattr(holder, "generation_config", None) is not None:
            holder.generation_config.update(**brief)
    if getattr(pipe, "_generation_defaults", None):
        pipe._generation_defaults = brief
    results = []
    for inputs, parameters in question["rows"]:
        if framework == "tf":  # a dataset is PyTorch's
            results.append(to_plain(pipe(inputs, **parameters)))
        else:
            results.append(to_plain(next(iter(pipe(OneRow(inputs), **parameters)))))
    return {"results": results}


def explain(error: BaseException) -> str:
    """Return the exception and the last line of the saved code that it came through."""
    import traceback

    first = (str(error).strip() or "no message").partition("\n")[0]
    text = f"{type(error).__name__}: {first}"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "transformers_modules" in one.filename]
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


def serve(framework: str, plain_file: str) -> None:
    """Answer until stdin is closed."""
    import warnings

    warnings.simplefilter("ignore")
    sys.modules["pipesmith"] = None  # type: ignore[assignment]  # an import of it fails, as on other machines
    spec = importlib.util.spec_from_file_location("plain", plain_file)
    assert spec is not None and spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    sys.modules["plain"] = plain
    spec.loader.exec_module(plain)
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    getattr(transformers, "pipeline")  # noqa: B009  # transformers imports what is asked for
    for line in sys.stdin:
        question_file, answer_file = line.rstrip("\n"), sys.stdin.readline().rstrip("\n")
        if os.fork() == 0:
            try:
                found = answer(pickle.loads(Path(question_file).read_bytes()), framework, plain.to_plain)
            except BaseException as error:
                found = {"error": explain(error)}
            part = Path(f"{answer_file}.part")
            part.write_text(json.dumps(found), encoding="utf-8")
            part.replace(answer_file)
            os._exit(0)
        while True:  # one that has ended is let go of
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
