"""Routers: for each layer a matrix that says which experts see a token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tvmerge.errors import CheckpointError
from tvmerge.merging.request import ExpertPrompts, MixtureSettings


def make_gates(
    settings: MixtureSettings, folder: Path, *, shape: tuple[int, int, int], spread: float
) -> torch.Tensor:
    """The routers of all layers.

    Args:
        settings: Which kind, and the seed of random ones.
        folder: The dense model that gives attention and tokenizer; used by `hidden` alone.
        shape: Layers, experts, hidden size.
        spread: Standard deviation of `random`: the family's own for new weights. With 1, as mergekit draws
            them, 95% of the tokens are routed by a coin whose sides nobody chose.

    Returns:
        Float32, of `shape`.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.gate == "random":
        return torch.randn(shape, generator=generator).mul_(spread)
    if settings.gate == "uniform":
        bound = 1 / math.sqrt(shape[2])  # what torch gives a new linear layer
        return torch.rand(shape, generator=generator).mul_(2 * bound).sub_(bound)
    if settings.gate == "zeros":
        return torch.zeros(shape)
    return _hidden_gates(folder, settings.prompts)


@torch.inference_mode()
def _hidden_gates(folder: Path, prompts: Sequence[ExpertPrompts]) -> torch.Tensor:
    """Directions in which the positive prompts of an expert differ from its negative ones, of length 1.

    Measured on what the router sees: the normed input of the MLP, at the last token of a prompt.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    factory: Any = AutoModelForCausalLM
    tokenizers: Any = AutoTokenizer
    try:
        tokenizer = tokenizers.from_pretrained(folder)
        model = factory.from_pretrained(folder, dtype="auto")
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{folder.name}: gate hidden has to run it and cannot: {reason}") from error
    model.eval()
    directions = []
    for expert in prompts:
        direction = _mean_state(model, tokenizer, expert.positive)
        if expert.negative:
            direction -= _mean_state(model, tokenizer, expert.negative)
        directions.append(direction)
    gates = torch.stack(directions, dim=1)
    lengths: torch.Tensor = gates.norm(dim=-1, keepdim=True)
    return gates / lengths.clamp_min(1e-8)


def _mean_state(model: Any, tokenizer: Any, prompts: Sequence[str]) -> torch.Tensor:
    """Mean over prompts of each layer's router input at the last token; layers by hidden size."""
    states: list[torch.Tensor] = []
    hooks = [
        layer.post_attention_layernorm.register_forward_hook(
            lambda _module, _inputs, output: states.append(output[0, -1].float())
        )
        for layer in model.get_decoder().layers
    ]
    try:
        for prompt in prompts:
            ids = tokenizer(prompt, return_tensors="pt").input_ids
            if ids.numel() == 0:
                raise CheckpointError(f"gate hidden: the prompt {prompt!r} has no token")
            model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(states).view(len(prompts), len(hooks), -1).mean(0)
