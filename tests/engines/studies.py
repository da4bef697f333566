"""A whole study on the demo's models, for pools of every kind to end with the same table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tvmerge.protocols import Pool
from tvmerge.records import Answer, Evaluation, Judgment, Outcome, Question, Rating, Sampling, Trial
from tvmerge.run.loop import Evaluator, search
from tvmerge.scoring.statistics import estimate
from tvmerge.study.sampler import make_sampler
from tvmerge.study.space import Space
from tvmerge.study.storage import enter_study, open_storage
from tvmerge.study.study import SearchStudy, distributions
from tvmerge.testing.models import demo_questions

GREEDY = Sampling(max_new_tokens=24, default_temperature=0.0)


class TextJudge:
    """Rates a turn by its text alone, so that a study's table says whether its answers were the same."""

    name = "text"

    def __init__(self) -> None:
        self.fingerprint: dict[str, object] = {}
        self.seen: list[tuple[object, tuple[str, ...]]] = []

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        self.seen.append((question.question_id, answer.turns))
        return [
            Rating(question.question_id, turn, 1 + sum(map(ord, text)) % 10, self.name, "text")
            for turn, text in enumerate(answer.turns, start=1)
        ]

    async def close(self) -> None:
        pass


async def run_study(
    folder: Path,
    group_names: Sequence[str],
    pool: Pool,
    *,
    trials: int = 8,
    questions: int = 16,
    on_told: Callable[[Trial], Any] = lambda _: None,
) -> list[Any]:
    """Its table: number, weights, score and state of every trial."""
    space = Space(tuple(group_names), 0.0, 2.0)
    storage = open_storage(f"sqlite:///{folder / 'study.db'}")
    study = SearchStudy(
        storage,
        enter_study(storage, "s", {}, {}),
        space,
        make_sampler("TPE", distributions(space), 1),
        enqueued=(space.uniform(0), space.uniform(1)),
        window=4,
    )
    judge = TextJudge()
    evaluator = Evaluator(pool, judge, GREEDY)
    asked = demo_questions(questions)

    def outcome(trial: Trial, evaluation: Evaluation) -> Outcome:
        return Outcome(estimate(evaluation.judgments).mean, {"n": len(evaluation.judgments)})

    await search(study, trials, lambda trial: evaluator.evaluate(trial.recipe, asked), outcome, on_told)
    assert len(judge.seen) == trials * questions
    return [(t.number, dict(t.recipe.weights), t.value, t.state) for t in study.trials]
