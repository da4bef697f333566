"""Tests of what every engine must do; subclass them to test an engine."""

from __future__ import annotations

import itertools
from contextlib import aclosing
from dataclasses import replace

import pytest
import torch

from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.errors import AssetError, CheckpointError
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.records import Continuation, Question, Recipe, Sampling
from tvmerge.testing.models import Answers, PlainModel, answers_of, demo_questions, uneven, uniform

GREEDY = Sampling(max_new_tokens=24, default_temperature=0.0)
WARM = Sampling(max_new_tokens=24, default_temperature=0.8, seed=5)
LONG = "ながい話 " * 400


class EngineContract:
    """The contract of engines.

    Subclasses define the fixtures `merge` and `engine`. `merge` is what
    `tvmerge.testing.models.open_models()` returns. `engine` is open, works in float32 and loads what
    `merge.merger` merges.
    """

    async def test_greedy_answers_are_those_of_plain_generate_one_at_a_time(
        self, engine: Engine, merge: Merge
    ) -> None:
        recipe = uneven(merge)
        found = await answers_of(engine, recipe, demo_questions(), GREEDY)
        plain = PlainModel.merged(merge, recipe)
        for question in demo_questions(8):
            assert found[question.question_id, 0].turns == plain.answer(question, 24)

    async def test_it_becomes_any_recipe_and_comes_back(self, engine: Engine, merge: Merge) -> None:
        recipes = [*(uniform(merge, weight) for weight in (0.0, 1.0, 0.5, 1.5)), uneven(merge)]
        rounds = [
            await answers_of(engine, recipe, demo_questions(), GREEDY) for recipe in [*recipes, recipes[0]]
        ]
        assert rounds[0] == rounds[-1]
        assert all(one != other for one, other in itertools.combinations(rounds[:-1], 2))

    async def test_sampled_answers_do_not_depend_on_what_else_is_asked(
        self, engine: Engine, merge: Merge
    ) -> None:
        questions, recipe = demo_questions(12), uniform(merge, 0.5)
        sampling = replace(WARM, samples=2)
        together = await answers_of(engine, recipe, questions, sampling)
        apart: Answers = {}
        for some in (questions[8:], questions[:1], questions[7:0:-1]):
            apart |= await answers_of(engine, recipe, some, sampling)
        assert together == apart
        assert any(together[q.question_id, 0].turns != together[q.question_id, 1].turns for q in questions)

    async def test_another_seed_draws_other_answers(self, engine: Engine, merge: Merge) -> None:
        recipe = uniform(merge, 0.5)
        one = await answers_of(engine, recipe, demo_questions(8), WARM)
        assert one != await answers_of(engine, recipe, demo_questions(8), replace(WARM, seed=6))

    async def test_greedy_samples_are_the_same_answer(self, engine: Engine, merge: Merge) -> None:
        found = await answers_of(engine, uneven(merge), demo_questions(3), replace(GREEDY, samples=3))
        for question in demo_questions(3):
            assert len({found[question.question_id, sample].turns for sample in range(3)}) == 1

    async def test_each_category_has_its_own_temperature(self, engine: Engine, merge: Merge) -> None:
        cold = [replace(question, category="math") for question in demo_questions(6)]
        mixed = replace(WARM, temperatures={"math": 0.0})
        found = await answers_of(engine, uneven(merge), [*cold, _other(demo_questions(7)[6])], mixed)
        greedy = await answers_of(engine, uneven(merge), cold, GREEDY)
        assert {key: found[key] for key in greedy} == greedy

    async def test_an_answer_that_is_cut_off_says_so(self, engine: Engine, merge: Merge) -> None:
        short = await answers_of(
            engine, uniform(merge, 0.0), demo_questions(), replace(GREEDY, max_new_tokens=1)
        )
        assert "length" in {finish for answer in short.values() for finish in answer.finish}
        whole = await answers_of(
            engine, uniform(merge, 0.0), demo_questions(), replace(GREEDY, max_new_tokens=48)
        )
        assert "stop" in {finish for answer in whole.values() for finish in answer.finish}

    async def test_an_answer_ends_before_the_first_stop_text(self, engine: Engine, merge: Merge) -> None:
        question = demo_questions(1)[0]
        single = replace(question, turns=question.turns[:1])
        whole = (await answers_of(engine, uneven(merge), [single], GREEDY))[question.question_id, 0].turns[0]
        stop = whole[len(whole) // 2 :][:2]
        sampling = replace(GREEDY, stop=("never said", stop))
        found = (await answers_of(engine, uneven(merge), [single], sampling))[question.question_id, 0]
        assert found.turns == (whole[: whole.index(stop)].strip(),)
        assert found.finish == ("stop",)

    async def test_a_question_longer_than_the_context_is_named(self, engine: Engine, merge: Merge) -> None:
        too_long = Question("the long one", "writing", (LONG,))
        with pytest.raises(AssetError, match="question the long one: "):
            await answers_of(engine, uneven(merge), [*demo_questions(2), too_long], GREEDY)

    async def test_a_question_longer_than_the_context_is_answered_from_its_end_on_demand(
        self, engine: Engine, merge: Merge
    ) -> None:
        too_long = Question("the long one", "writing", (LONG,))
        sampling = replace(GREEDY, truncate=True)
        found = await answers_of(engine, uneven(merge), [*demo_questions(2), too_long], sampling)
        assert found["the long one", 0].turns[0]
        assert found.keys() == {*((q.question_id, 0) for q in demo_questions(2)), ("the long one", 0)}

    async def test_a_turn_that_no_longer_fits_is_left_unanswered_and_the_others_are_not(
        self, engine: Engine, merge: Merge
    ) -> None:
        question = demo_questions(1)[0]
        outgrown = replace(question, question_id="outgrown", turns=(question.turns[0], LONG))
        found = await answers_of(engine, uneven(merge), [outgrown, question], GREEDY)
        assert found["outgrown", 0].turns == found[question.question_id, 0].turns[:1]

    async def test_a_raw_prompt_is_gone_on_with_as_it_stands(self, engine: Engine, merge: Merge) -> None:
        recipe = uneven(merge)
        plain = PlainModel.merged(merge, recipe)
        texts = [
            question.turns[0][:cut] for question, cut in zip(demo_questions(6), range(2, 14, 2), strict=True)
        ]
        prompts = [Question(number, "", (text,)) for number, text in enumerate((*texts, LONG))]
        sampling = replace(GREEDY, raw=True, truncate=True)
        found = await answers_of(engine, recipe, prompts, sampling)
        for prompt in prompts:
            text = plain.go_on(prompt.turns[0], sampling.max_new_tokens)
            assert found[prompt.question_id, 0].turns == (text,)

    async def test_likelihoods_are_those_of_a_whole_forward_pass(self, engine: Engine, merge: Merge) -> None:
        recipe = uneven(merge)
        plain = PlainModel.merged(merge, recipe)
        texts = [
            (plain.tokenizer(q.turns[0])["input_ids"], plain.tokenizer(q.turns[1])["input_ids"])
            for q in demo_questions(9)
        ]
        # One pair that greedy decoding would produce, so that both values of `greedy` occur.
        context = texts[0][0]
        greedy = int(plain.model(torch.tensor([context])).logits[0, -1].argmax())
        pairs = [Continuation(tuple(c), tuple(t)) for c, t in [*texts, (context, [greedy])]]
        await engine.apply(recipe)
        found = await engine.loglikelihood(pairs)
        for pair, likelihood in zip(pairs, found, strict=True):
            tokens = plain.logprobs(pair.context, pair.tokens)
            assert likelihood.logprob == pytest.approx(sum(p for p, _ in tokens), abs=2e-4 * len(tokens))
            assert likelihood.greedy == all(g for _, g in tokens)
        assert {likelihood.greedy for likelihood in found} == {True, False}

    async def test_a_recipe_that_does_not_fit_is_refused(self, engine: Engine, merge: Merge) -> None:
        with pytest.raises(CheckpointError, match="unknown group 'nowhere'"):
            await engine.apply(Recipe({**uniform(merge, 1.0).weights, "nowhere": 1.0}))
        found = await answers_of(engine, uniform(merge, 1.0), demo_questions(1), GREEDY)
        assert len(found) == 1

    async def test_a_stream_that_is_left_early_leaves_the_engine_usable_or_lost(
        self, engine: Engine, merge: Merge
    ) -> None:
        await engine.apply(uneven(merge))
        async with aclosing(engine.generate(demo_questions(), replace(WARM, samples=2))) as stream:
            await anext(stream)
        try:
            found = await answers_of(engine, uneven(merge), demo_questions(2), GREEDY)
        except EngineLostError:
            return
        assert found == await answers_of(engine, uneven(merge), demo_questions(2), GREEDY)

    async def test_it_says_what_it_is(self, engine: Engine) -> None:
        assert engine.capabilities.exact
        assert engine.capabilities.context == 256
        assert engine.capabilities.engine.strip()


def _other(question: Question) -> Question:
    return replace(question, category="writing")
