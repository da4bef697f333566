"""The demo's tuned model as a LoRA adapter: what is left of its task vector at a low rank."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tvmerge.testing.models import ROLES

RANKS = {"q_proj": 8, "k_proj": 6, "v_proj": 8, "o_proj": 8, "gate_proj": 8, "up_proj": 8, "down_proj": 8}
"""The rank of each kind of module; those of q and k differ, which vLLM computes as one."""

ALPHA = 16


def make_adapter_models(
    models: Path, folder: Path, *, ranks: Mapping[str, int] = RANKS, dtype: torch.dtype = torch.float32
) -> Path:
    """Write `target` and `base` into a folder, in `dtype`, and the adapter as `tuned`."""
    for role in ROLES[:2]:
        shutil.copytree(models / role, folder / role)
        cast(folder / role, dtype)
    write_adapter(folder / "base", load_file(models / "tuned" / "model.safetensors"), folder / "tuned", ranks)
    return folder


def write_adapter(
    base: Path, tuned: Mapping[str, torch.Tensor], folder: Path, ranks: Mapping[str, int] = RANKS
) -> None:
    """Write the best approximation of tuned - base with these ranks, as peft writes adapters."""
    folder.mkdir(parents=True)
    rows: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(base / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if rank := ranks.get(module.rpartition(".")[2], 0):
            left, sizes, right = torch.linalg.svd(tuned[name].float() - tensor.float(), full_matrices=False)
            start = f"base_model.model.{module}.lora_"
            rows[f"{start}A.weight"] = right[:rank].contiguous()
            rows[f"{start}B.weight"] = (left[:, :rank] * sizes[:rank] * (rank / ALPHA)).contiguous()
    save_file(rows, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": str(base),
        "r": 8,
        "lora_alpha": ALPHA,
        "rank_pattern": {kind: rank for kind, rank in ranks.items() if rank != 8},
        "target_modules": list(ranks),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def cast(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite a model's weights in a dtype."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stated = {key: str(dtype).removeprefix("torch.") for key in ("dtype", "torch_dtype") if key in config}
    (folder / "config.json").write_text(json.dumps(config | stated), encoding="utf-8")
