"""Parses messages in OpenAI's harmony format, whose headers name a channel.

    <|start|>assistant<|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...

The final channel is the answer; analysis and commentary are not for the user. A model's text begins inside
a header that the prompt has opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_END = re.compile(r"<\|(?:end|return|call)\|>")
_HEADER = re.compile(rf"\s*(?:\w+\s*)?(?:{re.escape(CHANNEL)}\s*\w*)?")
_MARKS = re.compile(r"<\|\w+\|>")
# What is left when the marks were dropped as special tokens: `analysisWe need ...assistantfinalTokyo.`
_SKIPPED_END = re.compile(r"assistant\s*(?:analysis|commentary|final)")
_SKIPPED_START = re.compile(r"\s*(?:analysis|commentary)(?:(?=[A-Z])|(?=[^\x00-\x7f])|\s)")


@dataclass(frozen=True, slots=True)
class Message:
    """A message.

    Attributes:
        final: Whether it is the answer or part of it.
        text: Its text.
    """

    final: bool
    text: str


def is_harmony(text: str, prompt: str) -> bool:
    """Return whether a text that follows `prompt` consists of messages with channels."""
    whole = (_lead(prompt) + text).lstrip()
    return whole.startswith((START, CHANNEL, MESSAGE)) and (CHANNEL in whole or MESSAGE in whole)


def messages(text: str, prompt: str) -> Iterator[Message]:
    """Yield the messages of a model's text, including the one that `prompt` has begun."""
    for piece in (_lead(prompt) + text).split(START):
        end = _END.search(piece)
        said = piece if end is None else piece[: end.start()]
        header, mark, body = said.partition(MESSAGE)
        names = _MARKS.sub(" ", header).split()
        if mark:
            # A message without a channel is an answer.
            yield Message("final" in names or (CHANNEL not in header and len(names) < 2), body)
        elif loose := header[_end_of_header(header) :].strip():
            yield Message(final=False, text=loose)
        if end is not None and (behind := piece[end.end() :].strip()):
            yield Message(final=False, text=behind)


def final_begins(text: str, prompt: str) -> str:
    """Return the marks that end the thought at the end of a text and begin the answer."""
    whole = _lead(prompt) + text
    header = whole[whole.rfind(START) :] if START in whole else whole
    within = MESSAGE in header or CHANNEL in header
    ended = _END.search(header) is not None
    opened = f"{START}assistant" if within or ended else ""
    return f"{'<|end|>' if within and not ended else ''}{opened}{CHANNEL}final{MESSAGE}"


def skipped_marks(text: str) -> tuple[tuple[str, ...], str | None] | None:
    """Split a text whose marks are missing because a decoder skipped special tokens.

    Returns:
        The thoughts, and the answer or None if it has not begun. None if the text has another form.
    """
    begin = _SKIPPED_START.match(text)
    if begin is None:
        return None
    pieces = _SKIPPED_END.split(text[begin.end() :])
    names = [found[0].removeprefix("assistant").strip() for found in _SKIPPED_END.finditer(text)]
    if not names:
        # An answer may begin with "analysis of ...", but not with "analysisWe".
        return None if begin[0][-1].isspace() else ((text[begin.end() :],), None)
    if "final" not in names:
        return tuple(pieces), None
    first = names.index("final") + 1
    return tuple(pieces[:first]), "".join(pieces[first:])


def _lead(prompt: str) -> str:
    """Return the header that a prompt ends with; empty if its message has ended already."""
    place = prompt.rfind(START)
    if place < 0 or _END.search(prompt, place):
        return ""
    return prompt[place:]


def _end_of_header(header: str) -> int:
    found = _HEADER.match(header)
    return 0 if found is None else found.end()
