"""What tests import: files written from texts, a user's pipeline, and what a command did."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files from texts, dedented."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


# A user's pipeline: small, and every stage of its own.
LENGTH_PIPELINE = """
from transformers import Pipeline


class LengthPipeline(Pipeline):
    '''Score a text and say how long it is.

    Args:
        unit (`str`): what to call the length.
        top_k (`int`): how many scores.
    '''

    def _sanitize_parameters(self, unit=None, top_k=None, loud=None, **kwargs):
        post = {}
        if unit is not None:
            post["unit"] = unit
        if top_k is not None:
            post["top_k"] = top_k
        if loud is not None:
            post["loud"] = loud
        return {}, {}, post

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, inputs):
        outputs = self.model(**inputs)
        return {"logits": outputs.logits, "length": inputs["input_ids"].shape[-1]}

    def postprocess(self, outputs, unit: str = "tokens", top_k: int = 1, loud: bool = False):
        scores = outputs["logits"][0].softmax(-1).topk(top_k).values.tolist()
        unit = unit.upper() if loud else unit
        return {"length": f"{outputs['length']} {unit}", "scores": scores}
"""
LENGTH_ENTRY = """
from pipesmith.pipelines import PIPELINE_REGISTRY

PIPELINE_REGISTRY.register_pipeline(
    "length",
    pipeline_class="length.LengthPipeline",
    pt_model="AutoModelForSequenceClassification",
    type="text",
)
"""

RATE = 22_050  # Hz, of the sounds that tests make

# A pipeline that costs nothing: what it is given comes back.
ECHO_PIPELINE = """
from transformers import Pipeline


class EchoPipeline(Pipeline):
    '''Give the input back.

    Args:
        times (`int`): how often.
        second_text (`str`): comes back as well.
    '''

    def _sanitize_parameters(self, times=None, second_text=None, fail=None):
        post = {} if times is None else {"times": times}
        if fail is not None:
            post["fail"] = fail
        return {} if second_text is None else {"second_text": second_text}, {}, post

    def preprocess(self, text, second_text=None):
        return {"text": text, "second_text": second_text}

    def _forward(self, inputs):
        return inputs

    def postprocess(self, outputs, times: int = 1, fail: str = ""):
        if fail and fail in outputs["text"]:
            raise ValueError(f"this text holds {fail}")
        found = {"echo": outputs["text"] * times}
        if outputs["second_text"] is not None:
            found["second"] = outputs["second_text"]
        return found
"""
