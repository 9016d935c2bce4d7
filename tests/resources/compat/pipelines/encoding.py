"""encode_plus and batch_encode_plus in every form: one text, a pair in a tuple, a pair in two arguments, words."""

from transformers import Pipeline


class EncodingPipeline(Pipeline):
    def _sanitize_parameters(self, form=None, **kwargs):
        return {} if form is None else {"form": form}, {}, {}

    def preprocess(self, text, form="text"):
        first, second = text.split("|")
        one, several = self.tokenizer.encode_plus, self.tokenizer.batch_encode_plus
        common = {"return_tensors": "pt"}
        if form == "text":
            return one(first, **common)
        if form == "tuple":
            return one((first, second), **common)
        if form == "list":
            return one([first, second], **common)
        if form == "two arguments":
            return one(first, second, max_length=24, truncation="longest_first", padding="max_length", **common)
        if form == "positional":
            return one(first, None, True, "max_length", True, 9, **common)
        if form == "words":
            return one(first.split(), second.split(), is_split_into_words=True, **common)
        if form == "unbatched":
            encoded = one((first, second), add_special_tokens=True)
            return self.tokenizer.pad([encoded], **common)
        if form == "overflow":
            encoded = one(first, max_length=5, truncation=True, return_overflowing_tokens=True, padding=True, **common)
            encoded.pop("overflow_to_sample_mapping")
            return encoded
        if form == "batch of texts":
            return several([first, second], padding=True, **common)
        if form == "batch of pairs":
            return several([(first, second), (second, first)], padding=True, **common)
        return several(
            batch_text_or_text_pairs=[first.split(), second.split()], is_split_into_words=True, padding=True, **common
        )

    def _forward(self, model_inputs):
        return {"logits": self.model(**model_inputs).logits, "ids": model_inputs["input_ids"]}

    def postprocess(self, model_outputs):
        return {"ids": model_outputs["ids"].tolist(), "logits": model_outputs["logits"].tolist()}
