"""What plain transformers pushes to the Hub for a custom pipeline; run in an environment of each line.

    python tests/resources/pushed/record.py        (transformers 4.57 writes four/, 5 writes five/)

The pipeline is tests/resources/compat/pipelines/pairs.py, registered as the guide does (tf_model= on 4 alone: 5
refuses it) and pushed with `push_to_hub` to the tests' Hub over HTTP. The weights are left out: they are those of the
tiny model that the tests build, equal on both lines. recorded.json says with which versions and when.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "compat" / "pipelines")]

from hub.server import HubServer  # noqa: E402  # found through the line above

server = HubServer().start()
hub = server.fresh()
os.environ.update(hub.environment(Path(tempfile.mkdtemp())), USE_TF="0")

import huggingface_hub  # noqa: E402  # reads the environment at import
import transformers  # noqa: E402
from pairs import PairsPipeline  # noqa: E402
from transformers.pipelines import PIPELINE_REGISTRY  # noqa: E402

from pipesmith.pipelines.testing import tiny_model  # noqa: E402

IS_FOUR = transformers.__version__.startswith("4")
path = str(tiny_model("AutoModelForSequenceClassification").path)
classes = {"pt_model": transformers.AutoModelForSequenceClassification}
if IS_FOUR:
    classes["tf_model"] = transformers.TFAutoModelForSequenceClassification
PIPELINE_REGISTRY.register_pipeline("pair-classification", pipeline_class=PairsPipeline, **classes)
pipe = PairsPipeline(
    model=transformers.AutoModelForSequenceClassification.from_pretrained(path),
    tokenizer=transformers.AutoTokenizer.from_pretrained(path),
    task="pair-classification",
)
pipe.push_to_hub(repo_id="alice/pairs")

target = HERE / ("four" if IS_FOUR else "five")
target.mkdir(exist_ok=True)
for name, content in hub.files("alice/pairs").items():
    if not name.endswith((".safetensors", ".gitattributes")):
        (target / name).write_bytes(content)
recorded = {
    "transformers": transformers.__version__,
    "huggingface_hub": huggingface_hub.__version__,
    "date": datetime.date.today().isoformat(),
}
(target / "recorded.json").write_text(json.dumps(recorded, indent=2) + "\n")
server.stop()
