"""A search by blocks: which questions a candidate is asked, and what its study is told of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tvmerge.errors import ProviderError
from tvmerge.judging.client.charges import charged
from tvmerge.records import CUT_IN_THOUGHT, CUT_OFF, JUDGING_USD, Evaluation, Judgment, Question, Trial
from tvmerge.run.loop import Evaluator
from tvmerge.scoring.objective import Objective
from tvmerge.scoring.statistics import coverage, finish_share, why_silent
from tvmerge.study.blocks.anchor import pairs_of
from tvmerge.study.blocks.study import BlockStudy, Told
from tvmerge.study.blocks.table import Ask, Scores

SILENT = 3
"""Asks in a row without any rating after which a run stops, if its judge is the cause.

One block is too few: with a judge that often gives no rating, it happens by chance.
"""

_SHARES = ("coverage", CUT_OFF, CUT_IN_THOUGHT)
_DECIMALS = 9  # of a USD


class BlockTrials:
    """Evaluates the asks of a study and scores them.

    Args:
        study: The study.
        evaluator: Generates and judges a candidate's answers.
        objective: The objective that is maximised.
        questions: The search questions, in the order of the blocks.
        anchor: The name of the judge that rates a sample, if there is one.
        priced: Whether the judges have prices, so that what judging cost is recorded.
    """

    def __init__(
        self,
        study: BlockStudy,
        evaluator: Evaluator,
        objective: Objective,
        questions: Sequence[Question],
        anchor: str | None = None,
        *,
        priced: bool = False,
    ) -> None:
        self._study = study
        self._evaluator = evaluator
        self._objective = objective
        self._questions = questions
        self._anchor = anchor
        self._priced = priced

    async def evaluate(self, ask: Ask) -> Evaluation:
        """Return the candidate's answers to the block and their judgments."""
        recipe = self._study.trials[ask.trial].recipe
        block = self._questions[ask.start : ask.stop]
        with charged() as charges:
            evaluation = await self._evaluator.evaluate(recipe, block, label=f"trial {ask.trial}")
        return replace(evaluation, usd=charges.usd)

    def outcome(self, ask: Ask, evaluation: Evaluation) -> Told:
        """Return what the study is told: the scores of the block, or why the candidate cannot be scored.

        A block is too small for a minimum fraction of ratings, so a question without one is left out, and a
        block without any says nothing about its candidate.

        Raises:
            ProviderError: A judge rated nothing in `SILENT` asks in a row, or in the first ones, and the
                answers are not the cause.
        """
        if evaluation.failure:
            return Told((), {}, evaluation.failure)
        judgments = [j for j in evaluation.judgments if j.judge != self._anchor]
        scores = self._scores(ask, judgments)
        if all(score is None for score in (*scores, *self._latest_scores(ask))) and (
            silent := why_silent(judgments)
        ):
            raise ProviderError(f"trial {ask.trial}: {silent}; then run the same command to resume")
        attrs = self._attrs(self._study.trials[ask.trial], evaluation)
        return Told(scores, attrs, anchor=self._anchored(ask, evaluation))

    def tell(self, ask: Ask, told: Told) -> Trial:
        """Tell the study, and return the candidate."""
        self._study.tell(ask, told)
        return self._study.trials[ask.trial]

    def _latest_scores(self, ask: Ask) -> list[float | None]:
        """Return the scores of the asks just before, those of candidates that failed left out."""
        before = [known for known in self._study.asks[: ask.number] if not known.failed]
        return [score for known in before[-(SILENT - 1) :] for score in known.scores or ()]

    def _scores(self, ask: Ask, judgments: Sequence[Judgment]) -> Scores:
        found = self._objective.contributions(judgments, self._questions)
        return tuple(found.get(q.question_id) for q in self._questions[ask.start : ask.stop])

    def _anchored(self, ask: Ask, evaluation: Evaluation) -> Scores | None:
        """Return the anchor's scores of the sampled questions; None without an anchor.

        Raises:
            ProviderError: It has rated nothing yet, and the answers are not the cause.
        """
        if self._anchor is None:
            return None
        judgments = [j for j in evaluation.judgments if j.judge == self._anchor]
        if (silent := why_silent(judgments)) and not pairs_of(self._study.asks):
            raise ProviderError(f"trial {ask.trial}: {silent}; then run the same command to resume")
        return self._scores(ask, judgments)

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
        usd = round(before.get(JUDGING_USD, 0.0) + evaluation.usd, _DECIMALS)
        return {
            "judgments": before.get("judgments", 0) + judged,
            "questions": whole,
            **{k: round((before.get(k, 0.0) * told + new[k] * answered) / whole, 6) for k in _SHARES},
            **({JUDGING_USD: usd} if self._priced else {}),
        }
