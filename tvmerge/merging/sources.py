"""From what the user calls a model to a folder on this machine, and a record of what it resolved to.

A reference is a local folder, or a hub id `name` or `owner/name`, with `@revision` where wanted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tvmerge.errors import CheckpointError
from tvmerge.merging import layout

_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*(?:/[\w-][\w.-]*)?)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class Source:
    """A model reference, resolved.

    Attributes:
        folder: The local folder with its files.
        name: What to call it where no local path may appear: the folder's name or the hub id.
        commit: The commit the hub resolved it to; None for a local folder.
    """

    folder: Path
    name: str
    commit: str | None = None

    @property
    def identity(self) -> str:
        """`name`, or `name@commit` for a model of the hub."""
        return self.name if self.commit is None else f"{self.name}@{self.commit}"


def resolve(reference: str, *, cache_dir: Path | None = None, allow_pickle: bool = False) -> Source:
    """Find a model, downloading it from the hub if it is no folder here.

    Metadata comes first, so that a wrong model is known before its weights are downloaded. Hub files
    are limited to weights, configuration, tokenizer, chat templates and the model's own code.

    Args:
        reference: A folder, or a hub id with or without `@revision`.
        cache_dir: The hub's cache; its usual place unless given.
        allow_pickle: Also download pickled weights, where the model has no others.

    Raises:
        CheckpointError: It is neither a folder nor a model the hub can give.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return Source(folder, folder.resolve().name)
    if folder.exists():
        raise CheckpointError(f"'{reference}' is a file; give the folder that holds the model")
    match = _HUB_ID.fullmatch(reference)
    if match is None:
        raise CheckpointError(
            f"'{reference}' is not a folder here, and no hub id (owner/name or owner/name@revision)"
        )
    return _from_hub(match["id"], match["revision"], cache_dir, allow_pickle=allow_pickle)


def _from_hub(name: str, revision: str | None, cache_dir: Path | None, *, allow_pickle: bool) -> Source:
    folder = _snapshot(name, revision, cache_dir, layout.METADATA_PATTERNS)
    if not (folder / layout.CONFIG).exists():
        raise CheckpointError(f"the hub's '{name}' has no {layout.CONFIG}: not a model transformers can read")
    commit = folder.name  # the hub's cache names a snapshot's folder by its commit
    folder = _snapshot(name, commit, cache_dir, ("model*.safetensors",))
    if allow_pickle and not any(folder.glob("model*.safetensors")):
        folder = _snapshot(name, commit, cache_dir, ("pytorch_model*.bin", layout.PICKLE_INDEX))
    return Source(folder, name, commit)


def _snapshot(name: str, revision: str | None, cache_dir: Path | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError

    neither = f"'{name}' is not a folder here, and the hub cannot give it"
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except GatedRepoError as error:
        raise CheckpointError(f"{neither}: it is gated; accept its terms there and set HF_TOKEN") from error
    except (OSError, ValueError, HFValidationError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{neither}: {reason}") from error
