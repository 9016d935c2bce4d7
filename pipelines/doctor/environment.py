"""The machine and the environment: versions, GPU, caches, network, and what interrupted runs have left."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pipesmith.pipelines.doctor.finding import Finding, found
from pipesmith.pipelines.records.partial import is_partial

_PACKAGES = (
    "pipesmith", "transformers", "huggingface_hub", "tokenizers", "safetensors", "torch", "torchvision", "torchaudio",
    "accelerate", "datasets", "peft", "tensorflow", "tf-keras",
)  # fmt: skip
_STAND_INS = {"tensorflow": ("tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos")}  # of the same modules
_PATIENCE = 5.0  # seconds for an answer
_ENDING = re.compile(r"\.part(\.again)?(\.(jsonl|wider|journal))?(\.again)?$")
_MAX_ENTRIES = 50_000  # of a folder that is searched for leftovers


def check_environment(folder: Path) -> list[Finding]:
    """Find what is wrong with the environment; the Hub is asked for nothing but an answer.

    Args:
        folder: where leftovers of interrupted runs are looked for: the project, or the working directory.
    """
    checks: list[Callable[[], Iterator[Finding]]] = [_versions, _gpu, _caches, _network, lambda: _leftovers(folder)]
    return [finding for check in checks for finding in check()]


def _versions() -> Iterator[Finding]:
    """Compare what the installed packages need with what is there."""
    from packaging.requirements import InvalidRequirement, Requirement

    for package in _PACKAGES:
        try:
            needed = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for text in needed:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            wanted = f"{requirement.name}{requirement.specifier}"
            version = _version(requirement.name)
            if version is None:
                yield found("PS301", None, package=package, needed=wanted, there="it is not installed")
            elif not requirement.specifier.contains(version, prereleases=True):
                yield found("PS301", None, package=package, needed=wanted, there=f"{version} is installed")


def _version(package: str) -> str | None:
    for name in (package, *_STAND_INS.get(package, ())):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _gpu() -> Iterator[Finding]:
    """Compare the GPU that is there with what torch was built for."""
    gpu = _gpu_name()
    torch = importlib.util.find_spec("torch")
    if gpu is None or torch is None or torch.origin is None:
        return
    try:
        text = Path(torch.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return
    built_for = re.search(r"^(?:cuda|hip)\b[^=\n]*= *'([^']+)'", text, re.MULTILINE)
    if built_for is None:
        install = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
        yield found("PS302", None, gpu=gpu, problem="this torch was built for the processor alone", command=install)
        return
    import torch as live

    if not live.cuda.is_available():
        problem = f"torch, built for CUDA {built_for[1]}, cannot use it: the driver may be too old for it"
        yield found("PS302", None, gpu=gpu, problem=problem, command="nvidia-smi  # shows the CUDA that the driver has")


def _gpu_name() -> str | None:
    """Return the name of the first GPU of NVIDIA that the driver's own program knows, None if there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"GPU \d+: ([^(\n]+)", done.stdout)
    return match[1].strip() if done.returncode == 0 and match else None


def _caches() -> Iterator[Finding]:
    """Write to the folders that downloads and checkpoints' code go to."""
    from huggingface_hub import constants

    folders = {"HF_HOME": constants.HF_HOME, "HF_HUB_CACHE": constants.HF_HUB_CACHE}
    folders["HF_MODULES_CACHE"] = os.environ.get("HF_MODULES_CACHE", str(Path(constants.HF_HOME) / "modules"))
    seen: set[Path] = set()
    for variable, folder in folders.items():
        place = Path(folder).expanduser()
        while not place.exists() and place != place.parent:  # the folder itself is made when it is needed
            place = place.parent
        if place in seen:
            continue
        seen.add(place)
        problem = _cannot_write(place)
        if problem is not None:
            mend = f"mkdir -p ~/hf && export {variable}=~/hf"
            if place.is_dir() and hasattr(os, "getuid") and place.stat().st_uid == os.getuid():
                mend = f"chmod u+rwx {shlex.quote(str(place))}"
            yield found("PS303", None, variable=variable, folder=folder, problem=problem, command=mend)


def _cannot_write(place: Path) -> str | None:
    if not place.is_dir():
        return f"{place} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=place) as stream:
            stream.write(b"x" * 4096)
    except OSError as error:
        return f"{place} cannot be written to, {error.strerror}"
    return None


def _network() -> Iterator[Finding]:
    """Ask the proxies and the Hub for an answer, unless the environment says offline."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return
    dead = False
    scheme = urlsplit(constants.ENDPOINT).scheme
    for name, value in urllib.request.getproxies().items():
        if name not in ("http", "https", "all"):
            continue
        parts = urlsplit(value if "//" in value else f"//{value}")
        try:
            host, port = parts.hostname or "", parts.port or 80
            socket.create_connection((host, port), timeout=_PATIENCE).close()
        except (OSError, ValueError) as error:
            dead = dead or name in (scheme, "all")
            what = f"The proxy of {name.upper()}_PROXY, {parts.hostname}:{parts.port or 80},"
            unset = f"unset {name.upper()}_PROXY {name}_proxy  # or name one that answers"
            yield found("PS304", None, what=what, problem=_reason(error), command=unset)
    if dead:
        return
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            return
    except urllib.error.HTTPError as error:
        if error.code < 500:
            return
        problem = f"it says {error.code}"
    except (OSError, ValueError) as error:
        problem = _reason(error)
    is_default = "HF_ENDPOINT" not in os.environ
    mend = "export HF_HUB_OFFLINE=1  # to work with what is in the cache" if is_default else "unset HF_ENDPOINT"
    yield found("PS304", None, what=f"The Hub at {_without_user(constants.ENDPOINT)}", problem=problem, command=mend)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause).rstrip(".") or type(error).__name__


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _leftovers(folder: Path) -> Iterator[Finding]:
    """Find unfinished outputs below a folder, and unfinished downloads in the Hub's cache."""
    from huggingface_hub import constants

    by_output: dict[str, list[Path]] = {}
    for file in filter(is_partial, _below(folder)):
        by_output.setdefault(_ENDING.sub("", str(file)), []).append(file)
    for output, files in by_output.items():
        remove = f"rm {' '.join(shlex.quote(str(file)) for file in files)}"
        resume = f"pipe run TASK --input INPUT --output {shlex.quote(output)} --resume  # or: {remove}"
        only_journal = all(file.name.endswith(".journal") for file in files)
        yield _leftover(files[0], "a run that was interrupted", remove if only_journal else resume)
    for file in Path(constants.HF_HUB_CACHE).glob("*--*/blobs/*.incomplete"):
        yield _leftover(file, "a download that was interrupted", f"rm {shlex.quote(str(file))}")


def _leftover(file: Path, of: str, command: str) -> Finding:
    return found("PS305", None, what=str(file), size=f"{file.stat().st_size:,} bytes", of=of, command=command)


def _below(folder: Path) -> Iterator[Path]:
    """Yield files below a folder, hidden folders and links left out, up to a number of entries."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        count += len(files) + len(folders)
        yield from (Path(place, name) for name in sorted(files) if not Path(place, name).is_symlink())
        if count > _MAX_ENTRIES:
            return
