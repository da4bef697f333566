"""Reads judge prompts in FastChat's judge_prompts.jsonl format and selects those that a question needs."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.files import read_jsonl
from tvmerge.errors import AssetError
from tvmerge.judging.prompts.fence import delimiters, fenced
from tvmerge.judging.prompts.patterns import fault_of
from tvmerge.records import Question

EVAL_ASPECT = "eval_aspect"
"""The field for a question's grading criteria, allowed in every template."""

_CONVERSATION = "-conversation"
_FENCED = ("answer", "conversation")
_FORM_KEYS = ("rating_key", "rating_pattern")
_TEXT_KEYS = ("name", "type", "system_prompt", "prompt_template", "output_format")


@dataclass(frozen=True, slots=True)
class PromptKind:
    """A kind of prompt, which FastChat identifies by its name.

    Attributes:
        pairwise: Compares two answers instead of rating one.
        reference: Shows reference answers.
        multi_turn: Shows two turns and asks about the second.
        conversation: Shows all turns and asks about the last, which is the third or later. FastChat has no
            such prompts.
    """

    pairwise: bool = False
    reference: bool = False
    multi_turn: bool = False
    conversation: bool = False

    @property
    def name(self) -> str:
        """The name of a prompt of this kind: FastChat's, if it has one."""
        stem = "pair" if self.pairwise else "single"
        version = "math-v1" if self.reference else ("v2" if self.pairwise else "v1")
        ending = "-multi-turn" if self.multi_turn else (_CONVERSATION if self.conversation else "")
        return f"{stem}-{version}{ending}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields its template must have, and the only ones it may have besides `{eval_aspect}`."""
        turns = ("_1", "_2") if self.multi_turn else ("",)
        sides = ("answer_a", "answer_b") if self.pairwise else ("answer",)
        questions = tuple(f"question{turn}" for turn in turns)
        answers = tuple(f"{side}{turn}" for side in sides for turn in turns)
        references = ("ref_answer_1", "ref_answer_2") if self.multi_turn else ("ref_answer_1",)
        if self.conversation:
            answers += tuple(side.replace("answer", "conversation") for side in sides)
            references = ("ref_answer",)
        return questions + answers + (references if self.reference else ())


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """One line of a prompt file.

    Attributes:
        name: Its name.
        type: `single` or `pairwise`.
        system_prompt: Sent as the system message; empty for none.
        template: The user message, a `str.format` template.
        output_format: Free text; if it mentions json, the reply is requested as a JSON object.
        scale: Lowest and highest rating.
        fence: The delimiter lines that an answer must not copy; None if answers are inserted unchanged.
        source: `file:line`, for error messages.
        rating_key: The prompt's own key of the rating in JSON; empty for the default.
        rating_pattern: The prompt's own regular expression, whose group is the rating; empty for none.
    """

    name: str
    type: str
    system_prompt: str
    template: str
    output_format: str
    scale: tuple[float, float] = (1.0, 10.0)
    fence: tuple[str, ...] | None = None
    source: str = ""
    rating_key: str = ""
    rating_pattern: str = ""

    @property
    def structured(self) -> bool:
        """Whether the prompt asks for JSON."""
        return "json" in self.output_format.lower()

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that affects the judge's input and how its reply is read, as JSON data."""
        own = {"rating_key": self.rating_key, "rating_pattern": self.rating_pattern}
        return {
            "system_prompt": self.system_prompt,
            "template": self.template,
            "structured": self.structured,
            "scale": list(self.scale),
            "fenced": self.fence is not None,
            **{name: value for name, value in own.items() if value},
        }

    @property
    def named_fields(self) -> frozenset[str]:
        """Return the fields that its template names.

        Raises:
            AssetError: The template is malformed.
        """
        return frozenset(_fields(self))

    def render(self, fields: Mapping[str, str]) -> str:
        """Return the user message, formatted with `str.format` as in FastChat; answers may be fenced."""
        fence = self.fence
        if fence is not None:
            fields = {
                name: fenced(text, fence, self.rating_pattern) if name.startswith(_FENCED) else text
                for name, text in fields.items()
            }
        return self.template.format(**fields)


def load_prompts(path: Path) -> dict[str, JudgePrompt]:
    """Read all prompts of a file by name; if a name occurs twice, the last one wins, as in FastChat.

    Raises:
        AssetError: A line, named in the message, is not a prompt.
    """
    prompts = {}
    for number, row in read_jsonl(path):
        prompt = _parse(row, f"{path}:{number}")
        prompts[prompt.name] = prompt
    if not prompts:
        raise AssetError(f"{path}: contains no prompts; write one JSON object per line, in FastChat's format")
    return prompts


def kind_for(question: Question, turn: int, *, pairwise: bool = False) -> PromptKind:
    """Return the kind of prompt that judges `turn` (from 1) of an answer to `question`.

    A question is judged with its reference if it needs one and has one for every turn shown. Grading criteria
    count as a reference.
    """
    referenced = len(question.reference) >= turn or bool(question.eval_aspect)
    return PromptKind(
        pairwise=pairwise,
        reference=question.needs_reference and referenced,
        multi_turn=turn == 2,
        conversation=turn > 2,
    )


def needed_kinds(questions: Iterable[Question], *, pairwise: bool = False) -> dict[PromptKind, int]:
    """Return the kinds of prompts that these questions need, each with the first turn that needs it."""
    needed: dict[PromptKind, int] = {}
    for question in questions:
        for turn in range(1, len(question.turns) + 1):
            needed.setdefault(kind_for(question, turn, pairwise=pairwise), turn)
    return needed


def without_unneeded_conversations(
    prompts: Mapping[str, JudgePrompt], questions: Iterable[Question], *, pairwise: bool = False
) -> dict[str, JudgePrompt]:
    """Return the prompts without those for third and later turns if no question has so many.

    This way, a study of shorter questions does not depend on them.
    """
    needed = {kind.name for kind in needed_kinds(questions, pairwise=pairwise)}
    return {
        name: prompt for name, prompt in prompts.items() if name in needed or not name.endswith(_CONVERSATION)
    }


def check_prompts(
    prompts: Mapping[str, JudgePrompt], questions: Iterable[Question], *, pairwise: bool = False
) -> None:
    """Check that every prompt these questions need exists and is valid.

    Raises:
        AssetError: A needed prompt is missing, has the wrong type, or its template lacks a field or has an
            unknown one. The message names file and line.
    """
    for kind, turn in needed_kinds(questions, pairwise=pairwise).items():
        if kind.name not in prompts:
            known = ", ".join(sorted(prompts)) or "none"
            fewer = f"add it, or judge fewer turns: --turns {turn - 1}; " if turn > 1 else ""
            raise AssetError(f"the judge prompt '{kind.name}' is missing; {fewer}the file holds: {known}")
        _check(prompts[kind.name], kind)


def _parse(row: Mapping[str, Any], source: str) -> JudgePrompt:
    for key in _TEXT_KEYS:
        if not isinstance(row.get(key), str):
            raise AssetError(f"{source}: a judge prompt needs the text key '{key}'")
    template = row["prompt_template"]
    return JudgePrompt(
        name=row["name"],
        type=row["type"],
        system_prompt=row["system_prompt"],
        template=template,
        output_format=row["output_format"],
        scale=_scale(row.get("scale", [1, 10]), source),
        **_own_form(row, source),
        fence=tuple(delimiters(template)) if row.get("fence") is True else None,
        source=source,
    )


def _own_form(row: Mapping[str, Any], source: str) -> dict[str, str]:
    """Return the prompt's own `rating_key` or `rating_pattern`, if it has one."""
    own = {name: row[name] for name in _FORM_KEYS if name in row}
    for name, value in own.items():
        if not (isinstance(value, str) and value):
            raise AssetError(f"{source}: '{name}' must be a non-empty string; got {value!r}")
        if row["type"] != "single":
            raise AssetError(f"{source}: '{name}' is for prompts of type 'single', which ask for a rating")
    if len(own) > 1:
        raise AssetError(f"{source}: give 'rating_key' or 'rating_pattern', not both")
    if wrong := fault_of(own["rating_pattern"]) if "rating_pattern" in own else "":
        raise AssetError(f"{source}: 'rating_pattern' {wrong}; write it as in 'FINAL SCORE: ([0-9.]+)'")
    return own


def _scale(value: object, source: str) -> tuple[float, float]:
    match value:
        case [int() | float() as low, int() | float() as high] if low < high:
            return float(low), float(high)
    raise AssetError(f"{source}: 'scale' must be two rising numbers, such as [1, 10]; got {value!r}")


def _check(prompt: JudgePrompt, kind: PromptKind) -> None:
    expected = "pairwise" if kind.pairwise else "single"
    if prompt.type != expected:
        raise AssetError(
            f"{prompt.source}: '{prompt.name}' must be of type '{expected}', not '{prompt.type}'"
        )
    named = _fields(prompt)
    missing = [field for field in kind.fields if field not in named]
    unknown = [field for field in named if field not in (*kind.fields, EVAL_ASPECT)]
    if missing or unknown:
        wrong = [f"lacks {{{field}}}" for field in missing] + [
            f"names unknown {{{field}}}" for field in unknown
        ]
        fields = ", ".join(f"{{{field}}}" for field in kind.fields)
        raise AssetError(
            f"{prompt.source}: the template of '{prompt.name}' {', '.join(wrong)}; its fields are {fields}"
        )


def _fields(prompt: JudgePrompt) -> list[str]:
    try:
        pieces = list(string.Formatter().parse(prompt.template))
    except ValueError as error:
        raise AssetError(
            f"{prompt.source}: the template of '{prompt.name}' is malformed ({error}); double literal braces"
        ) from error
    named = [field for _, field, _, _ in pieces if field is not None]
    nested = [f"{field}:{spec}" for _, field, spec, _ in pieces if field is not None and spec and "{" in spec]
    return named + nested
