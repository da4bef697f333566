"""Small tokenizers in the forms that models come with."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace


def save_tokenizer(folder: Path, words: Sequence[str], **roles: str) -> None:
    """Give the model in `folder` the tokens `words`, numbered in their order, and special tokens by role."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_tekken(folder: Path, words: Sequence[str] = ()) -> None:
    """Give the model in `folder` Mistral's form of a tokenizer: 20 special tokens, bytes, then `words`."""
    tools = ("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]")
    parts = ("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]")
    named = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *tools, *parts]
    special = [*named, *(f"<SPECIAL_{number}>" for number in range(len(named), 20))]
    pieces = [*(bytes([number]) for number in range(256)), *(word.encode() for word in words)]
    content = {
        "config": {
            "pattern": r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s+",
            "num_vocab_tokens": len(pieces),
            "default_vocab_size": len(pieces) + len(special),
            "default_num_special_tokens": len(special),
            "version": "v7",
        },
        "special_tokens": [
            {"rank": rank, "token_str": text, "is_control": True} for rank, text in enumerate(special)
        ],
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(piece).decode(), "token_str": None}
            for rank, piece in enumerate(pieces)
        ],
    }
    (folder / "tekken.json").write_text(json.dumps(content))


def save_byte_level(folder: Path) -> None:
    """Give the model in `folder` GPT-2's form of a tokenizer: the bytes, `th` and `the`, and their merges."""
    library: Any = import_module("transformers.convert_slow_tokenizer")
    numbers = {
        text: number for number, text in enumerate([*library.bytes_to_unicode().values(), "th", "the"])
    }
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
