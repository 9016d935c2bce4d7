"""`pipe run` on images, sounds and videos, from files, patterns, URLs, stdin and columns."""

from __future__ import annotations

import http.server
import io
import json
import math
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support import ECHO_PIPELINE, Ran, write

pytestmark = pytest.mark.both_lines
Pipe = Callable[..., Ran]


def png(shade: int = 100, size: tuple[int, int] = (40, 30)) -> bytes:
    """A picture with an edge in it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", size, (shade, 20, 200))
    ImageDraw.Draw(image).rectangle((5, 5, 20, 20), fill=(255, 255, 0))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def sound(seconds: float = 0.3, rate: int = 8000) -> bytes:
    """A tone as a WAV file."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = (int(9000 * math.sin(number / 5)) for number in range(int(seconds * rate)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return stream.getvalue()


@pytest.fixture
def pictures(folder: Path) -> list[str]:
    """Three pictures, and the command that classifies them."""
    (folder / "photos").mkdir()
    for number in (1, 2, 3):
        (folder / f"photos/{number}.png").write_bytes(png(number * 60))
    return ["run", "image-classification", "--model", "tiny"]


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """A server on loopback for the working directory."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_pictures_from_everywhere(pipe: Pipe, pictures: list[str], server: str) -> None:
    one = pipe(*pictures, "photos/1.png").rows[0]
    assert one == pipe(*pictures, "-", stdin=Path("photos/1.png").read_bytes()).rows[0]
    assert one == pipe(*pictures, f"{server}/photos/1.png").rows[0]
    assert len(pipe(*pictures, "photos/*.png").rows) == 3
    for named in ("photos/*.png", "photos"):
        ran = pipe(*pictures, "--input", named, "--output", "out.jsonl", "--force")
        assert ran.code == 0, ran.err
        rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
        assert [row["file"] for row in rows] == ["photos/1.png", "photos/2.png", "photos/3.png"]
        assert rows[0]["result"] == one and rows[1]["result"] != one


@pytest.mark.parametrize("task", ["object-detection", "image-segmentation"])
def test_pictures_of_a_task_of_several_kinds(pipe: Pipe, pictures: list[str], task: str) -> None:
    data = Path("photos/1.png").read_bytes()
    counts = []
    for number, arguments in enumerate((["photos/1.png"], ["-"], [], ["photos/*.png"])):
        ran = pipe("run", task, "--model", "tiny", "--output-dir", f"masks{number}", *arguments, stdin=data)
        assert ran.code == 0, ran.err
        counts.append(len(ran.rows))
    assert counts == [1, 1, 1, 3]


def test_bytes_in_a_format_of_their_own(pipe: Pipe, pictures: list[str]) -> None:
    data = Path("photos/1.png").read_bytes()
    one = pipe(*pictures, "photos/1.png").rows[0]
    ran = pipe(*pictures, "--input", "-", "--input-format", "image", stdin=data)
    assert ran.code == 0 and [row["result"] for row in ran.rows] == [one], ran.err
    ran = pipe(*pictures, "--input", "-", "--input-format", "image", stdin=b"")
    assert ran.code == 1 and "stdin is empty" in ran.err
    ran = pipe(*pictures, "-", "--max-row-bytes", "10", stdin=data)
    assert ran.code == 1 and "--max-row-bytes" in ran.err


def test_words_with_a_star_are_words(pipe: Pipe, folder: Path) -> None:
    write(folder, {"echo.py": ECHO_PIPELINE, "a.txt": "a"})
    assert pipe("run", "echo.py", "--model", "tiny", "*.txt").rows == [{"echo": "*.txt"}]
    assert pipe("run", "echo.py", "--model", "tiny", "-", stdin="ä\nb\n").rows == [{"echo": "ä"}, {"echo": "b"}]


def test_pictures_in_json_run_again(pipe: Pipe, pictures: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    picture = {"bytes": Path("photos/1.png").read_bytes(), "path": "1.png"}
    pq.write_table(pa.Table.from_pylist([{"image": picture}]), "in.parquet")
    assert pipe(*pictures, "--input", "in.parquet", "--output", "out.jsonl").code == 0
    (row,) = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    write(Path(), {"again.jsonl": json.dumps({"image": row["image"]}) + "\n"})
    assert pipe(*pictures, "--input", "again.jsonl").rows[0]["result"] == row["result"]


def test_pictures_of_a_table(pipe: Pipe, pictures: list[str], server: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    one = pipe(*pictures, "photos/1.png").rows[0]
    write(Path(), {"in.csv": "id,image\n1,photos/1.png\n2,photos/none.png\n3,photos/3.png\n"})
    ran = pipe(*pictures, "--input", "in.csv")
    assert ran.code == 3 and ran.rows[0]["result"] == one and ran.rows[2]["result"]
    assert "none.png" in ran.rows[1]["error"]["message"] and ran.rows[1]["error"]["row"] == 2

    table = pa.table({"image": [{"bytes": png(60), "path": "a.png"}, {"bytes": png(60)[:90], "path": "b.png"}]})
    pq.write_table(table, "in.parquet")
    ran = pipe(*pictures, "--input", "in.parquet", "--output", "out.parquet")
    assert ran.code == 3, ran.err
    rows = pq.read_table("out.parquet").to_pylist()
    assert rows[0]["result"] == one and rows[1]["result"] is None and "b.png" in rows[1]["error"]["message"]
    assert rows[0]["image"]["bytes"] == png(60)  # what was read is kept as it was

    write(Path(), {"urls.csv": f"url\n{server}/photos/1.png\n{server}/photos/none.png\n"})
    ran = pipe(*pictures, "--input", "urls.csv", "--allow-private-urls")
    assert ran.rows[0]["result"] == one and "404" in ran.rows[1]["error"]["message"]
    ran = pipe(*pictures, "--input", "urls.csv")
    assert all("--allow-private-urls" in ran.err or "private" in row["error"]["message"] for row in ran.rows)
    assert not any(row["result"] for row in ran.rows)


def test_broken_pictures(pipe: Pipe, pictures: list[str]) -> None:
    Path("photos/2.png").write_bytes(b"")
    Path("photos/3.png").write_bytes(b"no picture")
    ran = pipe(*pictures, "--input", "photos")
    assert ran.code == 3 and [bool(row["result"]) for row in ran.rows] == [True, False, False]
    assert "photos/3.png" in ran.rows[2]["error"]["message"]
    ran = pipe(*pictures, "photos/3.png")
    assert ran.code == 1 and "photos/3.png" in ran.err and "Traceback" not in ran.err
    ran = pipe(*pictures, "photos/none.png")
    assert ran.code == 1 and "photos/none.png" in ran.err


def test_masks_become_files(pipe: Pipe, pictures: list[str]) -> None:
    from PIL import Image

    task = ["run", "image-segmentation", "--model", "tiny"]
    ran = pipe(*task, "--input", "photos/*.png", "--output", "out.jsonl")
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    masks = [segment["mask"] for row in rows for segment in row["result"]]
    assert masks and all(mask.startswith("out.jsonl.files/") for mask in masks) and len(set(masks)) == len(masks)
    with Image.open(masks[0]) as mask:
        assert mask.format == "PNG" and mask.size == (40, 30)
    ran = pipe(*task, "--input", "photos/1.png")
    assert ran.code == 1 and "--output-dir" in ran.err
    ran = pipe(*task, "photos/1.png", "--output-dir", "masks")
    assert all(Path(segment["mask"]).is_file() for segment in ran.rows[0])
    ran = pipe(*task, "photos/1.png")
    assert ran.rows[0][0]["mask"]["width"] == 40 and "--output-dir" in ran.err


def test_depth_becomes_a_file(pipe: Pipe, pictures: list[str]) -> None:
    from PIL import Image

    ran = pipe("run", "depth-estimation", "--model", "tiny", "--input", "photos/1.png", "--output", "out.csv")
    assert ran.code == 0, ran.err
    files = sorted(Path("out.csv.files").iterdir())
    assert files
    for file in files:
        with Image.open(file) as image:
            assert image.size == (40, 30) or file.suffix == ".tiff"


def test_sounds_from_everywhere(pipe: Pipe, folder: Path, server: str) -> None:
    task = ["run", "audio-classification", "--model", "tiny"]
    Path("a.wav").write_bytes(sound())
    Path("empty.wav").write_bytes(sound(0))
    one = pipe(*task, "a.wav").rows[0]
    assert one == pipe(*task, "-", stdin=sound()).rows[0] == pipe(*task, f"{server}/a.wav").rows[0]
    ran = pipe(*task, "--input", "*.wav")
    assert ran.code == 3 and ran.rows[0]["result"] == one and "empty.wav" in ran.rows[1]["error"]["message"]
    write(Path(), {"in.jsonl": '{"id": 1, "audio": "a.wav"}\n'})
    assert pipe(*task, "--input", "in.jsonl").rows == [{"id": 1, "audio": "a.wav", "result": one}]


def test_a_subclass_gets_sounds_as_the_task_it_inherits_from(pipe: Pipe, folder: Path) -> None:
    source = """
        from transformers import AudioClassificationPipeline


        class Sure(AudioClassificationPipeline):
            def postprocess(self, outputs, **kwargs):
                return super().postprocess(outputs, **kwargs)[0]
        """
    write(folder, {"sure.py": source})
    Path("a.wav").write_bytes(sound())
    ran = pipe("run", "sure.py", "--model", "tiny", "a.wav")
    assert ran.code == 0 and ran.rows[0].keys() == {"label", "score"}, ran.err


def test_a_pipeline_of_ones_own_gets_what_there_is(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    source = """
        from pipesmith.pipelines import PIPELINE_REGISTRY

        PIPELINE_REGISTRY.register_pipeline(
            "kind", pipeline_class="kind.Kind", pt_model="AutoModelForSequenceClassification", type="image"
        )
        """
    kind = """
        from transformers import Pipeline


        class Kind(Pipeline):
            def _sanitize_parameters(self):
                return {}, {}, {}

            def preprocess(self, image):
                return {"kind": f"{type(image).__name__} {image[:4]!r}"}

            def _forward(self, inputs):
                return inputs

            def postprocess(self, outputs):
                return outputs["kind"]
        """
    write(folder, {"pipelines/__init__.py": source, "pipelines/kind.py": kind, "in.csv": "image\na.png\n"})
    Path("a.png").write_bytes(png())
    run = ["run", "kind", "--model", str(tiny_checkpoint)]
    assert pipe(*run, "a.png").rows == ["str 'a.pn'"]
    assert pipe(*run, "--input", "in.csv", "--no-keep").rows == [{"result": "str 'a.pn'"}]
    assert pipe(*run, "-", stdin=png()).rows == ["bytes b'\\x89PNG'"]


def test_sounds_that_come_out_become_files(pipe: Pipe, folder: Path) -> None:
    import soundfile

    write(folder, {"in.txt": "hello\n"})
    ran = pipe("run", "text-to-audio", "--model", "tiny", "--input", "in.txt", "--output", "out.jsonl")
    assert ran.code == 0, ran.err
    result = json.loads(Path("out.jsonl").read_text())["result"]
    found = soundfile.info(result["audio"])
    assert found.format == "WAV" and found.samplerate == result["sampling_rate"]
