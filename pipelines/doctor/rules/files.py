"""Rules about files as such: those that do not parse, comments that silence rules, a checkpoint's config.json."""

from __future__ import annotations

from pipesmith.pipelines.doctor.finding import add_rule

DOES_NOT_PARSE = add_rule("PS001", "does-not-parse", "{message}", "Mend that line and run again.")
NO_REASON = add_rule(
    "PS002",
    "ignore-without-reason",
    "This comment silences rules and does not say {what}.",
    "Write # pipe: ignore[PS101] because of the reason.",
)
REQUIREMENTS = add_rule(
    "PS212",
    "requirements-ignored",
    "transformers does not look at the requirements.txt of a pipeline's repository: nobody installs what it names.",
    "Say on the model card what to install: pip install -r requirements.txt",
)
DEAD_ENTRY = add_rule(
    "PS213",
    "dead-custom-pipeline",
    "custom_pipelines says that the task {task} is {impl}, and {problem}.",
    "Save it again from a class in a file of its own, registered for this task: pipe.save_pretrained(folder).",
)
