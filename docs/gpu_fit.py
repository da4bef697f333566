"""Writes the table of what fits on which card into `docs/gpu.md`, as a run estimates it.

Run it after a change to the estimates: `python docs/gpu_fit.py`. A test compares the page with what this
would write.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from tvmerge.engines.settings import AnswerConfig
from tvmerge.engines.transformers.memory import MemoryEstimate, MemoryNeeds, memory_needs

PAGE = Path(__file__).with_name("gpu.md")
BEGIN, END = "<!-- written by docs/gpu_fit.py -->\n", "<!-- end -->\n"

CARDS = (12, 16, 24, 48, 80)
"""Memory of cards, in GiB."""

FREE = 0.95
"""Share of a card's memory that is free before a run: the rest is the driver's, and that of a desktop."""

BATCH = int(AnswerConfig.__dataclass_fields__["batch_tokens"].default)

_QWEN = {"model_type": "qwen3", "vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128}
SHAPES: dict[str, dict[str, Any]] = {
    "0.6": {**_QWEN, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28},
    "1.7": {**_QWEN, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28},
    "4": {**_QWEN, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36},
    "8": {**_QWEN, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36},
    "14": {**_QWEN, "hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 40},
}
"""Shapes of the Qwen3 models, by billions of parameters."""

_HEADS = {"0.6": 16, "1.7": 16, "4": 32, "8": 32, "14": 40}
_TIED = {"0.6", "1.7", "4"}


def table() -> str:
    """Return the table: a row per model and dtype, a column per card."""
    head = ("Parameters", "dtype", *(f"{card} GB" for card in CARDS))
    rows = [head, ("---",) * len(head)]
    for name in SHAPES:
        for dtype in (torch.bfloat16, torch.float32):
            kind = "16 bits" if dtype.itemsize == 2 else "float32"
            rows.append((f"{name} billion", kind, *(_cell(name, dtype, card) for card in CARDS)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows if set(row[2:]) != {"no"})


@cache
def _needs(name: str) -> MemoryNeeds:
    """Return what a model needs in 16 bits."""
    settings = {**SHAPES[name], "num_attention_heads": _HEADS[name], "tie_word_embeddings": name in _TIED}
    return memory_needs(AutoConfig.for_model(**settings), torch.bfloat16)


def _cell(name: str, dtype: torch.dtype, card: int) -> str:
    half = _needs(name)
    times = dtype.itemsize // 2
    found = MemoryEstimate(
        name,
        dtype,
        "cuda:0",
        int(FREE * card * 2**30),
        MemoryNeeds(half.weights * times, half.token * times),
        batch_tokens=BATCH,
        sources=3 * half.weights,
    )
    if found.total > found.free:
        return "no"
    share = min(1.0, found.source_room / found.sources)
    tokens = "" if found.tokens >= BATCH else f", {found.tokens:,} tokens"
    return f"{share:.0%}{tokens}"


def page() -> str:
    """Return the page with the table as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
