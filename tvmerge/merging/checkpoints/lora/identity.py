"""Checks by names that a model is the one that an adapter was trained on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.real_path import real_path
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.layout import ADAPTER_CONFIG, CONFIG, read_json
from tvmerge.merging.checkpoints.lora.config import check_adapter_config
from tvmerge.merging.checkpoints.quantised import declared
from tvmerge.merging.checkpoints.sources import Source, resolve

_SNAPSHOT = re.compile(r"models--(.+)")
_QUANTISED = re.compile(
    r"[-_.](?:(?:unsloth[-_.])?bnb|bitsandbytes|nf4|(?:mx|nv)?fp4|fp8(?:-dynamic)?|int[48]|[48]-?bits?|gptq|awq|"
    r"w\d+a\d+|quantized)(?=[-_.]|$)",
    re.IGNORECASE,
)
"""Suffixes in the names of quantised copies of models."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A model by name.

    Attributes:
        owner: Its publisher; None if unknown.
        name: Its name without the owner.
    """

    owner: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.owner is None else f"{self.owner}/{self.name}"

    def matches(self, other: Repository) -> bool:
        """Return whether both may be the same, ignoring case and unknown owners."""
        owners = {one.owner.lower() for one in (self, other) if one.owner is not None}
        return self.name.lower() == other.name.lower() and len(owners) < 2

    @property
    def original(self) -> Repository | None:
        """The original of a quantised copy, by any owner; None if the name is not that of a copy."""
        plain = _QUANTISED.sub("", self.name)
        return None if plain == self.name else Repository(None, plain)


def repository(reference: str) -> Repository:
    """Return the model that a reference means: a hub id, a folder, or a snapshot in the hub's cache."""
    parts = [part for part in re.split(r"[\\/]", reference) if part not in {"", "."}]
    for part in reversed(parts):
        if (match := _SNAPSHOT.fullmatch(part)) is not None:
            owner, _, name = match[1].rpartition("--")
            return Repository(owner or None, name)
    is_id = len(parts) == 2 and not reference.startswith(("/", "\\", ".", "~"))
    return Repository(parts[0] if is_id else None, parts[-1].split("@")[0] if parts else "")


def adapter_base(
    adapter: Source, given: str | None, *, cache_dir: Path | None = None, code: bool = False
) -> tuple[Source, str | None]:
    """Find and check the base model of an adapter.

    Args:
        adapter: The adapter.
        given: The user's reference to the base; None to use that in the adapter's configuration.
        cache_dir: See `sources.resolve`.
        code: See `sources.resolve`.

    Returns:
        The base, and a remark if names alone do not show that it is the right one.

    Raises:
        CheckpointError: The adapter is of a kind that cannot be added, or the model cannot be found, is not
            the one that the adapter was trained on, or is quantised.
    """
    config = read_json(adapter.folder / ADAPTER_CONFIG)
    check_adapter_config(config, adapter.name)
    wanted = str(config.get("base_model_name_or_path") or "")
    if given is not None:
        base = resolve(given, cache_dir=cache_dir, code=code)
        return base, _compared(wanted, adapter, base)
    if not wanted:
        raise CheckpointError(f"{adapter.name} does not say what it was trained on; pass its base model")
    try:
        base = resolve(wanted, cache_dir=cache_dir, code=code)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {adapter.name} was trained on it; pass its base model") from error
    # Only its weights show whether a local folder is quantised; a quantised copy is not downloaded for that.
    if repository(wanted).original is not None and declared(_settings(base)) is not None:
        raise CheckpointError(
            f"{adapter.name} was trained on '{repository(wanted)}', whose weights are quantised; pass "
            "the float model that it was made from as base model"
        )
    return base, None


def _compared(wanted: str, adapter: Source, base: Source) -> str | None:
    if not wanted:
        return f"{adapter.name} does not say what it was trained on; {base.name} is taken for it"
    trained = repository(wanted)
    known = repository(base.repository or str(real_path(base.folder)))
    if trained.matches(known):
        return None
    if trained.original is not None and trained.original.matches(known):
        return f"{adapter.name} was trained on '{trained}'; {base.name} is taken for its float original"
    # Older releases of transformers store the model's origin in its configuration.
    origin = str(_settings(base).get("_name_or_path") or "")
    if known.owner is None and origin and trained.matches(repository(origin)):
        return f"{adapter.name} was trained on '{trained}', from which {base.name} says that it comes"
    kind = " (a quantised copy)" if trained.original is not None else ""
    raise CheckpointError(
        f"{adapter.name} was trained on '{trained}'{kind}, but the base model is '{base.name}'; pass the "
        f"model it was trained on, or, if this is the same one or its float original, write '{base.name}' as "
        f"base_model_name_or_path into {adapter.folder / ADAPTER_CONFIG}"
    )


def _settings(base: Source) -> dict[str, Any]:
    return read_json(base.folder / CONFIG) if (base.folder / CONFIG).is_file() else {}
