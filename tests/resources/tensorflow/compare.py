"""Compare the logits of PyTorch and TensorFlow for tiny models of sequence classification, of one set of weights.

Run it with transformers 4.57, TensorFlow and pipesmith; without names it takes every architecture that 4.57 has in
both:

    USE_TF=AUTO python tests/resources/tensorflow/compare.py bert roberta

A line of JSON each: {"bert": 1.5e-07}, the largest difference, or the reason why there is none.
"""

from __future__ import annotations

import gc
import json
import os
import sys

os.environ["USE_TF"] = "AUTO"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
CLASS = "AutoModelForSequenceClassification"
# Their TensorFlow classes take 1 for the id of padding, from which positions are counted, whatever the config says.
PADS_WITH_1 = ("camembert", "longformer", "roberta", "roberta-prelayernorm", "xlm-roberta")


def main() -> None:
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as IN_PYTORCH
    from transformers.models.auto.modeling_tf_auto import TF_MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as NAMES

    known = {config.model_type for config in IN_PYTORCH}
    for name in sys.argv[1:] or NAMES:
        try:
            found: object = largest_difference(name) if name in known else "only TensorFlow has it"
        except Exception as error:
            found = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:200]
        print(json.dumps({name: found}), flush=True)
        gc.collect()


def largest_difference(name: str) -> float:
    """Return the largest difference of logits, on two rows of nine tokens."""
    import numpy
    import tensorflow
    import torch
    from transformers import AutoModelForSequenceClassification, TFAutoModelForSequenceClassification

    from pipesmith.pipelines.testing import tiny_model

    tiny = tiny_model(CLASS, name)
    changed = {"pad_token_id": 1} if name in PADS_WITH_1 else {}
    in_pytorch = AutoModelForSequenceClassification.from_pretrained(tiny.path, **changed).eval()
    config = in_pytorch.config
    special = {config.pad_token_id, config.eos_token_id, config.bos_token_id}
    plain = [token for token in range(min(config.vocab_size, 200)) if token not in special]
    rows = numpy.random.default_rng(0).choice(plain, (2, 9)).astype("int32")
    if isinstance(config.eos_token_id, int):
        rows[:, -1] = config.eos_token_id  # where an encoder-decoder's classifier looks
    mask = numpy.ones_like(rows)
    with torch.no_grad():
        given = {"input_ids": torch.tensor(rows).long(), "attention_mask": torch.tensor(mask).long()}
        wanted = in_pytorch(**given).logits.numpy()
    model = TFAutoModelForSequenceClassification.from_pretrained(tiny.path, from_pt=True, **changed)
    given = {"input_ids": tensorflow.constant(rows), "attention_mask": tensorflow.constant(mask)}
    return float(numpy.abs(model(given, training=False).logits.numpy() - wanted).max())


if __name__ == "__main__":
    main()
