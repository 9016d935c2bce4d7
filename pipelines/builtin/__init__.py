"""Pipelines that pipesmith ships, each one file written as a user would write it, and their registry."""

from pipesmith.pipelines.registry import PIPELINE_REGISTRY

PIPELINE_REGISTRY.register_pipeline(
    "pair-classification",
    pipeline_class="pair_classification.PairClassificationPipeline",
    pt_model="AutoModelForSequenceClassification",
    tf_model="TFAutoModelForSequenceClassification",
    default="checkpoints/pair-classification",
    type="text",
)
