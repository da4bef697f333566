"""The settings that decide what is merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tvmerge.errors import ConfigError
from tvmerge.merging.groupings import GROUPINGS
from tvmerge.merging.methods import METHODS
from tvmerge.option import FROM_1, SEED, option

VOCABS = ("align", "skip", "error")
ARITHMETICS = ("float32", "original")
GATES = ("random", "zeros", "uniform", "hidden")
DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """The settings of merging, which a study stores so that any trial can be merged again."""

    target_model: tuple[str, ...] = option(
        str,
        "Model the task vector is added to: a folder or a hub id[@revision]; several make a mixture.",
        aliases=tuple(f"target-model-{number}" for number in range(1, 5)),
        many=True,
        listed="paths",
        decides="content",
    )
    base_model: str | None = option(
        str,
        "Model that the tuned model was tuned from; an adapter names its own base.",
        None,
        decides="content",
    )
    tuned_model: str | None = option(
        str,
        "Model that has the skill, or a LoRA adapter; the task vector is tuned - base.",
        None,
        decides="content",
    )
    task_vectors: tuple[Mapping[str, Any], ...] = option(
        dict,
        "Several task vectors: tables with tuned, base, name and settings of their own.",
        (),
        many=True,
        decides="content",
    )
    optimize_mode: str = option(
        str,
        "What shares a weight: nothing, a layer, a parameter kind, an attention or MLP block, everything, or "
        "what [[patterns]] name.",
        "layer",
        choices=GROUPINGS.names,
        decides="candidates",
    )
    layer_granularity: int = option(
        int, "Consecutive layers that share a weight.", 1, decides="content", within=FROM_1
    )
    smooth: int | None = option(
        int,
        "Knots between which the layers' weights are interpolated; default: none.",
        None,
        decides="content",
        within=(2, 10**9),
    )
    patterns: tuple[Mapping[str, Any], ...] = option(
        dict, "For optimize_mode regex: tables with name and pattern.", (), many=True, decides="content"
    )
    freeze: tuple[str, ...] = option(
        str,
        "Regular expression; tensors in whose names it is found stay the target's. A comma in brackets is "
        "part of it.",
        (),
        many=True,
        listed="expressions",
        decides="content",
    )
    method: str = option(
        str,
        "How the task vector is made sparse before it is added.",
        "linear",
        choices=METHODS.names,
        decides="content",
    )
    density: tuple[float, ...] = option(
        float,
        "Share of elements to keep, or two bounds to search between; for ties and dare.",
        (),
        many=True,
        decides="content",
    )
    vocab: str = option(
        str,
        "If tokens differ: add to the rows of shared tokens, add to none, or refuse.",
        "align",
        choices=VOCABS,
        decides="content",
    )
    arithmetic: str = option(
        str,
        "Sum in float32, or in the original script's bfloat16 order.",
        "float32",
        choices=ARITHMETICS,
        decides="content",
    )
    merge_seed: int = option(int, "Seed of dare and of random gates.", 0, decides="content", within=SEED)
    experts_per_token: int = option(int, "Number of experts per token of a mixture.", 2, decides="content")
    gate: str = option(str, "How a mixture's router is made.", "random", choices=GATES, decides="content")
    moe_base: str | None = option(
        str,
        "Model from which a mixture takes its attention and embeddings; default: the first target.",
        None,
        decides="content",
    )
    experts: tuple[Mapping[str, Any], ...] = option(
        dict,
        "For gate hidden: tables with positive and negative prompts, one table per expert.",
        (),
        many=True,
        decides="content",
    )
    dtype: str = option(
        str, "Type of the merged tensors; auto: the target's.", "auto", choices=DTYPES, decides="content"
    )
    cache_dir: str | None = option(
        str, "Where models from the hub are downloaded to.", None, decides="nothing"
    )
    allow_pickle: bool = option(bool, "Accept checkpoints without safetensors.", False, decides="nothing")
    trust_remote_code: bool = option(bool, "Run code that comes with a model.", False, decides="nothing")

    def __post_init__(self) -> None:
        # JSON data from a study or another process has lists instead of tuples.
        for f in fields(self):
            value: Any = getattr(self, f.name)
            if isinstance(value, list):
                object.__setattr__(self, f.name, tuple(value))
        if not self.target_model:
            raise ConfigError("target_model must name at least one model")
