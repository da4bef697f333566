"""Answers that exist are not generated again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines.mortals import PoolContract, mortals
from tvmerge._util.cache import ContentCache
from tvmerge.engines.answer_store import StoredAnswers
from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.pool import EnginePool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Recipe, Sampling

QUESTIONS = tuple(Question(i, "writing" if i % 2 else "math", (f"q{i}", "and?")) for i in range(6))
SAMPLING = Sampling(max_new_tokens=8, temperatures={"math": 0.0}, samples=2)
ONE, TWO = Recipe({"a": 1.0}), Recipe({"a": 2.0})


class CountingPool:
    """Answers with what it was asked, one micro-batch a question, and keeps count."""

    def __init__(self) -> None:
        self.answered: list[object] = []
        self.waves: list[int | None] = []
        self.rated: list[Continuation] = []

    async def answer(
        self,
        recipe: Recipe,
        questions: Sequence[Question],
        sampling: Sampling,
        *,
        wave: int | None = None,
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        self.waves.append(wave)
        for question in questions:
            self.answered.append(question.question_id)
            weight = dict(recipe.weights)["a"]
            drawn = sampling.temperature(question.category) > 0
            yield tuple(
                Answer(question.question_id, (f"{weight}", f"{s if drawn else 0}"), ("stop", "length"), s)
                for s in range(sampling.samples)
            )

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        self.rated += pairs
        return [LogLikelihood(-sum(pair.tokens) / 7, greedy=pair.context == (1,)) for pair in pairs]

    async def close(self) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ContentCache]:
    with_cache = ContentCache(tmp_path / "answers")
    yield with_cache
    with_cache.close()


def answers(
    pool: CountingPool,
    cache: ContentCache,
    recipe: Recipe,
    *,
    sampling: Sampling = SAMPLING,
    stop_after: int | None = None,
    identity: str = "m",
    wave: int | None = None,
) -> list[Answer]:
    async def work() -> list[Answer]:
        cached = CachedPool(pool, cache, {"target": identity})
        found: list[Answer] = []
        async with aclosing(cached.answer(recipe, QUESTIONS, sampling, wave=wave)) as stream:
            async for batch in stream:
                found += batch
                if stop_after is not None and len(found) >= stop_after:
                    break
        return sorted(found, key=lambda a: (str(a.question_id), a.sample))

    return asyncio.run(work())


class TestCachedPool(PoolContract):
    """The contract of all pools."""

    @pytest.fixture
    def deaths(self) -> list[int]:
        return []

    @pytest.fixture
    def pool(self, deaths: list[int], cache: ContentCache) -> CachedPool:
        return CachedPool(EnginePool(mortals(1, deaths)), cache, {"target": "m"})


def test_a_second_run_asks_no_engine(cache: ContentCache) -> None:
    first, second = CountingPool(), CountingPool()
    assert answers(first, cache, ONE) == answers(second, cache, ONE)
    assert first.answered == [0, 1, 2, 3, 4, 5]
    assert second.answered == []


def test_an_interrupted_run_goes_on_where_it_stopped(cache: ContentCache) -> None:
    first, second = CountingPool(), CountingPool()
    answers(first, cache, ONE, stop_after=4)
    whole = answers(second, cache, ONE)
    assert len(whole) == 12
    assert first.answered + second.answered == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("recipe", "sampling", "identity"),
    [
        (TWO, SAMPLING, "m"),
        (ONE, replace(SAMPLING, max_new_tokens=9), "m"),
        (ONE, replace(SAMPLING, stop=("\n",)), "m"),
        (ONE, replace(SAMPLING, truncate=True), "m"),
        (ONE, replace(SAMPLING, raw=True), "m"),
        (ONE, SAMPLING, "another model"),
    ],
)
def test_what_changes_an_answer_changes_its_key(
    cache: ContentCache, recipe: Recipe, sampling: Sampling, identity: str
) -> None:
    answers(CountingPool(), cache, ONE)
    pool = CountingPool()
    answers(pool, cache, recipe, sampling=sampling, identity=identity)
    assert pool.answered == [0, 1, 2, 3, 4, 5]


def test_a_seed_matters_only_where_something_is_drawn(cache: ContentCache) -> None:
    answers(CountingPool(), cache, ONE)
    pool = CountingPool()
    answers(pool, cache, ONE, sampling=replace(SAMPLING, seed=1))
    assert pool.answered == [1, 3, 5]


def test_waves_count_over_what_is_not_stored(cache: ContentCache) -> None:
    first, second = CountingPool(), CountingPool()
    answers(first, cache, ONE, stop_after=4)
    answers(second, cache, ONE, wave=2)
    assert (second.answered, second.waves) == ([2, 3, 4, 5], [2])


def test_what_was_rated_is_not_rated_again(cache: ContentCache) -> None:
    pool = CountingPool()
    old = [Continuation((1,), (2,)), Continuation((1,), (2, 3))]
    new = [Continuation((1, 2), (3,)), Continuation((2,), (1,))]

    def rate(pairs: list[Continuation], recipe: Recipe = ONE, identity: str = "m") -> list[LogLikelihood]:
        return list(asyncio.run(CachedPool(pool, cache, {"target": identity}).loglikelihood(recipe, pairs)))

    rate(old)
    assert rate([*new, *old, *new]) == [
        LogLikelihood(-3 / 7, greedy=False),
        LogLikelihood(-1 / 7, greedy=False),
        LogLikelihood(-2 / 7, greedy=True),
        LogLikelihood(-5 / 7, greedy=True),
        LogLikelihood(-3 / 7, greedy=False),
        LogLikelihood(-1 / 7, greedy=False),
    ]
    assert pool.rated == [*old, *new]
    rate(old, recipe=TWO)
    rate(old, identity="another model")
    assert pool.rated == [*old, *new, *old, *old]


def test_a_likelihood_that_is_no_number_is_told_and_not_kept(cache: ContentCache) -> None:
    class Overflowing(CountingPool):
        async def loglikelihood(
            self, recipe: Recipe, pairs: Sequence[Continuation]
        ) -> Sequence[LogLikelihood]:
            self.rated += pairs
            return [LogLikelihood(float("nan"), greedy=False), LogLikelihood(-1.0, greedy=True)]

    pool = Overflowing()
    pairs = [Continuation((1,), (2,)), Continuation((1,), (3,))]
    first, second = asyncio.run(CachedPool(pool, cache, {"target": "m"}).loglikelihood(ONE, pairs))
    assert first.logprob != first.logprob
    assert second == LogLikelihood(-1.0, greedy=True)
    sound = CountingPool()
    asyncio.run(CachedPool(sound, cache, {"target": "m"}).loglikelihood(ONE, pairs))
    assert sound.rated == pairs[:1]


def test_thoughts_are_kept_with_their_answers(cache: ContentCache) -> None:
    stored = StoredAnswers(cache, {"target": "m"})
    kept = Answer(1, ("a", ""), ("stop", "thought"), thoughts=("hm", "so"))
    stored.keep(ONE, [(QUESTIONS[1], kept)], Sampling())
    assert stored.look_up(ONE, [QUESTIONS[1]], Sampling()) == ([kept], [])
    assert stored.look_up(ONE, [QUESTIONS[1]], Sampling(max_thinking_tokens=9)) == ([], [QUESTIONS[1]])


@pytest.mark.parametrize(("text", "known"), [("tokyo", True), ("<think>hm</think>tokyo", False)])
def test_a_row_of_an_earlier_release_counts_where_it_holds_no_thought(
    cache: ContentCache, monkeypatch: pytest.MonkeyPatch, text: str, known: bool
) -> None:
    stored = StoredAnswers(cache, {"target": "m"})
    put = cache.put_many

    def put_as_before(rows: Mapping[str, Any]) -> None:
        put({key: {name: row[name] for name in ("turns", "finish")} for key, row in rows.items()})

    with monkeypatch.context() as earlier:
        earlier.setattr(cache, "put_many", put_as_before)
        stored.keep(ONE, [(QUESTIONS[1], Answer(1, (text,), ("stop",)))], Sampling())
    assert bool(stored.look_up(ONE, [QUESTIONS[1]], Sampling())[0]) == known


@pytest.mark.parametrize(
    "row",
    [
        7,
        "text",
        [],
        {"turns": "ab", "finish": ["stop"]},
        {"turns": ["a", 7], "finish": ["stop", "stop"], "thoughts": []},
        {"turns": ["a"], "finish": ["ended"], "thoughts": []},
        {"turns": ["a"], "finish": [["stop"]], "thoughts": []},
        {"turns": ["a"], "finish": ["stop"], "thoughts": None},
    ],
)
def test_a_row_that_is_no_answer_or_no_likelihood_is_a_miss(cache: ContentCache, row: object) -> None:
    pair = Continuation((1,), (7,))
    answers(CountingPool(), cache, ONE)
    asyncio.run(CachedPool(CountingPool(), cache, {"target": "m"}).loglikelihood(ONE, [pair]))
    cache.put_many(dict.fromkeys(list(cache), row))
    pool = CountingPool()
    assert len(answers(pool, cache, ONE)) == 12
    (found,) = asyncio.run(CachedPool(pool, cache, {"target": "m"}).loglikelihood(ONE, [pair]))
    assert found == LogLikelihood(-1.0, greedy=True)
    assert (len(pool.answered), len(pool.rated)) == (6, 1)


async def test_half_a_surrogate_pair_in_an_answer_is_replaced_before_anyone_sees_it(
    cache: ContentCache,
) -> None:
    class Broken(CountingPool):
        async def answer(self, *_: Any, **__: Any) -> AsyncGenerator[tuple[Answer, ...], None]:
            yield (Answer(0, ("a\ud83d", "b"), ("stop", "stop")),)

    pool = CachedPool(Broken(), cache, {"target": "m"})
    async with aclosing(pool.answer(ONE, QUESTIONS[:1], Sampling())) as stream:
        assert [one async for some in stream for one in some] == [Answer(0, ("a�", "b"), ("stop", "stop"))]
    assert [row.value["turns"] for row in cache.rows()] == [["a�", "b"]]
