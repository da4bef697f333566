"""Stores generated answers, keyed by everything that decides them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from tvmerge._util.cache import ContentCache
from tvmerge._util.canonical import digest
from tvmerge.reasoning.thoughts import split_texts
from tvmerge.records import Answer, Question, Recipe, Sampling
from tvmerge.records.questions import Finish

SCHEMA = "answer-v1"

_FINISHES = frozenset(get_args(Finish))


class StoredAnswers:
    """The stored answers of the merges of one set of models.

    Args:
        cache: Where answers are kept.
        identity: Everything that decides an answer except recipe, question and sampling: digests of the
            source checkpoints, output dtype, chat template.
    """

    def __init__(self, cache: ContentCache, identity: Mapping[str, str]) -> None:
        self._cache = cache
        self._identity = dict(identity)

    def of(self, identity: Mapping[str, str]) -> StoredAnswers:
        """Return the stored answers of other models in the same cache."""
        return StoredAnswers(self._cache, identity)

    def look_up(
        self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling
    ) -> tuple[list[Answer], list[Question]]:
        """Return the stored answers, and the questions of which at least one sample is missing."""
        hits: list[Answer] = []
        missing: list[Question] = []
        for question in questions:
            keys = [self._key(recipe, question, sample, sampling) for sample in range(sampling.samples)]
            found = [_unpack(self._cache.get(key), question, sample) for sample, key in enumerate(keys)]
            known = [answer for answer in found if answer is not None]
            if len(known) < len(keys):
                missing.append(question)
            else:
                hits.extend(known)
        return hits, missing

    def keep(self, recipe: Recipe, answers: Iterable[tuple[Question, Answer]], sampling: Sampling) -> None:
        """Store answers atomically: all of them, or none after a crash."""
        self._cache.put_many(
            {
                self._key(recipe, question, answer.sample, sampling): _pack(answer)
                for question, answer in answers
            }
        )

    def _key(self, recipe: Recipe, question: Question, sample: int, sampling: Sampling) -> str:
        temperature = sampling.temperature(question.category)
        drawn = {"seed": sampling.seed, "sample": sample} if temperature else {}
        unusual = {
            "stop": list(sampling.stop),
            "truncate": sampling.truncate,
            "raw": sampling.raw,
            "max_thinking_tokens": sampling.max_thinking_tokens,
        }
        return digest(
            {
                "schema": SCHEMA,
                "model": self._identity,
                "weights": dict(recipe.weights),
                "turns": list(question.turns),
                "max_new_tokens": sampling.max_new_tokens,
                "temperature": temperature,
                **drawn,
                **{name: value for name, value in unusual.items() if value},
            }
        )


def _pack(answer: Answer) -> dict[str, Any]:
    return {
        "turns": list(answer.turns),
        "finish": list(answer.finish),
        "thoughts": list(answer.thoughts),
    }


def _unpack(row: Any, question: Question, sample: int) -> Answer | None:
    """Return the answer in a row of the cache; None if it is none, or one of an older release."""
    match row:
        case {"turns": [*turns], "finish": [*finish], "thoughts": [*thoughts]}:
            pass
        case {"turns": [*turns], "finish": [*finish]} if "thoughts" not in row:
            thoughts = []
        case _:
            return None
    if not all(isinstance(text, str) for text in (*turns, *finish, *thoughts)) or set(finish) - _FINISHES:
        return None
    # Older releases stored thoughts and answers in one text.
    if "thoughts" not in row and any(parted.thoughts for parted in split_texts(turns)):
        return None
    return Answer(question.question_id, tuple(turns), tuple(finish), sample, tuple(thoughts))
