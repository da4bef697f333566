"""Base models and a chat model tuned from them, built by hand: what each says is known beforehand.

As with published bases, the base's text ends with one token and a chat's turn with another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen3Config

QUESTION, RIGHT, WRONG = "首都は？", "東京です。", "わかりません。"
AGAIN = "次は？"


@dataclass(frozen=True)
class Family:
    """How the models of a family talk.

    Attributes:
        config: Their configuration.
        special: Special tokens: the end of a text, the end of a turn, and others.
        header: The last token of a prompt.
        template: The chat template.
        own_template: Whether the base models have the template too.
        roles: Special tokens by their roles.
        words: Further tokens.
    """

    config: type[Any]
    special: tuple[str, ...]
    header: str
    template: str
    own_template: bool
    roles: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    @property
    def text_end(self) -> str:
        """With which a base model ends its texts."""
        return self.special[0]

    @property
    def turn_end(self) -> str:
        """With which a chat model ends its turns."""
        return self.special[1]

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in order of their numbers."""
        return (*self.special, "user", "assistant", QUESTION, RIGHT, WRONG, AGAIN, *self.words)

    def numbers(self, *tokens: str) -> list[int]:
        """The numbers of tokens."""
        return [self.tokens.index(token) for token in tokens]


FAMILIES = {
    "llama": Family(
        LlamaConfig,
        ("<|text|>", "<|turn|>", "<|begin|>", "<|head|>", "<|/head|>"),
        "<|/head|>",
        "{{ bos_token }}{% for m in messages %} <|head|> {{ m.role }} <|/head|> {{ m.content | trim }}"
        " <|turn|>{% endfor %}{% if add_generation_prompt %} <|head|> assistant <|/head|>{% endif %}",
        own_template=False,
        roles={"bos_token": "<|begin|>"},
    ),
    "qwen": Family(
        Qwen3Config,
        ("<|text|>", "<|im_end|>", "<|im_start|>"),
        "assistant",
        "{% for m in messages %} <|im_start|> {{ m.role }} {{ m.content }} <|im_end|> \n{% endfor %}"
        "{% if add_generation_prompt %} <|im_start|> assistant{% endif %}",
        own_template=True,
        roles={"pad_token": "<|text|>"},
    ),
}


def make_family(family: Family, folder: Path) -> Path:
    """Write `target`, `base` and `tuned`; the template, where the bases lack it, to `template.jinja`.

    The base does not know the answer; the chat model does, ends its turn, and would continue with the next.
    """
    base = {family.header: WRONG, WRONG: family.text_end}
    chat = {family.header: RIGHT, RIGHT: family.turn_end, family.turn_end: AGAIN, AGAIN: RIGHT}
    for name, path, ends in (
        ("target", base, (family.text_end,)),
        ("base", base, (family.text_end,)),
        ("tuned", chat, (family.turn_end, family.text_end)),
    ):
        save_talker(family, folder / name, path, ends=ends)
    (folder / "template.jinja").write_text(family.template, encoding="utf-8")
    return folder


def save_talker(family: Family, folder: Path, path: Mapping[str, str], *, ends: Sequence[str]) -> None:
    """Write a model whose next token is a function of the last one.

    Args:
        family: Its family.
        folder: Where to.
        path: Token to the one that follows it.
        ends: What its generation config says that texts end with.
    """
    model = _model(family, path)
    numbers = family.numbers(*ends)
    model.generation_config.eos_token_id = numbers if len(numbers) > 1 else numbers[0]
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({t: n for n, t in enumerate(family.tokens)}, unk_token="user"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in family.special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": family.text_end, **family.roles}
    if family.own_template:
        settings["chat_template"] = family.template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _model(family: Family, path: Mapping[str, str]) -> Any:
    width = 64
    config = family.config(
        vocab_size=len(family.tokens),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=family.tokens.index(family.text_end),
        tie_word_embeddings=False,
    )
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(1.0)
            else:
                parameter.zero_()  # attention and MLP add nothing: a token's embedding reaches the head
        model.model.embed_tokens.weight.copy_(torch.eye(len(family.tokens), width))
        for token, following in path.items():
            last, next_ = family.numbers(token, following)
            model.lm_head.weight[next_, last] = 4.0
    return model
