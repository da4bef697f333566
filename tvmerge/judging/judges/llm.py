"""The judge that asks a language model to rate each turn of an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge.judging.judges.degenerate import why_unjudgeable
from tvmerge.judging.judges.prompted import PerTurnJudge, Task
from tvmerge.judging.judges.reply import JudgeReply, ask
from tvmerge.judging.prompts.fields import answer_fields, question_fields
from tvmerge.judging.prompts.reply_format import RatingFormat
from tvmerge.records import Answer, Judgment

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


class LLMJudge(PerTurnJudge):
    """Asks a chat model for a rating of each turn, with FastChat's prompts."""

    pairwise = False

    async def _judge(self, task: Task) -> Judgment:
        low, _ = self._prompts[task.kind.name].scale
        wrong = why_unjudgeable(task.answer, task.turn)
        if wrong:
            return self._judgment(task, JudgeReply(scores=(low,)), wrong)
        said = await self._ask(task, task.answer, task.answer)
        if said.refused:
            # Only the answer is new to the provider, so the refusal is due to it.
            return self._judgment(task, replace(said, scores=(low,)), "refused by the provider")
        return self._judgment(task, said)

    async def _ask(self, task: Task, answer: Answer, other: Answer) -> JudgeReply:
        prompt = self._prompts[task.kind.name]
        low, high = prompt.scale
        fields = question_fields(task.question, prompt, task.kind, task.turn)
        fields |= answer_fields(task.question, answer, task.kind, task.turn)
        reply_format = RatingFormat(low, high, prompt.structured, prompt.rating_key, prompt.rating_pattern)
        return await ask(self._chat, prompt, reply_format, fields, task.sample)


if TYPE_CHECKING:
    _judge: type[Judge] = LLMJudge
