"""Files in which something is wrong, drawn by hypothesis from sound ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 7, 1.5, 1e308, -0.0, float("nan"), float("inf"), 10**25, 2**63),
    *("", " ", "x", "7", "\0", "\ud800", "\n", "a" * 300, "{", "[[", "../x", "/dev/zero", "(", "{0}", "%s"),
    *("{question:9} {answer}", "{question} {answer!r}", "{question.x} {answer}", "{", "}{"),
    *([], {}, [[]], {"a": {}}, [None], ["x", 1], {"": None}, [{}], [[[[[[]]]]]]),
)
"""Values that nobody expects, wherever they stand."""


@st.composite
def changed(draw: st.DrawFn, sound: Any) -> Any:
    """Draw data in which one to three values are replaced, removed, renamed or repeated."""
    holder = {"": deepcopy(sound)}
    for _ in range(draw(st.integers(1, 3))):
        place, key = draw(st.sampled_from(list(_places(holder))))
        what = draw(st.sampled_from(("replace", "remove", "rename", "repeat"))) if place is not holder else ""
        if what == "remove":
            del place[key]
        elif what == "rename" and isinstance(place, dict):
            place[draw(st.sampled_from(("x", "Rating", key.upper(), f"{key} ")))] = place.pop(key)
        elif what == "repeat" and isinstance(place, list):
            place.append(deepcopy(place[key]))
        else:
            place[key] = deepcopy(draw(st.sampled_from(ODD)))
    return holder[""]


def _places(data: Any) -> Any:
    """Yield each container within `data` with each of its keys."""
    for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
        yield data, key
        if isinstance(value, dict | list) and value:
            yield from _places(value)


@st.composite
def files(draw: st.DrawFn, sound: Any, written: Callable[[Any], str]) -> bytes:
    """Draw the content of a file: changed data, or sound data of which some bytes are changed."""
    if draw(st.integers(0, 3)):
        return written(draw(changed(sound))).encode("utf-8", "surrogatepass")
    content = bytearray(written(sound).encode())
    at = draw(st.integers(0, len(content)))
    content[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return bytes(content)


def as_json(data: Any) -> str:
    """Return data as JSON, with halves of surrogate pairs and numbers that are none."""
    return json.dumps(data)


def as_lines(data: Any) -> str:
    """Return a list as JSON Lines."""
    return "".join(f"{json.dumps(row)}\n" for row in data) if isinstance(data, list) else json.dumps(data)


def as_toml(data: Any) -> str:
    """Return a table as TOML; what it cannot hold is written as it would be in JSON."""
    if not isinstance(data, dict):
        return _toml(data)
    return "".join(f"{json.dumps(str(key))} = {_toml(value)}\n" for key, value in data.items())


def as_csv(data: Any) -> str:
    """Return a list of lists as CSV, without quotes."""
    if not isinstance(data, list):
        return str(data)
    return "".join(",".join(map(str, row if isinstance(row, list) else [row])) + "\n" for row in data)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(inner)}" for key, inner in value.items()) + "}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)
