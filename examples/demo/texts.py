"""What the demo models read.

* `base` reads statements in English and Japanese, some side by side, and quizzes: questions, each followed
  by its answer. Then, for a short while, also a few chats in both languages.
* `tuned` is `base` after chats in English.
* `target` is `base` after long runs of statements and quizzes in Japanese. It knows the answers well, but
  nothing it has read lately stops after one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from examples.demo.facts import Fact, asked_facts, spare_facts
from examples.demo.phrases import ASSISTANT, BOS, EOS, USER, english_questions, openings, training_phrasings

Exchange = tuple[str, str]
"""A question and its answer."""

_Maker = Callable[[random.Random], str]


def base_texts(count: int, seed: int) -> Iterator[str]:
    """`count` texts without chats for `base`; deterministic in `seed`, as are all below."""
    return _mixture(_READING, count, seed)


def base_texts_with_chats(count: int, seed: int) -> Iterator[str]:
    """`count` texts for the end of `base`'s training: every tenth is a chat."""
    return _mixture({**_READING, _english_chat: 0.055, _japanese_chat: 0.055}, count, seed)


def tuned_texts(count: int, seed: int) -> Iterator[str]:
    """`count` chats in English about everything."""
    return _mixture({_english_chat: 1.0}, count, seed)


def target_texts(count: int, seed: int) -> Iterator[str]:
    """`count` long texts in Japanese about everything, no chats."""
    return _mixture(
        {lambda rng: _statements(rng, 2, 5): 0.5, lambda rng: _japanese_quiz(rng, 2, 5): 0.5}, count, seed
    )


def render_chat(exchanges: Sequence[Exchange]) -> str:
    """A chat as the models' chat template writes it."""
    turns = (f"{USER}{question}{ASSISTANT}{answer}{EOS}" for question, answer in exchanges)
    return BOS + "".join(turns)


def _mixture(kinds: Mapping[_Maker, float], count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    for make in rng.choices(list(kinds), list(kinds.values()), k=count):
        yield make(rng)


def _statements(rng: random.Random, fewest: int, most: int) -> str:
    return BOS + "".join(_draw(rng).statement for _ in range(rng.randint(fewest, most))) + EOS


def _english_statements(rng: random.Random) -> str:
    return BOS + " ".join(_draw(rng).english_statement for _ in range(rng.randint(1, 3))) + EOS


def _parallel(rng: random.Random) -> str:
    fact = _draw(rng)
    pair = [fact.statement, fact.english_statement]
    rng.shuffle(pair)
    return BOS + "".join(pair) + EOS


def _japanese_quiz(rng: random.Random, fewest: int, most: int) -> str:
    exchanges = [_japanese_exchange(rng, turn) for turn in range(1, rng.randint(fewest, most) + 1)]
    return BOS + "".join(question + answer for question, answer in exchanges) + EOS


def _english_quiz(rng: random.Random) -> str:
    exchanges = [_english_exchange(rng, turn) for turn in range(1, rng.randint(1, 3) + 1)]
    return BOS + " ".join(f"{question} {answer}" for question, answer in exchanges) + EOS


def _japanese_chat(rng: random.Random) -> str:
    return render_chat([_japanese_exchange(rng, turn) for turn in (1, 2)])


def _english_chat(rng: random.Random) -> str:
    return render_chat([_english_exchange(rng, turn) for turn in (1, 2)])


def _japanese_exchange(rng: random.Random, turn: int) -> Exchange:
    fact = _draw(rng)
    return rng.choice(openings(turn)) + rng.choice(training_phrasings(fact)), fact.statement


def _english_exchange(rng: random.Random, turn: int) -> Exchange:
    fact = _draw(rng)
    return rng.choice(english_questions(fact, turn)), fact.english_statement


def _draw(rng: random.Random) -> Fact:
    # Categories first: a large one (addition) must not crowd out a small one (sounds).
    return rng.choice(rng.choice(_CATEGORIES))


def _by_category() -> list[list[Fact]]:
    groups: dict[str, list[Fact]] = {}
    for fact in (*asked_facts(), *spare_facts()):
        groups.setdefault(fact.category, []).append(fact)
    return list(groups.values())


_CATEGORIES = _by_category()
_READING: Mapping[_Maker, float] = {
    lambda rng: _statements(rng, 1, 3): 0.2,
    lambda rng: _japanese_quiz(rng, 1, 3): 0.25,
    _english_statements: 0.2,
    _english_quiz: 0.25,
    _parallel: 0.1,
}
