"""`run_pipeline`: the engine from Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ECHO_PIPELINE, write

from pipesmith.pipelines import pipeline, run_pipeline
from pipesmith.pipelines.engine import Row
from pipesmith.pipelines.errors import ParameterError, PipeError

pytestmark = pytest.mark.both_lines


@pytest.fixture
def echo(folder: Path, tiny_checkpoint: Path) -> Any:
    write(folder, {"echo.py": ECHO_PIPELINE})
    return pipeline("echo.py", model=str(tiny_checkpoint))


def test_results_stream_in_order(echo: Any) -> None:
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for taken in range(100_000):
            yield str(taken)

    results = run_pipeline(echo, texts(), times=2)
    assert [next(results)["echo"] for _ in range(50)] == [str(number) * 2 for number in range(50)]
    assert taken < 10_000  # the rest was not asked for
    results.close()


def test_rows_with_parameters_of_their_own(echo: Any) -> None:
    rows = ["a", Row("b", {"times": 3}), Row("c", {"second_text": "d"})]
    assert list(run_pipeline(echo, rows)) == [{"echo": "a"}, {"echo": "bbb"}, {"echo": "c", "second": "d"}]


def test_rows_that_fail(echo: Any) -> None:
    texts = ["good", "bad", "fine"]
    with pytest.raises(PipeError, match="this text holds bad"):
        list(run_pipeline(echo, texts, fail="bad"))
    assert list(run_pipeline(echo, texts, on_error="skip", fail="bad")) == [{"echo": "good"}, {"echo": "fine"}]
    kinds = [type(one).__name__ for one in run_pipeline(echo, texts, on_error="record", fail="bad")]
    assert kinds == ["dict", "InputError", "dict"]
    with pytest.raises(ParameterError, match="on_error"):
        list(run_pipeline(echo, texts, on_error="no"))
