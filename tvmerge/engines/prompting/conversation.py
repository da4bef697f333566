"""The state of a conversation: questions, replies so far, and the room left in the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tvmerge.engines.prompting.chat_format import ChatFormat, Message
from tvmerge.engines.prompting.replies import Reply
from tvmerge.errors import AssetError
from tvmerge.records import Answer, Finish, Question, Sampling

CLOSING = 16
"""Number of tokens kept free for closing a thought that is too long."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of one turn.

    Attributes:
        ids: Token ids.
        limit: Maximum number of new tokens: the sampling's limit, or the rest of the context.
    """

    ids: list[int]
    limit: int


@dataclass(slots=True)
class Conversation:
    """One question on its way to an answer.

    Attributes:
        question: What is asked.
        temperature: The temperature of the question's category; 0 is greedy.
        samples: Numbers of the samples it stands for: one, or all if decoding is greedy and they are equal.
        turns: The model's answers so far.
        finish: Why each ended.
        thoughts: The thought before each.
        tokens: Number of tokens generated for them.
    """

    question: Question
    temperature: float
    samples: tuple[int, ...]
    turns: list[str] = field(default_factory=list)
    finish: list[Finish] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    tokens: int = 0

    @property
    def turn(self) -> int:
        """Index of the next turn to answer."""
        return len(self.turns)

    @property
    def messages(self) -> list[Message]:
        """The messages so far and the current turn's question."""
        messages: list[Message] = []
        for turn in range(self.turn + 1):
            messages.append({"role": "user", "content": self.question.turns[turn]})
            if turn < self.turn:
                messages.append({"role": "assistant", "content": self.turns[turn]})
        return messages

    def add(self, reply: Reply) -> None:
        """Add the model's answer to the current turn."""
        self.turns.append(reply.text)
        self.finish.append(reply.finish)
        self.thoughts.append(reply.thought)
        self.tokens += reply.tokens

    def restart(self) -> None:
        """Remove the model's answers, to hold the conversation again."""
        self.turns.clear()
        self.finish.clear()
        self.thoughts.clear()
        self.tokens = 0

    def prompt(self, chat: ChatFormat, context: int | None, sampling: Sampling) -> Prompt | None:
        """Return the current turn's prompt; None if all turns are answered or the next does not fit.

        Raises:
            AssetError: The first turn does not fit; the message names the question.
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
        """Return the maximum number of tokens of the whole conversation, without turns that will not fit.

        Later turns cannot be rendered before the answers exist, so each is counted as the tokens of its text
        and of what the template adds to the first turn.
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
        """Return the answer, once for each sample it stands for; the first counts its tokens."""
        turns, finish = tuple(self.turns), tuple(self.finish)
        thoughts = tuple(self.thoughts) if any(self.thoughts) else ()
        tokens = (self.tokens, *(0 for _ in self.samples[1:]))
        return tuple(
            Answer(self.question.question_id, turns, finish, sample, thoughts, new)
            for sample, new in zip(self.samples, tokens, strict=True)
        )


def conversations(questions: Sequence[Question], sampling: Sampling) -> list[Conversation]:
    """Return a conversation for each distinct answer."""
    held: list[Conversation] = []
    for question in questions:
        temperature = sampling.temperature(question.category)
        samples = tuple(range(sampling.samples))
        groups = [(sample,) for sample in samples] if temperature else [samples]
        held += [Conversation(question, temperature, group) for group in groups]
    return held


def _most(sampling: Sampling) -> int:
    """Return the maximum number of tokens of a turn, including its thought."""
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
