"""The transformers engine against plain transformers, on the demo's real models."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tvmerge.evaluation.benchmark import load_benchmark
from tvmerge.generation.chat import ChatFormat
from tvmerge.generation.transformers_engine import TransformersEngine
from tvmerge.merging.live import load_into
from tvmerge.merging.opening import Merge, open_merge
from tvmerge.records import Answer, Question, QuestionId, Recipe, Sampling

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "demo"
Answers = dict[tuple[QuestionId, int], Answer]
GREEDY = Sampling(max_new_tokens=24, default_temperature=0.0)
WARM = Sampling(max_new_tokens=24, default_temperature=0.8, seed=5)


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    paths = [str(demo_models / role) for role in ("target", "base", "tuned")]
    return open_merge(paths[0], paths[1], paths[2], "layer")


@pytest.fixture(scope="module")
def questions() -> tuple[Question, ...]:
    return load_benchmark(BENCHMARK).questions[:24]


def make_engine(merge: Merge, batch_tokens: int = 16384) -> TransformersEngine:
    folder = merge.target.folder
    return TransformersEngine(folder, ChatFormat(folder), merge.merger, load_into, batch_tokens=batch_tokens)


def uniform(merge: Merge, weight: float) -> Recipe:
    return Recipe(dict.fromkeys(merge.group_names, weight))


def answer_all(
    engine: TransformersEngine,
    recipes: list[Recipe],
    questions: tuple[Question, ...],
    sampling: Sampling = GREEDY,
) -> list[Answers]:
    """One dictionary of answers for each recipe, applied one after the other to the same live model."""

    async def work() -> list[Answers]:
        rounds = []
        for recipe in recipes:
            await engine.apply(recipe)
            batches = [batch async for batch in engine.generate(questions, sampling)]
            rounds.append({(a.question_id, a.sample): a for batch in batches for a in batch})
        await engine.close()
        return rounds

    return asyncio.run(work())


@torch.no_grad()
def plain_answer(folder: Path, weights: dict[str, torch.Tensor] | None, question: Question) -> list[str]:
    """The textbook way: one question at a time, `generate`, no padding."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if weights is not None:
        model.load_state_dict(weights)
    messages, turns = [], []
    for turn in question.turns:
        messages.append({"role": "user", "content": turn})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        mask = torch.ones_like(ids)
        out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=24)
        answer = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        messages.append({"role": "assistant", "content": answer})
        turns.append(answer)
    return turns


def test_batched_answers_are_those_of_plain_generate_one_at_a_time(
    merge: Merge, questions: tuple[Question, ...]
) -> None:
    recipe = Recipe({name: 0.3 + 0.2 * i for i, name in enumerate(merge.group_names)})
    found = answer_all(make_engine(merge), [recipe], questions)[0]
    weights = {name: tensor.float() for name, tensor in merge.merger.merge(recipe)}
    for question in questions[:10]:
        expected = plain_answer(merge.target.folder, weights, question)
        assert list(found[question.question_id, 0].turns) == expected


def test_a_live_model_becomes_any_recipe_and_comes_back(
    merge: Merge, questions: tuple[Question, ...]
) -> None:
    recipes = [uniform(merge, weight) for weight in (0.0, 1.0, 0.5, 0.0)]
    first, second, _, again = answer_all(make_engine(merge), recipes, questions)
    assert first == again
    assert first != second
    assert list(first[questions[0].question_id, 0].turns) == plain_answer(
        merge.target.folder, None, questions[0]
    )


def test_sampled_answers_do_not_depend_on_the_batch(merge: Merge, questions: tuple[Question, ...]) -> None:
    recipe = uniform(merge, 0.5)
    sampling = replace(WARM, samples=2)
    together = answer_all(make_engine(merge), [recipe], questions, sampling)[0]
    alone = answer_all(make_engine(merge, batch_tokens=1), [recipe], questions[::-1], sampling)[0]
    assert together == alone
    assert any(together[q.question_id, 0] != replace(together[q.question_id, 1], sample=0) for q in questions)


def test_another_seed_gives_other_samples(merge: Merge, questions: tuple[Question, ...]) -> None:
    recipe = uniform(merge, 0.5)
    one = answer_all(make_engine(merge), [recipe], questions, WARM)[0]
    other = answer_all(make_engine(merge), [recipe], questions, replace(WARM, seed=6))[0]
    assert one != other


def test_an_answer_that_is_cut_off_says_so(merge: Merge, questions: tuple[Question, ...]) -> None:
    recipe = uniform(merge, 0.0)
    short = answer_all(make_engine(merge), [recipe], questions, replace(GREEDY, max_new_tokens=1))[0]
    assert "length" in {finish for answer in short.values() for finish in answer.finish}
    whole = answer_all(make_engine(merge), [recipe], questions)[0]
    assert "stop" in {finish for answer in whole.values() for finish in answer.finish}
