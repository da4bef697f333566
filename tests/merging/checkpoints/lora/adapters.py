"""Adapters that peft itself makes of tiny random models, and what peft itself computes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.pretrained.architectures import factory_of
from tvmerge.records import Recipe

peft: Any = pytest.importorskip("peft", reason="needs peft, which writes the adapters: pip install peft")

Deltas = dict[str, torch.Tensor]
Change = Callable[[Any], object]

PLAIN = ["q_proj", "v_proj", "up_proj", "down_proj"]
"""Modules that are adapted unless others are named."""

TRAINED = ("lora_", "modules_to_save", "trainable_tokens_delta", ".bias")
"""What the names of trained parameters contain."""


def saved_adapter(
    base: Path, folder: Path, *, seed: int = 5, before: Change = lambda model: None, **settings: Any
) -> Path:
    """Train an adapter of the model in `base`, at random; `before` changes the model first."""
    model = load(base)
    before(model)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": PLAIN, "task_type": "CAUSAL_LM", **settings}
    tuned = peft.get_peft_model(model, peft.LoraConfig(**settings))
    tuned.peft_config["default"].base_model_name_or_path = str(base)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad and any(part in name for part in TRAINED):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    tuned.save_pretrained(folder)
    return folder


def by_peft(base: Path, adapter: Path, *, before: Change = lambda model: None) -> Deltas:
    """What peft adds to each tensor of the base as it merges the adapter, by the model's own names.

    It merges in place. So that a tied head and embeddings show what happens to either, they are untied first.
    """
    model = load(base)
    model.config.tie_word_embeddings = False
    model.config.get_text_config().tie_word_embeddings = False
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    before(model)
    old = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    new = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    return {name: new[name] - tensor for name, tensor in old.items()}


def load(folder: Path) -> Any:
    """The model in a folder, in float32."""
    config = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).config
    return factory_of(config).from_pretrained(folder, dtype=torch.float32)


def edit(adapter: Path, **changes: object) -> Path:
    """Change keys of an adapter's configuration."""
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return adapter


def opened(target: Path, adapter: Path, *, vocabulary: Any = "align", **settings: Any) -> Merge:
    """The merge that adds an adapter to a target, in float32."""
    request = MergeRequest(
        targets=(str(target),),
        vectors=(TaskVector(tuned=str(adapter), **settings),),
        dtype="float32",
        vocabulary=vocabulary,
    )
    return open_request(request)


def written(merge: Merge, folder: Path, weight: float) -> Any:
    """The merged model of one weight, written and loaded again."""
    recipe = Recipe(dict.fromkeys(merge.group_names, weight))
    write_merge(merge, folder, recipe)
    return load(folder)


def assert_adds(merge: Merge, folder: Path, target: Path, deltas: Deltas, weight: float = 0.7) -> None:
    """Check that the written model is the target plus what peft computes, held in memory or streamed."""
    assert any(delta.any() for delta in deltas.values()), "peft adds nothing"
    own = load(target).state_dict()
    for resident in (True, False):
        merge.merger.resident = resident
        got = written(merge, folder / f"merged-{resident}", weight).state_dict()
        for name, delta in deltas.items():
            off = float((got[name] - own[name] - weight * delta).abs().max())
            assert off < 1e-5, f"{name} is off by {off}"
