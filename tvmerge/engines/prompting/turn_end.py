"""Finds the token with which a chat template closes an assistant's turn, by rendering turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

from tvmerge.engines.prompting.chat_format import ChatFormat, Message
from tvmerge.engines.prompting.stop_tokens import is_special
from tvmerge.errors import CheckpointError
from tvmerge.reasoning.harmony import CHANNEL

T = TypeVar("T")

ASKED, SAID = "Tvmergeasked", "Tvmergesaid"
"""Messages of the rendered turns; they occur in no template."""

_USER: Message = {"role": "user", "content": ASKED}
_ASSISTANT: Message = {"role": "assistant", "content": SAID}


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """What a chat template writes after an assistant's message.

    Attributes:
        token: Id of the token that closes the turn; None if no token does.
        problem: Why there is none, if the user should know.
    """

    token: int | None = None
    problem: str = ""


def turn_end(chat: ChatFormat) -> TurnEnd:
    """Find the token that closes an assistant's turn.

    It is the first token after the message, ignoring whitespace, that is written whether another turn follows
    or not. It is never a token of ordinary text, nor one that begins texts or turns. Some templates close the
    last turn differently, which then ends an answer; some write a token only between turns.
    """
    if not chat.identity:
        return TurnEnd()
    try:
        opening, behind = _around(chat, [_USER, _ASSISTANT])
    except CheckpointError as error:
        return TurnEnd(problem=f"the chat template does not show where an answer ends: {error}")
    between = _between(chat)
    last, following = chat.tokens(behind), chat.tokens(between)
    shared = _shared(last, following)
    begun = [token for token in chat.tokens(opening) if is_special(chat.tokenizer, token)][-1:]
    before, _, since = opening.partition(ASKED)
    # If a turn consists of messages in channels, the token that closes a message does not close the turn.
    messages = chat.tokens(since) if CHANNEL in opening else []
    refused = (messages, [*begun, *messages], [*chat.tokens(before), *messages])
    for tokens, openers in zip((shared, last, following), refused, strict=True):
        found = next((token for token in tokens if not _is_blank(chat, token)), None)
        if found is not None:
            if not is_special(chat.tokenizer, found) or found == chat.tokenizer.unk_token_id:
                return TurnEnd(problem=_plain(chat, "".join(_shared(behind, between or behind))))
            closes = _closes(chat, found, behind + between) and found not in openers
            return TurnEnd(found if closes else None)
    return TurnEnd()


def keeps_prompts(chat: ChatFormat, eos_token: str) -> bool:
    """Return whether prompts stay the same with another eos token."""
    return _prompt(chat) == _prompt(chat, eos_token=eos_token)


def _prompt(chat: ChatFormat, **variables: Any) -> str:
    """Return a prompt of two turns, or of one if the template rejects more, or empty if it rejects all."""
    for messages in ([_USER, _ASSISTANT, _USER], [_USER]):
        try:
            return chat.render(messages, **variables)
        except CheckpointError:
            continue
    return ""


def _around(chat: ChatFormat, messages: Sequence[Message]) -> tuple[str, str]:
    """Return the text before and after the assistant's message.

    Raises:
        CheckpointError: The template fails, or does not write the assistant's message.
    """
    opening, said, behind = chat.render(messages, prompt=False).partition(SAID)
    if not said:
        raise CheckpointError("it does not write the assistant's messages")
    return opening, behind


def _between(chat: ChatFormat) -> str:
    """Return the text after the assistant's message if another turn follows; empty if none may follow."""
    try:
        return _around(chat, [_USER, _ASSISTANT, _USER])[1]
    except CheckpointError:
        return ""


def _shared(one: Sequence[T], other: Sequence[T]) -> list[T]:
    """Return the common prefix of both."""
    return [item for item, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]


def _is_blank(chat: ChatFormat, token: int) -> bool:
    return not str(chat.tokenizer.decode([token])).strip()


def _closes(chat: ChatFormat, token: int, written: str) -> bool:
    """Return whether a special token is written by the template and does not begin texts."""
    tokenizer = chat.tokenizer
    begins = token == tokenizer.bos_token_id != tokenizer.eos_token_id
    return not begins and str(tokenizer.convert_ids_to_tokens(token)) in written


def _plain(chat: ChatFormat, closing: str) -> str:
    """Return the remark on a template that closes turns with ordinary text or text that is not one token."""
    text = closing.strip()
    if not text:
        return ""
    return (
        f"the chat template closes a turn with {text!r}, which is not a single token of {chat.name} "
        "that ends a text: no answer ends there"
    )
