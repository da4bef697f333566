"""The state of a conversation: the questions, the replies so far, and what still fits into the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tvmerge.engines.prompting.chat_format import ChatFormat, Message
from tvmerge.engines.prompting.replies import Reply
from tvmerge.errors import AssetError
from tvmerge.records import Answer, Finish, Question, Sampling

CLOSING = 16
"""Tokens kept free for closing a thought that is too long."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is given for one turn.

    Attributes:
        ids: Token ids.
        limit: The most tokens it may add: the sampling's limit, or what is left of the context.
    """

    ids: list[int]
    limit: int


@dataclass(slots=True)
class Conversation:
    """One question on its way to an answer.

    Attributes:
        question: What is asked.
        temperature: Of the question's category; 0 is greedy.
        samples: The samples it stands for: one, or all where decoding is greedy and they are the same.
    """

    question: Question
    temperature: float
    samples: tuple[int, ...]
    turns: list[str] = field(default_factory=list)
    finish: list[Finish] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    @property
    def turn(self) -> int:
        """Index of the turn to be answered next."""
        return len(self.turns)

    @property
    def messages(self) -> list[Message]:
        """What was said so far, and the current turn's question."""
        messages: list[Message] = []
        for turn in range(self.turn + 1):
            messages.append({"role": "user", "content": self.question.turns[turn]})
            if turn < self.turn:
                messages.append({"role": "assistant", "content": self.turns[turn]})
        return messages

    def add(self, reply: Reply) -> None:
        """Take the model's answer to the current turn."""
        self.turns.append(reply.text)
        self.finish.append(reply.finish)
        self.thoughts.append(reply.thought)

    def restart(self) -> None:
        """Forget what the model said: the conversation is held again."""
        self.turns.clear()
        self.finish.clear()
        self.thoughts.clear()

    def prompt(self, chat: ChatFormat, context: int | None, sampling: Sampling) -> Prompt | None:
        """The current turn as the model sees it; None: all turns are answered, or the next does not fit.

        Raises:
            AssetError: The very first turn does not fit; names the question.
        """
        if self.turn == len(self.question.turns):
            return None
        ids = chat.encode_text(self.question.turns[0]) if sampling.raw else chat.encode(self.messages)
        prompt = _fit(ids, context, sampling)
        if prompt is None and self.turn == 0:
            raise AssetError(
                f"question {self.question.question_id}: {len(ids)} tokens do not fit the model's context of "
                f"{context}; shorten or remove the question, or pass --truncate"
            )
        return prompt

    def extent(self, chat: ChatFormat, context: int | None, sampling: Sampling) -> int:
        """Tokens it may have at its end, all turns and answers included; a turn that will not fit counts not.

        Later turns are counted without asking the template for a conversation that does not exist yet: each
        as its text and what the template adds to the first.
        """
        prompt = self.prompt(chat, context, sampling)
        if prompt is None:
            return 0
        first, *later = (len(chat.encode_text(turn)) for turn in self.question.turns)
        added = max(0, len(prompt.ids) - first)
        length = len(prompt.ids) + sum(later) + len(later) * added
        length += len(self.question.turns) * _most(sampling)
        return length if context is None else min(length, context)

    def answers(self) -> tuple[Answer, ...]:
        """The answer, once for each sample it stands for."""
        turns, finish = tuple(self.turns), tuple(self.finish)
        thoughts = tuple(self.thoughts) if any(self.thoughts) else ()
        return tuple(
            Answer(self.question.question_id, turns, finish, sample, thoughts) for sample in self.samples
        )


def conversations(questions: Sequence[Question], sampling: Sampling) -> list[Conversation]:
    """One conversation for each answer that is not a copy of another."""
    held: list[Conversation] = []
    for question in questions:
        temperature = sampling.temperature(question.category)
        samples = tuple(range(sampling.samples))
        groups = [(sample,) for sample in samples] if temperature else [samples]
        held += [Conversation(question, temperature, group) for group in groups]
    return held


def _most(sampling: Sampling) -> int:
    """The most tokens of a turn, thought and all."""
    thinking = sampling.max_thinking_tokens
    return sampling.max_new_tokens + (0 if thinking is None else thinking + CLOSING)


def _fit(ids: list[int], context: int | None, sampling: Sampling) -> Prompt | None:
    most = _most(sampling)
    if context is not None and sampling.raw and sampling.truncate:
        limit = min(most, context - 1)
        return Prompt(ids[-(context - limit) :], limit)
    if context is None or len(ids) < context:
        room = most if context is None else context - len(ids)
        return Prompt(ids, min(most, room))
    if not sampling.truncate:
        return None
    limit = min(most, max(1, context // 2))
    return Prompt(ids[len(ids) - (context - limit) :], limit)
