"""Damages the content of a file: as bytes, as JSON, as a template, or as a database."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, 10**299, 1e308, 0.5, float("nan"), float("inf")),
    *(
        "",
        "x",
        "x\0y",
        "\ud800",
        "../../x",
        "\x1b[2J",
        "n" * 5000,
        "{x:>999999999}",
        "(a|a)*$",
        "{{ 1 / 0 }}",
    ),
    *([], {}, [1, "a"], [[[[]]]], {"a": {"b": []}}, [None], {"": 1}, ["x"] * 1000),
)
"""Values of every type, some of which no program expects."""

TEXTS: tuple[str, ...] = (
    *("", " ", "\0", "null", "[]", "{}", "1", '"x"', '{"a": 1', "[" * 100_000, '{"a":' * 50_000, "\ufeff{}"),
    *(
        '{"vocab_size": ' + "9" * 400 + "}",
        '{"vocab_size": ' + "9" * 5000 + "}",
        '{"n": NaN}',
        "x = [" * 2000,
    ),
    *(
        "a = " + "9" * 400,
        "\n" * 10_000,
        "a" * 1_000_000,
        '{"a": 1}{"a": 2}',
        "---\n- &a [*a]",
        "\x1b]0;x\x07",
    ),
)
"""Contents that are no file of any kind."""

TEMPLATES: tuple[str, ...] = (
    *("{{", "{% for m in messages %}", "{{ messages.x.y }}", "{{ 'x' * 10 ** 10 }}", "[" * 100_000, ""),
    *("{% for i in range(10 ** 9) %}x{% endfor %}", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    *("{{ '%9999999999d' % 1 }}", "{{ '{:>9999999999}'.format(1) }}", "{{ 7 ** (9 ** 12) }}"),
    *("{{ ''.__class__.__mro__ }}", "{{ lipsum(n=100000) }}", "{% include 'x' %}", "{% import 'os' as os %}"),
    *(
        "{{ messages[0].content | center(10 ** 10) }}",
        "{{ raise_exception(1) }}",
        "{{ 1 / 0 }}",
        "\0",
        "\ud800",
    ),
)
"""Chat templates that fail, compute or write for ever, or reach for more than they may."""

_BYTES: tuple[bytes, ...] = (
    b"\xff\xfe\xfa{}",
    b"\x80abc",
    b"\xff\xfe{\0}\0",
    b"\x93\xfa\x96{",
    b"PK\x03\x04",
    b"\0" * 64,
)


def replaced(path: Path, rng: Random) -> str:
    """Put something else in the place of a file, and say what."""
    kinds: dict[str, Callable[[], object]] = {
        "a folder": path.mkdir,
        "a pipe": lambda: os.mkfifo(path),
        "/dev/zero": lambda: path.symlink_to("/dev/zero"),
        "a link to itself": lambda: path.symlink_to(path),
        "a broken link": lambda: path.symlink_to(path.with_name("nowhere")),
    }
    path.unlink(missing_ok=True)
    name = rng.choice(list(kinds))
    kinds[name]()
    return name


def text_damage(path: Path, rng: Random) -> str:
    """Damage a file as bytes, and say how."""
    before = path.read_bytes() if path.is_file() else b""
    at = rng.randrange(len(before) + 1)
    ways = {
        "other text": lambda: rng.choice(TEXTS).encode("utf-8", "surrogatepass"),
        "other bytes": lambda: rng.choice(_BYTES),
        "cut": lambda: before[:at],
        "a flipped byte": lambda: before[:at] + bytes([rng.randrange(256)]) + before[at + 1 :],
        "a part twice": lambda: before[:at] + before[max(0, at - 50) :],
        "bytes within": lambda: before[:at] + rng.choice(_BYTES) + before[at:],
    }
    name = rng.choice(list(ways))
    path.write_bytes(ways[name]())
    return f"{name} at {at}"


def json_damage(data: Any, rng: Random) -> tuple[Any, str]:
    """Return JSON data with an odd value, without a key or with another, and what was done."""
    places = list(_places(data))
    if not places:
        return rng.choice(ODD), "all"
    holder, key = rng.choice(places)
    what = f"{key}={rng.choice('vd')}"
    if what.endswith("=d") and isinstance(holder, dict):
        del holder[key]
        return data, f"without {key!r:.40}"
    holder[key] = rng.choice(ODD)
    return data, f"{key!r:.40} = {holder[key]!r:.40}"


def _places(data: Any, depth: int = 0) -> Any:
    """Yield where values are, those near the top first, up to 20 in each list."""
    items = list(data.items()) if isinstance(data, dict) else list(enumerate(data[:20]))
    for key, value in items:
        yield data, key
        if isinstance(value, dict | list) and depth < 4:
            yield from _places(value, depth + 1)


def json_file_damage(path: Path, rng: Random) -> str:
    """Put an odd value into a JSON file."""
    data, what = json_damage(json.loads(path.read_text(encoding="utf-8")), rng)
    path.write_bytes(json.dumps(data).encode("utf-8", "surrogatepass"))
    return what


def lines_damage(path: Path, rng: Random) -> str:
    """Put an odd value into one line of a file of JSON lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    at = rng.randrange(len(lines))
    row, what = json_damage(json.loads(lines[at]), rng)
    lines[at] = json.dumps(row, ensure_ascii=rng.random() < 0.5)
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    return f"line {at + 1}: {what}"


def header_damage(path: Path, rng: Random) -> str:
    """Put an odd value into the header of a safetensors file, whose length is kept right."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if rng.random() < 0.2:
        odd = rng.choice([0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1])
        path.write_bytes(odd.to_bytes(8, "little") + content[8:])
        return f"length {odd}"
    header, what = json_damage(json.loads(content[8 : 8 + length]), rng)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return what


def template_damage(path: Path, rng: Random) -> str:
    """Write another chat template."""
    text = rng.choice(TEMPLATES)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"{text!r:.60}"


def toml_damage(path: Path, rng: Random) -> str:
    """Give one of the keys of a TOML file a value of another type, or a table or key that is not known."""
    lines = path.read_text(encoding="utf-8").splitlines()
    values = ['[1, "a"]', "{a = {b = 1}}", '"x\\u0000y"', "-1", "9" * 299, "nan", "inf", "true", "2026-01-01"]
    values += ["[{a = 1}]", '""', "[[[]]]", '"{x:>999999999}"', "0x7fffffffffffffff", "'''\n'''"]
    keyed = [at for at, line in enumerate(lines) if " = " in line]
    at = rng.choice(keyed)
    lines[at] = f"{lines[at].partition(' = ')[0]} = {rng.choice(values)}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines[at][:80]


def cells_damage(path: Path, rng: Random, columns: dict[str, tuple[str, ...]]) -> str:
    """Put an odd value into a cell of a database.

    Args:
        path: The SQLite file.
        rng: What is drawn.
        columns: The columns by table. What is JSON in them gets an odd value within.
    """
    with sqlite3.connect(path) as database:
        there = {row[0] for row in database.execute("SELECT name FROM sqlite_master")} & set(columns)
        filled = [name for name in columns if name in there and _count(database, name)]
        table = rng.choice(filled)
        column = rng.choice(columns[table])
        rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        row, before = rng.choice(rows)
        after, what = _odd_cell(before, rng)
        database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (after, row))
    database.close()
    return f"{table}.{column}: {what}"


def _count(database: sqlite3.Connection, table: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _odd_cell(before: Any, rng: Random) -> tuple[Any, str]:
    if isinstance(before, str) and rng.random() < 0.8:
        try:
            data, what = json_damage(json.loads(before), rng)
            return json.dumps(data), what
        except (ValueError, TypeError):
            pass
    after = rng.choice(["x", "", b"\x80\xff", None, -1, 2**62, 1.5, "[" * 10_000, '{"a": '])
    return after, f"{after!r:.40}"
