"""The baseline of pairwise judging: a merge of the run's models, or answers from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.canonical import digest
from tvmerge.errors import AssetError, CandidateError, StudyError
from tvmerge.records import Answer, Question, QuestionId, Recipe, Sampling
from tvmerge.study.space import Space, uniform_weight
from tvmerge.tasks.fastchat.files import read_answers

if TYPE_CHECKING:
    from tvmerge.protocols import Pool
    from tvmerge.study.open import KnownStudy
    from tvmerge.tasks.suite import TaskSuite

_WEIGHT = re.compile(r"weight[:_-](-?\d+(?:\.\d+)?)")
_TRIAL = re.compile(r"trial[:_-](\d+)")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline that pairwise judges compare each answer with.

    Attributes:
        recipe: The merge that answers; None if the answers come from a file.
        answers: The answers from a file, by question.
    """

    recipe: Recipe | None = None
    answers: Mapping[QuestionId, Answer] = field(default_factory=dict)

    @property
    def fingerprint(self) -> dict[str, str]:
        """The baseline's part of the study's fingerprint; empty for weight 0, the default."""
        if self.recipe is None:
            texts = [[answer.question_id, answer.turns] for answer in self.answers.values()]
            return {"baseline": f"answers {digest(texts)[:16]}"}
        weight = uniform_weight(self.recipe)
        if weight == 0:
            return {}
        named = f"weight {weight:g}" if weight is not None else "weights"
        return {"baseline": f"{named} {digest(dict(self.recipe.weights))[:16]}"}


def named_baseline(
    text: str | None, suite: TaskSuite, study: KnownStudy, turns: int | None
) -> Baseline | None:
    """Return the answers of `--baseline FILE`; None if it names a merge, or without pairwise judging.

    Args:
        text: The value of `--baseline`.
        suite: The task suite and the judge.
        study: The run's study.
        turns: Number of turns of each answer to use; None for all.

    Raises:
        AssetError: The file cannot be read, or lacks an answer to one of the questions.
        StudyError: There is no such trial, as far as that is known without the models.
    """
    _check_trial(text, study)
    return _from_file(text, suite, turns)


def baseline_merge(text: str | None, study: KnownStudy, space: Space, enqueued: Sequence[Recipe]) -> Baseline:
    """Return the merge that `--baseline` names; by default weight 0.

    Args:
        text: The value of `--baseline`.
        study: The run's study.
        space: The search space; the baseline's weights may lie outside its range.
        enqueued: The recipes that the study tries first.

    Raises:
        StudyError: There is no such trial, or its weights have other names.
    """
    if (trial := _TRIAL.fullmatch(text or "")) is not None:
        return Baseline(_trial(study, space, enqueued, int(trial[1])))
    weight = _WEIGHT.fullmatch(text or "")
    return Baseline(space.uniform(0.0 if weight is None else float(weight[1])))


async def baseline_answers(
    baseline: Baseline, pool: Pool, questions: Sequence[Question], sampling: Sampling
) -> Mapping[QuestionId, Answer]:
    """Return the baseline's answers, generating them unless they come from a file.

    Args:
        baseline: The baseline.
        pool: The live models.
        questions: All questions that candidates are asked.
        sampling: The sampling parameters.

    Raises:
        CandidateError: The baseline's merge is not usable.
    """
    if baseline.recipe is None:
        return baseline.answers
    found: dict[QuestionId, Answer] = {}
    try:
        async with aclosing(pool.answer(baseline.recipe, questions, sampling)) as stream:
            async for answers in stream:
                found |= {answer.question_id: answer for answer in answers if answer.sample == 0}
    except CandidateError as error:
        raise CandidateError(f"the baseline is not a model to compare with: {error}") from error
    return found


def _from_file(text: str | None, suite: TaskSuite, turns: int | None) -> Baseline | None:
    if not suite.compares or text is None or _WEIGHT.fullmatch(text) or _TRIAL.fullmatch(text):
        return None
    path = Path(text)
    if not path.is_file():
        raise AssetError(
            f"--baseline {text}: no such file; use weight:NUMBER, trial:NUMBER or a file of answers in "
            "FastChat's model_answer format"
        )
    answers = read_answers(path, suite.benchmark.questions, turns).first
    asked = suite.rated_questions
    lacking = [
        str(question.question_id)
        for question in asked
        if question.question_id not in answers
        or len(answers[question.question_id].turns) < len(question.turns)
    ]
    if lacking:
        raise AssetError(
            f"--baseline {path}: {len(lacking)} of {len(asked)} questions have no complete answer here "
            f"({', '.join(lacking[:5])}); add their answers"
        )
    return Baseline(answers={question.question_id: answers[question.question_id] for question in asked})


def _check_trial(text: str | None, study: KnownStudy) -> None:
    """Raise if the baseline's trial cannot exist, as far as that is known without the models.

    Raises:
        StudyError: There is no such trial.
    """
    trial = _TRIAL.fullmatch(text or "")
    # A new study has no trials yet, but its enqueued ones come first, so their numbers are known.
    if trial is None or int(trial[1]) < study.enqueued_at_most:
        return
    found = study.numbered
    if found is None or all(tried.number != int(trial[1]) for tried in found.trials):
        raise _no_trial(int(trial[1]), study)


def _trial(study: KnownStudy, space: Space, enqueued: Sequence[Recipe], number: int) -> Recipe:
    """Return the recipe of a trial, of the study that is forked or else of the run's own."""
    found = study.numbered
    if (found is None or found.name == study.location.name) and number < len(enqueued):
        return enqueued[number]
    tried = None if found is None else next((t for t in found.trials if t.number == number), None)
    if found is None or tried is None:
        raise _no_trial(number, study)
    if set(tried.recipe.weights) != set(space.names):
        raise StudyError(
            f"--baseline trial:{number}: study '{found.name}' has different weights from this run"
        )
    return space.recipe(tried.recipe.weights)


def _no_trial(number: int, study: KnownStudy) -> StudyError:
    name = study.location.name if study.numbered is None else study.numbered.name
    return StudyError(
        f"--baseline trial:{number}: study '{name}' has no such trial; name one that it has, and give "
        "--fork NEW_NAME to compare with a trial of this study"
    )
