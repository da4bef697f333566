"""What a thinking model says to itself before its answer, separated from the answer by the marks around it.

A thought stands at the start of a text, after white space, or begins in the prompt: then the text holds its
closing mark alone. Several may follow each other. What an answer says about such marks further on, or in
code, is part of the answer.

Two kinds of marks are known by their form, not by the model:

* a tag that names a thought, with the tag that closes it: `<think>` and `</think>`, `[THINK]` and `[/THINK]`,
  `<|START_THINKING|>` and `<|END_THINKING|>`, `<seed:think>` and `</seed:think>`;
* the messages of OpenAI's harmony format, each in a channel: `<|channel|>final<|message|>` begins the answer,
  what stands in other channels is a thought.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tvmerge.reasoning.harmony import CHANNEL, final_begins, is_harmony, messages, skipped_marks

Marks = tuple[str, str]
"""The marks around a thought: the opening and the closing one."""

_WORD = r"(?:think(?:ing)?|thoughts?|reasoning)"
_NAME = rf"(?:[a-z0-9]+[:_|])*{_WORD}(?:[:_|][a-z0-9.]+)*"
_TAG = rf"</?{_NAME}>|</?\|/?{_NAME}\|>|◁/?{_NAME}▷|\[/?(?-i:THINK(?:ING)?)\]"
_HERE = r"Here(?:'s| is) my "
_ODD = {
    re.compile(opening): (re.compile(closing), literal)
    for opening, closing, literal in (
        # A channel that one token opens and another closes.
        (r"<\|channel>thought", r"<channel\|>", "<channel|>"),
        (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>", "<|inner_suffix|>"),
        # Marks in plain words.
        (rf"{_HERE}thought process:", rf"{_HERE}response:", "Here is my response:"),
    )
}
"""Marks whose form says nothing: opening to closing, as a pattern and as a model writes it."""
_ANY = "|".join(
    [_TAG, *(mark.pattern for opening, (closing, _) in _ODD.items() for mark in (opening, closing))]
)
_CLOSES = re.compile(r"^(?:[<\[◁]/|<\|/)|(?<![a-z])(?:end|close)(?![a-z])", re.IGNORECASE)
_WRAPPED = re.compile(
    r"\s*(?:<(?P<tag>answer|response|output|solution)>(?P<in_tag>.*?)(?:</(?P=tag)>\s*\Z|\Z)"
    r"|<\|(?:START_|begin_of_)(?P<mark>response|solution)\|>(?P<in_mark>.*?)"
    r"(?:<\|end_(?:of_)?(?P=mark)\|>\s*\Z|\Z))",
    re.DOTALL | re.IGNORECASE,
)
_TAIL = 200
"""Characters at the end of a prompt in which a mark is looked for."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTES_BEFORE, _QUOTES_AFTER = frozenset("`'\"「『“‘"), frozenset("`'\"」』”’")


@dataclass(frozen=True, slots=True)
class Parted:
    """A model's text, parted into what it thought and what it answered.

    Attributes:
        answer: The answer; all of the text where there was no thought.
        thoughts: What is not for the user, one text for each thought.
        finished: Whether the last thought was closed: an answer may begin only then.
        before: Whether the first thought began before the text, as the text itself shows.
        closing: What closes a thought that is not finished; empty where it is.
        behind: How many of the thoughts stand behind the answer, as messages of their own.
    """

    answer: str
    thoughts: tuple[str, ...] = ()
    finished: bool = True
    before: bool = False
    closing: str = ""
    behind: int = 0

    @property
    def ahead(self) -> int:
        """How many of the thoughts stand before the answer."""
        return len(self.thoughts) - self.behind

    @property
    def thought(self) -> str:
        """All thoughts as one text."""
        return "\n\n".join(filter(None, (thought.strip() for thought in self.thoughts)))


def part(text: str, prompt: str = "", marks: Sequence[Marks] = ()) -> Parted:
    """Part what a model said.

    Args:
        text: What it said, its special tokens included.
        prompt: The end of what it was given, its special tokens included: a thought may begin there.
        marks: Further marks that this model uses.
    """
    if is_harmony(text, prompt):
        return _harmony(text, prompt)
    grammar = _Grammar(marks)
    return _tagged(grammar, text, grammar.opened(prompt))


def part_written(texts: Sequence[str]) -> list[Parted]:
    """Part the texts that one model wrote, of which neither prompt nor tokens are known.

    Where most of them close a thought that they did not open, the model is made to think by its prompts. Then
    a text without any mark is a thought that never ended.
    """
    found = [_written(text) for text in texts]
    begun = sum(parted.before for parted in found)
    if 2 * begun <= len(texts):
        return found
    return [parted if parted.thoughts else Parted("", (parted.answer,), finished=False) for parted in found]


def mentions_thoughts(texts: Iterable[str], marks: Sequence[Marks] = ()) -> bool:
    """Whether any of `texts` (a chat template, the tokens of a vocabulary) holds the marks of thoughts."""
    return bool(marks) or any(re.search(_ANY, text, re.IGNORECASE) or CHANNEL in text for text in texts)


class _Grammar:
    """The marks that count for one model."""

    def __init__(self, marks: Sequence[Marks]) -> None:
        self._marks = {opening.strip(): closing.strip() for opening, closing in marks}
        own = [re.escape(mark) for pair in self._marks.items() for mark in pair]
        self._any = re.compile("|".join([*own, _ANY]), re.IGNORECASE)

    def opened(self, prompt: str) -> str:
        """The opening mark that a prompt ends with; empty where it ends otherwise."""
        found = list(self._any.finditer(prompt, max(0, len(prompt) - _TAIL)))
        if not found or prompt[found[-1].end() :].strip() or self._closes(found[-1][0]):
            return ""
        return found[-1][0]

    def opening_at_start(self, text: str) -> re.Match[str] | None:
        """The opening mark at the start of a text, after white space."""
        found = self._any.match(text, len(text) - len(text.lstrip()))
        return None if found is None or self._closes(found[0]) else found

    def closing_at_start(self, text: str) -> re.Match[str] | None:
        """A closing mark at the start of a text, after white space."""
        found = self._any.match(text, len(text) - len(text.lstrip()))
        return found if found is not None and self._closes(found[0]) else None

    def closing(self, text: str, opening: str) -> re.Match[str] | None:
        """Where the thought that `opening` opened is closed: at the first closing mark that is not quoted."""
        odd = _odd(opening)
        pattern = (
            re.compile(re.escape(self.literal_closing(opening)), re.IGNORECASE) if odd is None else odd[0]
        )
        return next((found for found in pattern.finditer(text) if not _quoted(text, found)), None)

    def lone_closing(self, text: str) -> re.Match[str] | None:
        """A closing mark without an opening one before it; in code or quoted it is what the text is about."""
        bare = _CODE.sub(lambda code: " " * len(code[0]), text)
        for found in self._any.finditer(bare):
            if not self._closes(found[0]):
                return None
            if not _quoted(text, found):
                return found
        return None

    def literal_closing(self, opening: str) -> str:
        """The closing mark to `opening`, as a model would write it."""
        odd = _odd(opening)
        return self._marks.get(opening) or (_closing_tag(opening) if odd is None else odd[1])

    def _closes(self, mark: str) -> bool:
        if mark in self._marks or _odd(mark) is not None:
            return False
        odd = any(closing.fullmatch(mark) for closing, _ in _ODD.values())
        return odd or mark in self._marks.values() or _CLOSES.search(mark) is not None


def _odd(opening: str) -> tuple[re.Pattern[str], str] | None:
    return next((closed for opens, closed in _ODD.items() if opens.fullmatch(opening)), None)


def _tagged(grammar: _Grammar, text: str, opening: str) -> Parted:
    thoughts: list[str] = []
    rest, before = text, False
    if not opening and grammar.opening_at_start(text) is None:
        end = grammar.lone_closing(text)
        if end is None:
            return Parted(text)
        thoughts, rest, before = [text[: end.start()]], text[end.end() :], True
    while opening or (grammar.opening_at_start(rest) is not None):
        # A prompt may have opened a thought that the model opens once more.
        if (begin := grammar.opening_at_start(rest)) is not None:
            opening, rest = begin[0], rest[begin.end() :]
        end = grammar.closing(rest, opening)
        if end is None:
            return Parted("", (*thoughts, rest), False, before, grammar.literal_closing(opening))
        thoughts.append(rest[: end.start()])
        rest, opening = rest[end.end() :], ""
        while (again := grammar.closing_at_start(rest)) is not None:
            rest = rest[again.end() :]
    return Parted(_unwrapped(rest), tuple(thoughts), before=before)


def _harmony(text: str, prompt: str) -> Parted:
    found = list(messages(text, prompt))
    answers = [message.text for message in found if message.final]
    thoughts = tuple(message.text for message in found if not message.final)
    if not answers:
        return Parted("", thoughts, finished=False, closing=final_begins(text, prompt))
    last = max(place for place, message in enumerate(found) if message.final)
    return Parted("".join(answers), thoughts, behind=len(found) - 1 - last)


def _written(text: str) -> Parted:
    bare = skipped_marks(text)
    if bare is None:
        return part(text)
    thoughts, answer = bare
    return Parted(answer or "", thoughts, finished=answer is not None)


def _quoted(text: str, mark: re.Match[str]) -> bool:
    before, after = text[: mark.start()][-1:], text[mark.end() :][:1]
    return before in _QUOTES_BEFORE and after in _QUOTES_AFTER


def _closing_tag(opening: str) -> str:
    for begin, end in (("start", "end"), ("begin", "end"), ("open", "close")):
        for word, other in ((begin, end), (begin.upper(), end.upper())):
            swapped = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", other, opening)
            if swapped != opening:
                return swapped
    bracket = 2 if opening.startswith("<|") else 1
    return f"{opening[:bracket]}/{opening[bracket:]}"


def _unwrapped(answer: str) -> str:
    """An answer without the tags that some models put around it after a thought."""
    found = _WRAPPED.match(answer)
    if found is None or found.end() != len(answer):
        return answer
    return found["in_tag"] if found["in_tag"] is not None else found["in_mark"]
