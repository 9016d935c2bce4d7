"""The pytest plugin: `--slow` and `--update-expected` in the projects of pipesmith, and nothing anywhere else.

It is loaded by every pytest of an environment that has pipesmith, so it imports little, and outside a project it adds
no option and no marker.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipesmith.pipelines.errors import PipeError

if TYPE_CHECKING:
    import pytest

_MARKER = "slow: runs with --slow only"


def _options() -> dict[str, str]:
    return {
        "--slow": "also run the tests marked slow",
        "--update-expected": "record outputs in tests/expected/ instead of comparing with them",
    }


def _is_project(config: pytest.Config) -> bool:
    from pipesmith.pipelines.project import find_project

    try:
        return find_project(config.rootpath) is not None
    except PipeError:  # a broken pyproject.toml: a test that needs the project says so
        return False


class _AfterConftests:
    """Adds the options when the project's conftest.py has added its own: one that has `--slow` keeps it."""

    def pytest_load_initial_conftests(self, early_config: pytest.Config, parser: pytest.Parser) -> None:
        for name, text in _options().items():
            try:
                parser.addoption(name, action="store_true", default=False, help=text)
            except ValueError:  # the project has one of that name
                continue


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Begin, in a project."""
    import pytest

    config = pluginmanager.get_plugin("pytestconfig")
    if config is None or not _is_project(config):
        return
    adder = _AfterConftests()
    pytest.hookimpl(trylast=True)(_AfterConftests.pytest_load_initial_conftests)
    pluginmanager.register(adder, "pipesmith-options")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and say whether outputs are recorded."""
    if not config.pluginmanager.has_plugin("pipesmith-options"):
        return
    from pipesmith.pipelines.testing import expected

    config.addinivalue_line("markers", _MARKER)
    expected.set_updating(bool(config.getoption("--update-expected", False)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is slow, unless it was asked for (RUN_SLOW=1 asks as well, as in transformers)."""
    import pytest

    if not config.pluginmanager.has_plugin("pipesmith-options"):
        return
    if config.getoption("--slow", False) or os.environ.get("RUN_SLOW", "") not in ("", "0"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: pytest --slow runs it"))
