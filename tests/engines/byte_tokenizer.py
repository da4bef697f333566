"""Tokenizers of bytes with a few special tokens: any text is spelled, and no word is a token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE


def save_byte_tokenizer(
    folder: Path, template: str | None, special: Sequence[str], *, added: Sequence[str] = (), **roles: str
) -> Path:
    """Write a tokenizer to `folder`.

    Args:
        folder: Where to.
        template: The chat template.
        special: Special tokens, numbered from 256 on.
        added: Added tokens that are not special, numbered after them.
        roles: `eos_token="</s>"`, ...
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({byte: number for number, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    if template is not None:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
