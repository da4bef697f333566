"""Routers: one matrix per layer that selects the experts for each token."""

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
    """Routers of all layers that ask no model: random, uniform or zeros.

    Args:
        settings: Which kind, and the seed.
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
    return torch.zeros(shape)


def hidden_gates(donor: Checkpoint, prompts: Sequence[ExpertPrompts]) -> torch.Tensor:
    """Routers of all layers that point where prompts say, from the model's cache where it has them.

    Every process of a run opens the models again, and all of them must have the same routers, whose last bits
    depend on how many threads a processor has.

    Args:
        donor: The dense model that gives attention and tokenizer.
        prompts: What each expert is for.

    Returns:
        Float32: layers, experts, hidden size.

    Raises:
        CheckpointError: The model cannot be run, or a prompt has no token.
    """
    cache = donor.digest_cache
    if cache is None:
        return _measure(donor.folder, prompts)
    key = digest(["hidden-gates", donor.digest, [asdict(expert) for expert in prompts]])
    if (known := cache.get(key)) is not None:
        values = bytearray(base64.b64decode(known["float32"]))
        return torch.frombuffer(values, dtype=torch.float32).view(known["shape"])
    gates = _measure(donor.folder, prompts)
    text = base64.b64encode(gates.numpy().tobytes()).decode()
    cache.put(key, {"shape": list(gates.shape), "float32": text})
    return gates


@torch.inference_mode()
def _measure(folder: Path, prompts: Sequence[ExpertPrompts]) -> torch.Tensor:
    """Directions in which the positive prompts of an expert differ from its negative ones, of length 1.

    Measured on what the router sees: the normed input of the MLP, at the last token of a prompt.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    configs: Any = AutoConfig
    factory: Any = AutoModelForCausalLM
    tokenizers: Any = AutoTokenizer
    try:
        tokenizer = tokenizers.from_pretrained(folder)
        config = configs.from_pretrained(folder)
        # Its weights are floats by now; else it would not have been opened.
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
