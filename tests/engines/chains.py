"""Models built by hand whose next token is a function of the last one: what they say is known beforehand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import Qwen3Config, Qwen3ForCausalLM

END = "<|im_end|>"
CHATML = (
    "{% for m in messages %} <|im_start|> {{ m.role }} {{ m.content }} <|im_end|>{% endfor %}"
    " <|im_start|> assistant"
)


def make_chain(
    folder: Path,
    path: Mapping[str, str],
    *,
    template: str = CHATML,
    special: Sequence[str] = (),
    added: Sequence[str] = (),
    roles: Sequence[str] = ("target", "base", "tuned"),
    certainty: float = 32.0,
) -> Path:
    """Write the same model for each of `roles`.

    Args:
        folder: Where to.
        path: Token to the one that follows it.
        template: The chat template.
        special: Special tokens beside those of ChatML.
        added: Added tokens that are not special.
        roles: Names of the folders.
        certainty: Logit of the token that follows; all others have 0.
    """
    special = [END, "<|im_start|>", *special]
    words = ["user", "assistant", *path, *path.values()]
    tokens = [*special, *added, *(word for word in dict.fromkeys(words) if word not in {*special, *added})]
    number = {token: i for i, token in enumerate(tokens)}
    first = folder / roles[0]
    _model(number, path, certainty).save_pretrained(first)
    _tokenizer(first, number, special, added)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": template}
    (first / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    for role in roles[1:]:
        shutil.copytree(first, folder / role)
    return folder


def _model(number: Mapping[str, int], path: Mapping[str, str], certainty: float) -> Any:
    config = Qwen3Config(
        vocab_size=len(number),
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        eos_token_id=number[END],
        tie_word_embeddings=False,
    )
    model: Any = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "o_proj" in name or "down_proj" in name:
                parameter.zero_()  # attention and MLP add nothing: a token's embedding reaches the head
            elif "norm" in name:
                parameter.fill_(1.0)
        model.model.embed_tokens.weight.copy_(torch.eye(len(number), 64))
        model.lm_head.weight.zero_()
        for token, following in path.items():
            # What reaches the head is a one-hot vector, normalised: its one entry is sqrt(64).
            model.lm_head.weight[number[following], number[token]] = certainty / 8
    return model


def _tokenizer(folder: Path, number: Mapping[str, int], special: Sequence[str], added: Sequence[str]) -> None:
    tokenizer = Tokenizer(WordLevel(dict(number), unk_token=END))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    tokenizer.save(str(folder / "tokenizer.json"))


def chain(*tokens: str) -> dict[str, str]:
    """Each token followed by the next."""
    return dict(pairwise(tokens))
