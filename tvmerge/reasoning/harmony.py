"""Messages in OpenAI's harmony format, each of which says in its header which channel it is in.

    <|start|>assistant<|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...

The final channel is the answer; analysis and commentary are not for the user. What a model says begins
within a header: the prompt has opened it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_END = re.compile(r"<\|(?:end|return|call)\|>")
_HEADER = re.compile(rf"\s*(?:\w+\s*)?(?:{re.escape(CHANNEL)}\s*\w*)?")
_MARKS = re.compile(r"<\|\w+\|>")
# What is left where the marks were skipped as special tokens: `analysisWe need ...assistantfinalTokyo.`
_SKIPPED_END = re.compile(r"assistant\s*(?:analysis|commentary|final)")
_SKIPPED_START = re.compile(r"\s*(?:analysis|commentary)(?:(?=[A-Z])|(?=[^\x00-\x7f])|\s)")


@dataclass(frozen=True, slots=True)
class Message:
    """A message.

    Attributes:
        final: Whether it is the answer, or part of it.
        text: What it says.
    """

    final: bool
    text: str


def is_harmony(text: str, prompt: str) -> bool:
    """Whether a text that follows `prompt` is made of messages with channels."""
    whole = (_lead(prompt) + text).lstrip()
    return whole.startswith((START, CHANNEL, MESSAGE)) and (CHANNEL in whole or MESSAGE in whole)


def messages(text: str, prompt: str) -> Iterator[Message]:
    """The messages that a model said, the one that `prompt` has begun included."""
    for piece in (_lead(prompt) + text).split(START):
        end = _END.search(piece)
        said = piece if end is None else piece[: end.start()]
        header, mark, body = said.partition(MESSAGE)
        names = _MARKS.sub(" ", header).split()
        if mark:
            # A header that names no channel has its answer behind it.
            yield Message("final" in names or (CHANNEL not in header and len(names) < 2), body)
        elif loose := header[_end_of_header(header) :].strip():
            yield Message(final=False, text=loose)
        if end is not None and (behind := piece[end.end() :].strip()):
            yield Message(final=False, text=behind)


def final_begins(text: str, prompt: str) -> str:
    """What ends the thought at the end of a text, and begins the answer."""
    whole = _lead(prompt) + text
    header = whole[whole.rfind(START) :] if START in whole else whole
    within = MESSAGE in header or CHANNEL in header
    ended = _END.search(header) is not None
    opened = f"{START}assistant" if within or ended else ""
    return f"{'<|end|>' if within and not ended else ''}{opened}{CHANNEL}final{MESSAGE}"


def skipped_marks(text: str) -> tuple[tuple[str, ...], str | None] | None:
    """Thoughts and answer of a text whose marks were left out, as decoders leave out special tokens.

    Returns:
        The thoughts, and the answer or None where it was not begun; None where this is no such text.
    """
    begin = _SKIPPED_START.match(text)
    if begin is None:
        return None
    pieces = _SKIPPED_END.split(text[begin.end() :])
    names = [found[0].removeprefix("assistant").strip() for found in _SKIPPED_END.finditer(text)]
    if not names:
        # "analysis of ..." may be how an answer begins; "analysisWe" is not.
        return None if begin[0][-1].isspace() else ((text[begin.end() :],), None)
    if "final" not in names:
        return tuple(pieces), None
    first = names.index("final") + 1
    return tuple(pieces[:first]), "".join(pieces[first:])


def _lead(prompt: str) -> str:
    """The header that a prompt ends with, unless its message has ended already."""
    place = prompt.rfind(START)
    if place < 0 or _END.search(prompt, place):
        return ""
    return prompt[place:]


def _end_of_header(header: str) -> int:
    found = _HEADER.match(header)
    return 0 if found is None else found.end()
