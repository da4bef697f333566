"""The known files of a model folder, and reading those that are JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tvmerge._util.parsing import parse_json
from tvmerge._util.regular import open_regular, read_utf8
from tvmerge.errors import CheckpointError

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"
CARD = "README.md"
CHAT_TEMPLATE = "chat_template.jinja"

_POINTERS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
"""The first bytes of a git-lfs pointer; the second form is from before its first release."""


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Raise if a file is a git-lfs pointer instead of the file itself.

    Raises:
        CheckpointError: One is a pointer; the message says how to get the file.
    """
    for path in paths:
        try:
            with open_regular(path) as file:
                begin = file.read(max(map(len, _POINTERS)))
        except OSError:  # reported when the file is read
            continue
        if begin.startswith(_POINTERS):
            raise CheckpointError(
                f"{path}: is a git-lfs pointer and not the file itself; run `git lfs pull` in {path.parent}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model folder.

    Raises:
        CheckpointError: The file cannot be read or is not a JSON object.
    """
    try:
        refuse_pointers([path])
        data = parse_json(read_utf8(path))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent} has no {path.name}; is it a model folder in transformers' format?"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return data
