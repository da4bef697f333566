"""The judge that asks a language model once for the ratings of all turns of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge._util.tasks import gather_or_cancel
from tvmerge.judging.judges.degenerate import why_unjudgeable
from tvmerge.judging.judges.prompted import PromptedJudge, Task
from tvmerge.judging.judges.reply import JudgeReply, ask
from tvmerge.judging.prompts.fields import all_turns_fields
from tvmerge.judging.prompts.kinds import kind_for_all
from tvmerge.judging.prompts.reply_format import TurnRatingsFormat
from tvmerge.records import Answer, Judgment, Question

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


class ConversationJudge(PromptedJudge):
    """Asks a chat model for a rating of each turn in one request.

    A turn gets the lowest rating whatever the judge says if it needs no judge, or if the provider refuses the
    conversation up to it. The judge is not shown such turns at the end of a conversation.
    """

    pairwise = False
    together = True

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """That of a judge that is asked about each turn separately, and that it is not."""
        return {**super().fingerprint, "turns": "together"}

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Judge all answered turns; the judgments are ordered by turn, then by sample."""
        by_sample = await gather_or_cancel(
            self._conversation(question, answer, sample) for sample in range(self._samples)
        )
        return [judgment for of_turn in zip(*by_sample, strict=True) for judgment in of_turn]

    async def try_out(self, question: Question, answer: Answer, other: Answer) -> JudgeReply:
        """Ask once about all turns of `answer`."""
        return await self._ask(question, answer, len(answer.turns), sample=0)

    async def _conversation(self, question: Question, answer: Answer, sample: int) -> Sequence[Judgment]:
        """Make one judgment of each answered turn."""
        turns = range(1, min(len(question.turns), len(answer.turns)) + 1)
        lowest = {turn: (JudgeReply(), wrong) for turn in turns if (wrong := why_unjudgeable(answer, turn))}
        said = JudgeReply()
        while rated := [turn for turn in turns if turn not in lowest]:
            said = await self._ask(question, answer, rated[-1], sample)
            if not said.refused:
                break
            # As with one request per turn: what the provider accepts without this turn, it refuses with it.
            lowest[rated[-1]] = said, "refused by the provider"
        kind = kind_for_all(question)
        low, _ = self._prompts[kind.name].scale
        judgments = []
        for turn in turns:
            reply, note = lowest.get(turn, (said, ""))
            scores = (low,) if note else said.scores[turn - 1 : turn]
            task = Task(question, answer, turn, sample, kind)
            judgments.append(self._judgment(task, replace(reply, scores=scores), note))
        return judgments

    async def _ask(self, question: Question, answer: Answer, turns: int, sample: int) -> JudgeReply:
        """Ask for ratings of the first `turns` turns."""
        kind = kind_for_all(question)
        prompt = self._prompts[kind.name]
        low, high = prompt.scale
        reply_format = TurnRatingsFormat(
            turns, low, high, prompt.structured, prompt.rating_key, prompt.rating_pattern
        )
        fields = all_turns_fields(question, answer, prompt, kind, turns)
        return await ask(self._chat, prompt, reply_format, fields, sample)


if TYPE_CHECKING:
    _judge: type[Judge] = ConversationJudge
