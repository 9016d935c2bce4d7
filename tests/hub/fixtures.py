"""Fixtures: `hub`, the tests' Hub, empty for every test; `hub_python`, Python code in a process that uses it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hub.client import ClientError
from hub.state import Hub

if TYPE_CHECKING:
    from hub.server import HubServer


@pytest.fixture(scope="session")
def hub_server() -> Iterator[HubServer]:
    """The server, started when the first test asks for it."""
    # Here, because most tests need no server.
    from hub.server import HubServer

    server = HubServer().start()
    yield server
    server.stop()


@pytest.fixture
def hub(hub_server: HubServer) -> Iterator[Hub]:
    """An empty Hub over HTTP, with the user `alice`; see `hub.Hub`."""
    hub = hub_server.fresh()
    yield hub
    if hub.errors:
        raise hub.errors[0]


@pytest.fixture
def hub_python(hub: Hub, tmp_path: Path) -> Callable[..., Any]:
    """Run a script in a process that uses the Hub, and return what it left in `result`.

    huggingface_hub and transformers read the environment at import, and the tests' own process is offline. Each script
    has an empty cache, `home` for one that several share; `api` is huggingface_hub's client.

        sha = hub_python("result = api.model_info('alice/model').sha", user="bob", HF_HUB_ETAG_TIMEOUT="1")

    Raises:
        ClientError: what the script raised.
    """
    homes = (tmp_path / f"hub-home-{number}" for number in itertools.count())

    def run(
        script: str,
        *,
        user: str | None = "alice",
        role: str = "write",
        home: Path | None = None,
        cwd: Path | None = None,
        **variables: str,
    ) -> Any:
        home = home or next(homes)
        home.mkdir(parents=True, exist_ok=True)
        answer = home / "answer.json"
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("client.py")), str(answer)],
            input=textwrap.dedent(script),
            capture_output=True,
            text=True,
            cwd=cwd or home,
            env={**os.environ, **hub.environment(home, user=user, role=role), **variables},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        outcome = json.loads(answer.read_text())
        if "kinds" in outcome:
            raise ClientError(outcome["kinds"], outcome["message"], done.stderr)
        return outcome["result"]

    return run
