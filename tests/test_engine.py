"""The engine on pipelines that fail, run out of memory, or cannot be batched; and how it begins, waits and ends."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pipesmith.pipelines.engine import EngineOptions, Row, RowResult, Statistics, run, window_start
from pipesmith.pipelines.errors import InputError, ParameterError
from pipesmith.pipelines.testing import tiny_model

pytestmark = [pytest.mark.both_lines, pytest.mark.usefixtures("one_thread")]
AT_ONCE = EngineOptions(live=False)


def live(stages: type, *, chunks: bool = False, **parts: Any) -> Any:
    """Make a live pipeline of a class that has some of the stages; the others cost nothing."""
    from transformers.pipelines.base import ChunkPipeline, Pipeline

    class Stages(stages, ChunkPipeline if chunks else Pipeline):  # type: ignore[misc]
        def _sanitize_parameters(self, **parameters: Any) -> Any:
            before = {name: value for name, value in parameters.items() if name == "before"}
            during = {name: value for name, value in parameters.items() if name == "during"}
            return before, during, {name: value for name, value in parameters.items() if name == "after"}

    tiny = tiny_model("AutoModelForSequenceClassification")
    parts = {"model": tiny.model, "tokenizer": tiny.tokenizer, **parts}
    return Stages(**parts, device="cpu")


class Echo:
    """Costs nothing, and gives the input back."""

    model: Any
    tokenizer: Any

    def preprocess(self, text: Any) -> Any:
        return {"text": text}

    def _forward(self, inputs: Any) -> Any:
        return inputs

    def postprocess(self, outputs: Any) -> Any:
        return outputs["text"]


class Scores(Echo):
    """A text classifier."""

    def preprocess(self, text: Any) -> Any:
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, inputs: Any) -> Any:
        return {"logits": self.model(**inputs).logits}

    def postprocess(self, outputs: Any) -> Any:
        return outputs["logits"][0].tolist()


def rows(inputs: Iterable[Any]) -> Iterator[Row]:
    for number, one in enumerate(inputs, 1):
        yield Row(one, number=number)


def texts(count: int) -> list[str]:
    """Return texts of several lengths; no two that stand near each other are the same."""
    words = ["good", "day", "work", "people", "hello"]
    return [" ".join(words[(place + n * n) % 5] for n in range(1 + place * 7 % 13)) for place in range(count)]


def results(pipe: Any, inputs: Iterable[Any], options: EngineOptions = AT_ONCE, **more: Any) -> list[Any]:
    """Run inputs and return the results; none may fail, and their order must be that of the inputs."""
    found = list(run(pipe, rows(inputs), options=options, **more))
    assert [result.error for result in found] == [None] * len(found)
    assert [result.row.number for result in found] == list(range(1, len(found) + 1))
    return [result.result for result in found]


def alone(pipe: Any, inputs: Iterable[Any]) -> list[Any]:
    return [pipe(one) for one in inputs]


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("preprocess", "forward")]


# ---- Rows that fail ----------------------------------------------------------------------------------------------


def poisoned(stage: str) -> type:
    def fails(self: Any, given: Any) -> Any:
        values = given if isinstance(given, str) else given["text"]
        if "row 7777" in ([values] if isinstance(values, str) else values):
            raise ValueError("this row is bad")
        return getattr(Echo, stage)(self, given)

    fails.__code__ = fails.__code__.replace(co_name=stage)
    return type("Poisoned", (Echo,), {stage: fails})


@pytest.mark.parametrize("stage", ["preprocess", "_forward", "postprocess"])
@pytest.mark.parametrize("chunks", [False, True])
def test_one_bad_row_in_ten_thousand(stage: str, chunks: bool) -> None:
    kind = poisoned(stage)
    if chunks:

        def preprocess(self: Any, text: str) -> Iterator[Any]:
            yield {"is_last": False, **kind.preprocess(self, text)}
            yield {"is_last": True, "text": "more"}

        def postprocess(self: Any, outputs: Any) -> Any:
            return kind.postprocess(self, outputs[0])

        pipe = live(type("InChunks", (kind,), {"preprocess": preprocess, "postprocess": postprocess}), chunks=True)
    else:
        pipe = live(kind)
    found = list(run(pipe, rows(f"row {place}" for place in range(10_000)), options=AT_ONCE))
    bad = found.pop(7777)
    assert bad.row.number == 7778 and isinstance(bad.error, InputError)
    assert f".{stage} fails: ValueError: this row is bad" in bad.error.message
    assert [result.error for result in found] == [None] * 9_999
    assert [result.result for result in found] == [f"row {place}" for place in range(10_000) if place != 7777]


@pytest.mark.parametrize("kind", [SystemExit, MemoryError, StopIteration])
def test_other_exceptions_of_a_stage(kind: type[BaseException]) -> None:
    class Leaves(Echo):
        def preprocess(self, text: Any) -> Any:
            if text == 3:
                raise kind("no more")
            return {"text": text}

    found = list(run(live(Leaves), rows(range(9)), options=AT_ONCE))
    assert [result.row.number for result in found if result.error] == [4]
    assert len(found) == 9


def test_rows_that_cannot_be_read_keep_their_places() -> None:
    bad = InputError("not a row")
    given = [Row(None, number=n, error=bad) if n % 3 == 1 else Row(n, number=n) for n in range(1, 50)]
    found = list(run(live(Echo), given, options=AT_ONCE))
    assert [result.error or result.result for result in found] == [row.error or row.inputs for row in given]


def test_rows_that_raise_come_after_the_results_before_them() -> None:
    def broken() -> Iterator[Row]:
        yield from rows(range(100))
        raise OSError("the disk is gone")

    found: list[RowResult] = []
    with pytest.raises(OSError, match="the disk is gone"):
        found.extend(iter_into(found, run(live(Echo), broken(), options=AT_ONCE)))
    assert [result.result for result in found] == list(range(100))
    assert not engine_threads()


def iter_into(found: list[RowResult], source: Iterable[RowResult]) -> list[RowResult]:
    for result in source:
        found.append(result)
    return []


# ---- Memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RuntimeError", "OutOfMemoryError"])
@pytest.mark.parametrize("options", [AT_ONCE, EngineOptions(batch_size=64), EngineOptions(batch_tokens=4096)])
def test_out_of_memory_halves_the_budget(kind: str, options: EngineOptions) -> None:
    import torch

    class Small(Scores):
        def _forward(self, inputs: Any) -> Any:
            if len(inputs["input_ids"]) > 4:
                if kind == "RuntimeError":
                    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
                raise torch.OutOfMemoryError("no memory")
            return super()._forward(inputs)

    pipe, statistics = live(Small), Statistics()
    said: list[str] = []
    found = results(pipe, texts(100), options, statistics=statistics, notify=said.append)
    assert_close(found, alone(live(Scores), texts(100)))
    assert 0 < statistics.out_of_memory < 50 and not said
    assert statistics.budgets["tokens"] <= 512


def test_memory_stays_flat() -> None:
    import numpy as np

    class Large(Echo):
        def preprocess(self, text: Any) -> Any:
            return {"text": text, "array": np.zeros(2_000)}

        def postprocess(self, outputs: Any) -> Any:
            return len(outputs["array"])

    pipe = live(Large)

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        for _ in run(pipe, rows(range(count)), options=EngineOptions(window=64, live=False)):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)
    most = 3 * 64 * 16_000  # bytes: two windows, which threads may have under way, and what stands beside
    assert peak(1_000) < most and peak(10_000) < most


@pytest.mark.parametrize("chunks", [False, True])
def test_slow_consumer_bounds_the_rows_taken(chunks: bool) -> None:
    class InChunks(Echo):
        def preprocess(self, text: Any) -> Any:
            yield {"text": text, "is_last": True}

        def postprocess(self, outputs: Any) -> Any:
            return outputs[0]["text"]

    taken: list[int] = []

    def counted() -> Iterator[Row]:
        for row in rows(range(100_000)):
            taken.append(row.number)
            yield row

    pipe = live(InChunks if chunks else Echo, chunks=chunks)
    given = run(pipe, counted(), options=EngineOptions(window=100, live=False))
    for place, _ in enumerate(given, 1):
        if place % 50 == 0:
            time.sleep(0.01)
        assert len(taken) <= place + 2 * 100 + 64 + 1
        if place == 1_000:
            break
    given.close()
    assert not engine_threads()


def test_one_row_with_thousands_of_chunks() -> None:
    import torch

    made, ran = [0], [0]

    class ManyChunks(Echo):
        def preprocess(self, count: int) -> Any:
            for place in range(count):
                made[0] += 1
                assert (made[0] - ran[0]) * 2**20 <= 160 * 2**20  # bytes that wait
                yield {"pixel_values": torch.zeros(1, 2**18), "place": place, "is_last": place == count - 1}

        def _forward(self, inputs: Any) -> Any:
            ran[0] += len(inputs["pixel_values"])
            return {"place": inputs["place"], "is_last": inputs["is_last"]}

        def postprocess(self, outputs: Any) -> Any:
            return [output["place"] for output in outputs]

    found = results(live(ManyChunks, chunks=True), [3, 600, 1])
    assert found == [list(range(3)), list(range(600)), [0]]


# ---- Batches that are none ---------------------------------------------------------------------------------------


def assert_close(found: Any, wanted: Any) -> None:
    import numpy as np

    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


class SumOfAll(Scores):
    """Counts padding as well."""

    def _forward(self, inputs: Any) -> Any:
        length = inputs["input_ids"].shape[1]
        return {"logits": inputs["input_ids"].sum(1, keepdim=True).float() + length}


class Leaks(Scores):
    """Takes the mean of a batch off."""

    def _forward(self, inputs: Any) -> Any:
        logits = self.model(**inputs).logits
        return {"logits": logits - logits.mean(0, keepdim=True)}


class FirstToken(Scores):
    """Gives one number a token, padding's as well."""

    def _forward(self, inputs: Any) -> Any:
        return {"logits": inputs["input_ids"].float() * 2, "ids": inputs["input_ids"]}

    def postprocess(self, outputs: Any) -> Any:
        return [outputs["logits"][0].sum().item(), outputs["logits"].shape[1], outputs["ids"].shape[1]]


@pytest.mark.parametrize(
    ("kind", "words"),
    [(SumOfAll, "Padding changes"), (Leaks, "row by row: in a batch"), (FirstToken, None), (Scores, None)],
)
def test_batches_that_change_results(kind: type, words: str | None) -> None:
    pipe, said, statistics = live(kind), [], Statistics()  # type: ignore[var-annotated]
    assert_close(results(pipe, texts(150), notify=said.append, statistics=statistics), alone(pipe, texts(150)))
    assert [text for text in said if words and words in text] if words else not said
    assert statistics.batches == 150 or words != "row by row"


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, inputs: 7,
        lambda self, inputs: "seven",
        lambda self, inputs: [7, 8],
        lambda self, inputs: {"count": inputs["input_ids"].shape[1]},
        lambda self, inputs: {"label": "positive"},
        lambda self, inputs: (inputs["input_ids"].sum(),),
        lambda self, inputs: {"loss": inputs["input_ids"].sum(), "label": "x"},
    ],
    ids=["int", "str", "list", "dict of int", "dict of str", "tuple", "scalar"],
)
def test_forward_returns_no_batch(forward: Callable[..., Any]) -> None:
    def postprocess(self: Any, outputs: Any) -> str:
        return repr(outputs)

    pipe, said = live(type("NoBatch", (Scores,), {"_forward": forward, "postprocess": postprocess})), []  # type: ignore[var-annotated]
    assert results(pipe, texts(100), notify=said.append) == alone(pipe, texts(100))
    assert len(said) <= 2


class HandsOver(Scores):
    """What preprocess leaves on the instance is postprocess's."""

    def preprocess(self, text: Any) -> Any:
        self.keep(text)
        return super().preprocess(text)

    def keep(self, text: str) -> None:
        self.text = text

    def postprocess(self, outputs: Any) -> Any:
        return [self.text, *super().postprocess(outputs)]


class Counts(Scores):
    count = 0

    def postprocess(self, outputs: Any) -> Any:
        self.count += 1
        return [self.count, *super().postprocess(outputs)]


class Repeats(Scores):
    def _forward(self, inputs: Any) -> Any:
        if not hasattr(self, "seen"):
            self.seen: list[Any] = []
        self.seen.append(inputs["input_ids"].shape[-1])
        return super()._forward(inputs)

    def postprocess(self, outputs: Any) -> Any:
        return [len(self.seen), *super().postprocess(outputs)]


@pytest.mark.parametrize("kind", [HandsOver, Counts, Repeats])
def test_what_is_kept_between_stages_is_of_the_same_row(kind: type) -> None:
    said: list[str] = []
    found = results(live(kind), texts(60), notify=said.append)
    expected = alone(live(kind), texts(60))
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert_close([row[1:] for row in found], [row[1:] for row in expected])
    assert len(said) == 1 and "runs row by row: postprocess reads self." in said[0]


class KeepsWhatMatters(Scores):
    """Keeps nothing that another row's results depend on."""

    names: Any = None

    def preprocess(self, text: Any) -> Any:
        self.last_text = text  # nobody reads it
        return super().preprocess(text)

    def _forward(self, inputs: Any) -> Any:
        self.outputs = super()._forward(inputs)
        return self.outputs

    def postprocess(self, outputs: Any) -> Any:
        if self.names is None:
            self.names = ["a", "b"]
        return [len(self.names), *super().postprocess(outputs)]


def test_what_is_kept_for_nobody_or_once_is_batched() -> None:
    said, statistics = [], Statistics()  # type: ignore[var-annotated]
    assert_close(
        results(live(KeepsWhatMatters), texts(60), notify=said.append, statistics=statistics),
        alone(live(KeepsWhatMatters), texts(60)),
    )
    assert not said and statistics.batches < 60


def test_own_call_that_adds_to_a_text() -> None:
    class Prefixed(Scores):
        def __call__(self, text: Any, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(text + " good day people", *args, **kwargs)  # type: ignore[misc]

    assert_close(results(live(Prefixed), texts(8)), alone(live(Prefixed), texts(8)))


def test_a_pipeline_is_called_and_run_again_while_it_runs() -> None:
    pipe = live(Scores)
    expected = alone(pipe, texts(40))
    found = []
    for result in run(pipe, rows(texts(40)), options=AT_ONCE):
        found.append(result.result)
        if len(found) == 5:
            assert_close(results(pipe, texts(40)), expected)
            assert_close([one[0]["score"] if isinstance(one, dict) else one for one in pipe(texts(3))], expected[:3])
    assert_close(found, expected)
    given_up = run(pipe, rows(texts(40)), options=AT_ONCE)
    next(given_up)
    assert_close(results(pipe, texts(40)), expected)
    given_up.close()
    assert_close(results(pipe, texts(40)), expected)


def test_forward_that_refuses_batches() -> None:
    class OneByOne(Scores):
        def _forward(self, inputs: Any) -> Any:
            if len(inputs["input_ids"]) > 1:
                raise ValueError("one at a time")
            return super()._forward(inputs)

    pipe, said = live(OneByOne), []  # type: ignore[var-annotated]
    assert_close(results(pipe, texts(100), notify=said.append), alone(pipe, texts(100)))
    assert len(said) == 1 and "one at a time" in said[0]


@pytest.mark.parametrize("lacks", ["pad token", "tokenizer"])
def test_nothing_to_pad_with(lacks: str) -> None:
    import copy

    tokenizer = copy.deepcopy(tiny_model("AutoModelForSequenceClassification").tokenizer)
    tokenizer.pad_token = None
    pipe, said = live(Echo, tokenizer=None if lacks == "tokenizer" else tokenizer), []  # type: ignore[var-annotated]
    assert results(pipe, range(50), notify=said.append) == list(range(50))
    assert len(said) == 1 and lacks in said[0]


def odd_inputs(place: int) -> Any:
    import numpy as np
    import torch

    return [
        {"a": torch.tensor(1.5), "n": place},
        {"a": torch.ones(2, 3), "n": place},
        {"a": torch.ones(3, 0), "n": place},
        {"b": torch.ones(1, 2), "n": place},
        {"c": np.ones(3), "n": place},
        {"n": place, "d": None},
        torch.ones(1, 2) * place,
        np.ones(2) * place,
        [place],
        (place, place),
        f"text {place}",
        {},
        {"a": torch.ones(1, 3, 2), "n": place},
        {"a": torch.ones(1, 3, 4), "n": place},
        {1: torch.ones(1, 3), "n": place},
    ][place % 15]


def test_odd_model_inputs() -> None:
    class Odd(Echo):
        def preprocess(self, place: int) -> Any:
            return odd_inputs(place)

        def postprocess(self, outputs: Any) -> Any:
            return repr(outputs)

    pipe = live(Odd)
    assert results(pipe, range(300)) == alone(pipe, range(300))


def test_random_results_do_not_end_batching() -> None:
    import torch

    class Random(Scores):
        def _forward(self, inputs: Any) -> Any:
            return {"logits": torch.rand(len(inputs["input_ids"]), 2)}

    statistics, said = Statistics(), []  # type: ignore[var-annotated]
    results(live(Random), texts(150), notify=said.append, statistics=statistics)
    assert not said and statistics.batches < 100


def test_half_precision_is_float32_for_postprocess() -> None:
    import copy

    import torch

    class Half(Scores):
        def _forward(self, inputs: Any) -> Any:
            outputs = self.model(**inputs, output_hidden_states=True)
            return {"logits": outputs.logits, "hidden_states": outputs.hidden_states, "more": {"x": [outputs.logits]}}

        def postprocess(self, outputs: Any) -> Any:
            states = [state.numpy().dtype.name for state in outputs["hidden_states"]]
            return {outputs["logits"].numpy().dtype.name, *states}

    model = copy.deepcopy(tiny_model("AutoModelForSequenceClassification").model).to(torch.bfloat16)
    assert results(live(Half, model=model), texts(60)) == [{"float32"}] * 60


# ---- Order, time and ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_few_rows(count: int) -> None:
    assert results(live(Echo), range(count)) == list(range(count))
    assert results(live(Echo), range(count), EngineOptions(is_deterministic=True)) == list(range(count))


def test_live_rows_are_answered_when_they_pause() -> None:
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)

    def questions() -> Iterator[Row]:
        for number in range(1, 41):
            if number % 10 == 1:
                assert asked.acquire(timeout=60)  # only after the ten before have been answered
            yield Row(f"row {number}", number=number)

    given = run(live(Echo), questions())
    for turn in range(4):
        asked.release()
        for place in range(1, 11):
            assert next(given).result == f"row {10 * turn + place}"
    assert next(given, None) is None
    assert not answered.acquire(blocking=False)


def test_consumer_stops_early() -> None:
    pipe = live(Scores)
    given = run(pipe, rows(texts(5_000)))
    assert [next(given).row.number for _ in range(3)] == [1, 2, 3]
    assert engine_threads()
    given.close()
    assert not engine_threads()
    assert "get_iterator" not in vars(pipe)
    assert len(list(pipe(["one", "two"]))) == 2


def test_stop_ends_the_run_in_order() -> None:
    stop, taken = threading.Event(), []

    def endless() -> Iterator[Row]:
        number = 0
        while True:
            number += 1
            taken.append(number)
            yield Row(f"row {number}", number=number)

    found = []
    for result in run(live(Echo), endless(), options=EngineOptions(stop=stop, window=64)):
        found.append(result.row.number)
        if len(found) == 500:
            stop.set()
    assert found == list(range(1, len(found) + 1)) and 500 <= len(found) <= 1_000
    assert not engine_threads()


def test_stop_while_rows_are_awaited() -> None:
    stop, more = threading.Event(), threading.Event()

    def waiting() -> Iterator[Row]:
        yield Row("one", number=1)
        stop.set()
        more.wait(60)

    try:
        assert [result.result for result in run(live(Echo), waiting(), options=EngineOptions(stop=stop))] in (
            [],
            ["one"],
        )
    finally:
        more.set()


def test_stop_row_by_row() -> None:
    stop = threading.Event()
    given = run(live(Echo), rows(range(100)), options=EngineOptions(stop=stop, is_deterministic=True))
    assert next(given).result == 0
    stop.set()
    assert list(given) == []


@pytest.mark.parametrize("stage", ["preprocess", "_forward"])
def test_interrupt_inside_a_stage_ends_the_run(stage: str) -> None:
    def interrupted(self: Any, given: Any) -> Any:
        raise KeyboardInterrupt

    pipe = live(type("Interrupted", (Echo,), {stage: interrupted}))
    with pytest.raises(KeyboardInterrupt):
        list(run(pipe, rows(range(50))))
    assert not engine_threads() and "get_iterator" not in vars(pipe)


def test_no_stage_runs_twice_at_once() -> None:
    lock = {stage: threading.Lock() for stage in ("preprocess", "_forward", "postprocess")}

    def exclusive(stage: str) -> Callable[..., Any]:
        def call(self: Any, given: Any) -> Any:
            assert lock[stage].acquire(blocking=False)
            try:
                time.sleep(0.0002)
                return getattr(Scores, stage)(self, given)
            finally:
                lock[stage].release()

        return call

    pipe = live(type("Exclusive", (Scores,), {stage: exclusive(stage) for stage in lock}))
    results(pipe, texts(150))


# ---- Equal runs --------------------------------------------------------------------------------------------------


class Recorded(Scores):
    """Remembers its batches."""

    def _forward(self, inputs: Any) -> Any:
        if not hasattr(self, "batches"):
            self.batches: list[Any] = []
        self.batches.append(inputs["input_ids"].tolist())
        return super()._forward(inputs)


def test_fixed_budget_makes_equal_batches_and_bits() -> None:
    options = EngineOptions(batch_tokens=256, live=False)
    one, other = live(Recorded), live(Recorded)
    assert results(one, texts(400), options) == results(other, texts(400), options)
    assert one.batches == other.batches and max(map(len, one.batches)) > 8


@pytest.mark.parametrize("done", [0, 1, 4, 200, 350, 399])
def test_run_taken_up_at_a_window_makes_the_same_bits(done: int) -> None:
    options = EngineOptions(batch_tokens=256, window=64, live=False)
    whole = results(live(Scores), texts(400), options)
    begin = window_start(done, options)
    assert begin <= done < begin + 64
    rest = EngineOptions(batch_tokens=256, window=64, live=False, rows_before=begin)
    assert results(live(Scores), texts(400)[begin:], rest) == whole[begin:]


@pytest.mark.parametrize("option", ["batch_size", "batch_tokens", "window"])
def test_numbers_that_no_row_can_be_batched_with(option: str) -> None:
    with pytest.raises(ParameterError, match=f"{option} is 0"):
        EngineOptions(**{option: 0})  # type: ignore[arg-type]


def test_batch_size_is_not_exceeded() -> None:
    pipe = live(Recorded)
    results(pipe, texts(100), EngineOptions(batch_size=5, live=False))
    assert max(map(len, pipe.batches)) == 5


@pytest.mark.parametrize("stage", ["during", "after", "before"])
def test_parameters_of_rows_reach_their_stage(stage: str) -> None:
    class Told(Scores):
        def preprocess(self, text: Any, before: int = 0) -> Any:
            return {**super().preprocess(text), "before": before}

        def _forward(self, inputs: Any, during: int = 0) -> Any:
            return {"during": [during] * len(inputs["input_ids"]), "before": inputs["before"]}

        def postprocess(self, outputs: Any, after: int = 0) -> Any:
            during = outputs["during"]
            return (outputs["before"], during[0] if isinstance(during, list) else during, after)

    given = [Row("text", {stage: place % 3}, place + 1) for place in range(60)]
    found = [result.result for result in run(live(Told), given, options=AT_ONCE)]
    at = ["before", "during", "after"].index(stage)
    assert [result[at] for result in found] == [place % 3 for place in range(60)]


# ---- What the engine itself costs ---------------------------------------------------------------------------------


@pytest.mark.slow  # ratios of processor time want a machine that is not full
def test_cost_of_the_engine() -> None:
    import statistics

    from torch.utils.data import Dataset

    class Listed(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 20_000

        def __getitem__(self, place: int) -> str:
            return given[place].inputs  # type: ignore[no-any-return]

    pipe, given = live(Echo), list(rows(f"row {place}" for place in range(20_000)))

    def seconds(source: Callable[[], Iterable[Any]]) -> float:
        gc.collect()
        began = time.process_time()
        assert sum(1 for _ in source()) == 20_000
        return time.process_time() - began

    ratios = []
    for _ in range(7):
        ours = seconds(lambda: run(pipe, given, options=AT_ONCE))
        ratios.append(ours / seconds(lambda: pipe(Listed(), batch_size=8)))
    assert statistics.median(ratios) <= 1.5
