"""A Hub for the tests: an ASGI application on loopback that huggingface_hub and transformers take for the real one.

It holds models, datasets and spaces in memory: commits with parents and git's own ids for blobs, trees and commits, LFS
files on a second origin, branches, tags, pull requests, private and gated repositories, several users with read and
write tokens. Every request is logged, and any of them can be made to fail (`Hub.fail`). Written to
the table of requests and answers that the clients were seen to make; the route table (routes.py) stands in its order.

What it is not: no xet (HF_HUB_DISABLE_XET=1 gives clients the plain LFS path), no git protocol (`git clone`), no web
pages, no rate limits, no pagination (one page holds everything), no renamed repositories, no discussions beyond
opening and reading a pull request, no Spaces that run, no inference, no telemetry. All files have git's mode 100644.
Time does not pass: every event comes one second after the one before, so that ids are the same in every run.

    def test_download(hub, tmp_path):
        commit = hub.create("alice/model", {"config.json": "{}"})
        subprocess.run([...], env={**os.environ, **hub.environment(tmp_path)})
        assert hub.seen("GET", "/alice/model/resolve/*")

Files: git.py (ids), store.py (repositories and commits), accounts.py (users and tokens), state.py (`Hub`, all of the
above and the switches for tests), messages.py (requests and answers), faults.py, cards.py (what README.md and
config.json say), api.py, lfs.py, downloads.py (the answers), routes.py (the table), app.py (ASGI), server.py (uvicorn
in a thread), fixtures.py and client.py (pytest, and scripts that use the Hub).
"""

from __future__ import annotations

from hub.accounts import Account
from hub.client import ClientError
from hub.faults import Fault
from hub.messages import Seen
from hub.state import Hub

__all__ = ["Account", "ClientError", "Fault", "Hub", "Seen"]
