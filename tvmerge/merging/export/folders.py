"""Decides which folders may be replaced: those that tvmerge wrote, and others if the user asks for it.

A folder written by tvmerge contains `tvmerge.json`, which names its owner and its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.real_path import real_path
from tvmerge._util.regular import read_utf8
from tvmerge.errors import CheckpointError, ConfigError

MARKER = "tvmerge.json"

WRITING = ".tvmerge-writing"
"""Marks a folder that is being filled; see `tvmerge.merging.export.replacement`."""

REPLACED = ".tvmerge-replaced"
"""Marks a folder that is renamed to make room for another."""


def experts_folder(folder: Path) -> Path:
    """Return the folder for the experts of a mixture that is written to `folder`."""
    return folder.with_name(f"{folder.name}-experts")


def expert_folder(experts: Path, number: int) -> Path:
    """Return the folder of one expert in the folder of the experts."""
    return experts / f"expert-{number}"


def check_replaceable(
    folder: Path, owner: str | None, *, overwrite: bool, sources: Iterable[Path] = ()
) -> None:
    """Check that writing to `folder` destroys nothing that tvmerge did not write.

    Args:
        folder: The folder of the model.
        owner: The model's owner; an earlier model of the same owner may be replaced.
        overwrite: Whether any contents may be replaced, except source models.
        sources: Folders that must never be replaced.

    Raises:
        CheckpointError: The folder must not be replaced.
    """
    place = real_path(folder)
    for source in sources:
        if real_path(source).is_relative_to(place):
            raise CheckpointError(f"{folder} holds a model that is merged from; choose another output folder")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise CheckpointError(f"{folder} exists and is not a folder; choose another output folder")
    if overwrite or not folder.exists() or not any(folder.iterdir()):
        return
    marker = read_marker(folder)
    if owner is None or marker.get("owner") != owner:
        written = "was written by another run" if owner else "holds a merged model already"
        whose = written if marker else "is not empty"
        raise CheckpointError(f"{folder} {whose}; choose another output folder, or pass --overwrite")
    foreign = sorted(
        {path.name for path in folder.iterdir()} - {MARKER, WRITING, REPLACED, *written_files(marker)}
    )
    if foreign:
        raise CheckpointError(
            f"{folder} also holds files tvmerge did not write ({', '.join(foreign[:3])}); move them away, or "
            "pass --overwrite"
        )


def check_precious(folder: Path, precious: Iterable[tuple[str, Path]], what: str = "--output-dir") -> None:
    """Check that a folder that may be replaced does not hold anything else that is needed.

    Args:
        folder: The folder of the model.
        precious: What must stay, and what it is called in messages.
        what: What the folder is called in messages.

    Raises:
        ConfigError: The folder holds something of it.
    """
    place = real_path(folder)
    for name, path in precious:
        if real_path(path).is_relative_to(place):
            raise ConfigError(f"{what} {folder} holds {name}; choose a separate folder")


def written_files(marker: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that a marker lists."""
    files = marker.get("files")
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


def read_marker(folder: Path) -> dict[str, Any]:
    """Return the content of `tvmerge.json` in `folder`; empty if it is missing or invalid."""
    try:
        data = parse_json(read_utf8(folder / MARKER))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
