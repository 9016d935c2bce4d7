"""What libraries may say on stderr: nothing of their own, unless --verbose asks; a download shows its progress."""

from __future__ import annotations

import logging
import os
import sys
import warnings


def before_imports() -> None:
    """Keep libraries quiet that are yet to be imported: they read the environment when they are."""
    os.environ.setdefault("USE_TF", "0")  # transformers 4 imports TensorFlow where it is: seconds, for PyTorch models
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else a fork after tokenizing prints a warning
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its log lines hold signed URLs
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:  # -W and PYTHONWARNINGS ask for them
        warnings.simplefilter("ignore")
    for library in ("torch", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)


def transformers() -> None:
    """Keep transformers' load bars, reports and advice off stderr, and the bars of downloads on a terminal."""
    try:
        from huggingface_hub import utils as hub_utils
        from transformers.utils import logging as transformers_logging
    except ImportError:  # what loads the pipeline says so
        return

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if sys.stderr.isatty() and not os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS"):
        hub_utils.enable_progress_bars()  # type: ignore[attr-defined]  # the line above turned those off as well
