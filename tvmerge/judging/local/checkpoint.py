"""Identifies the checkpoint of a local judge and checks that it is available, without loading it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tvmerge._util.hub_errors import why_not_on_hub
from tvmerge.errors import CheckpointError
from tvmerge.judging.spec import JudgeSpec

_SAMPLE, _STEP = 1 << 16, 1 << 20
"""Of a large file, so many bytes are read at every multiple of the step."""

_WHOLE = 1 << 26
"""Files of up to so many bytes are read in full."""


def identity(model: str) -> str:
    """Return what identifies a model in a judge's cache keys: its hub id, or a digest of its folder.

    Weights are too large to be read in full each time. Of a file of more than 64 MiB, the digest covers the
    size, the first MiB (which has the names and shapes of its tensors), 64 KiB of every MiB, and the end.

    Raises:
        CheckpointError: The model is a path that does not exist.
    """
    folder = Path(model)
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
            raise CheckpointError(f"the judge model {model}: there is no such folder")
        return model
    content = hashlib.sha256()
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    for path in files:
        size = path.stat().st_size
        content.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _WHOLE:
                content.update(file.read(_WHOLE))
                continue
            content.update(file.read(_STEP))
            for start in (*range(_STEP, size - _SAMPLE, _STEP), size - _SAMPLE):
                file.seek(start)
                content.update(file.read(_SAMPLE))
    return f"{folder.name}@{content.hexdigest()[:16]}"


def check_available(spec: JudgeSpec) -> None:
    """Check that a model is there, by its smallest file: the others are loaded when it is first asked.

    Raises:
        CheckpointError: It is no folder here, and the hub does not give it.
    """
    if Path(spec.model).is_dir():
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    name, _, revision = spec.model.partition("@")
    try:
        hf_hub_download(name, "config.json", revision=revision or None)
    except HFValidationError:
        return  # a path, whose folder is looked for when the judge is made
    except Exception as error:  # the hub's client lets errors of its HTTP library through
        raise CheckpointError(
            f"the judge '{spec.name}': '{spec.model}' is not a folder here, and {why_not_on_hub(error)}, or "
            "choose another judge, or a folder with the model"
        ) from error
