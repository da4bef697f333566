"""Base class of judges that ask a chat model with FastChat's prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvmerge._util.canonical import digest
from tvmerge._util.tasks import gather_or_cancel
from tvmerge.judging.client.chat import ChatModel
from tvmerge.judging.judges.reply import JudgeReply
from tvmerge.judging.prompts.kinds import PromptKind, kind_for
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.records import Answer, Judgment, Question, Rating, Unrated


@dataclass(frozen=True, slots=True)
class Task:
    """One judgment to be made.

    Attributes:
        question: The question.
        answer: The answer to it.
        turn: The turn to judge, from 1.
        sample: Which of several independent judgments this is, from 0.
        kind: The kind of prompt it needs.
    """

    question: Question
    answer: Answer
    turn: int
    sample: int
    kind: PromptKind


class PromptedJudge(ABC):
    """Makes one judgment per turn and sample; subclasses define with how many requests.

    Args:
        name: The judge's name.
        chat: The chat model, which returns complete replies of the requested form.
        prompts: Judge prompts by name, already checked for the questions to come.
        model: The model and its parameters as JSON data, for the fingerprint.
        samples: Number of independent judgments of each turn.
    """

    pairwise: bool
    """Whether answers are compared with others."""

    together: bool = False
    """Whether all turns of an answer are rated in one request."""

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
        mode = "pairwise" if self.pairwise else "single"
        used = {
            key: digest(prompt.identity) for key, prompt in sorted(prompts.items()) if prompt.type == mode
        }
        self._fingerprint = {**model, "mode": mode, "samples": samples, "prompts": used}

    @property
    def name(self) -> str:
        """The judge's name."""
        return self._name

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """Model, parameters, samples and a digest of each prompt."""
        return self._fingerprint

    @abstractmethod
    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Judge each answered turn; the judgments are ordered by turn, then by sample."""

    @abstractmethod
    async def try_out(self, question: Question, answer: Answer, other: Answer) -> JudgeReply:
        """Ask once about `answer`, or about `answer` and `other`."""

    async def close(self) -> None:
        """Close the chat model."""
        await self._chat.close()

    def _judgment(self, task: Task, said: JudgeReply, note: str = "") -> Judgment:
        """Turn a reply into a judgment: a rating if it has a score."""
        if said.score is None:
            return Unrated(
                question_id=task.question.question_id,
                turn=task.turn,
                judge=self._name,
                prompt=task.kind.name,
                reason=said.reason,
                remedy=said.remedy,
                user_prompt=said.user_prompt,
                reply=said.reply,
                sample=task.sample,
            )
        return Rating(
            question_id=task.question.question_id,
            turn=task.turn,
            score=said.score,
            judge=self._name,
            prompt=task.kind.name,
            user_prompt=said.user_prompt,
            reply=said.reply,
            sample=task.sample,
            note=note,
        )


class PerTurnJudge(PromptedJudge):
    """Asks about each turn separately; subclasses define how."""

    async def judge(self, question: Question, answer: Answer) -> Sequence[Judgment]:
        """Judge each answered turn; the judgments are ordered by turn, then by sample."""
        turns = range(1, min(len(question.turns), len(answer.turns)) + 1)
        return await gather_or_cancel(
            self._judge(
                Task(question, answer, turn, sample, kind_for(question, turn, pairwise=self.pairwise))
            )
            for turn in turns
            for sample in range(self._samples)
        )

    async def try_out(self, question: Question, answer: Answer, other: Answer) -> JudgeReply:
        """Ask once about the first turn of `answer`, or of `answer` and `other`."""
        kind = kind_for(question, 1, pairwise=self.pairwise)
        return await self._ask(Task(question, answer, 1, 0, kind), answer, other)

    @abstractmethod
    async def _ask(self, task: Task, answer: Answer, other: Answer) -> JudgeReply:
        """Ask for a rating of `answer`, or which of the two is better if answers are compared."""

    @abstractmethod
    async def _judge(self, task: Task) -> Judgment:
        """Make one judgment."""
