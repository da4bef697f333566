"""Reads judge prompts in FastChat's judge_prompts.jsonl format and selects those that a question needs."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvmerge._util.files import read_jsonl
from tvmerge.errors import AssetError
from tvmerge.judging.prompts.fence import delimiters, fenced
from tvmerge.judging.prompts.kinds import ALL_TURNS, CONVERSATION, PromptKind, needed_kinds
from tvmerge.judging.prompts.patterns import fault_of
from tvmerge.records import Question

EVAL_ASPECT = "eval_aspect"
"""The field for a question's grading criteria, allowed in every template."""

_FENCED = ("answer", "conversation")
_FORM_KEYS = ("rating_key", "rating_pattern")
_TURN_KEY = "turn_template"
_TEXT_KEYS = ("name", "type", "system_prompt", "prompt_template", "output_format")

_FORMAT_SHOWN = 40
"""Characters of a field's format in an error."""


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
        turn_template: Shows one turn, a `str.format` template, if the prompt asks for a rating of each turn;
            empty otherwise.
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
    turn_template: str = ""

    @property
    def structured(self) -> bool:
        """Whether the prompt asks for JSON."""
        return "json" in self.output_format.lower()

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that affects the judge's input and how its reply is read, as JSON data."""
        own = {name: getattr(self, name) for name in (*_FORM_KEYS, _TURN_KEY)}
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
        return frozenset(_fields(self, self.template))

    def render(self, fields: Mapping[str, str]) -> str:
        """Return the user message, formatted with `str.format` as in FastChat; answers may be fenced."""
        # The answers of a conversation that is shown turn by turn are fenced already.
        return self.template.format(**(fields if self.turn_template else self._fenced(fields)))

    def conversation(self, turns: Iterable[Mapping[str, str]]) -> str:
        """Return all turns, each formatted with `turn_template`; answers may be fenced."""
        return "\n\n".join(self.turn_template.format(**self._fenced(fields)) for fields in turns)

    def _fenced(self, fields: Mapping[str, str]) -> Mapping[str, str]:
        fence = self.fence
        if fence is None:
            return fields
        return {
            name: fenced(text, fence, self.rating_pattern) if name.startswith(_FENCED) else text
            for name, text in fields.items()
        }


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


def needed_prompts(
    prompts: Mapping[str, JudgePrompt],
    questions: Iterable[Question],
    *,
    pairwise: bool = False,
    together: bool = False,
) -> dict[str, JudgePrompt]:
    """Return the prompts without those for turns or ways of asking that these questions do not need.

    This way, a study does not depend on prompts that were added for others. FastChat's own are kept.

    Args:
        prompts: The prompts of a file by name.
        questions: The questions to judge.
        pairwise: Whether answers are compared with others.
        together: Whether all turns of an answer are rated in one request.
    """
    needed = {kind.name for kind in needed_kinds(questions, pairwise=pairwise, together=together)}
    return {
        name: prompt
        for name, prompt in prompts.items()
        if name in needed or not (together or name.endswith((CONVERSATION, ALL_TURNS)))
    }


def check_prompts(
    prompts: Mapping[str, JudgePrompt],
    questions: Iterable[Question],
    *,
    pairwise: bool = False,
    together: bool = False,
) -> None:
    """Check that every prompt these questions need exists and is valid.

    Raises:
        AssetError: A needed prompt is missing, has the wrong type, or its template lacks a field or has an
            unknown one. The message names file and line.
    """
    for kind, turn in needed_kinds(questions, pairwise=pairwise, together=together).items():
        if kind.name not in prompts:
            known = ", ".join(sorted(prompts)) or "none"
            fewer = f"add it, or judge fewer turns: --turns {turn - 1}; " if turn > 1 else ""
            apart = "add it, or leave out --judge-turns together; " if together else ""
            raise AssetError(
                f"the judge prompt '{kind.name}' is missing; {fewer}{apart}the file holds: {known}"
            )
        _check(prompts[kind.name], kind)


def _parse(row: Mapping[str, Any], source: str) -> JudgePrompt:
    for key in _TEXT_KEYS:
        if not isinstance(row.get(key), str):
            raise AssetError(f"{source}: a judge prompt needs the text key '{key}'")
    template, turn_template = row["prompt_template"], _turn_template(row, source)
    return JudgePrompt(
        name=row["name"],
        type=row["type"],
        system_prompt=row["system_prompt"],
        template=template,
        output_format=row["output_format"],
        scale=_scale(row.get("scale", [1, 10]), source),
        **_own_form(row, source),
        fence=tuple(delimiters(turn_template or template)) if row.get("fence") is True else None,
        source=source,
        turn_template=turn_template,
    )


def _turn_template(row: Mapping[str, Any], source: str) -> str:
    """Return the template for one turn, which prompts for all turns have and no others; empty for none."""
    name, template = row["name"], row.get(_TURN_KEY)
    if not name.endswith(ALL_TURNS):
        if template is None:
            return ""
        raise AssetError(f"{source}: '{_TURN_KEY}' is only for prompts whose name ends in {ALL_TURNS}")
    if not (isinstance(template, str) and template):
        raise AssetError(f"{source}: '{name}' needs the text key '{_TURN_KEY}', the template for one turn")
    return template


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
    _check_fields(prompt, "template", prompt.template, kind.fields, (EVAL_ASPECT,))
    if kind.all_turns:
        _check_fields(prompt, _TURN_KEY, prompt.turn_template, kind.turn_fields)


def _check_fields(
    prompt: JudgePrompt, what: str, template: str, fields: Sequence[str], optional: Sequence[str] = ()
) -> None:
    named = _fields(prompt, template)
    missing = [field for field in fields if field not in named]
    unknown = [field for field in named if field not in (*fields, *optional)]
    if missing or unknown:
        wrong = [f"lacks {{{field}}}" for field in missing] + [
            f"names unknown {{{field}}}" for field in unknown
        ]
        known = ", ".join(f"{{{field}}}" for field in fields)
        raise AssetError(
            f"{prompt.source}: the {what} of '{prompt.name}' {', '.join(wrong)}; its fields are {known}"
        )


def _fields(prompt: JudgePrompt, template: str) -> list[str]:
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise AssetError(
            f"{prompt.source}: the template of '{prompt.name}' is malformed ({error}); double literal braces"
        ) from error
    named = [field for _, field, _, _ in pieces if field is not None]
    # A width would fill the memory, and texts have no other formats.
    return named + [
        f"{field}:{spec[:_FORMAT_SHOWN]}" for _, field, spec, _ in pieces if field is not None and spec
    ]
