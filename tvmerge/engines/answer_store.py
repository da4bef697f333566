"""Stores generated answers, keyed by everything that decides them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tvmerge._util.cache import ContentCache
from tvmerge._util.canonical import digest
from tvmerge.reasoning.thoughts import split_texts
from tvmerge.records import Answer, Question, Recipe, Sampling

SCHEMA = "answer-v1"


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

    def look_up(
        self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling
    ) -> tuple[list[Answer], list[Question]]:
        """Return the stored answers, and the questions of which at least one sample is missing."""
        hits: list[Answer] = []
        missing: list[Question] = []
        for question in questions:
            keys = [self._key(recipe, question, sample, sampling) for sample in range(sampling.samples)]
            rows = [row for row in map(self._cache.get, keys) if row is not None and _is_parted(row)]
            if len(rows) < len(keys):
                missing.append(question)
            else:
                hits.extend(_unpack(row, question, sample) for sample, row in enumerate(rows))
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


def _is_parted(row: Mapping[str, Any]) -> bool:
    """Return whether thoughts are stored apart from answers; older releases stored both in one text."""
    return "thoughts" in row or not any(parted.thoughts for parted in split_texts(row["turns"]))


def _unpack(row: Mapping[str, Any], question: Question, sample: int) -> Answer:
    return Answer(
        question.question_id,
        tuple(row["turns"]),
        tuple(row["finish"]),
        sample,
        tuple(row.get("thoughts", ())),
    )
