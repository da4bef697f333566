"""The date that chat templates see: the same for all prompts of a study, even if it is resumed later.

transformers gives templates a function `strftime_now` that reads the clock, and lets nobody hand in another.
So a macro of that name is put before the template.
"""

from __future__ import annotations

from datetime import date, datetime, time

FUNCTION = "strftime_now"
"""What templates call for the date."""

VARIABLE = "tvmerge_date"
"""What the macro reads: each directive of `strftime` and what it gives."""

_MACRO = (
    f"{{%- macro {FUNCTION}(format) -%}}"
    f"{{%- set ns = namespace(text=format) -%}}"
    f"{{%- for directive, text in {VARIABLE}.items() -%}}"
    "{%- set ns.text = ns.text.replace(directive, text) -%}"
    "{%- endfor -%}{{ ns.text }}{%- endmacro +%}"
)

_DIRECTIVES = "aAbBcdeDfFgGhHIjklmMnpPrRsSTuUVwWxXyYzZC"

_PERCENT = "\x00"
"""Stands for a literal percent sign until all directives are replaced."""


def asks_for_date(template: str) -> bool:
    """Whether a template may tell the date."""
    return FUNCTION in template


def with_date(template: str) -> str:
    """The template, told the date by the variable `VARIABLE` instead of the clock."""
    return _MACRO + template


def directives(day: date) -> dict[str, str]:
    """What each directive of `strftime` gives on `day`, at midnight."""
    moment = datetime.combine(day, time())
    found = {"%%": _PERCENT}
    for letter in _DIRECTIVES:
        found[f"%{letter}"] = text = moment.strftime(f"%{letter}")
        # Without leading zeros, which some systems' own `strftime` does not know.
        found[f"%-{letter}"] = str(int(text)) if text.strip().isdecimal() else text
    return {**found, _PERCENT: "%"}
