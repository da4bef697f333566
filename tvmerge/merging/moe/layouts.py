"""The supported families of mixtures: tensor names, possible dense models and restrictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Layout:
    """A family of mixtures.

    Attributes:
        model_type: transformers' name of the family.
        architecture: Name of its model class.
        sources: Families of the dense models it can be made from.
        matrices: Names in an expert of the matrices of a dense MLP, by their names there.
        experts: Name in a layer of matrix `{matrix}` of expert `{expert}`.
        gate: Name in a layer of its router.
        plain_rope: Whether only unscaled rotary embeddings are supported.
        biases: Whether attention may have biases.
    """

    model_type: str
    architecture: str
    sources: frozenset[str]
    matrices: Mapping[str, str]
    experts: str
    gate: str
    plain_rope: bool
    biases: bool

    def expert_name(self, name: str, expert: int) -> str | None:
        """Return the mixture's name of a dense MLP's matrix in an expert; None for other tensors."""
        head, mlp, tail = name.partition(".mlp.")
        matrix = self.matrices.get(tail.removesuffix(".weight"))
        if not mlp or matrix is None or not tail.endswith(".weight"):
            return None
        return f"{head}.{self.experts.format(expert=expert, matrix=matrix)}"

    def refusals(self, config: Mapping[str, Any]) -> Iterator[str]:
        """Yield why a dense model with this configuration is not supported."""
        if config.get("mlp_bias") or (config.get("attention_bias") and not self.biases):
            yield f"it has biases, which {self.architecture} cannot express"
        rope = config.get("rope_parameters") or {}
        kind = rope.get("rope_type", "default")
        if self.plain_rope and kind != "default":
            yield f"its rotary embeddings are scaled ({kind}), which {self.model_type} cannot express"
        if config.get("use_sliding_window"):
            yield "some of its layers use sliding-window attention"


MIXTRAL = Layout(
    model_type="mixtral",
    architecture="MixtralForCausalLM",
    sources=frozenset({"llama", "mistral"}),
    matrices={"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"},
    experts="block_sparse_moe.experts.{expert}.{matrix}.weight",
    gate="block_sparse_moe.gate.weight",
    plain_rope=True,
    biases=False,
)
"""The names with which Mixtral was published, which transformers writes and all programs read."""

QWEN3_MOE = Layout(
    model_type="qwen3_moe",
    architecture="Qwen3MoeForCausalLM",
    sources=frozenset({"qwen3"}),
    matrices={"gate_proj": "gate_proj", "down_proj": "down_proj", "up_proj": "up_proj"},
    experts="mlp.experts.{expert}.{matrix}.weight",
    gate="mlp.gate.weight",
    plain_rope=False,
    biases=True,
)

LAYOUTS = (MIXTRAL, QWEN3_MOE)


def layout_for(model_type: str) -> Layout | None:
    """Return the layout of the mixture that dense models of a family can become, or None."""
    return next((layout for layout in LAYOUTS if model_type in layout.sources), None)
