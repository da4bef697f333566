"""Checks that a chat template can render every prompt of a run, before anything is generated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date

from tvmerge.engines.prompting.chat_format import ChatFormat, Message
from tvmerge.engines.prompting.conversation import Conversation
from tvmerge.engines.prompting.replies import Reply
from tvmerge.errors import CheckpointError
from tvmerge.records import Question

ANSWER = Reply("Yes.", "stop")
"""A placeholder for the model's answers to earlier turns."""

DAYS = date(2001, 2, 3), date(2012, 11, 20)
"""Two dates that differ in year, month, day and weekday."""


def check_prompts(chat: ChatFormat, questions: Iterable[Question], rows: int) -> bool:
    """Check every turn of every question by rendering it.

    Args:
        chat: The target's tokenizer and chat template.
        questions: The questions.
        rows: Number of rows of the model's embeddings; a tokenizer may have more tokens.

    Returns:
        Whether a prompt depends on the date.

    Raises:
        CheckpointError: There is no template, it fails, or a prompt has a token without an embedding; the
            message names the question.
    """
    one, other = (chat.on(day) for day in DAYS)
    prompts = {
        f"question {question.question_id}, turn {turn + 1}": messages
        for question in questions
        for turn, messages in enumerate(_conversations(question))
    }
    if not prompts:
        return False
    texts = one.render_bounded(prompts)
    checked: set[str] = set()
    for place, text in zip(prompts, texts, strict=True):
        if text not in checked:
            with _placed(place):
                _check_rows(chat, text, rows)
            checked.add(text)
    return chat.may_tell_date and other.render_bounded(prompts) != texts


def _conversations(question: Question) -> Iterator[list[Message]]:
    """Yield the messages up to each turn of a question, with placeholders for answers."""
    conversation = Conversation(question, 0.0, (0,))
    for _ in question.turns:
        yield conversation.messages
        conversation.add(ANSWER)


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Put the question and turn before errors."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from error


def _check_rows(chat: ChatFormat, text: str, rows: int) -> None:
    number = max(chat.tokens(text), default=0)
    if number >= rows:
        raise CheckpointError(
            f"its prompt has the token {chat.tokenizer.convert_ids_to_tokens(number)!r}, number {number} of "
            f"{chat.name}'s tokenizer, and the embeddings end at row {rows - 1}; give a chat template "
            "without it (--chat-template), or a tokenizer that fits the model"
        )
