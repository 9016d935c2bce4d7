"""Entities, grouped by the parameters that aggregation_strategy took the place of."""

from transformers import TokenClassificationPipeline


class EntitiesPipeline(TokenClassificationPipeline):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, grouped_entities=True, ignore_subwords=False, **kwargs)

    def _sanitize_parameters(self, grouped_entities=None, ignore_subwords=None, **kwargs):
        return super()._sanitize_parameters(
            grouped_entities=grouped_entities, ignore_subwords=ignore_subwords, ignore_labels=[], **kwargs
        )

    def postprocess(self, all_outputs, **kwargs):
        entities = super().postprocess(all_outputs, **kwargs)
        return [
            {**{key: value for key, value in entity.items() if key != "score"}, "score": float(entity["score"])}
            for entity in entities
        ]
