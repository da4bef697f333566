"""What an installation can do, and what is wrong with it: `tvmerge doctor`."""

from __future__ import annotations

import os
import platform
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from tvmerge._util.assets import names
from tvmerge._util.caches import cache_folder
from tvmerge._util.host_memory import available_memory
from tvmerge._util.outputs import check_folder
from tvmerge._version import __version__
from tvmerge.errors import UserError
from tvmerge.judging.spec import JudgeSpec, read_spec
from tvmerge.report.numbers import count, size


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report.

    Attributes:
        topic: What it is about.
        text: What was found.
        problem: Whether runs would fail because of it.
    """

    topic: str
    text: str
    problem: bool = False

    def __str__(self) -> str:
        return f"{self.topic}: {'PROBLEM: ' if self.problem else ''}{self.text}"


def examine() -> Iterator[Finding]:
    """Yield what was found, without using the network."""
    yield Finding("tvmerge", f"{__version__}, Python {platform.python_version()} on {platform.platform()}")
    yield from _packages()
    yield from _devices()
    yield from _judges()
    yield _cache()


def _packages() -> Iterator[Finding]:
    """Yield the versions of what every run needs, and of each extra."""
    extras: dict[str, list[str]] = defaultdict(list)
    missing: dict[str, list[str]] = defaultdict(list)
    try:
        needs = requires("tvmerge") or ()
    except PackageNotFoundError:
        yield Finding("packages", "tvmerge runs without being installed, so what it needs is not known")
        return
    for line in needs:
        needed = Requirement(line)
        extra = _extra(needed)
        if extra in {"all", "dev", "vllm-cpu"} or not _applies(needed, extra):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            missing[extra].append(needed.name)
            continue
        extras[extra].append(f"{needed.name} {found}")
        if not needed.specifier.contains(found, prereleases=True):
            yield Finding(
                "packages",
                f"{needed.name} {found} is installed, but {needed} is needed; run: pip install '{needed}'",
                problem=True,
            )
    yield Finding("packages", ", ".join(extras.pop("", ())))
    if core := missing.pop("", None):
        text = f"not installed: {', '.join(core)}; run: pip install --upgrade tvmerge"
        yield Finding("packages", text, problem=True)
    for extra in sorted(extras.keys() | missing.keys()):
        if absent := missing.get(extra):
            text = f"{', '.join(absent)} not installed; to use it: pip install 'tvmerge[{extra}]'"
        else:
            text = ", ".join(extras[extra])
        yield Finding(f"extra {extra}", text)


def _extra(needed: Requirement) -> str:
    """Return the extra that a requirement belongs to; empty if every run needs it."""
    marker = str(needed.marker or "")
    _, found, rest = marker.partition('extra == "')
    return rest.partition('"')[0] if found else ""


def _applies(needed: Requirement, extra: str) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": extra})


def _devices() -> Iterator[Finding]:
    """Yield the devices, and the engine that `--engine auto` would choose."""
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding("torch", f"cannot be imported: {_one_line(error)}; install it again", problem=True)
        return
    from tvmerge.engines.vllm.version import is_usable

    room = available_memory()
    memory = "" if room is None else f", {size(room)} of memory free"
    yield Finding("cpu", f"{count(os.cpu_count() or 1, 'core')}{memory}")
    for number in range(torch.cuda.device_count()):
        try:
            name = torch.cuda.get_device_name(number)
            free, whole = torch.cuda.mem_get_info(number)
        except RuntimeError as error:
            yield Finding(f"cuda:{number}", f"cannot be used: {_one_line(error)}", problem=True)
            continue
        yield Finding(f"cuda:{number}", f"{name}, {size(free)} of {size(whole)} free")
    if not torch.cuda.is_available():
        build = "a build of torch for CPUs" if torch.version.cuda is None else "torch finds no GPU"
        yield Finding("gpu", f"none ({build}), so models run on the CPU")
    chosen = "vllm" if torch.cuda.is_available() and is_usable() else "transformers"
    yield Finding("engine", f"--engine auto chooses {chosen}")


def _one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _judges() -> Iterator[Finding]:
    """Yield for which judges there is a key."""
    judges: dict[str, list[str]] = defaultdict(list)
    for path in names("judges").values():
        try:
            spec = read_spec(path)
        except UserError as error:
            yield Finding("judges", f"cannot be used: {error}")
            continue
        if needs_key(spec):
            judges[spec.api_key_env].append(spec.name)
    for variable, found in sorted(judges.items()):
        state = "is set" if os.environ.get(variable, "").strip() else "is not set"
        yield Finding("keys", f"{variable} {state}, for {', '.join(found)}")


def needs_key(spec: JudgeSpec) -> bool:
    """Return whether a judge needs an API key."""
    return spec.on_server and spec.key_required and bool(spec.api_key_env)


def _cache() -> Finding:
    """Return the folder of stored answers and judgments, and the free space of its disk."""
    folder = cache_folder()
    try:
        check_folder(folder, "the cache")
    except UserError as error:
        return Finding("cache", str(error), problem=True)
    there: Path = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return Finding("cache", f"{folder}, {size(shutil.disk_usage(there).free)} free")
