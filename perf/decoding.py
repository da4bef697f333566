"""What transformers offers for decoding with fewer launches by the host, against what the engine does.

    python -m perf.decoding [--device cuda] [--tiny]

A random model of Mistral-7B's shape with 16 layers answers 64 prompts of different lengths with 128 tokens
each, greedily: as the engine does, with a static cache and compiled steps (CUDA graphs on a GPU), and with
continuous batching. The first batch of a shape is timed apart from the second, and a batch of another shape,
since nearly every batch of a search has a shape of its own. In float32, with two layers, the tokens of each
way are compared with those of the engine's. `--tiny` does all of it with a model for a CPU.

Goal for a way to be taken: the engine's tokens in float32, in less than half of its time, in the first batch
of a shape too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, CompileConfig, GenerationConfig, MistralConfig

Prompts = Sequence[Sequence[int]]
Way = Callable[[Any, Prompts, int], list[list[int]]]
"""New tokens of each prompt, from a model, the prompts and how many tokens are wanted."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is measured.

    Attributes:
        rows: Number of prompts.
        new: Tokens of each answer.
        config: Settings of the model's configuration.
    """

    rows: int
    new: int
    config: dict[str, int]


FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, ImportError, AssertionError)
"""What a release of transformers may fail with; that is a result."""

WHOLE = Size(64, 128, {"num_hidden_layers": 16})
TINY = Size(
    4,
    16,
    {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each way and print a table; 1 if a way that works gives other tokens than the engine's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a model for a CPU")
    args = parser.parse_args(argv)
    size = TINY if args.tiny else WHOLE
    different = False
    print(f"{'way':<22} {'tokens':<10} {'first':>8} {'again':>8} {'other shape':>12} {'a step':>10}")
    for name, way in WAYS.items():
        try:
            equal = _equal(way, size, args.device)
            first, again, other = _seconds(way, size, args.device)
        except FAILURES as error:
            first_line = str(error).strip().partition("\n")[0]
            print(f"{name:<22} fails: {type(error).__name__}: {first_line[:150]}")
            continue
        different |= not equal
        tokens = "equal" if equal else "DIFFERENT"
        step = f"{1000 * again / size.new:.2f} ms"
        print(f"{name:<22} {tokens:<10} {first:>6.2f} s {again:>6.2f} s {other:>10.2f} s {step:>10}")
    return int(different)


def dynamic(model: Any, prompts: Prompts, new: int) -> list[list[int]]:
    """Decode as the engine does: a cache that grows."""
    return _generate(model, prompts, new)


def static(model: Any, prompts: Prompts, new: int) -> list[list[int]]:
    """Decode with a cache of fixed size and compiled steps."""
    compiled: Any = CompileConfig()
    compiled._compile_all_devices = True  # else transformers compiles on accelerators only
    return _generate(model, prompts, new, cache_implementation="static", compile_config=compiled)


def continuous(model: Any, prompts: Prompts, new: int) -> list[list[int]]:
    """Decode with transformers' continuous batching."""
    settings: Any = GenerationConfig
    config = settings(max_new_tokens=new, eos_token_id=-1, pad_token_id=0, do_sample=False)
    found = model.generate_batch([list(ids) for ids in prompts], generation_config=config, progress_bar=False)
    if len(found) < len(prompts):
        raise RuntimeError(f"{len(found)} of {len(prompts)} prompts were answered")
    ordered = sorted(found.values(), key=lambda one: int(one.request_id.rpartition("_")[2]))
    return [list(one.generated_tokens) for one in ordered]


WAYS: dict[str, Way] = {"growing cache": dynamic, "static cache": static, "continuous batching": continuous}


@torch.inference_mode()
def _generate(model: Any, prompts: Prompts, new: int, **how: Any) -> list[list[int]]:
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, prompt in enumerate(prompts):
        ids[place, width - len(prompt) :] = torch.tensor(prompt)
        mask[place, width - len(prompt) :] = 1
    output = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        do_sample=False,
        max_new_tokens=new,
        **how,
    )
    found: list[list[int]] = output[:, width:].tolist()
    return found


def _model(size: Size, device: str, dtype: torch.dtype, **settings: int) -> Any:
    torch.manual_seed(0)
    configuration: Any = MistralConfig
    factory: Any = AutoModelForCausalLM
    with torch.device(device):
        model = factory.from_config(configuration(**{**size.config, **settings}), dtype=dtype)
    generation: Any = GenerationConfig
    model.generation_config = generation(eos_token_id=None, pad_token_id=0)
    model.eval()
    return model


def _prompts(size: Size, seed: int, vocabulary: int) -> Prompts:
    drawn = torch.Generator().manual_seed(seed)
    lengths = torch.randint(8, 40, (size.rows,), generator=drawn).tolist()
    return [torch.randint(3, vocabulary, (length,), generator=drawn).tolist() for length in lengths]


def _equal(way: Way, size: Size, device: str) -> bool:
    """Return whether a way gives the tokens of the engine's in float32."""
    model = _model(size, device, torch.float32, num_hidden_layers=2)
    prompts = _prompts(size, 0, model.config.vocab_size)
    expected = dynamic(model, prompts, size.new)
    return way(model, prompts, size.new) == expected


def _seconds(way: Way, size: Size, device: str) -> tuple[float, float, float]:
    """Return the time of the first batch of a shape, of the same again, and of one of another shape."""
    model = _model(size, device, torch.float32 if device == "cpu" else torch.bfloat16)
    vocabulary = model.config.vocab_size
    batch = _prompts(size, 1, vocabulary)
    found = []
    for prompts in (batch, batch, _prompts(size, 2, vocabulary)[1:]):
        started = time.perf_counter()
        way(model, prompts, size.new)
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return found[0], found[1], found[2]


if __name__ == "__main__":
    raise SystemExit(main())
