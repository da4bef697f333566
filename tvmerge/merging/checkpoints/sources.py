"""Resolves the user's reference to a model to a local folder.

A reference is a local folder, or a hub id `name` or `owner/name`, optionally with `@revision`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvmerge._util.files import hub_snapshot
from tvmerge._util.hub_errors import why_not_on_hub
from tvmerge._util.real_path import real_path
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints import layout
from tvmerge.merging.checkpoints.contents import hub_ignores

_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*(?:/[\w-][\w.-]*)?)(?:@(?P<revision>[\w./-]+))?")
_SAFETENSORS = ("model*.safetensors", layout.ADAPTER_WEIGHTS)
_PICKLES = ("pytorch_model*.bin", layout.PICKLE_INDEX, layout.ADAPTER_PICKLE)


@dataclass(frozen=True, slots=True)
class Source:
    """A resolved model reference.

    Attributes:
        folder: The local folder with its files.
        name: Its name where no local path may appear: the hub id, or the last part of the folder's path.
        repository: Its hub id; None for a folder outside the hub's cache.
        commit: The commit of `repository`.
        downloaded: Whether it was given as a hub id, not as a path of a folder in the hub's cache.
    """

    folder: Path
    name: str
    repository: str | None = None
    commit: str | None = None
    downloaded: bool = False

    @property
    def reference(self) -> str:
        """A reference that stays valid: with a commit, or as an absolute path."""
        return self.identity if self.downloaded else str(real_path(self.folder))

    @property
    def portable(self) -> str:
        """A reference without a path of this machine, which cannot be confused with a hub id.

        A local folder is named relative to the folder that contains the models.
        """
        return f"./{self.name}" if self.repository is None else self.identity

    @property
    def is_adapter(self) -> bool:
        """Whether it is a LoRA adapter, not a complete model."""
        return (self.folder / layout.ADAPTER_CONFIG).is_file()

    @property
    def identity(self) -> str:
        """The name, or id and commit for a model of the hub."""
        return self.name if self.repository is None else f"{self.repository}@{self.commit}"


def resolve(reference: str, *, cache_dir: Path | None = None, code: bool = False) -> Source:
    """Resolve a reference, downloading all files of a hub model except weights, so they can be checked first.

    Args:
        reference: A folder, or a hub id with or without `@revision`.
        cache_dir: The hub's cache; default: its usual folder.
        code: Whether to also download the model's code.

    Raises:
        CheckpointError: It is neither a folder nor a model that can be downloaded.
    """
    folder = Path(reference).expanduser()
    if reference and folder.is_dir():
        repository, commit = hub_snapshot(folder) or (None, None)
        return Source(folder, repository or real_path(folder).name, repository, commit)
    if folder.is_file():
        raise CheckpointError(f"'{reference}' is a file; pass the folder of the model")
    match = _HUB_ID.fullmatch(reference)
    if match is None:
        raise CheckpointError(
            f"'{reference}' is not a folder here, and not a hub id (owner/name or owner/name@revision)"
        )
    folder = _snapshot(match["id"], match["revision"], cache_dir, ignore=hub_ignores(code=code))
    if not (folder / layout.CONFIG).exists() and not (folder / layout.ADAPTER_CONFIG).exists():
        raise CheckpointError(
            f"the hub's '{reference}' has no {layout.CONFIG}: no model transformers can read"
        )
    # In the hub's cache, snapshots are named by commit.
    return Source(folder, match["id"], match["id"], folder.name, downloaded=True)


def fetch_weights(source: Source, *, cache_dir: Path | None = None, allow_pickle: bool = False) -> None:
    """Download a hub model's weights into its resolved folder; do nothing for a local folder.

    Args:
        source: The result of `resolve`.
        cache_dir: As for `resolve`.
        allow_pickle: Whether to download pickled weights if the model has no others.

    Raises:
        CheckpointError: The weights cannot be downloaded.
    """
    if not source.downloaded or source.repository is None:
        return
    _snapshot(source.repository, source.commit, cache_dir, allow=_SAFETENSORS)
    if allow_pickle and not any(path for pattern in _SAFETENSORS for path in source.folder.glob(pattern)):
        _snapshot(source.repository, source.commit, cache_dir, allow=_PICKLES)


def check_downloaded(source: Source) -> None:
    """Check that some weights of a hub model are on this machine; do nothing for a local folder.

    Raises:
        CheckpointError: They are not; the message says how to get them.
    """
    weights = [path for pattern in ("*.safetensors", "*.bin") for path in source.folder.glob(pattern)]
    if not source.downloaded or weights:
        return
    raise CheckpointError(
        f"the weights of {source.identity} are not on this machine, and this command downloads nothing: "
        f"`hf download {source.repository} --revision {source.commit}`"
    )


def _snapshot(
    name: str,
    revision: str | None,
    cache_dir: Path | None,
    *,
    allow: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=None if allow is None else list(allow),
                ignore_patterns=None if ignore is None else list(ignore),
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except Exception as error:  # the hub's client does not translate errors of its HTTP library
        raise CheckpointError(
            f"'{name}' is not a folder here, and {why_not_on_hub(error)}, or choose a folder with the model"
        ) from error
