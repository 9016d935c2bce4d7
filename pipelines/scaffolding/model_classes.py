"""The Auto classes of the installed transformers, read from its source, and their TensorFlow kin of transformers 4."""

from __future__ import annotations

import re

from pipesmith.pipelines.errors import ScaffoldError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.source import package_folder
from pipesmith.pipelines.staging import read_source

DEFAULT_OF_TYPE = {
    "text": "AutoModelForSequenceClassification",
    "audio": "AutoModelForAudioClassification",
    "image": "AutoModelForImageClassification",
    "video": "AutoModelForVideoClassification",
    "multimodal": "AutoModelForZeroShotImageClassification",
}
# What a row is, for the classes that the templates know how to feed; AutoModel is for every type.
_TYPE_OF = {
    **{name: type for type, name in DEFAULT_OF_TYPE.items()},
    "AutoModelForAudioFrameClassification": "audio",
    "AutoModelForCausalLM": "text",
    "AutoModelForCTC": "audio",
    "AutoModelForDepthEstimation": "image",
    "AutoModelForMaskedImageModeling": "image",
    "AutoModelForMaskedLM": "text",
    "AutoModelForNextSentencePrediction": "text",
    "AutoModelForObjectDetection": "image",
    "AutoModelForPreTraining": "text",
    "AutoModelForSemanticSegmentation": "image",
    "AutoModelForSeq2SeqLM": "text",
    "AutoModelForTextEncoding": "text",
    "AutoModelForTokenClassification": "text",
}
# Others want inputs of their own, which a task of transformers or of pipesmith gives them: it is what they start from.
_TASK_OF = {
    "AutoModelForDecision": "decision",
    "AutoModelForDocumentQuestionAnswering": "document-question-answering",
    "AutoModelForImageSegmentation": "image-segmentation",
    "AutoModelForImageTextToText": "image-text-to-text",
    "AutoModelForKeypointMatching": "keypoint-matching",
    "AutoModelForMaskGeneration": "mask-generation",
    "AutoModelForMultimodalLM": "any-to-any",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForSpeechSeq2Seq": "automatic-speech-recognition",
    "AutoModelForTableQuestionAnswering": "table-question-answering",
    "AutoModelForTextToWaveform": "text-to-audio",
    "AutoModelForVision2Seq": "image-to-text",
    "AutoModelForVisualQuestionAnswering": "visual-question-answering",
    "AutoModelForZeroShotObjectDetection": "zero-shot-object-detection",
}
# Neither knows the rest: the nearest that one of them does.
_FEATURES = "--type {} --model-class AutoModel"
_NEAREST = {
    "AutoModelForAudioTokenization": _FEATURES.format("audio"),
    "AutoModelForAudioXVector": "--model-class AutoModelForAudioClassification",  # padding changes what it returns
    "AutoModelForImageMatting": _FEATURES.format("image"),
    "AutoModelForImageToImage": _FEATURES.format("image"),
    "AutoModelForInstanceSegmentation": "--model-class AutoModelForImageSegmentation",
    "AutoModelForKeypointDetection": _FEATURES.format("image"),
    "AutoModelForMultipleChoice": "--pair --model-class AutoModelForSequenceClassification",
    "AutoModelForNormalEstimation": "--model-class AutoModelForDepthEstimation",
    "AutoModelForPointmapEstimation": "--model-class AutoModelForDepthEstimation",
    "AutoModelForPoseEstimation": _FEATURES.format("image"),
    "AutoModelForRNNT": "--model-class AutoModelForCTC",
    "AutoModelForTableRecognition": _FEATURES.format("image"),
    "AutoModelForTDT": "--model-class AutoModelForCTC",
    "AutoModelForTextRecognition": _FEATURES.format("image"),
    "AutoModelForTextToSpectrogram": "--model-class AutoModelForTextToWaveform",
    "AutoModelForUniversalSegmentation": "--model-class AutoModelForImageSegmentation",
    "AutoModelWithLMHead": "--model-class AutoModelForCausalLM",
}
# TensorFlow's in transformers 4.57, by name; transformers 5 has none, and what is rendered does not depend on it.
_TENSORFLOW = {
    *("AutoModel", "AutoModelForAudioClassification", "AutoModelForCausalLM", "AutoModelForImageClassification"),
    *("AutoModelForZeroShotImageClassification", "AutoModelForMaskedLM", "AutoModelForSeq2SeqLM"),
    *("AutoModelForSequenceClassification", "AutoModelForTokenClassification", "AutoModelForQuestionAnswering"),
    *("AutoModelForMultipleChoice", "AutoModelForNextSentencePrediction", "AutoModelForSemanticSegmentation"),
}
# A class, or an old one's private base, and its line `_model_mapping = MODEL_FOR_X_MAPPING`; to parse the whole file
# takes a twentieth of a second.
_CLASS = re.compile(r"^class _?(AutoModel\w*)\b.*:\n(?:(?: .*)?\n)*? {4}_model_mapping = (\w+)$", re.MULTILINE)


def model_mappings() -> dict[str, str]:
    """Return the Auto classes that load models, each with the name of its mapping in transformers.

    Raises:
        ScaffoldError: transformers is not installed.
    """
    root = package_folder("transformers")
    if root is None:
        raise ScaffoldError("transformers is not installed.", hint="pip install pipesmith")
    return dict(_CLASS.findall(read_source(root / "models" / "auto" / "modeling_auto.py")))


def check_model_class(name: str) -> None:
    """Refuse a model class that the installed transformers does not have.

    Raises:
        ScaffoldError: it names the nearest ones.
    """
    known = model_mappings()
    if name not in known:
        raise ScaffoldError(
            f"transformers has no Auto class {name}.",
            hint=near_miss(name, known) or "For example AutoModelForSequenceClassification.",
        )


def type_of_rows(name: str) -> str | None:
    """Return the type of the rows that the templates feed to a model class; None for AutoModel, which takes every type.

    Raises:
        ScaffoldError: they cannot feed it; it names the nearest that they can.
    """
    if name == "AutoModel" or name in _TYPE_OF:
        return _TYPE_OF.get(name)
    nearest = _NEAREST.get(name, "--model-class AutoModel, for every --type")
    raise ScaffoldError(
        f"No template makes the inputs of {name}.",
        hint=f"The nearest that there is: {nearest}. Or write the class yourself: `pipe register` makes it a task.",
    )


def task_of(name: str | None) -> str | None:
    """Return the task to start from for a model class that wants inputs of its own; None for others."""
    return _TASK_OF.get(name or "")


def tensorflow_class(name: str, type: str) -> str | None:
    """Return the TensorFlow class that goes with a PyTorch one in transformers 4.57; None if there is none.

    Args:
        name: the PyTorch class.
        type: what a row is: AutoModel has no TensorFlow model for videos.
    """
    return f"TF{name}" if name in _TENSORFLOW and type != "video" else None


def output_of(type: str, name: str) -> str:
    """Return which of templates/outputs/ reads what a model of a class gives."""
    if name in ("AutoModelForSeq2SeqLM", "AutoModelForCausalLM") and type == "text":
        return "generation"
    if name == "AutoModelForTokenClassification" and type == "text":
        return "tokens"
    if name == "AutoModelForZeroShotImageClassification" or (type == "multimodal" and name == "AutoModel"):
        return "similarity"
    if name in set(DEFAULT_OF_TYPE.values()):
        return "classification"
    return "features"
