"""Thinking models of several families, built by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.engines.chains import CHATML, END, chain, make_chain
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.merging.live import load_into
from tvmerge.merging.open import Merge
from tvmerge.records import Question
from tvmerge.testing.models import stop_ids

ASKED = Question("capital", "general", ("首都は？", "本当？"))
ANSWER = "東京です。"
THOUGHT = "The user asks about cities ."
SWITCH = (
    "{% for m in messages %} <|im_start|> {{ m.role }} {{ m.content.split('</think>')[-1] }} <|im_end|>"
    "{% endfor %} <|im_start|> assistant{% if quiet is defined and quiet %} <think> </think>{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{% if '<|channel|>' in m.content %}{{ raise_exception('no channels') }}"
    "{% endif %} <|start|> {{ m.role }} {% if m.role == 'assistant' %}<|channel|> final {% endif %}"
    "<|message|> {{ m.content }} <|end|>{% endfor %} <|start|> assistant"
)
MARKS = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>")


def thought(opening: str, closing: str, *, first: str = "assistant") -> dict[str, str]:
    """A model that thinks between the marks, then answers."""
    return chain(first, opening, *THOUGHT.split(), closing, ANSWER, END)


FAMILIES: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "qwen3": (thought("<think>", "</think>"), {"template": SWITCH, "added": ("<think>", "</think>")}),
    "r1": (
        chain("<think>", *THOUGHT.split(), "</think>", ANSWER, END),
        {"template": f"{CHATML} <think>", "added": ("<think>", "</think>")},
    ),
    "magistral": (thought("[THINK]", "[/THINK]"), {"special": ("[THINK]", "[/THINK]")}),
    # Its answer stands between special tokens too.
    "command": (
        chain("assistant", "<|START_THINKING|>", *THOUGHT.split(), "<|END_THINKING|>")
        | chain("<|END_THINKING|>", "<|START_TEXT|>", ANSWER, "<|END_TEXT|>", END),
        {"special": ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_TEXT|>", "<|END_TEXT|>")},
    ),
    # The marks are words like any other.
    "spelled": (thought("<reasoning>", "</reasoning>"), {}),
    # The second header is spelled otherwise, since the next token depends on the last one alone.
    "gptoss": (
        chain("assistant", "<|channel|>", "analysis", *THOUGHT.split(), "<|end|>", "<|start|>", "Assistant")
        | chain("Assistant", "final", "<|message|>", ANSWER, END),
        {"template": HARMONY, "special": MARKS},
    ),
    "endless": (
        chain("assistant", "<think>", "and", "so", "on", "and") | chain("</think>", ANSWER, END),
        {"added": ("<think>", "</think>")},
    ),
    "plain": (chain("assistant", "`<think>`", "opens", "a", "thought.", END), {}),
}


def make(family: str, folder: Path, certainty: float = 32.0) -> Path:
    """The three models of a family, as certain of their next token as asked for."""
    path, settings = FAMILIES[family]
    return make_chain(folder, path, certainty=certainty, **settings)


def open_engine(merge: Merge, variables: Mapping[str, object] | None = None) -> TransformersEngine:
    """A transformers engine; `variables` are set in its chat template."""
    folder = merge.target.folder
    chat = ChatFormat(folder, arguments=variables)
    return TransformersEngine(folder, chat, merge.merger, load_into, stop_tokens=stop_ids(folder))
