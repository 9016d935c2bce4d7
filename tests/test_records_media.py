"""Images, audio and videos of rows: what pipelines are given, and what becomes of pictures and sounds in results."""

from __future__ import annotations

import base64
import functools
import gc
import io
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from support import ECHO_PIPELINE, RATE, write

from pipesmith.pipelines import pipeline
from pipesmith.pipelines.errors import InputError, OutputError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.media.attachments import Attachments
from pipesmith.pipelines.records.media.audio import read_audio
from pipesmith.pipelines.records.media.images import read_image
from pipesmith.pipelines.records.media.inputs import MediaInputs
from pipesmith.pipelines.records.media.video import VideoFiles

pytestmark = pytest.mark.both_lines


@pytest.fixture(scope="module")
def site(media: Path) -> Iterator[str]:
    """The media by http."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(media)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def in_media(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(media)
    monkeypatch.setenv("no_proxy", "*")


@functools.cache
def tiny(task: str) -> Any:
    return pipeline(task, model="tiny")


def inputs_for(pipe: Any, kind: str = "multimodal", **options: Any) -> MediaInputs:
    return MediaInputs(pipe, **{"kind": kind, "allow_private_urls": False, "asked": True, "limit": 2**20, **options})


def forms(name: str, site: str) -> list[Any]:
    data = Path(name).read_bytes()
    as_json = base64.b64encode(data).decode()
    structs = [{"bytes": data, "path": "x"}, {"bytes": None, "path": name}, {"bytes": as_json, "path": "x"}]
    return [name, Path(name), data, *structs, {"bytes": as_json}, f"{site}/{name}"]


def message(read: Any, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(value)
    return f"{caught.value.message} {caught.value.hint}"


# Pipelines of transformers


def test_image_task_takes_every_form(site: str) -> None:
    pipe = tiny("image-classification")
    prepare = inputs_for(pipe)
    expected = pipe("noise.png")
    for value in forms("noise.png", site):
        assert pipe(prepare(value)) == expected
    encoded = base64.encodebytes(Path("noise.png").read_bytes()).decode()
    assert pipe(prepare(encoded)) == pipe(prepare(f"data:image/png;base64,{encoded}")) == expected
    image = Image.open(io.BytesIO(Path("noise.png").read_bytes()))
    assert prepare(image) is image


def test_audio_task_takes_every_form(site: str) -> None:
    pipe = tiny("audio-classification")
    prepare = inputs_for(pipe)
    samples, _ = soundfile.read("tone.wav", dtype="float32")
    decoded = [
        {"array": samples[:, 0], "sampling_rate": RATE, "path": None},
        {"raw": samples.T.tolist(), "sampling_rate": RATE},
    ]
    results = [pipe(prepare(value)) for value in [*forms("tone.wav", site), *decoded]]
    assert all(result == results[0] for result in results)
    wave = prepare("tone.wav")
    assert wave["sampling_rate"] == 16_000 and wave["raw"].shape == (16_000,) and wave["raw"].dtype == np.float32


def test_speech_and_zero_shot_audio() -> None:
    pipe = tiny("automatic-speech-recognition")
    assert set(pipe(inputs_for(pipe)("tone.wav"))) == {"text"}
    with_stride = {"raw": np.zeros(16_000, "float32"), "sampling_rate": 16_000, "stride": (0, 100)}
    assert inputs_for(pipe)(with_stride) is with_stride
    pipe = tiny("zero-shot-audio-classification")
    wave = inputs_for(pipe)("tone.wav")
    assert wave.shape == (pipe.feature_extractor.sampling_rate,)
    assert len(pipe(wave, candidate_labels=["a", "b"])) == 2


def test_video_task_takes_every_form(site: str) -> None:
    pytest.importorskip("av")
    pipe = tiny("video-classification")
    prepare = inputs_for(pipe, "video")
    expected = pipe("noise.mp4")
    assert all(pipe(prepare(value)) == expected for value in forms("noise.mp4", site))


def test_images_inside_dicts_and_chats(site: str) -> None:
    prepare = inputs_for(tiny("zero-shot-object-detection"))
    found = prepare({"image": "noise.png", "candidate_labels": ["noise.png"]})
    assert found["image"].size == (80, 64) and found["candidate_labels"] == ["noise.png"]
    prepare = inputs_for(tiny("image-text-to-text"))
    assert prepare("noise.png") == "noise.png"
    found = prepare({"images": ["noise.png", f"{site}/noise.png"], "text": "<image> noise.png"})
    assert [image.size for image in found["images"]] == [(80, 64)] * 2 and found["text"] == "<image> noise.png"
    question = {"type": "text", "text": "noise.png"}
    parts = [{"type": "image", "url": f"{site}/noise.png"}, {"type": "image", "image": "noise.png"}, question]
    [turn] = prepare([{"role": "user", "content": parts}])
    assert turn["content"][0]["url"].size == turn["content"][1]["image"].size == (80, 64)
    assert turn["content"][2] == question and turn["role"] == "user"


def test_texts_stay_texts() -> None:
    for value in ("noise.png", {"text": "noise.png"}, ["http://127.0.0.1:1/x"]):
        assert inputs_for(tiny("text-classification"), "text", asked=False)(value) is value


@pytest.mark.parametrize(
    ("task", "name", "words"),
    [
        ("image-classification", "nois.png", "There is no image file nois.png. Did you mean noise.png?"),
        ("image-classification", "photos12", "There is no image file photos12."),  # base64, by its letters
        ("image-classification", "data:image/png;base64,AAAA", "The image cannot be read as an image"),
        ("image-classification", ".", ". is a folder, not an image file."),
        ("image-classification", "", "There is no image file ''."),
        ("image-classification", "a\0b" + "c" * 5000, "There is no image file a\0bccc"),
        ("image-classification", {"bytes": b"", "path": "x.png"}, "x.png cannot be read as an image: its format is"),
        ("audio-classification", "tone.wave", "There is no audio file tone.wave. Did you mean tone.wav?"),
        ("audio-classification", "noise.png", "noise.png cannot be read as audio: Format not recognised."),
        ("audio-classification", b"", "The audio cannot be read as audio: Format not recognised."),
        ("audio-classification", {"array": [], "sampling_rate": 8000}, "The audio holds no audio: it is zero seconds"),
        ("audio-classification", {"array": ["x"], "sampling_rate": 8000}, "The audio is not a list of samples"),
        ("audio-classification", {"array": [0.0], "sampling_rate": 0}, "The audio has the sampling rate 0."),
        ("audio-classification", {"array": [[[0.0]]], "sampling_rate": 8}, "The audio has the shape (1, 1, 1)."),
    ],
)
def test_bad_media_are_sentences(task: str, name: Any, words: str) -> None:
    assert message(inputs_for(tiny(task)), name).startswith(words)


def test_broken_url(site: str) -> None:
    prepare = inputs_for(tiny("image-classification"), asked=True)
    assert message(prepare, f"{site}/gone.png").startswith(f"{site}/gone.png answers 404 Not Found.")
    assert message(prepare, f"{site}/tone.wav?key=pa55").startswith(f"{site}/tone.wav?... cannot be read as an image")
    small = inputs_for(tiny("image-classification"), limit=100)
    assert "is larger than 100 bytes" in message(small, f"{site}/noise.png")
    unasked = inputs_for(tiny("image-classification"), asked=False)
    assert "private address" in message(unasked, f"{site}/noise.png")
    assert "private address" in message(unasked, {"bytes": None, "path": f"{site}/noise.png"})
    allowed = inputs_for(tiny("image-classification"), asked=False, allow_private_urls=True)
    assert allowed(f"{site}/noise.png").size == (80, 64)


# A user's own pipeline


@pytest.fixture
def own(tmp_path: Path) -> Any:
    write(tmp_path, {"own.py": ECHO_PIPELINE})
    return pipeline(str(tmp_path / "own.py"), model="tiny")


def test_own_pipeline_gets_what_the_row_holds(own: Any, site: str) -> None:
    prepare = inputs_for(own, "image", asked=False, allow_private_urls=True)
    for value in ("gone.png", b"bytes", f"{site}/noise.png", {"image": "gone.png", "n": [1]}):
        assert prepare(value) == value
    assert prepare({"bytes": b"x", "path": "x.png"}) == b"x"
    assert prepare({"bytes": None, "path": "x.png"}) == "x.png"
    assert prepare({"image": {"bytes": b"x", "path": None}, "text": "t"}) == {"image": b"x", "text": "t"}


def test_own_pipeline_gets_no_private_url_of_a_data_file(own: Any) -> None:
    url = "http://169.254.169.254/latest"
    prepare = inputs_for(own, "image", asked=False)
    for value in (url, [url], {"image": url}, {"bytes": None, "path": url}):
        assert "private address (169.254.169.254)" in message(prepare, value)
    assert prepare({"question": f"{url} and what then?"}) == {"question": f"{url} and what then?"}
    assert inputs_for(own, "image", asked=True)(url) == url
    assert inputs_for(own, "text", asked=False)(url) == url


# Files


def test_broken_images_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path("noise.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert message(read_image, tmp_path / "cut.png").startswith(f"{tmp_path}/cut.png cannot be read as an image: ")
    for position in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            read_image(bytes(damaged))
        except InputError as error:
            assert error.message.startswith("The image cannot be read as an image: ")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "exceeds limit" in message(read_image, "noise.png")


def test_animation_and_orientation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif").convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    from transformers.image_utils import load_image

    assert (
        load_image(read_image(tmp_path / "turned.jpg")).size == load_image(str(tmp_path / "turned.jpg")).size == (4, 8)
    )


def test_audio_cut_short(media: Path) -> None:
    prepare = inputs_for(tiny("audio-classification"))
    data = Path("tone.wav").read_bytes()
    Path("cut.wav").write_bytes(data[:-1000])
    assert "cut.wav is cut short" in message(prepare, "cut.wav") and "cut short" in message(prepare, data[:-1000])
    streamed = data[:4] + b"\xff" * 4 + data[8:]
    assert len(prepare(streamed)["raw"]) == 16_000


def test_audio_of_zero_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    text = message(lambda value: read_audio(value, 16_000), tmp_path / "empty.wav")
    assert text.startswith(f"{tmp_path}/empty.wav holds no audio: it is zero seconds long.")


def test_bad_videos_are_sentences(tmp_path: Path) -> None:
    pytest.importorskip("av")
    read = VideoFiles().path
    (tmp_path / "cut.mp4").write_bytes(Path("noise.mp4").read_bytes()[:1000])
    for value, name in (
        (tmp_path / "cut.mp4", f"{tmp_path}/cut.mp4"),
        (b"no video", "The video"),
        ("noise.mp", "There"),
    ):
        assert message(read, value).startswith(
            (f"{name} cannot be read as a video: ", "There is no video file noise.mp.")
        )
    assert message(read, "tone.wav").startswith("tone.wav holds no video: it has no frames.")


def test_video_from_bytes_is_a_file_while_it_is_needed() -> None:
    pytest.importorskip("av")
    videos = VideoFiles()
    first, second = (videos.path(Path("noise.mp4").read_bytes()) for _ in range(2))
    file = Path(str(first))
    assert file.read_bytes() == Path("noise.mp4").read_bytes() and file.parent == Path(second).parent
    del first
    gc.collect()
    assert not file.exists() and Path(second).exists()


# Results


def plain(value: Any, folder: Path, row: int = 1) -> Any:
    attachments = Attachments(folder)
    return to_plain(value, lambda part, name: attachments.save(part, row=row, name=name))


def test_masks_of_segmentation(tmp_path: Path) -> None:
    pipe = tiny("image-segmentation")
    result = pipe(inputs_for(pipe)("noise.png"), subtask="semantic", threshold=0.0)
    masks = [np.asarray(segment["mask"]) for segment in result]
    assert masks
    found = plain(result, tmp_path / "files", row=7)
    assert [item["mask"] for item in found] == [
        str(tmp_path / "files" / f"000007-mask-{number}.png") for number in range(1, len(masks) + 1)
    ]
    for item, mask in zip(found, masks):
        with Image.open(item["mask"]) as image:
            assert (np.asarray(image) == mask).all()
    json.dumps(found)


def test_depth_map(tmp_path: Path) -> None:
    pipe = tiny("depth-estimation")
    result = pipe(inputs_for(pipe)("noise.png"))
    found = plain(result, tmp_path)
    assert found == {
        "predicted_depth": str(tmp_path / "000001-predicted_depth.tiff"),
        "depth": str(tmp_path / "000001-depth.png"),
    }
    with Image.open(found["predicted_depth"]) as image:
        assert np.array_equal(np.asarray(image), result["predicted_depth"].numpy())


def test_speech(tmp_path: Path) -> None:
    found = plain(tiny("text-to-audio")("two words"), tmp_path)
    assert found["audio"] == str(tmp_path / "000001-audio.wav")
    samples, rate = soundfile.read(found["audio"])
    assert rate == found["sampling_rate"] and len(samples) > 0


@pytest.mark.parametrize(
    ("audio", "shape", "subtype"),
    [
        (np.zeros((1, 50), "float32"), (50,), "PCM_16"),
        (np.zeros((1, 2, 50), "float16"), (50, 2), "PCM_16"),
        ([np.zeros(50, "float64")], (50,), "PCM_16"),
        (np.full(50, 300, "int16"), (50,), "PCM_16"),
        (np.full(50, 1.5, "float32"), (50,), "FLOAT"),
    ],
)
def test_waves_of_every_shape(tmp_path: Path, audio: Any, shape: tuple[int, ...], subtype: str) -> None:
    file = plain({"audio": audio, "sampling_rate": 8000}, tmp_path)["audio"]
    samples, _ = soundfile.read(file)
    assert samples.shape == shape and soundfile.info(file).subtype == subtype
    assert np.allclose(
        samples, np.asarray(audio, dtype=float).ravel()[0] / (1 if subtype == "FLOAT" else 32768), atol=1e-4
    )


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"]
)
def test_images_of_every_mode(tmp_path: Path, mode: str) -> None:
    with Image.open(plain([Image.new(mode, (3, 2))], tmp_path)[0]) as image:
        assert image.size == (3, 2) and image.format == "PNG"


def test_deep_images_keep_their_bits(tmp_path: Path) -> None:
    for kind, ending in (("uint16", ".png"), ("int32", ".tiff"), ("float32", ".tiff")):
        pixels = np.array([[0, 1], [255, 60_000]], kind)
        file = plain(Image.fromarray(pixels), tmp_path / kind)
        assert file == str(tmp_path / kind / f"000001-result{ending}")
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(image).astype(kind), pixels)


def test_arrays_are_masks_only_by_name_and_type(tmp_path: Path) -> None:
    import torch

    mask = np.array([[True, False]])
    found = plain({"masks": [mask, torch.tensor(mask)], "scores": mask, "mask": [[0.5]]}, tmp_path)
    assert found == {
        "masks": [str(tmp_path / "000001-masks-1.png"), str(tmp_path / "000001-masks-2.png")],
        "scores": [[True, False]],
        "mask": [[0.5]],
    }
    for file in found["masks"]:
        with Image.open(file) as image:
            assert np.asarray(image).tolist() == [[255, 0]]
    assert plain({"mask": np.array([[0.5]])}, tmp_path) == {"mask": [[0.5]]}


def test_names_stay_in_the_folder_and_apart(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    image = Image.new("L", (1, 1))
    found = plain({"../../up": image, "a": {"mask": image}, "b": {"mask": image}, "": image, "MASK": image}, folder)
    files = [found["../../up"], found["a"]["mask"], found["b"]["mask"], found[""], found["MASK"]]
    assert {Path(file).parent for file in files} == {folder}
    assert len({file.casefold() for file in files}) == 5
    assert sorted(map(str, folder.iterdir())) == sorted(files)
    assert plain("text", folder) == "text"


def test_without_a_folder_as_before() -> None:
    image = Image.new("L", (2, 1))
    assert to_plain([image]) == [{"type": "image", "mode": "L", "width": 2, "height": 1}]
    asked: list[str] = []
    result = {"x": image, "scores": np.ones(3), "label": "a", "n": [1, 2.5, None]}
    assert to_plain(result, lambda value, name: asked.append(name)) == to_plain(result)
    assert asked == ["x"]


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is a file: images"):
        plain(Image.new("L", (1, 1)), tmp_path / "file")
