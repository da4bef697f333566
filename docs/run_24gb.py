"""Writes what `--dry-run` says about a run on a GPU with 24 GB into `docs/run-24gb.md`.

Run it after a change to the plan: `python docs/run_24gb.py`. A test compares the page with what this would
write. The models have the headers of real ones and no content, and the GPU is one that torch is told of, so
neither is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import AutoConfig, AutoModelForCausalLM

import tvmerge

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path(__file__).with_name("run-24gb.md")
EXAMPLE = ROOT / "examples" / "chat-vector-24gb.toml"
BEGIN, END = "<!-- written by docs/run_24gb.py -->\n", "<!-- end -->\n"

CARD = 24 * 2**30
FREE = int(0.95 * CARD)
"""What the driver and a desktop leave of it."""

MISTRAL = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
"""The shapes of Mistral 7B, which the models of the example have."""


def plan() -> str:
    """Return the plan of the example, without what belongs to this machine."""
    config = tvmerge.load_config(EXAMPLE, engine="transformers")
    with tempfile.TemporaryDirectory() as folder, chdir(folder), _gpu():
        shutil.copytree(ROOT / "examples", "examples", ignore=shutil.ignore_patterns("demo"))
        for name in (*config.target_model, config.base_model, config.tuned_model):
            write_headers(Path(str(name)), MISTRAL)
        keys = {"GEMINI_API_KEY": "none", "TVMERGE_CACHE_DIR": str(Path(folder) / "cache")}
        with patch.dict(os.environ, keys):
            text = str(tvmerge.plan(config))
    ours = ("results:", "model:", "warning: the model does not fit on the disk")
    return "\n".join(line.rstrip() for line in text.splitlines() if not line.startswith(ours))


@contextmanager
def _gpu() -> Iterator[None]:
    """Tells torch of a GPU."""
    answers: dict[str, Any] = {
        "is_available": True,
        "device_count": 1,
        "mem_get_info": (FREE, CARD),
        "get_device_capability": (8, 9),
        "is_bf16_supported": True,
    }
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, answer=answer, **__: answer))
        yield


def write_headers(folder: Path, changes: Mapping[str, Any]) -> None:
    """Write a model like the demo's target, of zeros that take no room on the disk.

    Args:
        folder: The folder to make.
        changes: What is different in its `config.json`.
    """
    shutil.copytree(ROOT / "examples" / "demo" / "models" / "target", folder)
    stated = json.loads((folder / "config.json").read_text(encoding="utf-8")) | dict(changes)
    (folder / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    factory: Any = AutoModelForCausalLM
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(folder)  # nosec B615  # a folder, so nothing is downloaded
        model = factory.from_config(config)
    entries, end = {}, 0
    for name, tensor in model.state_dict().items():
        begin, end = end, end + 2 * tensor.numel()
        entries[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)


def page() -> str:
    """Return the page with the plan as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n```text\n{plan()}\n```\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
