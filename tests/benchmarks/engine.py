"""How many rows a second: the engine beside transformers.pipeline and the machine's limit, in turn, in one run.

    python tests/benchmarks/engine.py [--quick] [--lists] [--only docstrings] [--runs 5] [--json FILE]

Each case runs the same rows: transformers.pipeline with a list and a generator at batch_size 1, 4, 8, 16 and 32; the
engine with no options; and the limit: inputs tokenized beforehand, sorted over all rows, packed to the fixed budget
that is best, and the bare model's forward under inference_mode. After a warm-up they run in turn (A B C A B C ...),
each turn from another start. A ratio is the median of the ratios within a turn, so that a machine whose speed drifts
does the same to both; min and max beside it say how noisy it was.

Text is real and of mixed length: docstrings of the standard library, truncated to the model's limit, and those of the
installed packages, which are about twice as long. Pairs are MRPC's from the folder that PIPESMITH_MRPC names, else
sentences of docstrings. `--only tensorflow` compares TensorFlow models, on transformers 4. Not a test: a time is never
an assertion.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import gc
import importlib.resources
import inspect
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
os.environ["USE_TF"] = "AUTO" if "tensorflow" in sys.argv else "0"

import numpy as np
import torch
import transformers
from PIL import Image
from torch.utils.data import Dataset
from transformers import AutoTokenizer, Pipeline
from transformers.pipelines.base import ChunkPipeline

from pipesmith.pipelines.engine import EngineOptions, Row, run
from pipesmith.pipelines.testing import tiny_model

CHECKPOINT = str(importlib.resources.files("pipesmith.pipelines") / "builtin" / "checkpoints" / "pair-classification")
BATCH_SIZES = (1, 4, 8, 16, 32)
TOKEN_BUDGETS = (256, 512, 1024, 2048, 4096)
ROW_BUDGETS = (1, 2, 4, 8, 16, 32)
ENGINE, ENGINE_LOW = "the engine, no options", "the engine, dtype bfloat16"
SMALL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
Way = Callable[[], None]


# What is run


def docstrings(count: int, root: str = "stdlib") -> list[str]:
    """Return docstrings of the standard library ("stdlib") or of the installed packages ("purelib").

    Of the standard library they are the same for everybody who has this version of Python.
    """
    paths = sysconfig.get_paths()
    files = sorted(file for file in Path(paths[root]).rglob("*.py") if "test" not in str(file))
    if root == "stdlib":
        files = [file for file in files if "site-packages" not in file.parts]
    draw = random.Random(0)
    draw.shuffle(files)
    found: dict[str, None] = {}
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node)
                if text and len(text) > 20:
                    found[text] = None
        if len(found) >= 4 * count:
            break
    texts = list(found)
    draw.shuffle(texts)
    return texts[:count]


def pairs(count: int) -> tuple[str, list[tuple[str, str]]]:
    """Return pairs of sentences and where they are from."""
    folder = os.environ.get("PIPESMITH_MRPC")
    if folder:
        lines = Path(folder, "msr_paraphrase_test.txt").read_text(encoding="utf-8-sig").splitlines()
        rows = [line.split("\t") for line in lines[1:]]  # no quoting: a quote is a character
        return "MRPC", [(row[3], row[4]) for row in rows[:count]]
    found: list[tuple[str, str]] = []
    for text in docstrings(2 * count):
        sentences = [part for part in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if 20 < len(part) < 300]
        found += zip(sentences[::2], sentences[1::2])
    return "sentences of docstrings", found[:count]


def images(count: int) -> list[Image.Image]:
    """Return random pictures."""
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 255, (240, 320, 3), dtype=np.uint8)) for _ in range(count)]


@dataclass
class Case:
    """One pipeline on the same rows, every way.

    Args:
        name: of the case.
        about: what is run, for the table.
        pipe: the live pipeline.
        inputs: the rows.
        parameters: of the call.
        budgets: that the limit is looked for among.
        low: the same pipeline in bfloat16, if that is measured.
        more: further ways.
    """

    name: str
    about: str
    pipe: Any
    inputs: Sequence[Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    budgets: Sequence[int] = TOKEN_BUDGETS
    low: Any = None
    more: Mapping[str, Way] = field(default_factory=dict)

    def ways(self, *, generator: bool) -> dict[str, Way]:
        """Return what is to be timed, by name."""
        found: dict[str, Way] = {ENGINE: lambda: self.engine(self.pipe)}
        if self.low is not None:
            found[ENGINE_LOW] = lambda: self.engine(self.low)
        found |= self.more
        for size in BATCH_SIZES:
            found[f"transformers, a list, batch_size {size}"] = lambda size=size: self.of_list(size)
            if generator:
                found[f"transformers, a generator, batch_size {size}"] = lambda size=size: self.of_generator(size)
        return found | self.limits()

    def engine(self, pipe: Any) -> None:
        """Run the rows through the engine."""
        rows = (Row(given, self.parameters, number) for number, given in enumerate(self.inputs, 1))
        consume(run(pipe, rows, options=EngineOptions(live=False)), len(self.inputs))

    def of_list(self, size: int) -> None:
        """Run the rows as a list."""
        consume(self.pipe(list(self.inputs), batch_size=size, **self.parameters), len(self.inputs))

    def of_generator(self, size: int) -> None:
        """Run the rows as a generator."""
        consume(self.pipe((one for one in self.inputs), batch_size=size, **self.parameters), len(self.inputs))

    def limits(self) -> dict[str, Way]:
        """Return the bare model at the two best budgets, each tried once to find them."""
        pieces = [piece for given in self.inputs for piece in self._tensors(given)]
        pieces.sort(key=lambda piece: -next(iter(piece.values())).shape[1])
        in_tokens = self.budgets is TOKEN_BUDGETS
        found: dict[int, Way] = {}
        for budget in self.budgets:
            batches = packed(pieces, budget, in_tokens)
            found[budget] = lambda batches=batches: self.bare(batches)
        tried = {budget: min(seconds(way), seconds(way)) for budget, way in found.items()}
        best = sorted(tried, key=lambda budget: tried[budget])[:2]
        unit = "tokens" if in_tokens else "rows"
        return {f"the limit, {budget} {unit} a batch": found[budget] for budget in best}

    def bare(self, batches: list[dict[str, torch.Tensor]]) -> None:
        """Run the model's forward alone."""
        with torch.inference_mode():
            for batch in batches:
                self.pipe.model(**batch)

    def _tensors(self, given: Any) -> list[dict[str, torch.Tensor]]:
        stages = self.pipe._sanitize_parameters(**self.parameters)
        made = self.pipe.preprocess(given, **{**self.pipe._preprocess_params, **stages[0]})
        taken = inspect.signature(self.pipe.model.forward).parameters
        chunks = list(made) if isinstance(self.pipe, ChunkPipeline) else [made]
        return [
            {key: value for key, value in chunk.items() if key in taken and isinstance(value, torch.Tensor)}
            for chunk in chunks
        ]


def packed(pieces: list[dict[str, torch.Tensor]], budget: int, in_tokens: bool) -> list[dict[str, torch.Tensor]]:
    """Pack sorted model inputs to batches of at most so many padded tokens, or rows."""
    batches: list[list[dict[str, torch.Tensor]]] = []
    longest = 1
    for piece in pieces:
        if not batches or (len(batches[-1]) + 1) * longest > budget:
            batches.append([])
            longest = next(iter(piece.values())).shape[1] if in_tokens else 1
        batches[-1].append(piece)
    return [
        {key: torch.nn.utils.rnn.pad_sequence([piece[key][0] for piece in batch], batch_first=True) for key in batch[0]}
        for batch in batches
    ]


def consume(results: Iterable[Any], count: int) -> None:
    """Take every result, and see that none is missing or an error."""
    done = 0
    for result in results:
        error = getattr(result, "error", None)
        if error is not None:
            raise error
        done += 1
    if done != count:
        raise SystemExit(f"{done} results for {count} rows")


def has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 itself."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


# The cases


def classifier(dtype: torch.dtype = torch.float32) -> Any:
    """Return the built-in checkpoint, of MiniLM's size, as transformers loads it."""
    return transformers.pipeline("text-classification", model=CHECKPOINT, dtype=dtype, device="cpu")


def small(task: str, auto_class: str, **settings: Any) -> Any:
    """Return a random model of 2 layers with the built-in checkpoint's tokenizer."""
    config = transformers.AutoConfig.from_pretrained(CHECKPOINT, **SMALL, **settings)
    torch.manual_seed(0)
    model = getattr(transformers, auto_class).from_config(config).eval()
    return transformers.pipeline(task, model=model, tokenizer=AutoTokenizer.from_pretrained(CHECKPOINT), device="cpu")


def docstrings_case(count: int) -> Case:
    """text-classification of docstrings of the standard library: most are short, a few are long."""
    low = classifier(torch.bfloat16) if has_bfloat16() else None
    return Case(
        "docstrings", "text-classification, MiniLM size", classifier(), docstrings(count), {"truncation": True}, low=low
    )


def long_docstrings_case(count: int) -> Case:
    """text-classification of docstrings of installed packages, twice as long."""
    low = classifier(torch.bfloat16) if has_bfloat16() else None
    texts = docstrings(count, "purelib")
    return Case(
        "long docstrings", "text-classification, MiniLM size", classifier(), texts, {"truncation": True}, low=low
    )


def pairs_case(count: int) -> Case:
    """text-classification of pairs, and pair-classification with the second text as a parameter of its row."""
    source, rows = pairs(count)
    inputs = [{"text": one, "text_pair": other} for one, other in rows]
    from pipesmith.pipelines import pipeline

    own = pipeline("pair-classification", device="cpu")

    def with_parameters() -> None:
        given = (Row(one, {"second_text": other}, number) for number, (one, other) in enumerate(rows, 1))
        consume(run(own, given, options=EngineOptions(live=False)), len(rows))

    return Case(
        "pairs",
        f"text-classification of pairs, MiniLM size, {source}",
        classifier(),
        inputs,
        {"truncation": True},
        low=classifier(torch.bfloat16) if has_bfloat16() else None,
        more={"the engine, pair-classification, a parameter a row": with_parameters},
    )


def tokens_case(count: int) -> Case:
    """token-classification of docstrings."""
    pipe = small("token-classification", "AutoModelForTokenClassification")
    return Case("tokens", "token-classification, 2 layers of 128", pipe, docstrings(count))


def zero_shot_case(count: int) -> Case:
    """zero-shot-classification of docstrings: three chunks a row."""
    labels = {"label2id": {"entailment": 0, "other": 1}, "id2label": {0: "entailment", 1: "other"}}
    pipe = small("zero-shot-classification", "AutoModelForSequenceClassification", **labels)
    parameters = {"candidate_labels": ["text", "numbers", "files"]}
    return Case("zero-shot", "zero-shot-classification, 3 labels, 2 layers of 128", pipe, docstrings(count), parameters)


def images_case(count: int) -> Case:
    """image-classification of random pictures."""
    config = transformers.ViTConfig(
        hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768, num_labels=10
    )
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config).eval()
    processor = transformers.ViTImageProcessor()
    pipe = transformers.pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    return Case("images", "image-classification, random ViT-tiny, 224x224", pipe, images(count), budgets=ROW_BUDGETS)


CASES: dict[str, tuple[Callable[[int], Case], int, int]] = {  # rows, and with --quick
    "docstrings": (docstrings_case, 400, 100),
    "long-docstrings": (long_docstrings_case, 400, 100),
    "pairs": (pairs_case, 400, 100),
    "tokens": (tokens_case, 400, 100),
    "zero-shot": (zero_shot_case, 200, 50),
    "images": (images_case, 200, 48),
}


# Timing


def seconds(way: Way) -> float:
    """Return the wall-clock seconds of one run."""
    gc.collect()
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def in_turn(ways: Mapping[str, Way], runs: int) -> dict[str, list[float]]:
    """Time every way once a turn, each turn from another start."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(runs):
        first = turn * len(names) // runs
        for name in names[first:] + names[:first]:
            times[name].append(seconds(ways[name]))
            print(f"\r  turn {turn + 1} of {runs}, {name:<60}", end="", file=sys.stderr, flush=True)
    print(f"\r{'':<90}\r", end="", file=sys.stderr)
    return times


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return how many times as fast one is as the other: the median over the turns, and the extremes."""
    ratios = [b / a for a, b in zip(ours, theirs)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def run_case(name: str, *, quick: bool, runs: int, generator: bool) -> dict[str, Any]:
    """Run a case and print its table."""
    make, many, few = CASES[name]
    case = make(few if quick else many)
    ways = case.ways(generator=generator)
    for warm_up in (ENGINE, ENGINE_LOW):
        if warm_up in ways:
            ways[warm_up]()
    times = in_turn(ways, runs)
    count = len(case.inputs)
    print(f"\n{name}: {case.about}, {count} rows, {runs} runs")
    print(f"  {'':<52} {'rows/s':>8} {'engine / this':>14} {'min':>6} {'max':>6}")
    lines = {}
    for way, taken in times.items():
        found = ratio(times[ENGINE], taken)
        lines[way] = {"rows_per_second": count / statistics.median(taken), "engine_is": found, "seconds": taken}
        print(
            f"  {way:<52} {count / statistics.median(taken):8.1f} {found['median']:14.2f} {found['min']:6.2f}"
            f" {found['max']:6.2f}",
            flush=True,
        )
    report: dict[str, Any] = {"about": case.about, "rows": count, "runs": runs, "ways": lines}
    report |= summary(case, times)
    return report


def summary(case: Case, times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Print and return the ratios that the project promises."""

    def fastest(start: str) -> str:
        return min((way for way in times if way.startswith(start)), key=lambda way: statistics.median(times[way]))

    limit, best = fastest("the limit"), fastest("transformers")
    found: dict[str, Any] = {
        "of_the_limit": ratio(times[ENGINE], times[limit]),
        "of_the_best_batch_size": ratio(times[ENGINE], times[best]),
        "of_batch_size_32": ratio(times[ENGINE], times["transformers, a list, batch_size 32"]),
        "best": best,
        "limit": limit,
    }
    print(
        f"  The engine runs at {found['of_the_limit']['median']:.2f} of the limit ({limit}); it is"
        f" {found['of_the_best_batch_size']['median']:.2f} times as fast as the best of transformers ({best}) and"
        f" {found['of_batch_size_32']['median']:.2f} times as fast as batch_size 32."
    )
    if case.low is not None:
        found["bfloat16"] = ratio(times[ENGINE_LOW], times[best])
        found["largest_change_of_a_score"] = change(case)
        print(
            f"  In bfloat16 it is {found['bfloat16']['median']:.2f} times as fast as that best float32; the largest"
            f" change of a score is {found['largest_change_of_a_score']:.4f}.",
            flush=True,
        )
    return found


def change(case: Case) -> float:
    """Return the most that bfloat16 changes a score."""
    scores = []
    for pipe in (case.pipe, case.low):
        rows = (Row(given, {**case.parameters, "top_k": None}, number) for number, given in enumerate(case.inputs, 1))
        results = [result.result for result in run(pipe, rows, options=EngineOptions(live=False))]
        scores.append([{one["label"]: one["score"] for one in result} for result in results])
    return max(abs(one[label] - other[label]) for one, other in zip(*scores) for label in one)


# What the engine itself costs


class EchoPipeline(Pipeline):
    """A pipeline whose stages cost nothing: what it is given comes back."""

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, {}

    def preprocess(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs

    def postprocess(self, outputs: dict[str, Any]) -> dict[str, Any]:
        return {"echo": outputs["text"]}


class TensorEchoPipeline(EchoPipeline):
    """The same with a tensor of the text's length in between, as tokenizers make them."""

    def preprocess(self, text: str) -> dict[str, Any]:
        ids = torch.ones((1, 1 + len(text) % 64), dtype=torch.int64)
        return {"input_ids": ids, "attention_mask": ids}

    def postprocess(self, outputs: dict[str, Any]) -> dict[str, Any]:
        return {"echo": outputs["input_ids"].shape[1]}


class Listed(Dataset):  # type: ignore[misc]  # torch is untyped here
    """Inputs as a dataset."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> Any:
        return self._inputs[index]


def overhead(*, quick: bool, runs: int) -> dict[str, Any]:
    """Compare the processor time and the wall-clock time of the engine and of transformers at batch_size 8."""
    count = 2_000 if quick else 20_000
    texts = list(itertools.islice(itertools.cycle(docstrings(500)), count))
    tiny = tiny_model("AutoModelForSequenceClassification")
    report: dict[str, Any] = {"rows": count, "runs": runs}
    print(f"\noverhead: pipelines whose stages cost nothing, {count} rows, {runs} runs, the engine / batch_size 8")
    for kind in (EchoPipeline, TensorEchoPipeline):
        pipe = kind(model=tiny.model, tokenizer=tiny.tokenizer, device="cpu")
        case = Case(kind.__name__, "", pipe, texts)

        def theirs(pipe: Any = pipe) -> None:
            consume(pipe(Listed(texts), batch_size=8), count)

        def ours(case: Case = case) -> None:
            case.engine(case.pipe)

        ours(), theirs()
        used = [(processor_seconds(ours), processor_seconds(theirs)) for _ in range(runs)]
        cpu = ratio([b[0] for _, b in used], [a[0] for a, _ in used])
        wall = ratio([a[1] for a, _ in used], [b[1] for _, b in used])
        report[kind.__name__] = {"processor_time": cpu, "rows_per_second": wall}
        per_row = statistics.median(a[0] for a, _ in used) / count * 1e6
        print(
            f"  {kind.__name__:<20} processor time {cpu['median']:.2f} times ({cpu['min']:.2f} to {cpu['max']:.2f}),"
            f" rows/s {wall['median']:.2f} times ({wall['min']:.2f} to {wall['max']:.2f}); {per_row:.0f} us a row",
            flush=True,
        )
    return report


def tensorflow(*, quick: bool, runs: int) -> dict[str, Any]:
    """Compare the engine with transformers.pipeline(framework="tf"), which runs a TensorFlow model row by row."""
    count = 100 if quick else 400
    pipe = transformers.pipeline(
        "text-classification", model=CHECKPOINT, framework="tf", dtype=None, device=-1, model_kwargs={"from_pt": True}
    )
    case = Case("tensorflow", "text-classification, MiniLM size", pipe, docstrings(count), {"truncation": True})

    def theirs() -> None:
        consume(pipe(list(case.inputs), **case.parameters), count)

    def ours() -> None:
        case.engine(pipe)

    ours(), theirs()
    times = in_turn({"ours": ours, "theirs": theirs}, runs)
    found = ratio(times["ours"], times["theirs"])
    print(
        f"\ntensorflow: {case.about}, {count} rows, {runs} runs, the engine / transformers.pipeline(framework='tf')\n"
        f"  rows/s {found['median']:.2f} times ({found['min']:.2f} to {found['max']:.2f})"
    )
    return {"rows": count, "rows_per_second": found}


def processor_seconds(way: Way) -> tuple[float, float]:
    """Return the processor seconds of all threads, and the wall-clock seconds, of one run."""
    gc.collect()
    processor, wall = time.process_time(), time.perf_counter()
    way()
    return time.process_time() - processor, time.perf_counter() - wall


# Memory, each in a process of its own

_PEAK = """
import sys
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    import resource  # no Linux: here it counts what the process was forked from as well
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""
_ENGINE = f"""{_PEAK}
import itertools, json
from transformers import logging, pipeline
from pipesmith.pipelines.engine import EngineOptions, Row, run
model, file, count, out = sys.argv[1:]
logging.disable_progress_bar()
pipe = pipeline("text-classification", model=model, device="cpu")
texts = [json.loads(line)["text"] for line in itertools.islice(open(file), 1000)]
rows = (Row(texts[number % 1000], {{}}, number) for number in range(int(count)))
assert sum(result.error is None for result in run(pipe, rows, options=EngineOptions(live=False))) == int(count)
open(out, "w").write(str(peak()))
"""
_COMMAND = f"""{_PEAK}
import atexit
from pipesmith.cli.main import app
model, file, count, out = sys.argv[1:]
atexit.register(lambda: open(out, "w").write(str(peak())))
app(["run", "text-classification", "--model", model, "--input", file, "--output", out + ".jsonl", "--quiet"])
"""


def memory(*, quick: bool) -> dict[str, Any]:
    """Measure the peak memory of processes that run more and more rows of a tiny model."""
    counts = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    model = str(tiny_model("AutoModelForSequenceClassification").path)
    texts = [text[:200] for text in docstrings(1_000)]
    report: dict[str, Any] = {}
    print("\nmemory: peak of a process, tiny model, MB")
    for name, script in (("the engine", _ENGINE), ("pipe run --input --output", _COMMAND)):
        peaks = {count: peak_memory(script, model, texts, count) for count in counts}
        report[name] = peaks
        last, before = counts[-1], counts[-2]
        shown = ", ".join(f"{count:,} rows {peak:.0f}" for count, peak in peaks.items())
        print(f"  {name:<28} {shown}; {last:,} / {before:,}: {peaks[last] / peaks[before]:.3f}", flush=True)
    return report


def peak_memory(script: str, model: str, texts: Sequence[str], count: int) -> float:
    """Return the peak of one process in MB."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "rows.jsonl"), Path(folder, "out")
        with source.open("w", encoding="utf-8") as stream:
            for text in itertools.islice(itertools.cycle(texts), count):
                stream.write(json.dumps({"text": text}) + "\n")
        command = [sys.executable, "-c", script, model, str(source), str(count), str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return int(out.read_text()) / 1024


def machine() -> dict[str, Any]:
    """Say what this was measured on."""
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
        "bfloat16": has_bfloat16(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def chosen(only: Sequence[str]) -> Iterator[str]:
    """Yield what is to be measured."""
    names = [*CASES, "overhead", "memory"]
    if getattr(transformers, "is_tf_available", bool)():
        names.append("tensorflow")
    unknown = [name for name in only if name not in names]
    if unknown:
        raise SystemExit(f"There is no case {unknown[0]}: there are {', '.join(names)}.")
    yield from only or names


def main() -> None:
    """Measure, and print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the rows, 3 runs, no generators")
    parser.add_argument("--lists", action="store_true", help="transformers with lists alone, no generators")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one case; repeatable")
    parser.add_argument("--runs", type=int, help="counted runs of each way: 5, with --quick 3")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    given = parser.parse_args()
    names = list(chosen(given.only))
    runs = given.runs or (3 if given.quick else 5)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    report: dict[str, Any] = {"machine": machine(), "cases": {}}
    print(", ".join(f"{key} {value}" for key, value in report["machine"].items()))
    for name in names:
        if name == "overhead":
            found = overhead(quick=given.quick, runs=runs)
        elif name == "memory":
            found = memory(quick=given.quick)
        elif name == "tensorflow":
            found = tensorflow(quick=given.quick, runs=runs)
        else:
            found = run_case(name, quick=given.quick, runs=runs, generator=not (given.quick or given.lists))
        report["cases"][name] = found
        if given.json:
            given.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
