"""What is known of candidates without a judge, measured on the demo's models.

No module: perf/signals, which is no part of the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from perf.signals.__main__ import lines, main
from perf.signals.learnt import learnt_weights, lessons, slopes
from perf.signals.likelihood import best_answers
from perf.signals.two_outputs import TwoOutputs
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.merging.live import load_into
from tvmerge.merging.merge import Merge
from tvmerge.records import Answer, Recipe
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.table import Ask, Table
from tvmerge.study.space import Space
from tvmerge.study.warm_start import InitialTrials
from tvmerge.testing.models import demo_questions, open_models, stop_ids

NAMES = ("a", "b")


@pytest.fixture(scope="module")
def models(demo_models: Path) -> Merge:
    return open_models(demo_models)


@pytest.mark.parametrize("soft", [True, False])
def test_slopes_are_those_of_the_loss(models: Merge, soft: bool) -> None:
    folder, prompts = models.target.folder, demo_questions(2)
    first, second = lessons(
        models, ChatFormat(folder), stop_ids(folder)[0], prompts, 0, soft=soft, continued=not soft
    )
    assert (second.texts[0].context == second.texts[1].context) is soft
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def loss(recipe: Recipe) -> torch.Tensor:
        load_into(model, iter(models.merger.merge(recipe)))
        return first.loss(model) + second.loss(model)

    at = dict.fromkeys(models.group_names, 0.6)
    before = loss(Recipe(at))
    with slopes(model, models.merger.plan.rows) as found:
        torch.autograd.backward([before])
    assert all(parameter.grad is None for parameter in model.parameters())
    for name in ("layers.0", "head"):
        with torch.no_grad():
            high, low = (float(loss(Recipe(at | {name: at[name] + step}))) for step in (0.05, -0.05))
        assert found[name] == pytest.approx((high - low) / 0.1, rel=0.1)


def test_learnt_weights_follow_their_teachers(models: Merge) -> None:
    folder = models.target.folder
    given = lessons(models, ChatFormat(folder), stop_ids(folder)[0], demo_questions(2), 0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    @torch.no_grad()
    def loss(recipe: Recipe) -> float:
        load_into(model, iter(models.merger.merge(recipe)))
        return sum(float(lesson.loss(model)) for lesson in given)

    found = learnt_weights(models, given)
    uniform = min(loss(Recipe(dict.fromkeys(models.group_names, w))) for w in (0.5, 0.75, 1.0))
    assert loss(found) < 0.95 * uniform
    assert all(0 <= weight <= 2 for weight in found.weights.values())


def test_only_the_best_well_rated_answer_to_a_question_counts() -> None:
    questions = demo_questions(3)
    ids = [question.question_id for question in questions]
    answers = {(n, one): Answer(one, (f"{n}",)) for n in (0, 1) for one in ids}
    asks = [Ask(0, 0, 0, 3, (8.0, 6.5, None)), Ask(1, 1, 0, 3, (9.0, 5.0, 7.0))]
    found = best_answers(asks, answers, questions)
    assert [(question.question_id, answer.turns) for question, answer in found] == [
        (ids[0], ("1",)),
        (ids[2], ("1",)),
    ]


def searched(likelihoods: Sequence[float], weights: Sequence[float], scores: Sequence[float]) -> TwoOutputs:
    search = BlockSearch(Space(NAMES, 0.0, 2.0), InitialTrials(), 40, 9.0, 0)
    sampler = TwoOutputs(search, 4, begin=14)
    sampler.likelihoods = likelihoods
    rng = np.random.default_rng(1)
    asks = tuple(
        Ask(n, n, 4 * (n % 10), 4 * (n % 10) + 4, tuple(score + 1.5 * rng.standard_normal(4)))
        for n, score in enumerate(scores)
    )
    sampler.ranked(Table(np.array(weights).reshape(-1, 2), asks, (), 40))
    return sampler


def test_a_likelihood_counts_where_it_ranks_and_not_otherwise() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 2, (60, 2))
    worth = rng.standard_normal(60)  # what the weights do not show
    ranking = searched(list(-np.exp(-worth)), weights.ravel().tolist(), list(5 + 2 * worth))
    noise = searched(list(-np.exp(-rng.standard_normal(60))), weights.ravel().tolist(), list(5 + 2 * worth))
    assert set(ranking.rhos) == set(noise.rhos) == {56}
    assert ranking.rhos[56] == 2
    assert noise.rhos[56] == 0


def test_differences_are_between_searches_of_the_same_seed() -> None:
    rows = [
        {"arm": arm, "seed": seed, "truths": {"200": 5.0 + seed + gain}}
        for arm, gain in (("plain", 0.0), ("learnt", 0.5))
        for seed in range(4)
    ]
    plain, learnt = lines(rows)
    assert plain.startswith("plain at 200 calls: 6.50")
    assert learnt.endswith("gain +0.50 [+0.50, +0.50]")


def test_searches_that_are_in_the_file_are_not_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    tiny = ("--seeds", "1", "--budget", "130", "--questions", "12", "--fresh", "8", "--out", str(out))
    main(["searches", "--arms", "plain", "likelihood", *tiny])
    whole, shown = out.read_text(encoding="utf-8"), capsys.readouterr().out
    assert len(whole.splitlines()) == 2
    main(["searches", "--arms", "plain", "likelihood", *tiny])
    assert out.read_text(encoding="utf-8") == whole
    assert shown.splitlines()[2:] == capsys.readouterr().out.splitlines()
