"""The judge that compares each answer with a baseline's, in both orders; the score is the win rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from types import MappingProxyType
from typing import TYPE_CHECKING

from tvmerge._util.tasks import gather_or_cancel
from tvmerge.errors import ConfigError
from tvmerge.judging.client.chat import ChatModel
from tvmerge.judging.judges.degenerate import why_unjudgeable
from tvmerge.judging.judges.prompted import PerTurnJudge, Task
from tvmerge.judging.judges.reply import JudgeReply, ask
from tvmerge.judging.prompts.fields import answer_fields, question_fields
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import VerdictFormat
from tvmerge.records import Answer, Judgment, Question, QuestionId

if TYPE_CHECKING:
    from tvmerge.protocols import ComparingJudge

WIN, TIE, LOSS = 1.0, 0.5, 0.0
_OTHER_ORDER = "\n\n---- the other order ----\n\n"


class PairwiseJudge(PerTurnJudge):
    """Asks a chat model which of two answers is better, with FastChat's pairwise prompts.

    Judges tend to prefer the answer that comes first, so both orders are asked; if the verdicts disagree, it
    is a tie. The caller adds the baseline to the fingerprint.

    Args:
        name: The judge's name.
        chat: The chat model, which returns complete replies with a verdict.
        prompts: Judge prompts by name, already checked for the questions to come.
        model: The model and its parameters as JSON data, for the fingerprint.
        baseline: Answers to compare with, by question; see `with_baseline`.
        samples: Number of independent comparisons of each turn.
    """

    pairwise = True

    def __init__(
        self,
        *,
        name: str,
        chat: ChatModel,
        prompts: Mapping[str, JudgePrompt],
        model: Mapping[str, object],
        baseline: Mapping[QuestionId, Answer] = MappingProxyType({}),
        samples: int = 1,
    ) -> None:
        super().__init__(name=name, chat=chat, prompts=prompts, model=model, samples=samples)
        self._baseline = baseline

    def with_baseline(self, answers: Mapping[QuestionId, Answer]) -> PairwiseJudge:
        """Return a judge that compares with these answers and shares the chat model."""
        judge = copy(self)
        judge._baseline = dict(answers)
        return judge

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Compare each answered turn; the judgments are ordered by turn, then by sample.

        A turn that the baseline has not answered is unrated, since it has no winner.

        Raises:
            ConfigError: The baseline has no answer to the question.
        """
        if question.question_id not in self._baseline:
            raise ConfigError(
                f"pairwise judging: the baseline has no answer to question {question.question_id}"
            )
        return await super().judge(question, answer)

    async def _judge(self, task: Task) -> Judgment:
        baseline = self._baseline[task.question.question_id]
        if task.turn > len(baseline.turns):
            return self._judgment(task, JudgeReply(reason="the baseline has no answer to this turn"))
        known = _without_asking(task.answer, baseline, task.turn)
        if known is not None:
            score, note = known
            return self._judgment(task, JudgeReply(scores=(score,)), note)
        orders = ((task.answer, baseline), (baseline, task.answer))
        first, second = await gather_or_cancel(self._ask(task, *order) for order in orders)
        return self._judgment(task, _combined(first, second))

    async def _ask(self, task: Task, answer: Answer, other: Answer) -> JudgeReply:
        prompt = self._prompts[task.kind.name]
        fields = question_fields(task.question, prompt, task.kind, task.turn)
        for shown, side in ((answer, "_a"), (other, "_b")):
            fields |= answer_fields(task.question, shown, task.kind, task.turn, side)
        return await ask(self._chat, prompt, VerdictFormat(prompt.structured), fields, task.sample)


def _without_asking(answer: Answer, baseline: Answer, turn: int) -> tuple[float, str] | None:
    """Return the score and its reason if no judge is needed, else None."""
    if answer.turns[:turn] == baseline.turns[:turn]:
        return TIE, "the baseline's very answer"
    ours, theirs = why_unjudgeable(answer, turn), why_unjudgeable(baseline, turn)
    if ours and theirs:
        return TIE, f"{ours}, as the baseline"
    if ours:
        return LOSS, ours
    return (WIN, f"the baseline has: {theirs}") if theirs else None


def _combined(first: JudgeReply, second: JudgeReply) -> JudgeReply:
    """Combine the replies to both orders; the candidate comes first in `first`."""
    scores: tuple[float, ...] = ()
    if first.score is not None and second.score is not None:
        scores = (first.score if first.score == WIN - second.score else TIE,)
    return JudgeReply(
        user_prompt=first.user_prompt,
        reply=f"{first.reply}{_OTHER_ORDER}{second.reply}",
        scores=scores,
        # A refused text holds both answers, and the provider does not say which of them it refuses.
        reason=first.reason or second.reason,
        remedy=first.remedy or second.remedy,
    )


if TYPE_CHECKING:
    _judge: type[ComparingJudge] = PairwiseJudge
