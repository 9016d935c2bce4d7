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


def tensorflow_class(name: str) -> str | None:
    """Return the TensorFlow class that goes with a PyTorch one in transformers 4.57; None if there is none."""
    return f"TF{name}" if name in _TENSORFLOW else None


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
