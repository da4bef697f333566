"""Separates what a model thought before its answer from the answer, by the marks around the thoughts.

A thought is at the start of a text, after optional white space, or begins in the prompt; then the text has
only its closing mark. Several thoughts may follow each other. Marks that occur later in the answer, or in
code, are part of the answer.

Two kinds of marks are recognized by their form, not by the model:

* a tag that names a thought, with its closing tag: `<think>` and `</think>`, `[THINK]` and `[/THINK]`,
  `<|START_THINKING|>` and `<|END_THINKING|>`, `<seed:think>` and `</seed:think>`;
* the messages of OpenAI's harmony format: `<|channel|>final<|message|>` begins the answer, messages in other
  channels are thoughts.
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
        # A channel with different tokens to open and to close it.
        (r"<\|channel>thought", r"<channel\|>", "<channel|>"),
        (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>", "<|inner_suffix|>"),
        # Marks in plain words.
        (rf"{_HERE}thought process:", rf"{_HERE}response:", "Here is my response:"),
    )
}
"""Marks not recognized by their form: patterns of opening and closing mark, and the closing mark as text."""
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
"""Number of characters at the end of a prompt that are searched for a mark."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTES_BEFORE, _QUOTES_AFTER = frozenset("`'\"「『“‘"), frozenset("`'\"」』”’")


@dataclass(frozen=True, slots=True)
class SplitText:
    """A model's text, split into thoughts and answer.

    Attributes:
        answer: The answer; the whole text if there was no thought.
        thoughts: The thoughts, in order.
        finished: Whether the last thought was closed; an answer can only begin after that.
        before: Whether the text shows that the first thought began in the prompt.
        closing: The mark that closes an unfinished thought; empty if the last thought is finished.
        behind: How many of the thoughts are separate messages after the answer.
    """

    answer: str
    thoughts: tuple[str, ...] = ()
    finished: bool = True
    before: bool = False
    closing: str = ""
    behind: int = 0

    @property
    def ahead(self) -> int:
        """How many of the thoughts come before the answer."""
        return len(self.thoughts) - self.behind

    @property
    def thought(self) -> str:
        """All thoughts as one text."""
        return "\n\n".join(filter(None, (thought.strip() for thought in self.thoughts)))


def split_thoughts(text: str, prompt: str = "", marks: Sequence[Marks] = ()) -> SplitText:
    """Split a model's text into thoughts and answer.

    Args:
        text: The text, including special tokens.
        prompt: The end of the prompt, including special tokens, since a thought may begin there.
        marks: Additional marks that this model uses.
    """
    if is_harmony(text, prompt):
        return _harmony(text, prompt)
    grammar = _Grammar(marks)
    return _tagged(grammar, text, grammar.opened(prompt))


def split_texts(texts: Sequence[str]) -> list[SplitText]:
    """Split texts written by one model whose prompts and tokens are unknown.

    If most of them close a thought that they did not open, the model's prompts open one. Then a text without
    any mark is an unfinished thought.
    """
    found = [_written(text) for text in texts]
    begun = sum(parted.before for parted in found)
    if 2 * begun <= len(texts):
        return found
    return [
        parted if parted.thoughts else SplitText("", (parted.answer,), finished=False) for parted in found
    ]


def mentions_thoughts(texts: Iterable[str], marks: Sequence[Marks] = ()) -> bool:
    """Return whether any text (a chat template, the tokens of a vocabulary) contains marks of thoughts."""
    return bool(marks) or any(re.search(_ANY, text, re.IGNORECASE) or CHANNEL in text for text in texts)


class _Grammar:
    """The marks that one model uses."""

    def __init__(self, marks: Sequence[Marks]) -> None:
        self._marks = {opening.strip(): closing.strip() for opening, closing in marks}
        own = [re.escape(mark) for pair in self._marks.items() for mark in pair]
        self._any = re.compile("|".join([*own, _ANY]), re.IGNORECASE)

    def opened(self, prompt: str) -> str:
        """Return the opening mark that a prompt ends with, or an empty string."""
        found = list(self._any.finditer(prompt, max(0, len(prompt) - _TAIL)))
        if not found or prompt[found[-1].end() :].strip() or self._closes(found[-1][0]):
            return ""
        return found[-1][0]

    def opening_at_start(self, text: str) -> re.Match[str] | None:
        """Match an opening mark at the start of a text, after optional white space."""
        found = self._any.match(text, len(text) - len(text.lstrip()))
        return None if found is None or self._closes(found[0]) else found

    def closing_at_start(self, text: str) -> re.Match[str] | None:
        """Match a closing mark at the start of a text, after optional white space."""
        found = self._any.match(text, len(text) - len(text.lstrip()))
        return found if found is not None and self._closes(found[0]) else None

    def closing(self, text: str, opening: str) -> re.Match[str] | None:
        """Find the first unquoted closing mark for `opening`."""
        odd = _odd(opening)
        pattern = (
            re.compile(re.escape(self.literal_closing(opening)), re.IGNORECASE) if odd is None else odd[0]
        )
        return next((found for found in pattern.finditer(text) if not _quoted(text, found)), None)

    def lone_closing(self, text: str) -> re.Match[str] | None:
        """Find a closing mark without an opening one before it, ignoring marks that are quoted or in code."""
        bare = _CODE.sub(lambda code: " " * len(code[0]), text)
        for found in self._any.finditer(bare):
            if not self._closes(found[0]):
                return None
            if not _quoted(text, found):
                return found
        return None

    def literal_closing(self, opening: str) -> str:
        """Return the closing mark for `opening`, as a model would write it."""
        odd = _odd(opening)
        return self._marks.get(opening) or (_closing_tag(opening) if odd is None else odd[1])

    def _closes(self, mark: str) -> bool:
        if mark in self._marks or _odd(mark) is not None:
            return False
        odd = any(closing.fullmatch(mark) for closing, _ in _ODD.values())
        return odd or mark in self._marks.values() or _CLOSES.search(mark) is not None


def _odd(opening: str) -> tuple[re.Pattern[str], str] | None:
    return next((closed for opens, closed in _ODD.items() if opens.fullmatch(opening)), None)


def _tagged(grammar: _Grammar, text: str, opening: str) -> SplitText:
    thoughts: list[str] = []
    rest, before = text, False
    if not opening and grammar.opening_at_start(text) is None:
        end = grammar.lone_closing(text)
        if end is None:
            return SplitText(text)
        thoughts, rest, before = [text[: end.start()]], text[end.end() :], True
    while opening or (grammar.opening_at_start(rest) is not None):
        # The prompt may have opened a thought that the model then opens again.
        if (begin := grammar.opening_at_start(rest)) is not None:
            opening, rest = begin[0], rest[begin.end() :]
        end = grammar.closing(rest, opening)
        if end is None:
            return SplitText("", (*thoughts, rest), False, before, grammar.literal_closing(opening))
        thoughts.append(rest[: end.start()])
        rest, opening = rest[end.end() :], ""
        while (again := grammar.closing_at_start(rest)) is not None:
            rest = rest[again.end() :]
    return SplitText(_unwrapped(rest), tuple(thoughts), before=before)


def _harmony(text: str, prompt: str) -> SplitText:
    found = list(messages(text, prompt))
    answers = [message.text for message in found if message.final]
    thoughts = tuple(message.text for message in found if not message.final)
    if not answers:
        return SplitText("", thoughts, finished=False, closing=final_begins(text, prompt))
    last = max(place for place, message in enumerate(found) if message.final)
    return SplitText("".join(answers), thoughts, behind=len(found) - 1 - last)


def _written(text: str) -> SplitText:
    bare = skipped_marks(text)
    if bare is None:
        return split_thoughts(text)
    thoughts, answer = bare
    return SplitText(answer or "", thoughts, finished=answer is not None)


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
    """Remove the tags that some models put around an answer after a thought."""
    found = _WRAPPED.match(answer)
    if found is None or found.end() != len(answer):
        return answer
    return found["in_tag"] if found["in_tag"] is not None else found["in_mark"]
