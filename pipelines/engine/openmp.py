"""OpenMP's idle threads: torch computes in one thread of the engine, and those of its caller stand in the way.

Each thread that has computed keeps helpers of its own. libgomp, which torch brings on Linux, lets helpers wait for work
in a loop while there are no more of them than cores, and puts them to sleep otherwise: waking them hundreds of times a
batch took a tenth of the throughput on 2 cores.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_SOFT = 1  # omp_pause_soft: threads end, settings stay


def release_threads() -> None:
    """End the helpers of the calling thread; OpenMP makes new ones when it computes again.

    Does nothing where torch uses another OpenMP.
    """
    for library in _libraries():
        with suppress(AttributeError):  # older than OpenMP 5.0
            library.omp_pause_resource_all(_SOFT)


@cache
def _libraries() -> list[Any]:
    """Return every libgomp that is loaded: torch's, and perhaps others'."""
    found = []
    with suppress(OSError):  # no Linux
        lines = Path("/proc/self/maps").read_text().splitlines()
        for path in {line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line}:
            found.append(ctypes.CDLL(path))
    return found
