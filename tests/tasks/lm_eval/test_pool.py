from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.lm_eval.tiny import (
    examine,
    load,
    metric,
    open_pool,
    prompts_of,
    write_jglue,
    write_task,
)
from tvmerge._util.cache import ContentCache
from tvmerge._util.trace import Trace
from tvmerge.engines.cached_pool import CachedPool
from tvmerge.protocols import Pool
from tvmerge.records import Answer, Continuation, LogLikelihood, Question, Rating, Recipe, Sampling, Unrated
from tvmerge.tasks.lm_eval.judge import HarnessJudge, pack, unpack
from tvmerge.tasks.lm_eval.pool import PORTION, HarnessPool
from tvmerge.tasks.lm_eval.task import HarnessTask
from tvmerge.testing.models import open_models, uniform


def rows(number: int) -> list[dict[str, Any]]:
    return [{"text": f"{n} + {n} =", "answer": str(n % 3)} for n in range(number)]


ROWS = rows(8)
RECIPE = Recipe({"a": 1.0})


class Counting:
    """A pool that continues with a prompt's first character and finds short continuations likely."""

    def __init__(self) -> None:
        self.generated: list[str] = []
        self.rated: list[Continuation] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.started, self.left = asyncio.Event(), asyncio.Event()

    async def answer(
        self, recipe: Recipe, questions: Sequence[Question], sampling: Sampling, *, wave: int | None = None
    ) -> AsyncGenerator[tuple[Answer, ...], None]:
        for question in questions:
            await self._work()
            self.generated.append(question.turns[0])
            text = question.turns[0][0]
            yield tuple(
                Answer(question.question_id, (f"{text}{s or ''}",), ("stop",), s)
                for s in range(sampling.samples)
            )

    async def loglikelihood(self, recipe: Recipe, pairs: Sequence[Continuation]) -> Sequence[LogLikelihood]:
        await self._work()
        self.rated += pairs
        return [LogLikelihood(-float(len(pair.tokens)), greedy=False) for pair in pairs]

    async def close(self) -> None:
        pass

    async def _work(self) -> None:
        self.started.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise


def sums(folder: Path, number: int = len(ROWS), **more: Any) -> HarnessTask:
    config: dict[str, Any] = {
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
        "metric_list": [metric("exact_match")],
        **more,
    }
    return load([write_task(folder, "sums", rows(number), **config)], folder)[0]


async def all_answers(
    pool: Pool, questions: Sequence[Question], wave: int | None = None, sampling: Sampling | None = None
) -> list[Answer]:
    stream = pool.answer(RECIPE, questions, sampling or Sampling(), wave=wave)
    return [answer async for answers in stream for answer in answers]


async def test_documents_are_answered_in_waves_in_the_order_given(demo_models: Path, tmp_path: Path) -> None:
    task, inner = sums(tmp_path), Counting()
    pool = HarnessPool(inner, [task], prompts_of(demo_models))
    questions = task.questions[::-1]
    async with aclosing(pool.answer(RECIPE, questions, Sampling(), wave=3)) as stream:
        asked = [(len(answers), len(inner.generated)) async for answers in stream]
    assert asked == [(3, 3), (3, 6), (2, 8)]
    assert inner.generated == [question.turns[0] for question in questions]


async def test_two_candidates_in_waves_take_few_turns_at_the_engine(
    demo_models: Path, tmp_path: Path
) -> None:
    trace = Trace()
    task = sums(tmp_path, 48)
    pool = HarnessPool(open_pool(demo_models, trace), [task], prompts_of(demo_models))
    models = open_models(demo_models)
    plain = [Question(number, "writing", (f"{number}?",)) for number in range(16)]
    questions = [q for n in range(16) for q in (plain[n], *task.questions[3 * n : 3 * n + 3])]

    async def answered(weight: float) -> list[Answer]:
        stream = pool.answer(uniform(models, weight), questions, Sampling(max_new_tokens=2), wave=4)
        return [answer async for answers in stream for answer in answers]

    found = await asyncio.gather(answered(0.0), answered(1.0))
    await pool.close()
    assert [len({answer.question_id for answer in answers}) for answers in found] == [64, 64]
    # Portions of 4, 4, 8, 16, 32: for each a turn of texts and one of other questions. Waves took 16 of each.
    trace.write(tmp_path / "trace.json")
    merges = (tmp_path / "trace.json").read_text(encoding="utf-8").count('"merge"')
    assert 2 < merges <= 2 * 5 * 2


async def test_a_candidate_that_is_stopped_was_asked_little_more_than_it_needed(
    demo_models: Path, tmp_path: Path
) -> None:
    task, inner = sums(tmp_path, 700), Counting()
    pool = HarnessPool(inner, [task], prompts_of(demo_models))
    came = 0
    async with aclosing(pool.answer(RECIPE, task.questions, Sampling(), wave=10)) as stream:
        async for answers in stream:
            came += len(answers)
            assert len(inner.generated) == came <= max(10, 2 * (came - len(answers)))
            assert len(answers) <= PORTION
    assert inner.generated == [question.turns[0] for question in task.questions]


async def test_questions_of_no_task_go_to_the_other_pool_and_the_other_judge(
    demo_models: Path, tmp_path: Path
) -> None:
    class Strict:
        name = "strict"
        closed = False

        @property
        def fingerprint(self) -> dict[str, object]:
            return {"model": "strict"}

        async def judge(self, question: Question, answer: Answer) -> Sequence[Rating]:
            return [Rating(question.question_id, 1, 1.0, self.name, "p")]

        async def close(self) -> None:
            self.closed = True

    task, inner, strict = sums(tmp_path), Counting(), Strict()
    pool = HarnessPool(inner, [task], prompts_of(demo_models))
    judge = HarnessJudge([task], strict)
    plain = Question(1, "writing", ("hello",))
    for wave in (None, 2):
        answers = {
            a.question_id: a
            for a in await all_answers(pool, [task.questions[0], plain, *task.questions[1:]], wave)
        }
        assert answers[1].turns == ("h",)
        assert [j.judge for j in await judge.judge(plain, answers[1])] == ["strict"]
        (own,) = await judge.judge(task.questions[0], answers["sums/0"])
        assert isinstance(own, Rating)
        assert (own.judge, own.prompt, own.score, own.reply) == ("lm-eval", "sums:exact_match", 1.0, "0")
    assert judge.name == "strict"
    assert {"model", "lm_eval", "tasks"} == set(judge.fingerprint)
    await judge.close()
    assert strict.closed


async def test_what_was_asked_of_a_candidate_is_not_asked_again(demo_models: Path, tmp_path: Path) -> None:
    jglue = load(["ja_leaderboard_jcommonsenseqa"], jglue_data=write_jglue(tmp_path / "jglue"), num_fewshot=0)
    tasks = [sums(tmp_path), *jglue]
    questions = [question for task in tasks for question in task.questions]
    cache = ContentCache(tmp_path / "cache")
    found = []
    # Six of the nine documents of JGLUE differ.
    for stored in range(2):
        inner = Counting()
        cached = CachedPool(inner, cache, {"target": "m"})
        found.append(await all_answers(HarnessPool(cached, tasks, prompts_of(demo_models)), questions))
        assert (len(inner.generated), len(inner.rated)) == ((0, 0) if stored else (8, 6 * 5))
    assert found[0] == found[1]
    cache.close()


async def test_a_task_that_repeats_gets_samples_of_its_own(demo_models: Path, tmp_path: Path) -> None:
    drawn = {"until": ["\n"], "max_gen_toks": 4, "do_sample": True, "temperature": 0.5}
    task = sums(tmp_path, repeats=3, generation_kwargs=drawn)
    answers = await all_answers(HarnessPool(Counting(), [task], prompts_of(demo_models)), task.questions[:1])
    assert unpack(answers[0].turns[0]) == [["0", "01", "02"]]


async def test_a_caller_that_leaves_stops_the_work(demo_models: Path, tmp_path: Path) -> None:
    task, inner = sums(tmp_path), Counting()
    inner.hold.clear()
    pool = HarnessPool(inner, [task], prompts_of(demo_models))
    asking = asyncio.create_task(all_answers(pool, task.questions))
    await inner.started.wait()
    asking.cancel()
    await asyncio.wait_for(inner.left.wait(), timeout=60)
    assert inner.generated == []
    inner.hold.set()
    assert len(await all_answers(pool, task.questions)) == len(ROWS)


async def test_many_candidates_at_once_do_not_wait_for_each_other_for_ever(
    demo_models: Path, tmp_path: Path
) -> None:
    task = sums(tmp_path)
    cache = ContentCache(tmp_path / "cache")
    pool = HarnessPool(CachedPool(Counting(), cache, {"target": "m"}), [task], prompts_of(demo_models))
    found = await asyncio.wait_for(
        asyncio.gather(*(all_answers(pool, task.questions) for _ in range(50))), timeout=60
    )
    assert [len(answers) for answers in found] == [len(ROWS)] * 50
    cache.close()


def test_scores_move_with_the_weights(demo_models: Path, tmp_path: Path) -> None:
    tasks = load(["ja_leaderboard_jcommonsenseqa"], jglue_data=write_jglue(tmp_path, 12), num_fewshot=0)
    target, tuned = (examine(demo_models, tasks, weight=weight) for weight in (0.0, 1.0))
    assert [j.reply for j in target] != [j.reply for j in tuned]
    assert {judgment.score for judgment in target} <= {0.0, 1.0}


async def test_a_document_that_was_not_answered_is_not_scored(tmp_path: Path) -> None:
    task = sums(tmp_path)
    assert await HarnessJudge([task]).judge(task.questions[0], Answer("sums/0", ())) == []


@pytest.mark.parametrize("broken", [[float("nan")] * 3, [-1.0, float("nan"), -2.0]])
async def test_a_likelihood_that_is_no_number_is_no_score(broken: list[float], tmp_path: Path) -> None:
    (task,) = load(["ja_leaderboard_jnli"], jglue_data=write_jglue(tmp_path), num_fewshot=0)
    question, judge = task.questions[0], HarnessJudge([task])
    (sound,) = await judge.judge(question, _rated(question, [-3.0, -1.0, -2.0]))
    (judged,) = await judge.judge(question, _rated(question, broken))
    assert isinstance(sound, Rating)
    assert isinstance(judged, Unrated)
    assert judged.reason == "the model's likelihood is not a number"


def _rated(question: Question, logprobs: Sequence[float]) -> Answer:
    return Answer(question.question_id, (pack([[(logprob, False)] for logprob in logprobs]),))


async def test_a_document_that_the_mean_leaves_out_is_not_judged(demo_models: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "def rate(doc, results):\n    return {'odd': float('nan') if doc['answer'] == '0' else 1.0}\n",
        encoding="utf-8",
    )
    task = sums(tmp_path)
    text = (tmp_path / "sums.yaml").read_text(encoding="utf-8")
    text = text.replace(
        '"metric": "exact_match", "aggregation": "mean"', '"metric": "odd", "aggregation": "nanmean"'
    )
    (tmp_path / "sums.yaml").write_text(
        text[:-1] + ', "process_results": !function odd.rate }', encoding="utf-8"
    )
    (task,) = load(["sums"], tmp_path)
    judge = HarnessJudge([task])
    answers = await all_answers(HarnessPool(Counting(), [task], prompts_of(demo_models)), task.questions[:2])
    first, (second,) = [await judge.judge(q, a) for q, a in zip(task.questions, answers, strict=False)]
    assert first == []
    assert isinstance(second, Rating)
    assert task.aggregate([second]) == 1.0


@pytest.mark.parametrize("wave", [None, 2])
async def test_real_engines_answer_alike_in_waves_and_at_once(
    wave: int | None, demo_models: Path, tmp_path: Path
) -> None:
    tasks = [sums(tmp_path), *load(["ja_leaderboard_jnli"], jglue_data=write_jglue(tmp_path / "jglue"))]
    questions = [question for task in tasks for question in task.questions]
    pool = HarnessPool(open_pool(demo_models), tasks, prompts_of(demo_models))
    recipe = uniform(open_models(demo_models), 0.5)
    stream = pool.answer(recipe, questions, Sampling(), wave=wave)
    judge = HarnessJudge(tasks)
    by_id = {question.question_id: question for question in questions}
    replies = [
        judgment.reply
        async for answers in stream
        for answer in answers
        for judgment in await judge.judge(by_id[answer.question_id], answer)
    ]
    await pool.close()
    assert len(replies) == len(questions)
    assert set(replies[len(ROWS) :]) <= {"含意", "矛盾", "中立"}
