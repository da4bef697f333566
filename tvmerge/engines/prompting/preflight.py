"""Checks that a chat template can render every prompt of a run, before anything is generated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from tvmerge.engines.prompting.chat_format import ChatFormat
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
    dated = False
    for question in questions:
        chat.require_template()
        conversation = Conversation(question, 0.0, (0,))
        for turn in range(len(question.turns)):
            try:
                text = one.render(conversation.messages)
                _check_rows(chat, text, rows)
                if chat.may_tell_date and not dated:
                    dated = other.render(conversation.messages) != text
            except CheckpointError as error:
                raise CheckpointError(f"question {question.question_id}, turn {turn + 1}: {error}") from error
            conversation.add(ANSWER)
    return dated


def _check_rows(chat: ChatFormat, text: str, rows: int) -> None:
    number = max(chat.tokens(text), default=0)
    if number >= rows:
        raise CheckpointError(
            f"its prompt has the token {chat.tokenizer.convert_ids_to_tokens(number)!r}, number {number} of "
            f"{chat.name}'s tokenizer, and the embeddings end at row {rows - 1}; give a chat template "
            "without it (--chat-template), or a tokenizer that fits the model"
        )
