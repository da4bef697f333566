"""A merge request as plain data, which a study stores to reproduce its candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tvmerge.errors import ConfigError
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.methods import METHODS

Vocabulary = Literal["align", "skip", "error"]
Arithmetic = Literal["float32", "original"]
Gate = Literal["random", "zeros", "uniform", "hidden"]
VOCABULARIES: tuple[Vocabulary, ...] = ("align", "skip", "error")
GATES: tuple[Gate, ...] = ("random", "zeros", "uniform", "hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskVector:
    """A task vector, tuned - base.

    Attributes:
        tuned: Folder or hub id of the tuned model or of a LoRA adapter.
        base: Folder or hub id of the model it was tuned from; None only for an adapter whose configuration
            names it.
        name: Its name in recipes, if there are several vectors.
        weight_min: Smallest weight searched; None for the run's setting.
        weight_max: Largest weight searched; None for the run's setting.
        rules: The rules that decide which tensors share a weight.
        method: The method that makes it sparse before it is added.
        density: Fraction of elements to keep, or two bounds between which it is searched.

    Raises:
        ConfigError: A value is out of range, or values contradict each other.
    """

    tuned: str
    base: str | None = None
    name: str = ""
    weight_min: float | None = None
    weight_max: float | None = None
    rules: GroupRules = field(default_factory=GroupRules)
    method: str = "linear"
    density: float | tuple[float, float] = 1.0

    def __post_init__(self) -> None:
        method = METHODS.load(self.method)
        bounds = self.density if isinstance(self.density, tuple) else (self.density, self.density)
        if not 0 < bounds[0] <= bounds[1] <= 1:
            raise ConfigError(f"density must be in (0, 1], got {self.density}")
        if method.sparsify is None and self.density != 1.0:
            raise ConfigError("density needs method ties or dare")
        given = [bound for bound in (self.weight_min, self.weight_max) if bound is not None]
        if not all(map(math.isfinite, given)) or sorted(given) != given:
            raise ConfigError(
                f"weight_min {self.weight_min} and weight_max {self.weight_max} do not form a range"
            )

    def sparse(self, *, alone: bool) -> str:
        """Return how it is made sparse, such as `TIES, density 0.2` (the largest); empty if it is not.

        Args:
            alone: Whether it is the only vector, so that TIES elects no signs.
        """
        density = self.density[1] if isinstance(self.density, tuple) else self.density
        if density < 1:
            return f"{self.method.upper()}, density {density:g}"
        return self.method.upper() if METHODS.load(self.method).combine and not alone else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertPrompts:
    """Examples of prompts that an expert should answer, and of those it should not."""

    positive: tuple[str, ...]
    negative: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureSettings:
    """The settings of a mixture of experts.

    Attributes:
        experts_per_token: Number of experts per token.
        gate: How the router is made.
        seed: Seed of random gates.
        base: The model that gives embeddings, attention and norms; None for the first target.
        prompts: For gate `hidden`: the prompts of each expert.

    Raises:
        ConfigError: A value is out of range, or values contradict each other.
    """

    experts_per_token: int = 2
    gate: Gate = "random"
    seed: int = 0
    base: str | None = None
    prompts: tuple[ExpertPrompts, ...] = ()

    def __post_init__(self) -> None:
        if self.gate not in GATES:
            raise ConfigError(f"gate must be one of {', '.join(GATES)}, got {self.gate!r}")
        if (self.gate == "hidden") != bool(self.prompts):
            raise ConfigError("[[experts]] prompts are for gate hidden, which needs them for each expert")
        if not all(prompts.positive for prompts in self.prompts):
            raise ConfigError("gate hidden needs at least one positive prompt for each expert")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """A merge without its weights.

    Attributes:
        targets: Folders or hub ids; several become a mixture of experts.
        vectors: The task vectors that are added to each target.
        vocabulary: What happens to embeddings and head if tokens differ.
        dtype: The dtype of merged tensors, by torch's name; None for the target's.
        arithmetic: `float32`, or `original` for the bfloat16 order of the script tvmerge replaces.
        seed: Seed of `dare`.
        mixture: The settings of a mixture, used if there are several targets.
        allow_pickle: Whether to also read pickled weights, restricted to tensors.
        trust_remote_code: Whether transformers may run code from a model's files.

    Raises:
        ConfigError: Values contradict each other.
    """

    targets: tuple[str, ...]
    vectors: tuple[TaskVector, ...]
    vocabulary: Vocabulary = "align"
    dtype: str | None = None
    arithmetic: Arithmetic = "float32"
    seed: int = 0
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if not self.targets or not self.vectors:
            raise ConfigError("a merge needs at least one target model and one task vector")
        names = [vector.name for vector in self.vectors]
        if len(names) > 1 and (not all(names) or len(set(names)) < len(names)):
            raise ConfigError(f"each task vector needs a unique name; got {names}")
        if any("/" in name for name in names):
            raise ConfigError(f"names of task vectors must not contain '/'; got {names}")
        if self.vocabulary not in VOCABULARIES:
            raise ConfigError(f"vocab must be one of {', '.join(VOCABULARIES)}, got {self.vocabulary!r}")
        if self.arithmetic == "original" and self.dtype not in {None, "bfloat16"}:
            raise ConfigError(f"arithmetic original computes in bfloat16; it cannot give {self.dtype}")
        self._check_mixture()

    def _check_mixture(self) -> None:
        experts, mixture = len(self.targets), self.mixture
        if experts == 1:
            if mixture != MixtureSettings():
                raise ConfigError("settings of a mixture need two target models or more")
            return
        if not 1 <= mixture.experts_per_token <= experts:
            raise ConfigError(f"experts_per_token must be in [1, {experts}], the number of target models")
        if mixture.gate == "zeros" and mixture.experts_per_token < experts:
            raise ConfigError(
                f"gate zeros would send every token to the same {mixture.experts_per_token} of {experts} "
                f"experts; pass experts_per_token {experts} or another gate"
            )
        if mixture.gate == "hidden" and len(mixture.prompts) != experts:
            raise ConfigError(
                f"gate hidden needs prompts for {experts} experts, got {len(mixture.prompts)} of them"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON data."""
        data: dict[str, Any] = asdict(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MergeRequest:
        """Restore what `to_json` returned, also after a round trip through JSON."""
        vectors = tuple(_vector(vector) for vector in data["vectors"])
        mixture = dict(data["mixture"])
        mixture["prompts"] = tuple(
            ExpertPrompts(positive=tuple(p["positive"]), negative=tuple(p["negative"]))
            for p in mixture["prompts"]
        )
        return cls(
            **{
                **data,
                "targets": tuple(data["targets"]),
                "vectors": vectors,
                "mixture": MixtureSettings(**mixture),
            }
        )


def _vector(data: Mapping[str, Any]) -> TaskVector:
    rules = dict(data["rules"])
    rules["patterns"] = tuple((name, expression) for name, expression in rules["patterns"])
    rules["freeze"] = tuple(rules["freeze"])
    density = data["density"]
    density = tuple(density) if isinstance(density, list | tuple) else density
    return TaskVector(**{**data, "rules": GroupRules(**rules), "density": density})
