"""The comparison with transformers after a reload, with transformers' engine in vLLM's place."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engines.models import open_demo_engine
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.vllm.reload_check import ReloadCheckedPool
from tvmerge.errors import CandidateError, CheckpointError, ConfigError
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Continuation, LogLikelihood, Recipe
from tvmerge.testing.engine_contract import GREEDY
from tvmerge.testing.models import answers_of, demo_questions, open_models, uneven, uniform


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


class Checked:
    """A checked pool of one engine, and what it told."""

    def __init__(self, folder: Path, engine: Engine, reference: Engine | Exception | None = None) -> None:
        self.notes: list[str] = []
        self.passed: list[float] = []
        self.references = 0
        self.reference = reference
        self._folder = folder

        async def start() -> Engine:
            return engine

        self.pool = ReloadCheckedPool(
            EnginePool({"cpu": start}),
            self._start,
            ChatFormat(folder / "target"),
            lambda: 200,
            "float32",
            note=self.notes.append,
            passed=self.passed.append,
        )

    async def _start(self) -> Engine:
        self.references += 1
        if isinstance(self.reference, Exception):
            raise self.reference
        return self.reference or open_demo_engine(str(self._folder))

    async def answers(self, recipe: Recipe) -> list[Answer]:
        stream = self.pool.answer(recipe, demo_questions(4), GREEDY)
        return [answer async for batch in stream for answer in batch]


class Broken:
    """The demo's engine, with weights that its reloads get wrong.

    Args:
        folder: The models.
        recipes: Becomes the first of them, then the next, ..., whatever it is asked for; at the end the last.
    """

    def __init__(self, folder: Path, recipes: Sequence[Recipe | Exception]) -> None:
        self._engine = open_demo_engine(str(folder))
        self._recipes = list(recipes)
        self.capabilities = self._engine.capabilities
        self.generate = self._engine.generate
        self.loglikelihood = self._engine.loglikelihood
        self.close = self._engine.close

    async def apply(self, recipe: Recipe) -> None:
        wrong = self._recipes.pop(0) if len(self._recipes) > 1 else self._recipes[0]
        if isinstance(wrong, Exception):
            raise wrong
        await self._engine.apply(wrong)


async def test_the_first_answer_is_compared_once_and_all_are_given(demo_models: Path, merge: Merge) -> None:
    engine = open_demo_engine(str(demo_models))
    checked = Checked(demo_models, engine)
    zero, other = uniform(merge, 0.0), uneven(merge)
    found = await asyncio.gather(checked.answers(zero), checked.answers(other), checked.answers(zero))
    pair = Continuation((5, 6), (7, 8))
    await checked.pool.loglikelihood(other, [pair])
    for recipe, answers in zip((zero, other, zero), found, strict=True):
        expected = await answers_of(engine, recipe, demo_questions(4), GREEDY)
        assert {(answer.question_id, answer.sample): answer for answer in answers} == expected
    assert checked.references == len(checked.passed) == len(checked.notes) == 1
    assert checked.passed[0] < 1e-4
    await checked.pool.close()


@pytest.mark.parametrize("weight", [0.0, 0.7])
async def test_a_reload_that_changes_nothing_ends_the_run(
    demo_models: Path, merge: Merge, weight: float
) -> None:
    checked = Checked(demo_models, Broken(demo_models, [uniform(merge, 0.0)]))
    with pytest.raises(ConfigError, match=r"^vLLM computes with wrong weights .* --engine transformers"):
        await checked.answers(uniform(merge, weight))
    assert not checked.passed
    await checked.pool.close()


async def test_only_the_second_reload_being_wrong_ends_it_too(demo_models: Path, merge: Merge) -> None:
    zero = uniform(merge, 0.0)
    checked = Checked(demo_models, Broken(demo_models, [zero, uniform(merge, 1.4)]))
    pair = Continuation((5,), (6, 7, 8, 9))
    with pytest.raises(ConfigError, match="nats per token more or less likely than transformers does"):
        await checked.pool.loglikelihood(zero, [pair])
    await checked.pool.close()


async def test_without_memory_for_a_second_model_it_is_said_and_the_run_goes_on(
    demo_models: Path, merge: Merge
) -> None:
    reason = CheckpointError("target needs about 14.0 GiB on cpu, where 8.0 GiB are free")
    checked = Checked(demo_models, open_demo_engine(str(demo_models)), reason)
    for _ in range(2):
        assert len(await checked.answers(uniform(merge, 0.0))) == 4
    assert checked.notes[1:] == [f"vLLM's reloaded weights are not compared with transformers': {reason}"]
    assert not checked.passed
    await checked.pool.close()


async def test_without_a_usable_model_to_compare_the_next_candidate_is_compared(
    demo_models: Path, merge: Merge
) -> None:
    zero, other, unusable = uniform(merge, 0.0), uneven(merge), CandidateError("would hold infinities")
    checked = Checked(demo_models, Broken(demo_models, [unusable, zero, unusable, zero, other]))
    with pytest.raises(CandidateError):
        await checked.answers(zero)
    assert len(await checked.answers(zero)) == 4  # the one with weights of 1 was not usable
    assert checked.references == 0
    assert len(await checked.answers(other)) == 4
    assert checked.references == len(checked.passed) == 1
    await checked.pool.close()


class Overflows(Broken):
    """The demo's engine, which overflows for a text with the first candidate."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        super().__init__(folder, [recipe])
        self._found = self.loglikelihood
        self.loglikelihood = self._overflowed

    async def _overflowed(self, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        self.loglikelihood = self._found
        return [LogLikelihood(math.nan, greedy=False) for _ in pairs]


async def test_a_model_that_overflows_by_itself_is_not_taken_for_a_wrong_reload(
    demo_models: Path, merge: Merge
) -> None:
    other, pair = uneven(merge), Continuation((5,), (6, 7, 8, 9))
    checked = Checked(demo_models, open_demo_engine(str(demo_models)), Overflows(demo_models, other))
    await checked.pool.loglikelihood(other, [pair])
    assert not checked.passed
    assert "the next candidate is compared" in checked.notes[-1]
    checked.reference = None
    await checked.pool.loglikelihood(other, [pair])
    assert len(checked.passed) == 1
    await checked.pool.close()


async def test_that_no_candidate_could_be_compared_is_said_at_the_end(
    demo_models: Path, merge: Merge
) -> None:
    zero, unusable = uniform(merge, 0.0), CandidateError("would hold infinities")
    checked = Checked(demo_models, Broken(demo_models, [zero, unusable, zero]))
    assert len(await checked.answers(zero)) == 4
    assert not checked.notes
    await checked.pool.close()
    (line,) = checked.notes
    assert line.endswith("no candidate could be compared")
