"""The packages that published code needs, and the distributions that bring them."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipesmith.pipelines.publishing.imports import Imported

_GIVEN = ("transformers", "torch", "numpy")  # whoever loads a pipeline has them


@dataclass(frozen=True)
class Requirement:
    """A package that the code needs.

    Args:
        module: what it imports.
        distribution: what pip installs.
        version: the one that is installed here, None if none is known.
        is_optional: whether the code can do without it.
    """

    module: str
    distribution: str
    version: str | None
    is_optional: bool

    def __str__(self) -> str:
        """The line of a requirements.txt."""
        return f"{self.distribution}>={self.version}" if self.version else self.distribution


def requirements(imports: Iterable[Imported]) -> tuple[Requirement, ...]:
    """List the distributions that imports need, by name; without the standard library, transformers, torch and numpy.

    What is only tried (in a `try`, or after `is_..._available()`) is optional, and listed if it is installed.
    """
    found: dict[str, Requirement] = {}
    for one in imports:
        first = one.module.partition(".")[0]
        if not first or first in _GIVEN or first in sys.stdlib_module_names:
            continue
        distribution = _distribution(one.module)
        version = _version(distribution)
        if version is None and not one.is_checked:
            continue
        held = found.get(distribution)
        if held is None or (held.is_optional and one.is_checked):
            found[distribution] = Requirement(first, distribution, version, not one.is_checked)
    return tuple(sorted(found.values(), key=lambda one: one.distribution.casefold()))


def _distribution(module: str) -> str:
    """Return the distribution that brings a module: of a shared name (`google`) the one with that very module."""
    first = module.partition(".")[0]
    names = list(dict.fromkeys(_distributions().get(first, [first])))
    if len(names) > 1:
        path = module.replace(".", "/")
        for name in names:
            if any(str(file).startswith((f"{path}/", f"{path}.")) for file in importlib.metadata.files(name) or ()):
                return name
    return names[0]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
