"""A search by blocks: which questions a candidate is asked, and what its study is told of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tvmerge.errors import ProviderError
from tvmerge.records import CUT_IN_THOUGHT, CUT_OFF, Evaluation, Question, Trial
from tvmerge.run.loop import Evaluator
from tvmerge.scoring.objective import Objective
from tvmerge.scoring.statistics import coverage, finish_share, shortfall, why_silent
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask

_SHARES = ("coverage", CUT_OFF, CUT_IN_THOUGHT)


class BlockTrials:
    """Evaluates the asks of a study and scores them.

    Args:
        study: The study.
        evaluator: Generates and judges a candidate's answers.
        objective: The objective that is maximised.
        questions: The search questions, in the order of the blocks.
    """

    def __init__(
        self, study: BlockStudy, evaluator: Evaluator, objective: Objective, questions: Sequence[Question]
    ) -> None:
        self._study = study
        self._evaluator = evaluator
        self._objective = objective
        self._questions = questions

    async def evaluate(self, ask: Ask) -> Evaluation:
        """Return the candidate's answers to the block and their judgments."""
        recipe = self._study.trials[ask.trial].recipe
        return await self._evaluator.evaluate(recipe, self._questions[ask.start : ask.stop])

    def outcome(self, ask: Ask, evaluation: Evaluation) -> Told:
        """Return what the study is told: the scores of the block, or why the candidate cannot be scored.

        A block is too small for a minimum fraction of ratings, so a question without one is left out.

        Raises:
            ProviderError: A judge rated nothing, and the answers are not the cause.
        """
        if evaluation.failure:
            return Told((), {}, evaluation.failure)
        judgments = evaluation.judgments
        found = self._objective.contributions(judgments, self._questions)
        scores = tuple(found.get(q.question_id) for q in self._questions[ask.start : ask.stop])
        if all(score is None for score in scores):
            if silent := why_silent(judgments):
                raise ProviderError(f"trial {ask.trial}: {silent}; then run the same command to resume")
            return Told((), {}, shortfall(judgments, 1.0))
        return Told(scores, self._attrs(self._study.trials[ask.trial], evaluation))

    def tell(self, ask: Ask, told: Told) -> Trial:
        """Tell the study, and return the candidate."""
        self._study.tell(ask, told)
        return self._study.trials[ask.trial]

    def _attrs(self, trial: Trial, evaluation: Evaluation) -> Mapping[str, Any]:
        """Return what is recorded of all of a candidate's answers, those of this block included."""
        judged, answered = len(evaluation.judgments), len(evaluation.answers)
        new = {
            "coverage": coverage(evaluation.judgments),
            CUT_OFF: finish_share(evaluation.answers, "length"),
            CUT_IN_THOUGHT: finish_share(evaluation.answers, "thought"),
        }
        before, told = trial.attrs, trial.attrs.get("questions", 0)
        whole = told + answered
        return {
            "judgments": before.get("judgments", 0) + judged,
            "questions": whole,
            **{k: round((before.get(k, 0.0) * told + new[k] * answered) / whole, 6) for k in _SHARES},
        }
