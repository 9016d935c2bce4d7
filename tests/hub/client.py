"""A script with huggingface_hub at hand, run by the fixture `hub_python` in a process of its own.

As a program: execute the script on stdin and write its `result`, or its exception, as JSON to a file. The script finds
`api`, huggingface_hub's client, with the endpoint and the token of the environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


class ClientError(Exception):
    """The script raised.

    Args:
        kinds: the names of the exception's class and of its bases.
        message: what it says, and below that what its cause says.
        log: what the process wrote to stderr.
    """

    def __init__(self, kinds: list[str], message: str, log: str) -> None:
        super().__init__(f"{kinds[0]}: {message}")
        self.kinds, self.message, self.log = kinds, message, log


def main(answer: Path) -> None:
    # Not at the top, for the tests' own process imports ClientError.
    from huggingface_hub import HfApi

    names: dict[str, Any] = {"api": HfApi(), "result": None}
    outcome: dict[str, Any]
    try:
        exec(compile(sys.stdin.read(), "<script>", "exec"), names)
        outcome = {"result": names["result"]}
    except Exception as error:
        kinds = [each.__name__ for each in type(error).__mro__]
        causes = [str(each) for each in (error, error.__cause__) if each]
        outcome = {"kinds": kinds, "message": "\n".join(causes)}
    answer.write_text(json.dumps(outcome, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
