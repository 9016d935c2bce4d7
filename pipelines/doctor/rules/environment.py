"""Rules about the environment: what `environment.py` finds, and the commands that mend it."""

from __future__ import annotations

from pipesmith.pipelines.doctor.finding import add_rule

VERSIONS = add_rule("PS301", "versions", "{package} needs {needed}, and {there}.", "pip install '{needed}'")
NO_GPU = add_rule("PS302", "gpu-not-used", "There is a GPU ({gpu}), and {problem}.", "{command}")
CACHE = add_rule("PS303", "cache-not-writable", "{variable} is {folder}: {problem}.", "{command}")
NO_ANSWER = add_rule("PS304", "no-answer", "{what} does not answer: {problem}.", "{command}")
LEFTOVER = add_rule("PS305", "leftover", "{what} ({size}) is left of {of}.", "{command}")
