"""Answers that exist are not generated again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tvmerge.cache import ContentCache
from tvmerge.generation.cached_engine import CachedEngine
from tvmerge.records import Answer, Question, Recipe, Sampling

QUESTIONS = tuple(Question(i, "writing" if i % 2 else "math", (f"q{i}", "and?")) for i in range(6))
SAMPLING = Sampling(max_new_tokens=8, temperatures={"math": 0.0}, samples=2)
ONE, TWO = Recipe({"a": 1.0}), Recipe({"a": 2.0})


class CountingEngine:
    """Answers with what it was asked, one micro-batch a question, and keeps count."""

    def __init__(self) -> None:
        self.applied: list[Recipe] = []
        self.answered: list[object] = []

    async def apply(self, recipe: Recipe) -> None:
        self.applied.append(recipe)

    async def generate(
        self, questions: Sequence[Question], sampling: Sampling
    ) -> AsyncIterator[tuple[Answer, ...]]:
        for question in questions:
            self.answered.append(question.question_id)
            weight = dict(self.applied[-1].weights)["a"]
            drawn = sampling.temperature(question.category) > 0
            yield tuple(
                Answer(question.question_id, (f"{weight}", f"{s if drawn else 0}"), ("stop", "length"), s)
                for s in range(sampling.samples)
            )

    async def close(self) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    with_cache = ContentCache(tmp_path / "answers")
    yield with_cache
    with_cache.close()


def answers(
    engine: CountingEngine,
    cache: ContentCache,
    recipe: Recipe,
    *,
    sampling: Sampling = SAMPLING,
    stop_after: int | None = None,
    identity: str = "m",
) -> list[Answer]:
    async def work() -> list[Answer]:
        cached = CachedEngine(engine, cache, {"target": identity})
        await cached.apply(recipe)
        found: list[Answer] = []
        async for batch in cached.generate(QUESTIONS, sampling):
            found += batch
            if stop_after is not None and len(found) >= stop_after:
                break
        return sorted(found, key=lambda a: (str(a.question_id), a.sample))

    return asyncio.run(work())


def test_a_second_run_generates_nothing_and_applies_no_recipe(cache: ContentCache) -> None:
    first, second = CountingEngine(), CountingEngine()
    assert answers(first, cache, ONE) == answers(second, cache, ONE)
    assert first.answered == [0, 1, 2, 3, 4, 5]
    assert (second.answered, second.applied) == ([], [])


def test_an_interrupted_run_goes_on_where_it_stopped(cache: ContentCache) -> None:
    first, second = CountingEngine(), CountingEngine()
    answers(first, cache, ONE, stop_after=4)
    whole = answers(second, cache, ONE)
    assert len(whole) == 12
    assert first.answered + second.answered == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("recipe", "sampling", "identity"),
    [
        (TWO, SAMPLING, "m"),
        (ONE, replace(SAMPLING, max_new_tokens=9), "m"),
        (ONE, SAMPLING, "another model"),
    ],
)
def test_what_changes_an_answer_changes_its_key(
    cache: ContentCache, recipe: Recipe, sampling: Sampling, identity: str
) -> None:
    answers(CountingEngine(), cache, ONE)
    engine = CountingEngine()
    answers(engine, cache, recipe, sampling=sampling, identity=identity)
    assert engine.answered == [0, 1, 2, 3, 4, 5]


def test_a_seed_matters_only_where_something_is_drawn(cache: ContentCache) -> None:
    answers(CountingEngine(), cache, ONE)
    engine = CountingEngine()
    answers(engine, cache, ONE, sampling=replace(SAMPLING, seed=1))
    assert engine.answered == [1, 3, 5]
