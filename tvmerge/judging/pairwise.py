"""The judge that compares: each answer against a baseline's, in both orders; the score is the win rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.errors import ConfigError
from tvmerge.judging.chat import ChatModel
from tvmerge.judging.degenerate import degeneracy
from tvmerge.judging.forms import VerdictForm
from tvmerge.judging.llm import prompt_digests
from tvmerge.judging.opinion import Opinion, opinion, together
from tvmerge.judging.prompts import (
    JudgePrompt,
    PromptKind,
    answer_fields,
    judged_turns,
    kind_for,
    question_fields,
)
from tvmerge.records import Answer, Judgment, Question, QuestionId, Unscored, Verdict

if TYPE_CHECKING:
    from tvmerge.protocols import Judge

WIN, TIE, LOSS = 1.0, 0.5, 0.0
_OTHER_ORDER = "\n\n---- the other order ----\n\n"


class PairwiseJudge:
    """Asks a chat model which of two answers is better, with FastChat's pairwise prompts.

    A judge prefers what stands first more often than it should, so both orders are asked; where they
    disagree it is a tie.

    Args:
        name: The judge's name.
        chat: The chat model; it returns complete replies that hold a verdict.
        prompts: Judge prompts by name, already checked for the questions to come.
        model: Which model it is and how it is asked, as JSON data, for the fingerprint.
        baseline: Answers to compare with, by question; it may be filled after the judge is made.
        samples: Independent comparisons of each turn.
    """

    def __init__(
        self,
        *,
        name: str,
        chat: ChatModel,
        prompts: Mapping[str, JudgePrompt],
        model: Mapping[str, object],
        baseline: Mapping[QuestionId, Answer],
        samples: int = 1,
    ) -> None:
        self._name = name
        self._chat = chat
        self._prompts = prompts
        self._baseline = baseline
        self._samples = samples
        self._fingerprint = dict(model) | {
            "mode": "pairwise",
            "samples": samples,
            "prompts": prompt_digests(prompts, "pairwise"),
        }

    @property
    def name(self) -> str:
        """The judge's name."""
        return self._name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Model, parameters, samples and a digest of each prompt; the baseline is the caller's to tell."""
        return self._fingerprint

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Compare each turn that was answered, of the first two: by turn, then by sample.

        A turn that the baseline lacks is unscored: nobody can say who would have won it.

        Raises:
            ConfigError: The baseline has no answer to the question.
        """
        baseline = self._baseline.get(question.question_id)
        if baseline is None:
            raise ConfigError(
                f"pairwise judging: the baseline has no answer to question {question.question_id}"
            )
        answered = min(judged_turns(question), len(answer.turns))
        return await together(
            self._compare(question, answer, baseline, turn, sample)
            for turn in range(1, answered + 1)
            for sample in range(self._samples)
        )

    async def close(self) -> None:
        """Close the chat model."""
        await self._chat.close()

    async def _compare(
        self, question: Question, answer: Answer, baseline: Answer, turn: int, sample: int
    ) -> Judgment:
        kind = kind_for(question, turn, pairwise=True)
        if turn > len(baseline.turns):
            return Unscored(
                question_id=question.question_id,
                turn=turn,
                judge=self._name,
                prompt=kind.name,
                reason="the baseline has no answer to this turn",
                sample=sample,
            )
        known = _without_asking(answer, baseline, turn)
        if known is not None:
            score, note = known
            return Verdict(question.question_id, turn, score, self._name, kind.name, sample=sample, note=note)
        first, second = await together(
            self._ask(question, kind, *pair, sample) for pair in ((answer, baseline), (baseline, answer))
        )
        if first.score is None or second.score is None:
            return Unscored(
                question_id=question.question_id,
                turn=turn,
                judge=self._name,
                prompt=kind.name,
                # Refused texts hold both answers: which of them the provider minds, it does not say.
                reason=first.reason or second.reason,
                user_prompt=first.user_prompt,
                reply=_both(first, second),
                sample=sample,
            )
        return Verdict(
            question_id=question.question_id,
            turn=turn,
            score=_score(first.score, second.score),
            judge=self._name,
            prompt=kind.name,
            user_prompt=first.user_prompt,
            reply=_both(first, second),
            sample=sample,
        )

    async def _ask(self, question: Question, kind: PromptKind, a: Answer, b: Answer, sample: int) -> Opinion:
        prompt = self._prompts[kind.name]
        fields = question_fields(question, kind)
        fields |= answer_fields(a, kind, "answer_a") | answer_fields(b, kind, "answer_b")
        return await opinion(self._chat, prompt, VerdictForm(prompt.structured), fields, sample)


def _without_asking(answer: Answer, baseline: Answer, turn: int) -> tuple[float, str] | None:
    """Score and reason where no judge is needed, or None."""
    if answer.turns[:turn] == baseline.turns[:turn]:
        return TIE, "the baseline's very answer"
    flaw = degeneracy(answer.turns[turn - 1])
    baseline_flaw = degeneracy(baseline.turns[turn - 1])
    if flaw and baseline_flaw:
        return TIE, f"{flaw}, as the baseline"
    if flaw:
        return LOSS, flaw
    return (WIN, f"the baseline has: {baseline_flaw}") if baseline_flaw else None


def _score(as_a: float, as_b: float) -> float:
    """The candidate's share of the win from the first answer's share in both orders."""
    return as_a if as_a == WIN - as_b else TIE


def _both(first: Opinion, second: Opinion) -> str:
    return f"{first.reply}{_OTHER_ORDER}{second.reply}"


if TYPE_CHECKING:
    _judge: type[Judge] = PairwiseJudge
