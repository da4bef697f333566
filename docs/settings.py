"""Writes `docs/settings.md` from the settings that the code declares.

Run it after a change there: `python docs/settings.py`. A test compares the page with what this would write.
"""

from __future__ import annotations

from dataclasses import MISSING
from pathlib import Path
from typing import Any

from tvmerge.config import Option, groups, options
from tvmerge.option import FROM_0, FROM_1

PAGE = Path(__file__).with_suffix(".md")

_HEAD = """\
# Settings

Written by `docs/settings.py` from the settings that the code declares; do not edit by hand.

Every setting of `tvmerge optimize` and `tvmerge demo` has one name. It is a flag on the command line
(`--n-trials 100`, or `--n_trials 100`) and a key of the file given with `--config` (`n_trials = 100`). A flag
overrides the file, and the file overrides the default. An unknown key is an error. `tvmerge demo` has other
defaults: its models, benchmark and judge, and a larger number of trials (`tvmerge/config/demo.py`).

**Lists** are written `--uniform-weights 0.5,1.5` on the command line and `uniform_weights = [0.5, 1.5]` in a
file. A flag can be repeated. A comma does not separate elements within the path of an existing file, such as
`--target-model models/a,b`, or within the brackets of a regular expression, such as
`--freeze 'layers\\.[01]{1,2}'`.

**Weights.** `a=0.7` is the benchmark `a` with a weight, unless a benchmark has the name `a=0.7`.

**Switches** have no value on the command line, and `true` or `false` in a file.

**Fixed** settings decide a study's scores or candidates. A run that resumes a study refuses another value;
`--fork` begins a new study with it. All other settings can change between runs.

"""


def page() -> str:
    """The page as Markdown: a table for every group of settings, in the order they are declared."""
    known = options()
    tables = (_table(title, [_row(key, *known[key]) for key in keys]) for title, keys in groups().items())
    return _HEAD + "\n".join(tables)


def _table(title: str, rows: list[tuple[str, ...]]) -> str:
    head = [("Key", "Flag", "Value", "Default", "Fixed", "Meaning"), ("---",) * 6]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in [*head, *rows])


def _row(key: str, option: Option, default: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = () if option.kind is dict else (key, *option.aliases)
    flags = ", ".join(f"`--{name.replace('_', '-')}`" for name in names) or "file only"
    fixed = "" if option.decides == "nothing" else "yes"
    return f"`{key}`", flags, _value(option), _default(default), fixed, option.help.replace("|", r"\|")


def _value(option: Option) -> str:
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    kind = {bool: "switch", int: "whole number", float: "number", str: "text", dict: "table"}[option.kind]
    return f"{f'list of {kind}s' if option.many else kind}{_bounds(option)}"


def _bounds(option: Option) -> str:
    if option.kind not in {int, float} or option.within == FROM_0:
        return ""
    least, most = option.within
    return f", {least} or more" if option.within == FROM_1 else f" in [{least}, {most}]"


def _default(default: Any) -> str:
    if default is MISSING:
        return "required"
    if default is None or default is False or default == ():
        return ""
    return f"`{', '.join(map(str, default))}`" if isinstance(default, tuple) else f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
