"""Image classification by a model that names its scores otherwise, as PP-LCNet does: transformers' own wants logits."""

from transformers import Pipeline


class ImageScoresPipeline(Pipeline):
    """Give the score of each label for an image."""

    _load_image_processor = True
    _load_processor = _load_tokenizer = _load_feature_extractor = False

    def _sanitize_parameters(self):
        return {}, {}, {}

    def preprocess(self, image):
        return self.image_processor(images=image, return_tensors="pt")

    def _forward(self, model_inputs):
        return {"scores": self.model(**model_inputs)[0]}

    def postprocess(self, model_outputs):
        scores = model_outputs["scores"][0].softmax(-1).tolist()
        return {self.model.config.id2label[number]: score for number, score in enumerate(scores)}
