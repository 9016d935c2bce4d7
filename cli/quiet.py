"""What libraries may say on stderr: nothing of their own, unless --verbose asks; a download shows its progress."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import warnings


def before_imports(*, tensorflow: bool = False) -> None:
    """Keep libraries quiet that are yet to be imported: they read the environment when they are.

    Args:
        tensorflow: whether a TensorFlow model is to run.
    """
    # transformers 4 imports TensorFlow where it is: seconds, for PyTorch models. With 1 it does without torch, and then
    # its pipelines do not import.
    if tensorflow or os.environ.setdefault("USE_TF", "0").upper() in ("1", "TRUE", "YES", "ON"):
        os.environ["USE_TF"] = "AUTO"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else a fork after tokenizing prints a warning
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its log lines hold signed URLs
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:  # -W and PYTHONWARNINGS ask for them
        warnings.simplefilter("ignore")
    for library in ("torch", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)


def tensorflow() -> None:
    """Import TensorFlow where it is, without what it writes to stderr past Python."""
    if importlib.util.find_spec("tensorflow") is None:
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        importlib.import_module("tensorflow").constant(0)  # starts it
        if importlib.util.find_spec("tf_keras") is not None:
            importlib.import_module("tf_keras")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


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
