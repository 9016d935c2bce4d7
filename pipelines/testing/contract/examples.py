"""Inputs to try a pipeline with: ten rows of its kind, made in memory, of very different lengths.

What a pipeline takes is not written anywhere, so there are several candidates, the likeliest first; the first that
`preprocess` takes is used.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines.signature.conventions import conventional_type

if TYPE_CHECKING:
    from pipesmith.pipelines.signature import Parameter, Signature

RATE = 16_000  # Hz, where a feature extractor does not say
TEXTS = (
    "A good movie, and a great day.",
    "no",
    "The people of the world like to see what the other people do, and they like it more each day than before.",
    "Where is the cat?",
    "the dog did not see the cat, so the cat went down to the water and found a small place under the house; then it "
    "was night, and nobody knew where it had gone, but in the morning it came back and looked for food",
    "hello world",
    "It took a long time to make this picture of the water.",
    "bad sound",
    "They give new people work, and the work is good for them: 3 of 4 say so.",
    "yes you can",
)
# Values for parameters that a call cannot do without, or that only make sense together with the inputs.
KNOWN_VALUES: dict[str, Any] = {
    "candidate_labels": ["good movie", "bad", "a day"],
    "sequences": TEXTS[0],
    "question": TEXTS[3],
}
LONG = "texts, some of several pieces"
_IMAGES = ("image", "picture", "photo")
_MEDIA = (*_IMAGES, "audio", "sound", "waveform")  # as parts of the names of keys
_SECOND = ("second", "pair", "hypothesis", "premise", "other", "reference", "context", "query", "_b", "2")


@dataclass(frozen=True)
class Candidate:
    """One kind of input.

    Args:
        kind: what it is, for a sentence.
        make: makes the ten rows, given a folder for files.
    """

    kind: str
    make: Callable[[Path], Sequence[Any]]


def candidates(kind: str, task: str, signature: Signature | None, pipe: Any) -> list[Candidate]:
    """Return the kinds of input that a pipeline may take, the likeliest first.

    Args:
        kind: the entry's type: text, audio, image, video or multimodal.
        task: the entry's task, or that of the nearest pipeline of transformers that its class inherits from.
        signature: what its source says.
        pipe: the live pipeline.
    """
    texts = [Candidate("texts", lambda folder: TEXTS), *_objects_read(signature), *_pairs()]
    if _is_of_pieces(pipe):
        texts.insert(
            0,
            Candidate(
                LONG, lambda folder: [f"{text} " * (6 if place in (2, 4) else 1) for place, text in enumerate(TEXTS)]
            ),
        )
    images = [Candidate("images", lambda folder: _images()), Candidate("image files", _image_files)]
    images.append(Candidate("images as bytes", lambda folder: [Path(f).read_bytes() for f in _image_files(folder)]))
    rate = getattr(getattr(pipe, "feature_extractor", None), "sampling_rate", None) or RATE
    sounds = [
        Candidate("sounds", lambda folder: _sounds(rate)),
        Candidate("sounds with their rate", lambda folder: [{"raw": s, "sampling_rate": rate} for s in _sounds(rate)]),
        Candidate("sound files", lambda folder: _sound_files(folder, rate)),
    ]
    videos = [Candidate("video files", _video_files)]
    both = [
        Candidate("images with texts", lambda folder: _both("image", "text")),
        Candidate("images with questions", lambda folder: _both("image", "question")),
    ]
    own = _of_task(task, pipe)
    order = {
        "text": [*texts, *sounds, *images],
        "audio": [*sounds, *texts],
        "image": [*images, *both, *texts],
        "video": [*videos, *images, *texts],
        "multimodal": [*both, *texts, *images, *sounds, *videos],
    }[kind if kind in ("text", "audio", "image", "video") else "multimodal"]
    if signature is not None and signature.input is not None and signature.input.takes_json:
        objects = [*_objects_read(signature), *_pairs()]
        order = [*objects, *(one for one in order if one.kind not in {other.kind for other in objects})]
    return [*own, *order]


def _is_of_pieces(pipe: Any) -> bool:
    """Tell whether a class of the user's own parts its rows; transformers' own have other ways with long ones."""
    from transformers.pipelines.base import ChunkPipeline

    return isinstance(pipe, ChunkPipeline) and not type(pipe).__module__.startswith("transformers.")


def _of_task(task: str, pipe: Any) -> list[Candidate]:
    """Return what transformers' own tasks take that their modality does not tell."""
    mask = getattr(getattr(pipe, "tokenizer", None), "mask_token", None) or "[MASK]"
    makers: dict[str, Callable[[Path], Sequence[Any]]] = {
        "fill-mask": lambda folder: [f"{text} {mask} the end" for text in TEXTS],
        "any-to-any": lambda folder: [{"text": text} for text in TEXTS],
        "question-answering": lambda folder: [{"question": "Where is it?", "context": text} for text in TEXTS],
        "decision": lambda folder: [
            {"state": text, "questions": {"refund": {"type": "noul", "instructions": "Is it?"}}} for text in TEXTS
        ],
        "document-question-answering": lambda folder: [
            {**row, "word_boxes": [["a", [n, 0, n + 9, 9]] for n in range(number + 1)]}
            for number, row in enumerate(_both("image", "question"))
        ],
        "visual-question-answering": lambda folder: _both("image", "question"),
        "image-text-to-text": lambda folder: [
            {"images": row["image"], "text": f"<image> {row['text']}"} for row in _both("image", "text")
        ],
        "keypoint-matching": lambda folder: [[one, two] for one, two in zip(_images(), reversed(_images()))],
        "zero-shot-object-detection": lambda folder: [
            {"image": image, "candidate_labels": ["a cat", "a dog"]} for image in _images()
        ],
        "zero-shot-image-classification": lambda folder: _images(),
        "zero-shot-audio-classification": lambda folder: _sounds(_rate_of(pipe)),
        "automatic-speech-recognition": lambda folder: _sounds(_rate_of(pipe)),
        "mask-generation": lambda folder: _images()[:2],
        "image-to-text": lambda folder: _images(),
        "text-to-audio": lambda folder: TEXTS[:2],
        "feature-extraction": lambda folder: TEXTS,
    }
    return [Candidate(f"inputs of {task}", makers[task])] if task in makers else []


def _rate_of(pipe: Any) -> int:
    return getattr(getattr(pipe, "feature_extractor", None), "sampling_rate", None) or RATE


def _pairs() -> list[Candidate]:
    rows = list(zip(TEXTS, [*TEXTS[3:], *TEXTS[:3]]))
    return [
        Candidate("pairs of texts as objects", lambda folder: [{"text": a, "text_pair": b} for a, b in rows]),
        Candidate("pairs of texts", lambda folder: [[a, b] for a, b in rows]),
        Candidate("questions with contexts", lambda folder: [{"question": a, "context": b} for a, b in rows]),
        Candidate("lists of texts", lambda folder: [[a] for a, _ in rows]),
    ]


def _objects_read(signature: Signature | None) -> list[Candidate]:
    """Return objects with the keys that `preprocess` reads of its input, as far as its source shows them."""
    place = signature.method_places.get("preprocess") if signature is not None else None
    if place is None or signature is None or signature.input is None:
        return []
    from pipesmith.pipelines.source import parse

    keys: dict[str, None] = {}
    for node in ast.walk(parse(place[0])):
        if isinstance(node, ast.FunctionDef) and node.name == "preprocess" and node.lineno == place[1]:
            for inner in ast.walk(node):
                found = _key_read(inner, signature.input.name)
                if found is not None:
                    keys[found] = None
    if not keys:
        return []
    return [
        Candidate(
            f"objects with {', '.join(keys)}",
            lambda folder: _objects(list(keys)),
        )
    ]


def _objects(keys: Sequence[str]) -> list[dict[str, Any]]:
    """Make rows with these keys: images and sounds where a key's name says so, else texts."""
    columns = []
    for place, key in enumerate(keys):
        kind = next((word for word in _MEDIA if word in key), "")
        column = _images() if kind in _IMAGES else _sounds(RATE) if kind else TEXTS
        columns.append([*column[3 * place % 10 :], *column[: 3 * place % 10]])
    return [dict(zip(keys, values)) for values in zip(*columns)]


def _key_read(node: ast.AST, name: str) -> str | None:
    """Return "k" for `inputs["k"]` and `inputs.get("k")`."""
    key: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name:
        key = node.slice
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("get", "pop")
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == name
        and node.args
    ):
        key = node.args[0]
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def is_second_input(parameter: Parameter) -> bool:
    """Tell whether a parameter is a second input of the row: text for `preprocess`, called like one."""
    return (
        "preprocess" in parameter.stages
        and parameter.group == "task"
        and "str" in parameter.type.kinds
        and not parameter.type.choices
        and parameter.default_value is None
        and any(word in f"{parameter.name}" for word in _SECOND)
    )


def is_input_name(name: str) -> bool:
    """Tell whether a key of an input that is a dict is by its name what the model is asked about."""
    return any(word in name for word in ("text", "question", "sentence", *_SECOND, *_MEDIA))


def values_of(parameter: Parameter) -> list[Any]:
    """Return values to try a parameter with, other than its default."""
    if parameter.name in KNOWN_VALUES:
        found: list[Any] = [KNOWN_VALUES[parameter.name], KNOWN_VALUES[parameter.name][:1]]
    elif parameter.type.choices:
        found = [parameter.type.parse(choice) for choice in parameter.type.choices]
    else:
        by_kind: dict[str, list[Any]] = {
            "int": [1, 2, 3, 5, 8],
            "float": [0.0, 0.25, 0.5, 0.75, 0.99, 2.0],
            "bool": [True, False],
            "str": ["hello", TEXTS[4]],
            "json": [{}, []],
        }
        found = [value for kind in _kinds_of(parameter) for value in by_kind[kind]]
        if parameter.type.is_list:
            lists: list[Any] = [[value] for value in found] + [found[:2]]
            found = [*found, *lists] if parameter.type.is_scalar else lists
    different = [value for value in found if value != parameter.default_value or type(value) is bool]
    return [value for value in different if not (type(value) is bool and value is parameter.default_value)]


def _kinds_of(parameter: Parameter) -> tuple[str, ...]:
    """Return the kinds of values that a parameter may take; one that nothing describes is text for `pipe run`."""
    kinds = parameter.type.kinds
    if kinds != ("str",) or parameter.type.is_list or parameter.default_value is not None or is_second_input(parameter):
        return kinds
    usual = conventional_type(parameter.name)
    return tuple(dict.fromkeys([*(usual.kinds if usual is not None else ()), "str", "int", "float", "bool"]))


# ---- Media ------------------------------------------------------------------------------------------------------


def _images() -> list[Any]:
    import numpy as np
    from PIL import Image

    sizes = [(80, 64), (64, 64), (40, 90), (96, 48), (64, 80), (33, 47), (120, 64), (64, 64), (50, 50), (90, 90)]
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 255, (height, width, 3), dtype=np.uint8)) for width, height in sizes]


def _image_files(folder: Path) -> list[str]:
    files = [folder / f"{number}.png" for number in range(10)]
    for file, image in zip(files, _images()):
        image.save(file)
    return [str(file) for file in files]


def _both(image: str, text: str) -> list[dict[str, Any]]:
    return [{image: picture, text: words} for picture, words in zip(_images(), TEXTS)]


def _sounds(rate: int) -> list[Any]:
    import numpy as np

    noise = np.random.default_rng(0)
    seconds = (1.0, 0.5, 1.25, 0.5, 0.75, 1.0, 0.4, 0.9, 1.5, 0.6)
    return [
        (np.sin(np.arange(int(rate * length)) / (8 + 3 * number)) + noise.normal(0, 0.1, int(rate * length))).astype(
            "float32"
        )
        for number, length in enumerate(seconds)
    ]


def _sound_files(folder: Path, rate: int) -> list[str]:
    import soundfile

    files = [folder / f"{number}.wav" for number in range(10)]
    for file, sound in zip(files, _sounds(rate)):
        soundfile.write(file, sound, rate)
    return [str(file) for file in files]


def _video_files(folder: Path) -> list[str]:
    """Write two videos of 64 x 64 pixels; more would take long.

    Raises:
        ImportError: av is not installed.
    """
    import av
    import numpy as np

    noise, files = np.random.default_rng(0), []
    for number in range(2):
        file = folder / f"{number}.mp4"
        with av.open(str(file), "w") as container:
            stream = container.add_stream("mpeg4", rate=8)
            stream.width = stream.height = 64
            for _ in range(16):
                picture = noise.integers(0, 255 >> number, (64, 64, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(stream.encode())
        files.append(str(file))
    return files
