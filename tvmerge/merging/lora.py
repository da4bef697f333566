"""LoRA adapters in peft's format: the task vector B·A·scale of some matrices, computed a few rows at a time.

Hu et al. 2021, "LoRA"; the scale is alpha / rank, or alpha / sqrt(rank) where rank-stabilised (Kalajdzievski
2023).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.errors import CheckpointError
from tvmerge.files import folder_name
from tvmerge.merging.digests import DigestCache, files_digest
from tvmerge.merging.layout import ADAPTER_CONFIG, ADAPTER_PICKLE, ADAPTER_WEIGHTS, read_json
from tvmerge.merging.shards import PickleShard, SafetensorsShard, Shard

if TYPE_CHECKING:
    import torch

    from tvmerge.merging.checkpoint import Checkpoint
    from tvmerge.merging.shards import TensorSpec

_PREFIX = "base_model.model."
_DENSE = (".lora_A.weight", ".lora_B.weight")
_EMBEDDING = (".lora_embedding_A", ".lora_embedding_B")
_REFUSED = {
    "use_dora": "DoRA, which is not a sum",
    "lora_bias": "biases of its own",
    "target_parameters": "parameters of fused experts",
    "trainable_token_indices": "single trained tokens",
    "megatron_config": "Megatron layers",
}
"""Keys of `adapter_config.json` that mean more than B·A·scale, and what they mean."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What an adapter adds to one tensor: left @ right * scale.

    Attributes:
        tensor: Name of the tensor in the base checkpoint.
        left: Name in the adapter's file of the factor with a row for each row of the tensor.
        right: Name of the other factor.
        flipped: Whether both lie transposed in the file: the tensor has its input dimension first.
        scale: What the product is multiplied by.
    """

    tensor: str
    left: str
    right: str
    flipped: bool
    scale: float


class Adapter:
    """A LoRA adapter of a base model.

    Args:
        folder: Folder with `adapter_config.json` and `adapter_model.safetensors`.
        base: The model it was trained on; checked.
        name: What messages and reports call it.
        allow_pickle: Also read `adapter_model.bin`, tensors only.
        digest_cache: Where digests of files are remembered.

    Raises:
        CheckpointError: It cannot be read, was trained on another model, does not fit `base`, or is of a kind
            that cannot be written as a sum.
    """

    def __init__(
        self,
        folder: Path,
        base: Checkpoint,
        name: str,
        *,
        allow_pickle: bool = False,
        digest_cache: DigestCache | None = None,
    ) -> None:
        self.folder, self.name, self.base, self.digest_cache = folder, name, base, digest_cache
        self.config = read_json(folder / ADAPTER_CONFIG)
        check_adapter_config(self.config, name, folder_name(base.folder))
        self._shard = _open(folder, name, allow_pickle=allow_pickle)
        self.factors: Mapping[str, Factors]
        self.replaced: Mapping[str, str]
        self.factors, self.replaced = self._read()

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Shape and format of every tensor of the file."""
        return self._shard.specs

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor `name` of the adapter's file."""
        return self._shard.tensor(name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over configuration and weights."""
        return files_digest(self.folder, [self._shard.path, self.folder / ADAPTER_CONFIG], self.digest_cache)

    def _read(self) -> tuple[dict[str, Factors], dict[str, str]]:
        """Sort the file's tensors into factors and whole replacements, both by the base's tensor name."""
        own = self.base.arrangement
        tensors = {**own.tied, **own.names}
        factors: dict[str, Factors] = {}
        replaced: dict[str, str] = {}
        problems: list[str] = []
        split = {key: _split(key) for key in self.specs}
        wanted = {key: module + (".weight" if ending else "") for key, (module, ending) in split.items()}
        own_names = self.base.structure.own_names(wanted.values())
        for key, (module, ending) in split.items():
            tensor = tensors.get(own_names.get(wanted[key], ""))
            if tensor is None:
                problems.append(f"{self.base.name} has no place for {key}")
            elif ending == "":
                replaced[tensor] = key
                if self.specs[key].shape != self.base.specs[tensor].shape:
                    problems.append(
                        f"{key} is {list(self.specs[key].shape)} and replaces {self._shape(tensor)}"
                    )
            elif ending in {_DENSE[0], _EMBEDDING[0]}:
                factors[tensor] = self._factors(tensor, module, key, embedding=ending == _EMBEDDING[0])
            elif key.replace("lora_B", "lora_A").replace("embedding_B", "embedding_A") not in self.specs:
                problems.append(f"half of the factors of {tensor} is missing")
        problems += [problem for found in factors.values() if (problem := self._misfit(found))]
        if problems:
            raise CheckpointError(f"{self.name} does not fit {self.base.name}: {'; '.join(problems)}")
        if not factors and not replaced:
            raise CheckpointError(f"{self.name}: its file holds no LoRA weights")
        return factors, replaced

    def _factors(self, tensor: str, module: str, a: str, *, embedding: bool) -> Factors:
        b = a.replace("lora_embedding_A", "lora_embedding_B") if embedding else a.replace("lora_A", "lora_B")
        flipped = embedding or bool(self.config.get("fan_in_fan_out"))
        scale = adapter_scale(self.config, module)
        return Factors(tensor, *((a, b) if flipped else (b, a)), flipped, scale)

    def _misfit(self, factors: Factors) -> str | None:
        shapes = [
            self.specs[name].shape if name in self.specs else None for name in (factors.left, factors.right)
        ]
        if None in shapes:
            return f"half of the factors of {factors.tensor} is missing"
        left, right = (tuple(reversed(s or ())) if factors.flipped else (s or ()) for s in shapes)
        wanted = self.base.specs[factors.tensor].shape
        if len(left) != 2 or len(right) != 2 or left[1] != right[0] or (left[0], right[1]) != wanted:
            return f"factors {list(left)} and {list(right)} do not make {self._shape(factors.tensor)}"
        return None

    def _shape(self, tensor: str) -> str:
        return f"{tensor} {list(self.base.specs[tensor].shape)}"


def check_adapter_config(config: Mapping[str, Any], name: str, base: str) -> None:
    """Check what the configuration alone tells.

    Args:
        config: Content of `adapter_config.json`.
        name: The adapter's name.
        base: The base model's name: a folder's, or a hub id.

    Raises:
        CheckpointError: The adapter is of another kind, or was trained on another model.
    """
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{name}: is a {config.get('peft_type')} adapter; only LoRA can be added")
    odd = [meaning for key, meaning in _REFUSED.items() if config.get(key)]
    if config.get("bias", "none") != "none":
        odd.append("trained biases of the base model")
    if config.get("init_lora_weights") not in {None, True, False, "gaussian", "eva", "orthogonal"}:
        odd.append(f"a base model changed by {config['init_lora_weights']}")
    if odd:
        raise CheckpointError(
            f"{name}: uses {', '.join(odd)}; merge it into its base with peft and pass the result"
        )
    wanted = str(config.get("base_model_name_or_path") or "")
    if wanted and _last_part(wanted) != _last_part(base):
        raise CheckpointError(
            f"{name} was trained on '{_last_part(wanted)}', but the base model is '{base}'; pass the "
            f"model it was trained on, or correct base_model_name_or_path in its {ADAPTER_CONFIG}"
        )


def adapter_scale(config: Mapping[str, Any], module: str) -> float:
    """The factor of B·A for one module, by peft's rules for modules with a rank or alpha of their own."""
    rank = _own(config.get("rank_pattern"), module, config.get("r"))
    alpha = _own(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _own(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _split(key: str) -> tuple[str, str]:
    """A key of the file as the module it belongs to and its LoRA ending, empty for a whole tensor."""
    name = key.removeprefix(_PREFIX).replace(".base_layer.", ".").replace(".modules_to_save.", ".")
    for ending in (*_DENSE, *_EMBEDDING):
        if name.endswith(ending):
            return name.removesuffix(ending), ending
    return name, ""


def _open(folder: Path, name: str, *, allow_pickle: bool) -> Shard:
    if (folder / ADAPTER_WEIGHTS).is_file():
        return SafetensorsShard(folder / ADAPTER_WEIGHTS)
    if not (folder / ADAPTER_PICKLE).is_file():
        raise CheckpointError(f"{name}: has {ADAPTER_CONFIG}, but no {ADAPTER_WEIGHTS}")
    if not allow_pickle:
        raise CheckpointError(
            f"{name}: has only pickled weights ({ADAPTER_PICKLE}), which can hold code; pass --allow-pickle"
        )
    return PickleShard(folder / ADAPTER_PICKLE)


def _last_part(reference: str) -> str:
    return re.split(r"[\\/]", reference.rstrip("\\/").split("@")[0])[-1].lower()
