"""The demo's models with a tokenizer that llama.cpp's converter knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tvmerge._util.assets import bundled_demo_models


def save_convertible_demo(folder: Path) -> Path:
    """Copy the demo's models into a folder and return it.

    The converter takes a tokenizer for one like Llama's if it can spell bytes and decodes in several steps.
    The tokens and their numbers stay the same.
    """
    for role in ("target", "base", "tuned"):
        copied = shutil.copytree(bundled_demo_models() / role, folder / role) / "tokenizer.json"
        tokenizer = json.loads(copied.read_text(encoding="utf-8"))
        tokenizer["model"]["byte_fallback"] = True
        tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"]]}
        copied.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    return folder
