"""What a row of the task is that another one starts from: for its tests, and for the command line. Data, mostly."""

from __future__ import annotations

from pipesmith.pipelines.scaffolding.answers import Parent

# Inputs of the tasks whose type does not tell them, as source; and what a call cannot do without.
_QUESTIONS = '[{"question": "Where is it?", "context": "The house stands by the river."}]'
_SHORT = '{"max_new_tokens": 4}'
_PICTURE = 'Image.new("RGB", (40, 40), "red")'
_EXAMPLES = {
    "any-to-any": '[{"text": "The house stands by the river."}]',
    "decision": '[{"state": "late", "questions": {"refund": {"type": "noul", "instructions": "Is it?"}}}]',
    "document-question-answering": (
        f'[{{"image": {_PICTURE}, "question": "What is this?", "word_boxes": [["house", [0, 0, 9, 9]]]}}]'
    ),
    "fill-mask": '["The house stands by the [MASK]."]',
    "image-text-to-text": f'[{{"images": {_PICTURE}, "text": "<image> What is this?"}}]',
    "image-to-image": f"[{_PICTURE}]",  # images of two sizes make no batch
    "image-to-text": f"[{_PICTURE}]",  # multimodal in transformers 4, which takes a picture alone
    "keypoint-matching": f'[[{_PICTURE}, Image.effect_noise((40, 40), 90).convert("RGB")]]',
    "question-answering": _QUESTIONS,
    "table-question-answering": ('[{"query": "Which?", "table": pandas.DataFrame({"City": ["Rome", "Oslo"]})}]'),
    "video-classification": "[_clip()]",
    "visual-question-answering": f'[{{"image": {_PICTURE}, "question": "What is this?"}}]',
    "zero-shot-audio-classification": "[np.sin(np.arange(12_000) / 7)]",
    "zero-shot-object-detection": f'[{{"image": {_PICTURE}, "candidate_labels": ["a cat", "a dog"]}}]',
}
# Libraries that their class needs beside transformers' own: without them the tests skip.
_NEEDS = {"mask-generation": "torchvision", "table-question-answering": "pandas", "video-classification": "av"}
# transformers makes no batches of them, or their class takes no Dataset
_ALONE = ("any-to-any", "decision", "keypoint-matching", "table-question-answering")
_CALL_PARAMETERS = {
    "zero-shot-classification": '{"candidate_labels": ["travel", "cooking"]}',
    "zero-shot-image-classification": '{"candidate_labels": ["a cat", "a dog"]}',
    "zero-shot-audio-classification": '{"candidate_labels": ["a bell", "a dog"]}',
    "mask-generation": '{"points_per_batch": 512}',
    # Some write up to 256 tokens, which takes minutes on a busy machine.
    **dict.fromkeys(
        ("any-to-any", "image-text-to-text", "image-to-text", "summarization", "text2text-generation"), _SHORT
    ),
    **dict.fromkeys(("text-generation", "translation"), _SHORT),
}
_OF_CLASS = {  # the same, for another than the task's first model class
    "AutoModelForSpeechSeq2Seq": '{"generate_kwargs": {"max_new_tokens": 4, "num_beams": 1}}',
}
# A row of them on a command line, where a type's own would be none.
_LABELS = "--candidate-labels travel --candidate-labels cooking"
_TYPED = {
    "any-to-any": """--json '{"text": "a text"}'""",
    "decision": """--json '{"state": "late", "questions": {"refund": {"type": "noul", "instructions": "Is it?"}}}'""",
    "document-question-answering": (
        """--json '{"image": "picture.jpg", "question": "What?", "word_boxes": [["house", [0, 0, 9, 9]]]}'"""
    ),
    "fill-mask": '"one [MASK] word"',
    "image-text-to-text": """--json '{"images": "picture.jpg", "text": "<image> What is this?"}'""",
    "image-to-text": "picture.jpg",
    "keypoint-matching": """--json '["picture.jpg", "other.jpg"]'""",
    "pair-classification": '"a text" --second-text "another text"',
    "question-answering": """--json '{"question": "Where is it?", "context": "It stands by the river."}'""",
    "table-question-answering": """--json '{"query": "Which?", "table": {"City": ["Rome", "Oslo"]}}'""",
    "visual-question-answering": """--json '{"image": "picture.jpg", "question": "What is this?"}'""",
    "zero-shot-audio-classification": f"sound.wav {_LABELS}",
    "zero-shot-classification": f'"a text" {_LABELS}',
    "zero-shot-image-classification": f"picture.jpg {_LABELS}",
    "zero-shot-object-detection": """--json '{"image": "picture.jpg", "candidate_labels": ["a cat", "a dog"]}'""",
}
_TYPED_OF_TYPE = {
    "text": '"text"',
    "audio": "sound.wav",
    "image": "picture.jpg",
    "video": "clip.mp4",
    "multimodal": """'{"image": "picture.jpg", "text": "a cat"}'""",
}
_IMPORTS = {  # of what stands in the inputs above
    "Image.": "from PIL import Image",
    "np.": "import numpy as np",
    "_clip(": "import tempfile\nfrom pathlib import Path\nfrom PIL import Image",
}


def examples_of(parent: Parent | None, model_class: str) -> dict[str, str | bool | None]:
    """Return what the tests of a task are made from, for its templates.

    `examples` and `call_parameters` are source, None for those that its type tells; `example_imports` are what they
    need, `needs` is a library without which its class does not run, `is_batched` whether transformers makes batches.
    """
    task = parent.task if parent else ""
    examples = _EXAMPLES.get(task)
    imports = [line for word, line in _IMPORTS.items() if examples and word in examples]
    return {
        "examples": examples,
        "call_parameters": (_OF_CLASS.get(model_class) if parent else None) or _CALL_PARAMETERS.get(task),
        "example_imports": "\n".join(imports),
        "needs": _NEEDS.get(task),
        "is_batched": task not in _ALONE,
    }


def typed_row(parent: Parent | None, type: str) -> str:
    """Return a row of a task as `pipe run` is given it."""
    return (_TYPED.get(parent.task) if parent else None) or _TYPED_OF_TYPE[type]
