"""A model folder: configuration and lazily read weights, in one file or several."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.real_path import real_path
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints import layout
from tvmerge.merging.checkpoints.contents import companions, deciding
from tvmerge.merging.checkpoints.digests import DigestCache, files_digest
from tvmerge.merging.checkpoints.quantised import declared, method_of, method_of_names
from tvmerge.merging.checkpoints.shards import Extent, PickleShard, SafetensorsShard, Shard, TensorSpec
from tvmerge.merging.checkpoints.untied import head_of_its_own, untied_config, untied_structure
from tvmerge.merging.dtypes import BYTES

if TYPE_CHECKING:
    import torch

    from tvmerge.merging.checkpoints.arrangement import Arrangement, Structure
    from tvmerge.merging.checkpoints.vocabulary import Vocabulary


_SHOWN = 100
"""Number of characters of a strange name in a message."""


class Checkpoint:
    """A causal language model on disk, read through memory maps tensor by tensor.

    Args:
        folder: A local folder in transformers' layout.
        name: Its name in messages and reports; default: the folder's name.
        allow_pickle: Whether to also read `pytorch_model.bin`, restricted to tensors.
        trust_remote_code: Whether transformers may run the folder's modelling code to read its structure.
        digest_cache: The cache of files' digests.
        untie: Whether to treat a head that is tied to the embeddings as a separate tensor.

    Attributes:
        config: The content of its `config.json`.

    Raises:
        CheckpointError: A file is missing, unreadable or damaged, or the weights are quantised.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
        digest_cache: DigestCache | None = None,
        untie: bool = False,
    ) -> None:
        self.folder = folder
        self.name = name or real_path(folder).name
        self.trust_remote_code = trust_remote_code
        self.config = layout.read_json(folder / layout.CONFIG)
        self._untie = untie
        self.digest_cache = digest_cache
        layout.refuse_pointers(companions(folder, code=trust_remote_code))
        self._shards = _open_shards(folder, allow_pickle=allow_pickle)
        self._home = self._locate()
        stored = {name: shard.specs[name] for name, shard in self._home.items()}
        refuse_quantised(self.name, method_of(stored), self.config)
        self._refuse_odd_formats(stored)

    @cached_property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and dtype of every tensor by name, in the order of the files.

        Names that transformers would not understand are replaced by `Structure.plain_names`.
        """
        return {name: self._home[own].specs[own] for name, own in self._stored.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """Return the tensor `name` in the file's dtype, which may share its memory; do not modify it.

        Raises:
            CheckpointError: There is no such tensor, or the file cannot be read any more.
        """
        if name not in self._stored:
            raise CheckpointError(f"{self.name} has no tensor '{name}'")
        own = self._stored[name]
        return self._home[own].tensor(own)

    def extent(self, name: str) -> Extent | None:
        """Where the tensor `name` lies in a file; None where it is stored in another way."""
        own = self._stored[name]
        return self._home[own].extent(own)

    @cached_property
    def _stored(self) -> Mapping[str, str]:
        """Each tensor's name in its file, by its name."""
        stored = {name: own for own, name in self.structure.plain_names(self._home).items()}
        if not self._untie:
            return stored
        copied = head_of_its_own(self.structure, stored)
        return stored | {head: stored[table] for head, table in copied.items()}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of its weights."""
        return tuple(shard.path for shard in self._shards)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the weights and all other files that can affect an answer."""
        others = deciding(self.folder, code=self.trust_remote_code)
        return files_digest(self.folder, [*self.files, *others], self.digest_cache)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Its tokens with transformers' ids."""
        from tvmerge.merging.checkpoints.vocabulary import read_vocabulary

        rows = self.structure.vocabulary
        return read_vocabulary(self.folder, self.name, rows, trust_remote_code=self.trust_remote_code)

    @cached_property
    def structure(self) -> Structure:
        """The structure of the model that its configuration describes.

        As in transformers, a head whose weights differ from the embeddings is not tied.
        """
        if self._untie:
            return untied_structure(untied_config(self.config), self.name)
        return self._read_structure(untied=True) if self.is_untied else self._declared

    @cached_property
    def _declared(self) -> Structure:
        """The structure according to the configuration alone."""
        return self._read_structure()

    @property
    def changed(self) -> dict[str, Any] | None:
        """The `config.json` of the model as it is read here; None if it is unchanged."""
        return untied_config(self.config) if self._untie or self.is_untied else None

    @cached_property
    def is_untied(self) -> bool:
        """Whether the files have separate weights for a head that the configuration ties."""
        structure = self._declared
        stored = {plain: own for own, plain in structure.plain_names(self._home).items()}
        return any(
            not _same(*(self._home[stored[name]].tensor(stored[name]) for name in pair))
            for pair in structure.arrange(stored).duplicates.items()
        )

    def _read_structure(self, *, untied: bool = False) -> Structure:
        from tvmerge.merging.checkpoints.structure import read_structure

        return read_structure(self.folder, self.name, trust_remote_code=self.trust_remote_code, untied=untied)

    @cached_property
    def arrangement(self) -> Arrangement:
        """Its tensors' names, mapped to those of the model."""
        return self.structure.arrange(self.specs)

    @cached_property
    def heads(self) -> Mapping[str, str]:
        """The tensors of its prediction heads. See `heads.prediction_heads`."""
        from tvmerge.merging.checkpoints.heads import prediction_heads

        return prediction_heads(self.structure, self.specs, self.arrangement.extra)

    def _locate(self) -> dict[str, Shard]:
        home: dict[str, Shard] = {}
        for shard in self._shards:
            for name in shard.specs:
                if name in home:
                    raise CheckpointError(
                        f"{self.name}: tensor '{name}' is in {home[name].path.name} and {shard.path.name}"
                    )
                home[name] = shard
        return home

    def _refuse_odd_formats(self, stored: Mapping[str, TensorSpec]) -> None:
        odd = [f"{name} ({spec.dtype})" for name, spec in stored.items() if spec.dtype not in BYTES]
        if odd:
            raise CheckpointError(
                f"{self.name}: unknown number formats: {', '.join(odd[:3])}"
                f"{f' and {len(odd) - 3} more' if len(odd) > 3 else ''}; use its 16 or 32 bit weights"
            )


def refuse_quantised(name: str, method: str | None, config: Mapping[str, Any]) -> None:
    """Raise if a model's tensors are quantised.

    Args:
        name: The model's name.
        method: The method found in the tensors; None if they are floats, whatever the configuration says.
        config: Its `config.json`, which may name the method more precisely.

    Raises:
        CheckpointError: The model is quantised; the message names the method.
    """
    if method is not None:
        raise CheckpointError(
            f"{name}: its weights are quantised ({declared(config) or method}); task vectors need the float "
            "weights it was quantised from"
        )


def refuse_quantised_index(folder: Path, name: str) -> None:
    """Raise if the index of a model's weights shows that they are quantised, before they are downloaded.

    Raises:
        CheckpointError: It is quantised, or the index cannot be read.
    """
    index = folder / layout.SAFETENSORS_INDEX
    names = layout.read_json(index).get("weight_map") if index.is_file() else None
    if isinstance(names, dict):
        refuse_quantised(name, method_of_names(names), layout.read_json(folder / layout.CONFIG))


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether tensors are equal, comparing the first row first, where most would differ."""
    import torch

    return one.shape == other.shape and torch.equal(one[:1], other[:1]) and torch.equal(one, other)


def _open_shards(folder: Path, *, allow_pickle: bool) -> list[Shard]:
    # In the order of transformers, which prefers a single file to an index.
    if (folder / layout.SAFETENSORS).exists():
        return [SafetensorsShard(folder / layout.SAFETENSORS)]
    if (folder / layout.SAFETENSORS_INDEX).exists():
        return _open_indexed(folder / layout.SAFETENSORS_INDEX, SafetensorsShard)
    pickled = (folder / layout.PICKLE).exists() or (folder / layout.PICKLE_INDEX).exists()
    if not pickled:
        raise CheckpointError(
            f"{folder} has no {layout.SAFETENSORS} and no {layout.SAFETENSORS_INDEX}{_hint(folder)}"
        )
    if not allow_pickle:
        raise CheckpointError(
            f"{folder} has only pickled weights ({layout.PICKLE}), which can hold code; convert it to "
            "safetensors, or pass --allow-pickle"
        )
    if (folder / layout.PICKLE).exists():
        return [PickleShard(folder / layout.PICKLE)]
    return _open_indexed(folder / layout.PICKLE_INDEX, PickleShard)


def _hint(folder: Path) -> str:
    if (folder / layout.ADAPTER_CONFIG).exists():
        return "; it is an adapter (LoRA), and only a tuned model may be one"
    return ""


def _open_indexed(index: Path, kind: type[SafetensorsShard] | type[PickleShard]) -> list[Shard]:
    weight_map = layout.read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: has no 'weight_map'")
    odd = [file for file in weight_map.values() if not isinstance(file, str)]
    if odd:
        raise CheckpointError(f"{index}: its 'weight_map' must have names of files, got {odd[0]!r:.{_SHOWN}}")
    files = sorted(set(weight_map.values()))
    outside = [file for file in files if Path(file).name != file]
    if outside:
        raise CheckpointError(f"{index}: refers to a file outside its folder: {outside[0]:.{_SHOWN}}")
    missing = [file for file in files if not (index.parent / file).is_file()]
    if missing:
        named = ", ".join(f"{file:.{_SHOWN}}" for file in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise CheckpointError(f"{index.parent}: missing {named}{more}; download it again")
    shards: dict[str, Shard] = {file: kind(index.parent / file) for file in files}
    lost = [name for name, file in weight_map.items() if name not in shards[file].specs]
    if lost:
        raise CheckpointError(
            f"{index}: lists '{lost[0]}' in {weight_map[lost[0]]}, which does not contain it"
        )
    return list(shards.values())
