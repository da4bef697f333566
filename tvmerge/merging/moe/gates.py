"""Routers, which are one matrix per layer that selects the experts for each token."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tvmerge._util.canonical import digest
from tvmerge._util.files import folder_name
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.request import ExpertPrompts, MixtureSettings


def draw_gates(settings: MixtureSettings, *, shape: tuple[int, int, int], spread: float) -> torch.Tensor:
    """Draw the routers of all layers that need no model: random, uniform or zeros.

    Args:
        settings: The kind and the seed.
        shape: Layers, experts, hidden size.
        spread: Standard deviation of `random`, as the family initialises weights. With 1, as in mergekit, the
            routing of 95% of the tokens would be all but certain.

    Returns:
        Float32 tensor of `shape`.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.gate == "random":
        return torch.randn(shape, generator=generator).mul_(spread)
    if settings.gate == "uniform":
        bound = 1 / math.sqrt(shape[2])  # the initialisation of torch's linear layers
        return torch.rand(shape, generator=generator).mul_(2 * bound).sub_(bound)
    return torch.zeros(shape)


def hidden_gates(donor: Checkpoint, prompts: Sequence[ExpertPrompts]) -> torch.Tensor:
    """Compute the routers of all layers from the hidden states of prompts, or read them from the cache.

    Every process of a run opens the models again and must have the same routers, whose last bits depend on
    the number of threads.

    Args:
        donor: The dense model that gives attention and tokenizer.
        prompts: The prompts of each expert.

    Returns:
        Float32 tensor of (layers, experts, hidden size).

    Raises:
        CheckpointError: The model cannot be run, or a prompt has no token.
    """
    cache = donor.digest_cache
    if cache is None:
        return _measure(donor.folder, prompts)
    key = digest(["hidden-gates", donor.digest, [asdict(expert) for expert in prompts]])
    if (known := _stored(cache.get(key))) is not None:
        return known
    gates = _measure(donor.folder, prompts)
    text = base64.b64encode(gates.numpy().tobytes()).decode()
    cache.put(key, {"shape": list(gates.shape), "float32": text})
    return gates


def _stored(row: Any) -> torch.Tensor | None:
    """Return the routers in a row of the cache; None if it has none."""
    match row:
        case {"shape": [int(layers), int(experts), int(size)], "float32": str(text)}:
            pass
        case _:
            return None
    try:
        values = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32)
        return values.view(layers, experts, size)
    except (ValueError, RuntimeError):
        return None


@torch.inference_mode()
def _measure(folder: Path, prompts: Sequence[ExpertPrompts]) -> torch.Tensor:
    """Return the unit vectors from the mean of an expert's negative prompts to that of its positive ones.

    They are computed from the router's input: the normalised input of the MLP at the last token of a prompt.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    configs: Any = AutoConfig
    factory: Any = AutoModelForCausalLM
    tokenizers: Any = AutoTokenizer
    try:
        tokenizer = tokenizers.from_pretrained(folder)
        config = configs.from_pretrained(folder)
        # Opened models have float weights.
        vars(config).pop("quantization_config", None)
        model = factory.from_pretrained(folder, config=config, dtype="auto")
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{folder_name(folder)}: gate hidden has to run it and cannot: {reason}"
        ) from error
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
    """Return the mean over prompts of each layer's router input at the last token (layers, hidden size)."""
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
