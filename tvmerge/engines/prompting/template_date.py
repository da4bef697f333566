"""Fixes the date that chat templates see: the same for all prompts of a study, even if it is resumed later.

transformers passes templates a function `strftime_now` that reads the clock and cannot be replaced. So a
macro of that name is put before the template.
"""

from __future__ import annotations

from datetime import date, datetime, time

FUNCTION = "strftime_now"
"""The function with which templates read the date."""

VARIABLE = "tvmerge_date"
"""The variable the macro reads: the text of each directive of `strftime`."""

_MACRO = (
    f"{{%- macro {FUNCTION}(format) -%}}"
    f"{{%- set ns = namespace(text=format) -%}}"
    f"{{%- for directive, text in {VARIABLE}.items() -%}}"
    "{%- set ns.text = ns.text.replace(directive, text) -%}"
    "{%- endfor -%}{{ ns.text }}{%- endmacro +%}"
)

_DIRECTIVES = "aAbBcdeDfFgGhHIjklmMnpPrRsSTuUVwWxXyYzZC"

_PERCENT = "\x00"
"""A placeholder for a literal percent sign until all directives are replaced."""


def asks_for_date(template: str) -> bool:
    """Return whether a template may read the date."""
    return FUNCTION in template


def with_date(template: str) -> str:
    """Return the template, reading the date from the variable `VARIABLE` instead of the clock."""
    return _MACRO + template


def directives(day: date) -> dict[str, str]:
    """Return the text of each directive of `strftime` on `day`, at midnight."""
    moment = datetime.combine(day, time())
    found = {"%%": _PERCENT}
    for letter in _DIRECTIVES:
        found[f"%{letter}"] = text = moment.strftime(f"%{letter}")
        # Without leading zeros, which `strftime` of some systems does not support.
        found[f"%-{letter}"] = str(int(text)) if text.strip().isdecimal() else text
    return {**found, _PERCENT: "%"}
