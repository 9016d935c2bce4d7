"""`--num-workers`: processes preprocess, and nothing else changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import Ran, write
from test_engine import Echo, Scores, engine_threads, live, results, rows, texts

from pipesmith.pipelines.engine import EngineOptions, Row, run
from pipesmith.pipelines.errors import InputError, ParameterError

pytestmark = [
    pytest.mark.both_lines,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there are no safe forks"),
]
Pipe = Callable[..., Ran]
ALONE = EngineOptions(live=False, batch_tokens=256)
TWO = EngineOptions(live=False, batch_tokens=256, num_workers=2)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children(os.getpid())
    yield
    assert children(os.getpid()) == before
    assert not engine_threads()


class InChunks(Scores):
    """One model input a word."""

    def preprocess(self, text: Any) -> Any:
        words = text.split()
        for place, word in enumerate(words):
            if word == "bad":
                raise ValueError("this row is bad")
            yield {"is_last": place == len(words) - 1, **self.tokenizer(word, return_tensors="pt")}

    def _forward(self, inputs: Any) -> Any:
        return {"is_last": inputs.pop("is_last"), "logits": self.model(**inputs).logits}

    def postprocess(self, outputs: Any) -> Any:
        return [output["logits"][0].tolist() for output in outputs]


class Processes(Echo):
    """Says which process preprocessed."""

    def preprocess(self, text: Any) -> Any:
        return {"text": [text, os.getpid()]}


@pytest.mark.parametrize("kind", [Scores, InChunks])
def test_same_results(kind: type) -> None:
    pipe = live(kind, chunks=kind is InChunks)
    assert results(pipe, texts(400), TWO) == results(pipe, texts(400), ALONE)


@pytest.mark.parametrize("chunks", [False, True])
def test_other_processes_preprocess(chunks: bool) -> None:
    class ProcessesInChunks(Processes):
        def preprocess(self, text: Any) -> Any:
            yield {**super().preprocess(text), "is_last": True}

        def postprocess(self, outputs: Any) -> Any:
            return outputs[0]["text"]

    pipe = live(ProcessesInChunks if chunks else Processes, chunks=chunks)
    found = results(pipe, range(300), TWO)
    assert [one for one, _ in found] == list(range(300))
    pids = {pid for _, pid in found}
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("num_workers", [1, 8])
def test_few_rows(count: int, num_workers: int) -> None:
    assert results(live(Echo), range(count), EngineOptions(num_workers=num_workers)) == list(range(count))


@pytest.mark.parametrize("chunks", [False, True])
def test_rows_that_fail(chunks: bool) -> None:
    class Fails(Scores):
        def preprocess(self, text: Any) -> Any:
            if "bad" in text:
                raise ValueError("this row is bad")
            return super().preprocess(text)

    given = texts(200)
    given[0] = given[77] = "some words and a bad one"
    kind = InChunks if chunks else Fails
    found, wanted = (list(run(live(kind, chunks=chunks), rows(given), options=one)) for one in (TWO, ALONE))
    assert [one.row.number for one in found] == list(range(1, 201))
    assert [one.result for one in found] == [one.result for one in wanted]
    assert [one.row.number for one in found if one.error] == [1, 78]
    error = found[77].error
    assert isinstance(error, InputError) and error.message == wanted[77].error.message  # type: ignore[union-attr]
    assert ".preprocess fails: ValueError: this row is bad" in error.message
    assert error.__cause__ is not None
    line = traceback.extract_tb(error.__cause__.__traceback__)[-1]
    assert Path(line.filename).name == "test_workers.py" and line.name == "preprocess"


def test_rows_that_cannot_be_read_keep_their_place() -> None:
    error = InputError("no text")
    given = [Row(None, number=n, error=error) if n % 3 == 0 else Row(f"row {n}", number=n) for n in range(1, 100)]
    found = list(run(live(Echo), given, options=TWO))
    assert [one.result for one in found] == [None if n % 3 == 0 else f"row {n}" for n in range(1, 100)]
    assert all(one.error is (error if one.row.number % 3 == 0 else None) for one in found)


def test_parameters_of_rows() -> None:
    class Told(Echo):
        def preprocess(self, text: Any, before: int = 0) -> Any:
            return {"text": (text, before)}

    given = [Row("text", {"before": place % 3}, place + 1) for place in range(90)]
    found = [one.result for one in run(live(Told), given, options=TWO)]
    assert found == [("text", place % 3) for place in range(90)]


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "exits"])
@pytest.mark.parametrize("deaths", [1, 2])
def test_processes_that_die_lose_nothing(tmp_path: Path, deaths: int, how: int | None) -> None:
    parent = os.getpid()

    class Dies(Processes):
        def preprocess(self, text: Any) -> Any:
            if text >= 100 and os.getpid() != parent and self.is_to_die():
                os._exit(0) if how is None else os.kill(os.getpid(), how)
            return super().preprocess(text)

        def is_to_die(self) -> bool:
            for number in range(deaths):  # two processes may ask at the same time: each death is given once
                with suppress(FileExistsError):
                    (tmp_path / str(number)).touch(exist_ok=False)
                    return True
            return False

    said: list[str] = []
    found = results(live(Dies), range(400), TWO, notify=said.append)
    assert [one for one, _ in found] == list(range(400))
    assert len(list(tmp_path.iterdir())) == deaths
    assert found[-1][1] == parent if deaths == 2 else found[-1][1] != parent
    assert len(said) == 1 and "--num-workers was killed" in said[0]


@pytest.mark.parametrize("what", ["inputs", "outputs"])
def test_what_cannot_be_pickled_stays_here(what: str) -> None:
    class Odd(Processes):
        def preprocess(self, given: Any) -> Any:
            number = given() if callable(given) else given
            more = {"odd": lambda: 0} if what == "outputs" and number % 10 == 1 else {}
            return {**super().preprocess(number), **more}

    given = [(lambda n=n: n) if what == "inputs" and n % 10 == 1 else n for n in range(200)]
    said: list[str] = []
    found = results(live(Odd), given, TWO, notify=said.append)
    assert [number for number, _ in found] == list(range(200))
    assert all((pid == os.getpid()) == (number % 10 == 1) for number, pid in found)
    assert not said


def test_where_nothing_can_be_pickled_it_is_said() -> None:
    class Odd(Processes):
        def preprocess(self, given: Any) -> Any:
            return {**super().preprocess(given), "odd": lambda: 0}

    said: list[str] = []
    found = results(live(Odd), range(500), TWO, notify=said.append)
    assert found == [[number, os.getpid()] for number in range(500)]
    assert len(said) == 1 and "pickled" in said[0]


def test_tensors_pass_as_they_are() -> None:
    import torch

    made = {
        "plain": torch.arange(6, dtype=torch.int32).reshape(1, 2, 3),
        "brain": torch.ones(1, 2, dtype=torch.bfloat16),
        "turned": torch.arange(6.0).reshape(1, 2, 3).transpose(1, 2),
        "sparse": torch.eye(3).to_sparse(),
        "scalar": torch.tensor(True),
        "empty": torch.zeros(1, 0, 4, dtype=torch.float16),
        "grad": torch.ones(1, 2, requires_grad=True),
    }

    class Tensors(Echo):
        def preprocess(self, text: Any) -> Any:
            return {"text": text, **made, "pid": os.getpid()}

        def postprocess(self, outputs: Any) -> Any:
            return {**outputs, "sparse": outputs["sparse"].to_dense()}

    for found in results(live(Tensors), range(20), TWO):
        assert found["pid"] != os.getpid()
        for name, tensor in made.items():
            assert found[name].dtype in (tensor.dtype, torch.float32) and found[name].shape == tensor.shape
            assert torch.equal(found[name].to(tensor.dtype), tensor.to_dense())
            assert name == "sparse" or found[name].stride() == tensor.stride()


@pytest.mark.parametrize("chunks", [False, True])
def test_rows_read_ahead_are_bounded(chunks: bool) -> None:
    taken = [0]

    def counted() -> Iterator[Row]:
        for row in rows(texts(2_000)):
            taken[0] += 1
            yield row

    pipe = live(InChunks if chunks else Scores, chunks=chunks)
    options = EngineOptions(live=False, window=100, num_workers=2)
    for place, _ in enumerate(run(pipe, counted(), options=options), 1):
        if place % 50 == 0:
            time.sleep(0.01)
        assert taken[0] <= place + 2 * 100 + 64 + 2 * 2 * 64 + 1  # the engine's own, and two lots a process
    assert taken[0] == 2_000


def test_a_row_of_many_chunks_is_made_here() -> None:
    import torch

    class ManyChunks(Echo):
        def preprocess(self, count: int) -> Any:
            for place in range(count):
                is_last = place == count - 1
                yield {"pixel_values": torch.zeros(1, 2**20), "place": [place, os.getpid()], "is_last": is_last}

        def _forward(self, inputs: Any) -> Any:
            return {"place": inputs["place"], "is_last": inputs["is_last"]}

        def postprocess(self, outputs: Any) -> Any:
            return [output["place"] for output in outputs]

    few, many, one = results(live(ManyChunks, chunks=True), [3, 40, 1], TWO)
    assert [place for place, _ in many] == list(range(40)) and {pid for _, pid in many} == {os.getpid()}
    assert len(few) == 3 and os.getpid() not in {pid for _, pid in few + one}


def test_live_rows_are_answered_when_they_pause() -> None:
    asked = threading.Semaphore(0)

    def questions() -> Iterator[Row]:
        for number in range(1, 41):
            if number % 10 == 1:
                assert asked.acquire(timeout=60)  # only after the ten before have been answered
            yield Row(f"row {number}", number=number)

    given = run(live(Echo), questions(), options=EngineOptions(num_workers=2))
    for turn in range(4):
        asked.release()
        for place in range(1, 11):
            assert next(given).result == f"row {10 * turn + place}"
    assert next(given, None) is None


class Naps(Echo):
    """Does not come to an end."""

    def preprocess(self, text: Any) -> Any:
        if text == 50:
            time.sleep(1_000)
        return super().preprocess(text)


@pytest.mark.parametrize("kind", [Echo, Naps])
def test_consumer_stops_early(kind: type) -> None:
    given = run(live(kind), rows(range(100_000)), options=TWO)
    assert [next(given).result for _ in range(3)] == [0, 1, 2]
    assert len(children(os.getpid())) >= 2
    given.close()  # `nothing_is_left` looks


def test_stop_ends_the_run_in_order() -> None:
    stop, found = threading.Event(), []
    options = EngineOptions(stop=stop, window=64, num_workers=2)
    for one in run(live(Echo), rows(range(100_000)), options=options):
        found.append(one.result)
        if len(found) == 500:
            stop.set()
    assert found == list(range(len(found))) and 500 <= len(found) <= 1_000


def test_rows_that_raise() -> None:
    def breaks() -> Iterator[Row]:
        yield from rows(range(100))
        raise OSError("the disk is gone")

    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        for one in run(live(Echo), breaks(), options=TWO):
            found.append(one.result)
    assert found == list(range(100))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_other_exceptions_of_preprocess(error: type[BaseException]) -> None:
    class Raises(Echo):
        def preprocess(self, text: Any) -> Any:
            if text == 70:
                raise error
            return super().preprocess(text)

    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            list(run(live(Raises), rows(range(100)), options=TWO))
    else:
        found = list(run(live(Raises), rows(range(100)), options=TWO))
        assert [one.row.number for one in found if one.error] == [71] and len(found) == 100


def test_processes_draw_differently() -> None:
    import torch

    class Draws(Echo):
        def preprocess(self, text: Any) -> Any:
            time.sleep(0.002)
            return {"text": torch.rand(1).item()}

    assert len(set(results(live(Draws), range(100), TWO))) == 100


def test_in_a_thread_after_others_have_been_used() -> None:
    import torch

    class Multiplies(Echo):
        def preprocess(self, text: Any) -> Any:
            return {"text": [(torch.ones(300, 300) @ torch.ones(300, 300)).sum().item(), os.getpid()]}

    torch.set_num_threads(2)
    torch.ones(300, 300) @ torch.ones(300, 300)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(results(live(Multiplies), range(50), TWO)))
    try:
        thread.start()
        thread.join(60)
    finally:
        torch.set_num_threads(1)
    assert [one for one, _ in found] == [300.0**3] * 50
    assert os.getpid() not in {pid for _, pid in found}


def test_too_many_processes() -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, limits[1]))
    try:
        with pytest.raises(ParameterError, match="100 processes for preprocess cannot be started"):
            results(live(Echo), range(5), EngineOptions(num_workers=100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_row_by_row_has_no_use_for_them() -> None:
    said: list[str] = []
    options = EngineOptions(is_deterministic=True, num_workers=2)
    found = results(live(Processes), range(5), options, notify=said.append)
    assert found == [[number, os.getpid()] for number in range(5)]
    assert len(said) == 1 and "--num-workers" in said[0]


def test_where_forks_are_unsafe(pipe: Pipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ParameterError, match="Linux"):
        EngineOptions(num_workers=1)
    ran = pipe("run", "text-classification", "--input", "none.csv", "--num-workers", "2")
    assert ran.code == 2 and "--num-workers needs Linux" in ran.err and "Hint: Leave it out." in ran.err


# ---- The command --------------------------------------------------------------------------------------------------

SCORE_PIPELINE = """
import os
import time

from transformers import Pipeline


class ScorePipeline(Pipeline):
    def _sanitize_parameters(self, nap=None):
        return ({} if nap is None else {"nap": nap}), {}, {}

    def preprocess(self, text, nap: float = 0.0):
        time.sleep(nap)
        if "nine ten" in text:
            raise ValueError("this text fails")
        open(f"{os.getpid()}.pid", "w").close()
        return self.tokenizer(text, return_tensors="pt", truncation=True, max_length=64)

    def _forward(self, inputs):
        return {"logits": self.model(**inputs).logits}

    def postprocess(self, outputs):
        return {"scores": outputs["logits"][0].softmax(-1).tolist()}
"""


@pytest.fixture
def score(folder: Path, tiny_checkpoint: Path) -> list[str]:
    """The command, without its output."""
    given = [f"{text} nine ten" if place % 50 == 7 else text for place, text in enumerate(texts(300))]
    lines = "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(given))
    write(folder, {"score.py": SCORE_PIPELINE, "in.jsonl": lines})
    return ["run", "score.py", "--model", str(tiny_checkpoint), "--input", "in.jsonl", "--batch-tokens", "512"]


def pids() -> set[int]:
    return {int(file.stem) for file in Path().glob("*.pid")}


def test_the_file_is_the_same(pipe: Pipe, score: list[str]) -> None:
    one = pipe(*score, "--output", "one.jsonl")
    assert one.code == 3 and pids() == {os.getpid()}, one.err
    two = pipe(*score, "--output", "two.jsonl", "--num-workers", "2")
    assert two.code == 3 and len(pids()) in (2, 3), two.err
    assert Path("one.jsonl").read_bytes() == Path("two.jsonl").read_bytes()
    assert len(one.err.splitlines()) == len(two.err.splitlines())  # nothing more is said
    assert "score.py:14" in one.err and "score.py:14" in two.err


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_ended_from_outside_and_resumed(pipe: Pipe, score: list[str], kill: int) -> None:
    score = [*score, "--window", "16"]  # it must not be the last window that is ended
    assert pipe(*score, "--output", "whole.jsonl", "--nap", "0.005").code == 3
    command = [*score, "--output", "out.jsonl", "--nap", "0.005", "--num-workers", "2"]
    part = Path("out.jsonl.part")
    program = [str(Path(sys.executable).with_name("pipe")), *command]
    alike = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: bits may depend on it
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True, start_new_session=True, env=alike) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if part.exists() and part.read_bytes().count(b"\n") >= 40:
                mine = children(process.pid)
                if kill == signal.SIGINT:
                    os.killpg(process.pid, kill)  # as a terminal does
                else:
                    process.send_signal(kill)
                break
            time.sleep(0.002)
        _, err = process.communicate()
    assert process.returncode == (130 if kill == signal.SIGINT else -kill), err
    assert len(mine) == 2 and "Traceback" not in err
    while any(is_alive(pid) for pid in mine):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert pipe(*command, "--resume").code == 3
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
