from transformers import Pipeline

from . import words
from .shapes_sizes import size
from . import numbers_of


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
        return {"length": f"{size(outputs['length'])} {words.of(unit)}{numbers_of.ZERO}", "scores": scores}


if False:  # transformers copies the files that these lines name
    from .numbers_of import __name__ as _
    from .words import __name__ as _
