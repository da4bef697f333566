"""The judge that is a language model: rates each turn of an answer by a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.canonical import digest
from tvmerge.judging.chat import ChatModel
from tvmerge.judging.degenerate import degeneracy
from tvmerge.judging.forms import RatingForm
from tvmerge.judging.opinion import opinion, together
from tvmerge.judging.prompts import JudgePrompt, answer_fields, judged_turns, kind_for, question_fields
from tvmerge.records import Answer, Judgment, Question, Unscored, Verdict

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


class LLMJudge:
    """Asks a chat model for a rating of each turn, with FastChat's prompts.

    Args:
        name: The judge's name.
        chat: The chat model; it returns complete replies that hold a rating.
        prompts: Judge prompts by name, already checked for the questions to come.
        model: Which model it is and how it is asked, as JSON data, for the fingerprint.
        samples: Independent ratings of each turn.
    """

    def __init__(
        self,
        *,
        name: str,
        chat: ChatModel,
        prompts: Mapping[str, JudgePrompt],
        model: Mapping[str, object],
        samples: int = 1,
    ) -> None:
        self._name = name
        self._chat = chat
        self._prompts = prompts
        self._samples = samples
        self._fingerprint = dict(model) | {"samples": samples, "prompts": prompt_digests(prompts, "single")}

    @property
    def name(self) -> str:
        """The judge's name."""
        return self._name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Model, parameters, samples and a digest of each prompt."""
        return self._fingerprint

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Rate each turn that was answered, of the first two: by turn, then by sample."""
        turns = range(1, min(judged_turns(question), len(answer.turns)) + 1)
        return await together(
            self._rate(question, answer, turn, sample) for turn in turns for sample in range(self._samples)
        )

    async def close(self) -> None:
        """Close the chat model."""
        await self._chat.close()

    async def _rate(self, question: Question, answer: Answer, turn: int, sample: int) -> Judgment:
        kind = kind_for(question, turn)
        prompt = self._prompts[kind.name]
        low, high = prompt.scale
        flaw = degeneracy(answer.turns[turn - 1])
        if flaw:
            return Verdict(question.question_id, turn, low, self._name, kind.name, sample=sample, note=flaw)
        fields = question_fields(question, kind) | answer_fields(answer, kind)
        said = await opinion(self._chat, prompt, RatingForm(low, high, prompt.structured), fields, sample)
        if said.score is None and not said.refused:
            return Unscored(
                question_id=question.question_id,
                turn=turn,
                judge=self._name,
                prompt=kind.name,
                reason=said.reason,
                user_prompt=said.user_prompt,
                reply=said.reply,
                sample=sample,
            )
        return Verdict(
            question_id=question.question_id,
            turn=turn,
            score=low if said.score is None else said.score,
            judge=self._name,
            prompt=kind.name,
            user_prompt=said.user_prompt,
            reply=said.reply,
            sample=sample,
            note="refused by the provider" if said.refused else "",
        )


def prompt_digests(prompts: Mapping[str, JudgePrompt], kind: str) -> dict[str, str]:
    """Digests of the prompts of a type (`single` or `pairwise`) by name."""
    return {name: digest(prompt.identity) for name, prompt in sorted(prompts.items()) if prompt.type == kind}


if TYPE_CHECKING:
    _judge: type[Judge] = LLMJudge
