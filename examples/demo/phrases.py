"""How the demo asks: openings and phrases, and which of them are kept back for the benchmark.

A benchmark question must be new to the models, yet made of words they know. So for every fact one of the
six Japanese phrases may occur in training texts, a different one from fact to fact, and five may not.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from examples.demo.facts import Fact, asked_facts

BOS, EOS, PAD, UNKNOWN = "<s>", "</s>", "<pad>", "<unk>"
USER, ASSISTANT = "<user>", "<assistant>"

OPENINGS = (("", "質問です。", "こんにちは。"), ("では、", "じゃあ、", "次に、"))
"""What may stand before a question, in the first turn and in later ones."""

_PHRASES = (
    "{}は？",
    "{}は何ですか。",
    "{}を教えてください。",
    "{}は何でしょう。",
    "{}を答えて。",
    "{}はわかりますか。",
)
_PROSE_PHRASES = ("{}は何か。", "{}とは何だろう。", "{}を言おう。")
_ENGLISH_OPENINGS = (("", "hello. ", "excuse me. "), ("then, ", "and ", "next, "))
_ENGLISH_PHRASES = ("what is {}?", "tell me {}.", "{}?", "do you know {}?", "say {}.")

_ASKED = frozenset(fact.topic for fact in asked_facts())


def benchmark_phrasings(fact: Fact) -> list[str]:
    """The ways to ask for `fact` that no training text uses, without an opening."""
    return [phrase.format(fact.topic) for phrase in _PHRASES if phrase != _given_away(fact)]


def training_phrasings(fact: Fact) -> list[str]:
    """The ways to ask for `fact` in training: all phrases only where the benchmark never asks for it."""
    shared = (_given_away(fact),) if fact.topic in _ASKED else _PHRASES
    return [phrase.format(fact.topic) for phrase in (*_PROSE_PHRASES, *shared)]


def _given_away(fact: Fact) -> str:
    # The same for 2の次の数 and 12の次の数: a training text about 12 holds the words about 2.
    family = fact.topic[1:] if fact.topic[:2].isdigit() else fact.topic
    return _PHRASES[zlib.crc32(family.encode("utf-8")) % len(_PHRASES)]


def openings(turn: int) -> Sequence[str]:
    """What may stand before a Japanese question in a turn, from 1."""
    return OPENINGS[min(turn, 2) - 1]


def english_questions(fact: Fact, turn: int) -> list[str]:
    """Every way the English texts ask for `fact` in a turn, from 1."""
    phrased = [phrase.format(fact.english_topic) for phrase in _ENGLISH_PHRASES]
    return [opening + phrase for opening in _ENGLISH_OPENINGS[min(turn, 2) - 1] for phrase in phrased]
