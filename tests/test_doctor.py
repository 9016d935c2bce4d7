"""`pipe doctor`: every rule finds what it is for and nothing else; mends keep code running on both lines; bad input."""

# ruff: noqa: E501  # sources stand in tables, a source a line
from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from support import Ran, write

from pipesmith.pipelines import compat, doctor
from pipesmith.pipelines.doctor import RULES, mend, scan
from pipesmith.pipelines.doctor.coverage import ALSO_SEEN, SEEN, TRAPS

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines

# ---- Each rule: what it finds, and where it does not cry wolf -----------------------------------------------------

CLASS = "from transformers import Pipeline\n\n\nclass Mine(Pipeline):\n"
REGISTRY = "from transformers.pipelines import PIPELINE_REGISTRY\n"
OURS = "from pipesmith.pipelines import PIPELINE_REGISTRY\n"
PIPELINE = "from transformers import pipeline\n"
MODEL = "from transformers import PreTrainedModel\n\n\nclass Own(PreTrainedModel):\n"

# By code: sources in which it is found once, and sources in which it is not found.
CASES: dict[str, tuple[list[str], list[str]]] = {
    "PS101": (
        [
            f"{CLASS}    def preprocess(self, text):\n        return self.framework\n",
            f"{CLASS}    def preprocess(self, text):\n        return self.modelcard\n",
            "import transformers\n\n\nclass Mine(transformers.TextClassificationPipeline):\n"
            "    def preprocess(self, text):\n        return lambda: self.framework\n",
        ],
        [
            f"{CLASS}    def __init__(self):\n        self.framework = 'pt'\n        super().__init__()\n\n"
            "    def preprocess(self, text):\n        return self.framework\n",
            f"{CLASS}    framework = 'pt'\n\n    def preprocess(self, text):\n        return self.framework\n",
            f"{CLASS}    def preprocess(self, text):\n        if hasattr(self, 'framework'):\n"
            "            return self.framework\n        return getattr(self, 'framework', 'pt')\n",
            "class Web:\n    def run(self):\n        return self.framework\n\n\nimport transformers\n",
        ],
    ),
    "PS102": (
        [
            "from transformers import TFAutoModel\n\nTFAutoModel.from_pretrained('x')\n",
            "import transformers\n\ntransformers.TFAutoModel.from_pretrained('x')\n",
            "from transformers import TF_MODEL_MAPPING\n",
        ],
        [
            "from transformers import is_tf_available\n\nif is_tf_available():\n    from transformers import TFAutoModel\n",
            "try:\n    from transformers import TFAutoModel\nexcept ImportError:\n    TFAutoModel = None\n",
            "from mine.transformers import TFAutoModel\nimport transformers\n",
        ],
    ),
    "PS103": (
        ["from transformers.utils import is_tf_available\n", "import transformers\n\ntransformers.is_tf_available()\n"],
        [
            "from transformers.utils import is_torch_available\n",
            "try:\n    from transformers import is_tf_available\nexcept ImportError:\n    is_tf_available = bool\n",
        ],
    ),
    "PS104": (
        [
            "from transformers import SummarizationPipeline\n",
            "from transformers.pipelines.question_answering import SquadExample\n",
            "import transformers\n\n\nclass A(transformers.Text2TextGenerationPipeline):\n    pass\n",
        ],
        ["from transformers import TextGenerationPipeline\n", "from .mine import SummarizationPipeline\n"],
    ),
    "PS105": (
        [f"{PIPELINE}pipeline('summarization')\n", f"{PIPELINE}pipeline(model='x', task='translation_en_to_fr')\n"],
        [
            f"{PIPELINE}pipeline('text-generation')\n",
            "from kfp import pipeline\n\npipeline('summarization')\nimport transformers\n",
            f"{PIPELINE}{REGISTRY}PIPELINE_REGISTRY.register_pipeline('summarization', X)\npipeline('summarization')\n",
        ],
    ),
    "PS106": (
        [
            "from transformers.tokenization_utils import TruncationStrategy\n",
            "from transformers.modeling_utils import apply_chunking_to_forward\n",
            "from transformers.deepspeed import is_deepspeed_zero3_enabled\n",
            "import transformers.deepspeed\n",
            "from transformers.utils import is_offline_mode\n",
            "from transformers.models.bert.tokenization_bert_fast import BertTokenizerFast\n",
        ],
        [
            "from transformers.tokenization_utils_base import TruncationStrategy\n",
            "from transformers.tokenization_utils import PreTrainedTokenizer\n",
            "try:\n    from transformers.pytorch_utils import Conv1D\nexcept ImportError:\n"
            "    from transformers.modeling_utils import Conv1D\n",
        ],
    ),
    "PS107": (
        [
            "from transformers import ModelCard\n",
            "from huggingface_hub import Repository\n",
            "import transformers\n\ntransformers.AdamW\n",
            "import huggingface_hub as hub\n\nhub.Repository('x')\n",
            "from transformers import HybridCache\n",
            "from transformers.onnx import OnnxConfig\n",
            "import transformers.onnx\n",
            "from transformers.models.bert.modeling_bert import BertSdpaSelfAttention\n",
        ],
        [
            "import transformers\n\nOLD = transformers.__version__ < '5'\nif OLD:\n    from transformers import HybridCache\n",
            "import contextlib\n\nwith contextlib.suppress(ImportError):\n    from transformers import HybridCache\n",
            "from transformers import DynamicCache\nfrom transformers.models.bert.modeling_bert import BertLayer\n",
            "from huggingface_hub import ModelCard\n", "from torch.optim import AdamW\nimport transformers\n"],
    ),
    "PS108": (
        [f"{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, tf_model=B)\n"],
        [
            f"{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, pt_model=B)\n",
            f"{OURS}PIPELINE_REGISTRY.register_pipeline('a', 'a.A', tf_model='TFAutoModel')\n",
        ],
    ),
    "PS109": (
        [
            f"{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, default={{'pt': ('u/m', 'r')}})\n",
            f"{REGISTRY}MODELS = dict(pt=('u/m', 'r'))\nPIPELINE_REGISTRY.register_pipeline('a', A, default=MODELS)\n",
        ],
        [
            f"{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, default={{'model': ('u/m', 'r')}})\n",
            f"{OURS}PIPELINE_REGISTRY.register_pipeline('a', 'a.A', default={{'pt': ('u/m', 'r')}})\n",
        ],
    ),
    "PS110": (
        [
            f"{PIPELINE}pipeline('fill-mask', framework='tf')\n",
            f"{CLASS}    def __init__(self, **kwargs):\n        super().__init__(framework='pt', **kwargs)\n",
        ],
        [f"{PIPELINE}pipeline('fill-mask', model='x')\n", f"{PIPELINE}deploy(framework='pt', modelcard=None)\n"],
    ),
    "PS111": (
        [
            f"{CLASS}    def preprocess(self, text):\n        return self.tokenizer.encode_plus(text)\n",
            "import transformers\n\n\ndef f(tok, rows):\n    return tok.batch_encode_plus(rows)\n",
            "from transformers import AutoTokenizer\n\nbert = AutoTokenizer.from_pretrained('x')\nbert.encode_plus('a')\n",
        ],
        ["import transformers\n\n\ndef f(other, rows):\n    return other.batch_encode_plus(rows)\n", "import transformers\n\n\ndef f(tokenizer, text):\n    return tokenizer(text)\n", "tokenizer.encode_plus('x')\n"],
    ),
    "PS112": (
        [
            "import transformers\n\n\ndef f(tokenizer):\n    return tokenizer.additional_special_tokens\n",
            f"{CLASS}    def preprocess(self, text):\n        return self.tokenizer._pad_token\n",
        ],
        ["import transformers\n\n\ndef f(tokenizer, other):\n    return tokenizer.pad_token, other._pad_token\n"],
    ),
    "PS113": (
        [
            f"{CLASS}    def _forward(self, inputs):\n        self.model.config.max_length = 9\n",
            "import transformers\n\n\ndef f(model):\n    return model.config.num_beams\n",
            "import transformers\n\n\ndef f(model):\n    settings = model.config\n    settings.num_beams = 2\n",
        ],
        [
            "import transformers\n\n\ndef f(model):\n    return model.generation_config.max_length, model.config.hidden_size\n",
            "import transformers\n\n\ndef f(app):\n    return app.config.max_length\n",
        ],
    ),
    "PS114": (
        [f"{MODEL}    def __init__(self, config):\n        super().__init__(config)\n"],
        [
            f"{MODEL}    def __init__(self, config):\n        super().__init__(config)\n        self.post_init()\n",
            f"{MODEL}    pass\n",
        ],
    ),
    "PS115": (
        [f"{CLASS}    def preprocess(self, text):\n        return self.model.config.prefix\n"],
        [
            f"{CLASS}    def preprocess(self, text):\n        return getattr(self.model.config, 'prefix', None)\n",
            "import transformers\n\n\ndef f(app):\n    return app.config.prefix\n",
        ],
    ),
    "PS116": (
        [
            f"{PIPELINE}pipeline('ner', grouped_entities=True)\n",
            f"{PIPELINE}pipeline('ner', ignore_subwords=X)\n",
            "import transformers\n\ntransformers.TokenClassificationPipeline(model=m, grouped_entities=True)\n",
        ],
        [f"{PIPELINE}pipeline('ner', aggregation_strategy='simple')\n", f"{PIPELINE}mine(grouped_entities=True)\n"],
    ),
    "PS117": (
        [f"{CLASS}    def preprocess(self, text):\n        return self.model.hf_device_map\n"],
        [
            f"{CLASS}    def preprocess(self, text):\n        if hasattr(self.model, 'hf_device_map'):\n"
            "            return self.model.hf_device_map\n"
        ],
    ),
    "PS118": (
        ["import requests\nimport transformers\n"],
        ["import requests\n", "import transformers\n\ntry:\n    import requests\nexcept ImportError:\n    pass\n"],
    ),
    "PS119": (
        [f"{MODEL}    def forward(self, x):\n        return self.get_head_mask(None, 2)\n"],
        [
            f"{MODEL}    def get_head_mask(self, a, b):\n        return a\n\n    def forward(self, x):\n"
            "        return self.get_head_mask(None, 2)\n",
            "import transformers\n\n\nclass A:\n    def f(self):\n        return self.get_head_mask(None, 2)\n",
        ],
    ),
    "PS120": (
        ["from transformers import AutoModel\n\nAutoModel.from_pretrained('x', from_tf=True)\n"],
        ["from transformers import AutoModel\n\nAutoModel.from_pretrained('x')\nmine(from_tf=True)\n"],
    ),
    "PS121": (
        ["from transformers.pipelines import SUPPORTED_TASKS\n\nSUPPORTED_TASKS['fill-mask']['impl']\n"],
        ["from transformers.pipelines import SUPPORTED_TASKS\n\nSUPPORTED_TASKS['fill-mask']['pt']\nX['a']['impl']\n"],
    ),
    "PS127": (
        [f"{CLASS}    def preprocess(self, text):\n        return self.tokenizer.prepare_for_model(text)\n"],
        [
            f"{CLASS}    def preprocess(self, text):\n        return self.tokenizer(text), self.prepare_for_model(text)\n",
            "import transformers\n\n\ndef f(mine):\n    return mine.prepare_for_model(1)\n",
        ],
    ),
    "PS128": (
        [
            f"{PIPELINE}pipeline('ner', use_auth_token=True)\n",
            "from transformers import AutoModel\n\nAutoModel.from_pretrained('x', use_auth_token=TOKEN)\n",
        ],
        [f"{PIPELINE}pipeline('ner', token=True)\nload(use_auth_token=True)\n"],
    ),
    "PS126": (
        ["import transformers\n\n\ndef f(tokenizer, chat):\n    return tokenizer.apply_chat_template(chat, return_tensors='pt')\n"],
        [
            "import transformers\n\n\ndef f(tokenizer, chat):\n    return tokenizer.apply_chat_template(chat, tokenize=False)\n",
            "import transformers\n\n\ndef f(tokenizer, chat):\n    return tokenizer.apply_chat_template(chat, return_dict=True)\n",
        ],
    ),
    "PS122": (
        ["import transformers\n\n\ndef f(pipe):\n    pipe.save_pretrained('x', safe_serialization=False)\n"],
        ["import transformers\n\n\ndef f(pipe):\n    pipe.save_pretrained('x')\n    g(safe_serialization=True)\n"],
    ),
    "PS123": (
        ["import transformers\n\n\ndef f(pipe):\n    pipe.push_to_hub('u/m', True)\n"],
        ["import transformers\n\n\ndef f(pipe, dataset):\n    pipe.push_to_hub('u/m')\n    dataset.push_to_hub('u', 'x')\n"],
    ),
    "PS124": (
        [f"{CLASS}    def _forward(self, inputs):\n        return self.generation_config\n"],
        [f"{CLASS}    def _forward(self, inputs):\n        return self.model.generation_config\n"],
    ),
    "PS125": (
        [
            "from transformers.pipelines.base import ChunkPipeline\n\n\nclass Mine(ChunkPipeline):\n"
            "    def preprocess(self, text):\n        for word in text.split():\n            yield {'word': word}\n"
        ],
        [
            "from transformers.pipelines.base import ChunkPipeline\n\n\nclass Mine(ChunkPipeline):\n"
            "    def preprocess(self, text):\n        yield {'word': text, 'is_last': True}\n"
        ],
    ),
    "PS201": ([f"from . import helper\n{CLASS}    pass\n"], ["from . import helper\nimport transformers\n"]),
    "PS202": (
        [f"from .sub.mod import x\n{CLASS}    pass\n", f"from .sub import x\n{CLASS}    pass\n"],
        [f"from .mod import x\nfrom .helper import x\n{CLASS}    pass\n", "from .sub import x\nimport transformers\n"],
    ),
    "PS203": ([f"from ..mod import x\n{CLASS}    pass\n"], [f"from .mod import x\n{CLASS}    pass\n"]),
    "PS204": (
        [f"import helper\n{CLASS}    pass\n", f"from helper import x\n{CLASS}    pass\n"],
        [f"from .helper import x\nimport json\nimport numpy\n{CLASS}    pass\n", "import helper\nimport transformers\n"],
    ),
    "PS205": (
        [
            f"{CLASS}    def __init__(self, labels, *args, **kwargs):\n        super().__init__(*args, **kwargs)\n",
            f"{CLASS}    def __init__(self, model, *, framework, **kwargs):\n        super().__init__(model, **kwargs)\n",
        ],
        [
            f"{CLASS}    def __init__(self, model, tokenizer, task='', labels=None, *args, **kwargs):\n"
            "        super().__init__(*args, **kwargs)\n",
            "import transformers\n\n\nclass Helper:\n    def __init__(self, labels):\n        pass\n",
        ],
    ),
    "PS206": (
        [f"{CLASS}    def __init__(self, model):\n        self.model = model\n"],
        [f"{CLASS}    def __init__(self, **kwargs):\n        Pipeline.__init__(self, **kwargs)\n", f"{CLASS}    pass\n"],
    ),
    "PS214": (
        [f"{CLASS}    def __init__(self, model, tokenizer):\n        super().__init__(model, tokenizer)\n"],
        [
            f"{CLASS}    def __init__(self, model, **kwargs):\n        super().__init__(model, **kwargs)\n",
            f"{CLASS}    def __init__(self, model, tokenizer, task=''):\n        super().__init__(model, tokenizer)\n",
        ],
    ),
    "PS215": (
        [
            f"{CLASS}    def __init__(self, model, **kwargs):\n"
            "        super().__init__(model=transformers.AutoModel.from_pretrained(model), **kwargs)\n"
        ],
        [
            f"{CLASS}    def __init__(self, model, other='u/m', **kwargs):\n"
            "        self.other = transformers.AutoModel.from_pretrained(other)\n"
            "        super().__init__(model, **kwargs)\n",
            f"{CLASS}    def __init__(self, model, **kwargs):\n        if isinstance(model, str):\n"
            "            model = transformers.AutoModel.from_pretrained(model)\n        super().__init__(model, **kwargs)\n",
        ],
    ),
    "PS207": (
        [f"{CLASS}    def preprocess(self, x):\n        return self.processor(x), self.processor.tokenizer\n"],
        [
            f"{CLASS}    def preprocess(self, x):\n        return self.image_processor(x)\n",
            f"{CLASS}    def preprocess(self, x):\n        return self.processor(x)\n\n"
            "    def save_pretrained(self, folder):\n        pass\n",
        ],
    ),
    "PS208": (
        [
            f"{CLASS}    pass\n\n\n{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', Mine)\n"
            "PIPELINE_REGISTRY.register_pipeline('b', pipeline_class=Mine)\n"
        ],
        [f"{CLASS}    pass\n\n\n{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', Mine)\n"],
    ),
    "PS209": (
        [f"{CLASS}    pass\n\n\nclass Sub(Mine):\n    pass\n\n\n{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', Mine)\n"],
        [f"{CLASS}    pass\n\n\nclass Sub(Mine):\n    pass\n\n\n{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', Sub)\n"],
    ),
    "PS210": (
        [f"{CLASS}    pass\n\n\nif __name__ == '__main__':\n    Mine(model).push_to_hub('u/m')\n"],
        [f"{CLASS}    def save(self):\n        self.save_pretrained('x')\n", f"{PIPELINE}pipeline('x').push_to_hub('u/m')\n"],
    ),
    "PS211": (
        [f"{MODEL}    pass\n\n\n{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, pt_model=Own)\n"],
        [f"from transformers import AutoModel\n{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, pt_model=AutoModel)\n"],
    ),
}  # fmt: skip


def codes(folder: Path) -> list[str]:
    return [finding.code for finding in scan(folder).findings]


def test_every_rule_about_source_has_a_case() -> None:
    others = {"PS001", "PS002", "PS212", "PS213"} | {code for code in RULES if code.startswith("PS3")}
    assert set(CASES) == RULES.keys() - others
    for rule in RULES.values():
        assert rule.why and rule.mend and rule.name == rule.name.lower()


@pytest.mark.parametrize("code", sorted(CASES))
def test_rule_finds_it_and_does_not_cry_wolf(code: str, folder: Path) -> None:
    bad, good = CASES[code]
    write(folder, {"package/helper.py": "x = 1\n", "package/sub/__init__.py": "x = 1\n"})
    for source in bad:
        ast.parse(source)
        (folder / "package" / "case.py").write_text(source)
        found = [finding for finding in scan(folder).findings if finding.code == code]
        assert len(found) == 1, source
        assert found[0].path == folder / "package" / "case.py" and "{" not in found[0].why.replace("{}", "")
    for source in good:
        ast.parse(source)
        (folder / "package" / "case.py").write_text(source)
        assert code not in codes(folder), source


def test_classes_are_followed_into_other_files(folder: Path) -> None:
    write(
        folder,
        {
            "package/base.py": f"{CLASS}    pass\n",
            "package/__init__.py": "from .base import Mine as Base\n",
            "package/sub.py": "from package import Base\n\n\nclass Sub(Base):\n"
            "    def preprocess(self, text):\n        return self.framework\n",
        },
    )
    found = scan(folder / "package" / "sub.py").findings
    assert [(finding.code, finding.line, finding.column) for finding in found] == [("PS204", 1, 1), ("PS101", 6, 16)]
    write(folder, {"package/base.py": f"{CLASS}    framework = 'pt'\n"})
    assert "PS101" not in codes(folder)


def test_what_a_pipeline_imports_is_published_too(folder: Path) -> None:
    files = {
        "own.py": f"from .helper import x\nimport bare\n{CLASS}    pass\n",
        "helper.py": "from . import deeper\nfrom .sub.mod import y\nimport json\nx = 1\n",
        "bare.py": "try:\n    from ..above import z\nexcept ImportError:\n    pass\n",
        "deeper.py": "import bare  # pipe: ignore[PS204] because it is tested\nfrom ..above import z\nimport own\n",
        "lonely.py": "from . import deeper\nimport bare\n",
    }
    write(folder, {f"package/{name}": text for name, text in files.items()})
    expected = [("deeper.py", 2, "PS203"), ("deeper.py", 3, "PS204"), ("helper.py", 1, "PS201"),
                ("helper.py", 2, "PS202"), ("own.py", 2, "PS204")]  # fmt: skip
    for path in (folder, folder / "package" / "own.py"):
        report = scan(path)
        found = [(one.path.name, one.line, one.code) for one in report.findings if one.path]
        assert (found, report.ignored) == (expected, 1)
    assert codes(folder / "package" / "lonely.py") == []


def test_from_inside_a_package(pipe: Pipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        folder,
        {
            "package/__init__.py": "",
            "package/base.py": f"{CLASS}    pass\n",
            "package/sub.py": "import numpy\nfrom package.base import Mine\n\n\nclass Sub(Mine):\n"
            "    def f(self):\n        return self.framework\n",
        },
    )
    monkeypatch.chdir(folder / "package")
    for place in (".", "sub.py", "../package"):
        ran = pipe("doctor", place, "--format", "json")
        found = [(one["file"], one["code"]) for one in json.loads(ran.out)["findings"]]
        name = str(Path(place) / "sub.py") if place != "sub.py" else place
        assert found == [(name, "PS204"), (name, "PS101")]


ASKING = """
import ast, json, sys, warnings
warnings.simplefilter("ignore")
import transformers
lacking = []
for source in json.load(sys.stdin):
    try:
        exec(source, {})
    except ImportError:
        lacking.append(source)
print("lacking", json.dumps(lacking))
"""


def test_the_table_of_names_is_true() -> None:
    table = Path(doctor.__file__).parent / "gone.txt"
    rows = [line.split() for line in table.read_text().splitlines() if not line.startswith("#")]
    parts = (
        "transformers",
        "transformers.utils",
        "transformers.pipelines.base",
        "transformers.modeling_utils",
        "huggingface_hub",
    )
    words = [(module, *word.partition("=")[::2]) for module, *words in rows if module in parts for word in words]
    names = [f"from {module} import {name}" for module, name, _ in words]
    homes = [f"from {home} import {name}" for _, name, home in words if home]
    done = subprocess.run(
        [sys.executable, "-c", ASKING], input=json.dumps([*names, *homes]), capture_output=True, text=True, check=True
    )
    lacking = json.loads(done.stdout.rpartition("lacking ")[2])
    assert len(names) > 400 and len(homes) > 20
    assert lacking == (names if compat.needed() else [])


def test_no_false_finding_in_transformers_itself(folder: Path) -> None:
    import transformers

    pipelines = Path(transformers.__file__).parent / "pipelines"
    assert codes(pipelines) == []
    shutil.copytree(pipelines, folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    found = scan(folder).findings  # outside its package its own version is not known
    if compat.needed():
        assert found == []
    else:  # what 5 has really not
        assert {finding.code for finding in found} <= {"PS115"}
        assert all("task_specific_params" in finding.why for finding in found)


def test_table_meets_all_that_was_seen() -> None:
    assert sorted(SEEN) == list(range(1, 19))
    rows = [*SEEN.values(), *ALSO_SEEN, *TRAPS]
    for row in rows:
        assert row.shims or row.rules, row
        assert set(row.shims) <= compat.SHIMS.keys() and set(row.rules) <= RULES.keys(), row
    assert {shim for row in rows for shim in row.shims} == compat.SHIMS.keys()
    assert {code for row in rows for code in row.rules} == set(CASES) | {"PS212", "PS213"}


# ---- Mends --------------------------------------------------------------------------------------------------------

GUIDE = """\
import numpy as np

from transformers import Pipeline


def softmax(outputs):
    maxes = np.max(outputs, axis=-1, keepdims=True)
    shifted_exp = np.exp(outputs - maxes)
    return shifted_exp / shifted_exp.sum(axis=-1, keepdims=True)


class PairClassificationPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        preprocess_kwargs = {}
        if "second_text" in kwargs:
            preprocess_kwargs["second_text"] = kwargs["second_text"]
        return preprocess_kwargs, {}, {}

    def preprocess(self, text, second_text=None):
        return self.tokenizer(text, text_pair=second_text, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        logits = model_outputs.logits[0].numpy()
        probabilities = softmax(logits)

        best_class = np.argmax(probabilities)
        label = self.model.config.id2label[best_class]
        score = probabilities[best_class].item()
        logits = logits.tolist()
        return {"label": label, "score": score, "logits": logits}
"""
GUIDE_REGISTRATION = """\
from pair_classification import PairClassificationPipeline
from transformers.pipelines import PIPELINE_REGISTRY
from transformers import AutoModelForSequenceClassification, TFAutoModelForSequenceClassification

PIPELINE_REGISTRY.register_pipeline(
    "pair-classification",
    pipeline_class=PairClassificationPipeline,
    pt_model=AutoModelForSequenceClassification,
    tf_model=TFAutoModelForSequenceClassification,
)
"""
GUIDE_RUN = """
import json, sys
import register
from transformers import pipeline
pipe = pipeline("pair-classification", model=sys.argv[1], device="cpu")
print(json.dumps(pipe("The cat sleeps.", second_text="A cat is asleep.")))
"""
NUMBERS = Path(__file__).parent / "resources" / "compat" / "numbers.json"


def test_the_guide_runs_on_both_lines_after_fix(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    write(folder, {"pair_classification.py": GUIDE, "register.py": GUIDE_REGISTRATION})
    ran = pipe("doctor", folder)
    assert ran.code == 1 and ran.out.count("--fix does it") == 3
    ran = pipe("doctor", folder, "--fix", "--yes")
    assert ran.code == 0, ran.out
    assert "-    tf_model=TFAutoModelForSequenceClassification,\n" in ran.out and "Made 3 mends in 2 files" in ran.err
    after = {name: (folder / name).read_bytes() for name in ("pair_classification.py", "register.py")}
    assert b"TF" not in after["register.py"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GUIDE_RUN, str(tiny_checkpoint)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    recorded = json.loads(NUMBERS.read_text())["results"]["pairs"][1]["logits"]  # of transformers 4.57
    assert json.loads(done.stdout)["logits"] == pytest.approx(recorded, abs=2e-5)
    assert pipe("doctor", folder, "--fix", "--yes").out == ""
    assert after == {name: (folder / name).read_bytes() for name in after}


MENDS = {
    "framework": (
        f"{CLASS}    def preprocess(self, text):\n        return ( self.framework )  # why\n",
        f'{CLASS}    def preprocess(self, text):\n        return ( getattr(self, "framework", "pt") )  # why\n',
    ),
    "moved": (
        "from transformers.tokenization_utils import (\n    PreTrainedTokenizer,\n    TruncationStrategy as Strategy,\n)\n",
        "from transformers.tokenization_utils import (\n    PreTrainedTokenizer,\n)\n"
        "from transformers.tokenization_utils_base import TruncationStrategy as Strategy\n",
    ),
    "moved alone": (
        "# a helper\nfrom transformers.deepspeed import deepspeed_config\n",
        "# a helper\nfrom transformers.integrations.deepspeed import deepspeed_config\n",
    ),
    "available": (
        "def f():\n    from transformers.utils import is_tf_available, logging\n    return is_tf_available()\n",
        "def f():\n    from transformers.utils import logging\n    try:\n"
        "        from transformers.utils import is_tf_available\n    except ImportError:  # transformers 5\n"
        "        def is_tf_available():\n            return False\n    return is_tf_available()\n",
    ),
    "unused": ("from transformers import AutoModel, ModelCard\n\nAutoModel\n", "from transformers import AutoModel\n\nAutoModel\n"),
    "a class asked for": (
        "from transformers import ModelCard, TFPreTrainedModel as TF\n\n\ndef f(x: ModelCard):\n    return isinstance(x, TF)\n",
        "try:\n    from transformers import ModelCard\nexcept ImportError:  # transformers 5\n    class ModelCard:\n"
        "        def __init__(self, *args, **kwargs):\n"
        '            raise ImportError("transformers 5 has no ModelCard")\n'
        "try:\n    from transformers import TFPreTrainedModel as TF\nexcept ImportError:  # transformers 5\n    class TF:\n"
        "        def __init__(self, *args, **kwargs):\n"
        '            raise ImportError("transformers 5 has no TF")\n\n\n'
        "def f(x: ModelCard):\n    return isinstance(x, TF)\n",
    ),
    "a function with an equivalent": (
        "from transformers.modeling_utils import get_parameter_device\n\nget_parameter_device(1)\n",
        "try:\n    from transformers.modeling_utils import get_parameter_device\nexcept ImportError:  # transformers 5\n"
        "    def get_parameter_device(module):\n        return next(module.parameters()).device\n\n"
        "get_parameter_device(1)\n",
    ),
    "modules written out": (
        "import transformers.deepspeed\n\ntransformers.deepspeed.deepspeed_config()\ntransformers.is_tf_available()\n",
        "import transformers.integrations.deepspeed\n\ntransformers.integrations.deepspeed.deepspeed_config()\n"
        'getattr(transformers, "is_tf_available", lambda: False)()\n',
    ),
    "arguments": (
        f"{PIPELINE}pipeline('ner', framework='pt', grouped_entities=True, ignore_subwords=True)\n",
        f"{PIPELINE}pipeline('ner', aggregation_strategy=\"first\")\n",
    ),
    "encode": (
        "import transformers\n\n\ndef f(tokenizer, rows):\n"
        "    tokenizer.encode_plus(f'{rows}', max_length=3)\n    tokenizer.batch_encode_plus(rows)\n",
        "import transformers\n\n\ndef f(tokenizer, rows):\n"
        "    tokenizer(f'{rows}', max_length=3)\n    tokenizer(rows)\n",
    ),
    "pipelines made directly": (
        f"{CLASS}    pass\n\n\nMine(model=1, framework='pt')\n",
        f"{CLASS}    pass\n\n\nMine(model=1)\n",
    ),
    "chat": (
        "import transformers\n\n\ndef f(tokenizer, chat):\n    tokenizer.apply_chat_template(chat)\n",
        "import transformers\n\n\ndef f(tokenizer, chat):\n    tokenizer.apply_chat_template(chat, return_dict=False)\n",
    ),
    "written out": (
        "import transformers\n\ntransformers.ViTFeatureExtractor()\ntransformers.AutoModelForVision2Seq\n",
        "import transformers\n\ntransformers.ViTImageProcessor()\n"
        'getattr(transformers, "AutoModelForVision2Seq", transformers.AutoModelForImageTextToText)\n',
    ),
    "by the table": (
        "from transformers.utils import is_offline_mode, logging\n\nis_offline_mode()\nlogging\n",
        "from transformers.utils import logging\nfrom transformers.utils.hub import is_offline_mode\n\n"
        "is_offline_mode()\nlogging\n",
    ),
    "token": (
        f"{PIPELINE}pipeline('ner', use_auth_token='x')\n",
        f"{PIPELINE}pipeline('ner', token='x')\n",
    ),
    "feature extractors": (
        "from transformers import ViTFeatureExtractor\n\nViTFeatureExtractor()\n",
        "from transformers import ViTImageProcessor as ViTFeatureExtractor\n\nViTFeatureExtractor()\n",
    ),
    "push": (
        "import transformers\n\n\ndef f(pipe):\n    pipe.push_to_hub('u/m', None, 'message', True)\n",
        "import transformers\n\n\ndef f(pipe):\n    pipe.push_to_hub('u/m', commit_message='message', private=True)\n",
    ),
    "f-strings": (
        f"{CLASS}    def f(self):\n        return f\"{{self.framework}}\", f'{{self.framework}}', f\"\"\"{{self.framework}}\"\"\"\n",
        f"{CLASS}    def f(self):\n        return f\"{{getattr(self, 'framework', 'pt')}}\", "
        "f'{getattr(self, \"framework\", \"pt\")}', f\"\"\"{getattr(self, 'framework', 'pt')}\"\"\"\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MENDS))
def test_safe_mends_keep_the_rest_and_are_made_once(name: str, folder: Path) -> None:
    before, after = MENDS[name]
    file = folder / "case.py"
    for newline, start in (("\n", b""), ("\r\n", b"\xef\xbb\xbf")):
        file.write_bytes(start + before.replace("\n", newline).encode())
        for one in mend(scan(file).findings):
            one.write()
        assert file.read_bytes() == start + after.replace("\n", newline).encode()
        assert mend(scan(file).findings) == []


@pytest.mark.parametrize(
    "source",
    [
        "import transformers\n\n\ndef f(tokenizer, pair):\n    tokenizer.encode_plus(pair)\n",  # a tuple is a pair
        f"{PIPELINE}pipeline('fill-mask', framework='tf')\n",
        f"{REGISTRY}PIPELINE_REGISTRY.register_pipeline('a', A, default={{'pt': ('u/m', 'r')}})\n",
        "from huggingface_hub import Repository\n\n\ndef f():\n    Repository('x')\n",
        "from transformers import TFAutoModel\n\nmodel = TFAutoModel.from_pretrained('x')\n",
        "from transformers import TFPreTrainedModel\n\n\nclass A(TFPreTrainedModel):\n    pass\n",
        "from transformers import TFAutoModel\n\n__all__ = ['TFAutoModel']\n",
        f"{CLASS}    def _forward(self, inputs):\n        self.model.config.max_length = 9\n",
    ],
)
def test_mends_that_change_behaviour_are_only_proposed(pipe: Pipe, folder: Path, source: str) -> None:
    write(folder, {"case.py": source})
    ran = pipe("doctor", "case.py", "--fix", "--yes")
    assert ran.code == 1 and "PS1" in ran.out and "+++" not in ran.out
    assert (folder / "case.py").read_text() == source


IMPORTING = """
import importlib, pathlib, sys
sys.path.insert(0, ".")
for file in sorted(pathlib.Path().glob("*.py")):
    importlib.import_module(file.stem)
import torch
from helpers import AdamW, get_parameter_device
layer = torch.nn.Linear(1, 1)
assert AdamW(layer.parameters(), no_deprecation_warning=True).defaults["weight_decay"] == 0.0
assert get_parameter_device(layer) == torch.device("cpu")
"""


def test_pipelines_of_other_people_import_on_plain_transformers_after_fix(folder: Path) -> None:
    shutil.copytree(
        NUMBERS.parent / "pipelines", folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    for removed in ("shouting.py", "best_answers.py"):  # they inherit from tasks that 5 has removed
        (folder / removed).unlink()
    for one in mend(scan(folder).findings):
        one.write()
    assert mend(scan(folder).findings) == []
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORTING], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_fix_asks_and_changes_nothing_where_nobody_can_answer(pipe: Pipe, folder: Path) -> None:
    write(folder, {"case.py": MENDS["framework"][0]})
    ran = pipe("doctor", "case.py", "--fix")
    assert ran.code == 1 and "+++ b/case.py" in ran.out and "--yes" in ran.err
    assert (folder / "case.py").read_text() == MENDS["framework"][0]


def test_latin_1_stays_latin_1(folder: Path) -> None:
    file = folder / "case.py"
    source = "# -*- coding: latin-1 -*-\n" + CLASS + "    def f(self):\n        return 'é', self.framework, 'é'\n"
    file.write_bytes(source.encode("latin-1"))
    assert [finding.column for finding in scan(file).findings] == [21]
    for one in mend(scan(file).findings):
        one.write()
    assert file.read_bytes().decode("latin-1") == source.replace("self.framework", 'getattr(self, "framework", "pt")')


# ---- How it is said -----------------------------------------------------------------------------------------------


def test_formats(pipe: Pipe, folder: Path) -> None:
    write(folder, {"a,b.py": MENDS["framework"][0]})
    ran = pipe("doctor", "a,b.py")
    assert ran.code == 1 and ran.out.startswith("a,b.py:6:18: PS101 pipeline-attribute: ")
    report = json.loads(pipe("doctor", "a,b.py", "--format", "json").out)
    only = report["findings"][0]
    assert (only["code"], only["line"], only["column"], only["safe"]) == ("PS101", 6, 18, True)
    line = pipe("doctor", "a,b.py", "--format", "github").out
    assert line.startswith("::error file=a%2Cb.py,title=PS101 pipeline-attribute,line=6,col=18::") and "%0A" in line
    write(folder, {"a,b.py": "x = 1\n"})
    ran = pipe("doctor", "a,b.py")
    assert (ran.code, ran.out) == (0, "") and "0 findings in 1 file" in ran.err


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# pipe: ignore[PS101] because only 4 runs this", []),
        ("# pipe: ignore[PS101, PS102]: only 4 runs this", []),
        ("# noqa: E501  # pipe: ignore[PS101] because of it", []),
        ("# pipe: ignore[PS101]", ["PS002"]),
        ("# pipe: ignore[PS101] because", ["PS002"]),
        ("# pipe: ignore because I say so", ["PS002", "PS101"]),
        ("# pipe: ignore[PS999] because I say so", ["PS002", "PS101"]),
        ("# pipe: ignore[PS102] because I say so", ["PS101"]),
    ],
)
def test_exceptions_need_a_reason(folder: Path, comment: str, expected: list[str]) -> None:
    source = f"{CLASS}    def f(self):\n        return self.framework  {comment}\n\n    text = '# pipe: ignore'\n"
    write(folder, {"case.py": source})
    assert sorted(codes(folder)) == expected


# ---- Bad input ----------------------------------------------------------------------------------------------------


def test_files_that_do_not_parse_are_findings(pipe: Pipe, folder: Path) -> None:
    (folder / "broken.py").write_text("x = 1\ndef f(:\n")
    (folder / "zero.py").write_bytes(b"x = '\0'\n")
    (folder / "bytes.py").write_bytes(b"x = '\xff'\n")
    (folder / "deep.py").write_text("(" * 5000)
    (folder / "empty.py").write_text("")
    (folder / "broken.ipynb").write_text("[1, 2")
    write(folder, {"good.py": MENDS["framework"][0]})
    ran = pipe("doctor", folder, "--format", "json")
    found = [(Path(one["file"]).name, one["code"], one["line"]) for one in json.loads(ran.out)["findings"]]
    assert ran.code == 1 and ("broken.py", "PS001", 2) in found and ("good.py", "PS101", 6) in found
    bad = {"broken.py", "zero.py", "bytes.py", "deep.py", "broken.ipynb"}
    assert {name for name, code, _ in found if code == "PS001"} == bad


def test_notebook(pipe: Pipe, folder: Path) -> None:
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": "self.framework"},
        {
            "cell_type": "code",
            "source": ["%pip install x\n", "!ls\n", "from transformers import Pipeline, TFAutoModel"],
        },
        {"cell_type": "code", "source": "%%bash\nls ("},
        {"cell_type": "code", "source": "def f(:"},
        {"cell_type": "code", "source": "class A(Pipeline):\n    def f(self):\n        return self.framework"},
    ]
    (folder / "case.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    ran = pipe("doctor", "case.ipynb", "--fix", "--yes")
    assert ran.out.count("case.ipynb:cell ") == 3
    assert "case.ipynb:cell 1:3:36: PS102" in ran.out and "case.ipynb:cell 3:1:1: PS001" in ran.out
    assert "case.ipynb:cell 4:3:16: PS101" in ran.out and "+++" not in ran.out


def test_many_files_and_links_that_lead_outside(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write(tmp_path_factory.mktemp("outside"), {"bad.py": MENDS["framework"][0]})
    inside = folder / "inside"
    for number in range(100):
        (inside / str(number)).mkdir(parents=True)
        for name in range(100):
            (inside / str(number) / f"{name}.py").write_text("x = 1\n")
    write(folder, {".hidden/a.py": "(", "venv/pyvenv.cfg": "", "venv/a.py": "(", "__pycache__/a.py": "("})
    (inside / "link").symlink_to(outside)
    (inside / "link.py").symlink_to(outside / "bad.py")
    (inside / "0" / "loop").symlink_to(inside)
    report = scan(folder)
    assert (report.files, report.links, report.findings) == (10_000, 3, [])


def test_what_is_no_python(pipe: Pipe, folder: Path) -> None:
    write(folder, {"a.txt": "x"})
    assert "neither Python nor a notebook" in pipe("doctor", "a.txt").err
    ran = pipe("doctor", "missing.py")
    assert ran.code == 1 and "There is no file missing.py" in ran.err


def test_nothing_is_imported_and_nothing_written(pipe: Pipe, folder: Path) -> None:
    write(folder, {"case.py": f"open('ran', 'w')\n{MENDS['framework'][0]}"})
    assert pipe("doctor", folder).code == 1
    assert [path.name for path in folder.iterdir()] == ["case.py"]


# ---- Checkpoints and the Hub --------------------------------------------------------------------------------------


def test_checkpoint_folder(folder: Path) -> None:
    entries = {"a": {"impl": "__main__.A"}, "b": {"impl": "gone.B"}, "c": {"impl": "own.C"}, "d": {"impl": "u/r--x.D"}}
    write(folder, {"config.json": json.dumps({"custom_pipelines": entries}), "own.py": "x = 1\n"})
    assert codes(folder) == ["PS213", "PS213"]
    write(folder, {"requirements.txt": "einops\n"})
    assert codes(folder) == ["PS213", "PS213", "PS212"]
    write(folder, {"config.json": "{"})
    assert codes(folder) == []


def test_repository_is_read_and_not_run(
    pipe_process: Pipe, hub: Hub, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {"own.py": f"open('ran', 'w')\n{MENDS['framework'][0]}", "model.safetensors": "x", "notes.md": "x"}
    hub.create("alice/own", {name: text.encode() for name, text in files.items()})
    environment = hub.environment(tmp_path_factory.mktemp("home"))
    ran = pipe_process("doctor", "alice/own", cwd=folder, **environment)
    assert ran.code == 1 and "own.py:7:18: PS101" in ran.out, ran.err
    assert not hub.seen("GET", "*/model.safetensors") and not hub.seen("GET", "*/notes.md")
    assert not (folder / "ran").exists()
    ran = pipe_process("doctor", "alice/own", "--fix", "--yes", cwd=folder, **environment)
    assert ran.code == 1 and "hf download alice/own" in ran.err
    ran = pipe_process("doctor", "alice/nothing", cwd=folder, **environment)
    assert ran.code == 1 and "Traceback" not in ran.err and "alice/nothing" in ran.err


# ---- The environment ----------------------------------------------------------------------------------------------


def test_environment(pipe_process: Pipe, project: Path, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    environment = {**hub.environment(home), "HF_HUB_OFFLINE": "0"}
    ran = pipe_process("doctor", cwd=project, **environment)
    assert ran.code == 0, ran.out
    assert "2 files" in ran.err
    program = write(home, {"bin/nvidia-smi": "#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: x)'\n"}) / "bin" / "nvidia-smi"
    program.chmod(0o755)
    write(project, {"out.jsonl.part": "{}\n", "out.jsonl.part.journal": "{}\n", "file": "x"})
    write(project, {"site/peft-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: peft\nVersion: 1.0\n"
                    "Requires-Dist: transformers<4\nRequires-Dist: no-such-package\n"})  # fmt: skip
    ran = pipe_process(
        "doctor",
        cwd=project,
        **{
            **environment,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{project / 'site'}:{os.environ.get('PYTHONPATH', '')}",
            "HF_HOME": str(project / "file"),
            "HF_HUB_CACHE": str(project / "file" / "hub"),
            "http_proxy": "http://user:secret@127.0.0.1:9",
        },
    )
    assert ran.code == 1 and "Traceback" not in ran.err
    for words in (
        "peft needs transformers<4, and ",
        "pip install 'no-such-package'",
        "There is a GPU (Tesla T4)",
        "is not a folder",
        "The proxy of HTTP_PROXY, 127.0.0.1:9, does not answer",
        "unset HTTP_PROXY",
        "out.jsonl.part",
        f"--output {project}/out.jsonl --resume",
    ):
        assert words in ran.out, words
    assert "secret" not in ran.out + ran.err


def test_endpoint_that_does_not_answer(pipe_process: Pipe, folder: Path) -> None:
    ran = pipe_process("doctor", cwd=folder, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert ran.code == 1 and "http://127.0.0.1:9 does not answer" in ran.out and "unset HF_ENDPOINT" in ran.out
    assert pipe_process("doctor", cwd=folder, HF_HUB_OFFLINE="1").code == 0
