"""The judge that is a language model: rates each turn of an answer by a prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge.judging.degenerate import flaw
from tvmerge.judging.fields import answer_fields, question_fields
from tvmerge.judging.forms import RatingForm
from tvmerge.judging.opinion import Opinion, opinion
from tvmerge.judging.prompted import PromptedJudge, Task
from tvmerge.records import Judgment

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


class LLMJudge(PromptedJudge):
    """Asks a chat model for a rating of each turn, with FastChat's prompts."""

    pairwise = False

    async def _judge(self, task: Task) -> Judgment:
        prompt = self._prompts[task.kind.name]
        low, high = prompt.scale
        wrong = flaw(task.answer, task.turn)
        if wrong:
            return self._judgment(task, Opinion(score=low), wrong)
        fields = question_fields(task.question, prompt, task.kind, task.turn)
        fields |= answer_fields(task.question, task.answer, task.kind, task.turn)
        form = RatingForm(low, high, prompt.structured, prompt.rating_key, prompt.rating_pattern)
        said = await opinion(self._chat, prompt, form, fields, task.sample)
        if said.refused:
            # Nothing but the answer is new to the provider: this is its verdict on it.
            return self._judgment(task, replace(said, score=low), "refused by the provider")
        return self._judgment(task, said)


if TYPE_CHECKING:
    _judge: type[Judge] = LLMJudge
