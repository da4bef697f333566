"""The lines of a ledger's file."""

from __future__ import annotations

import math
import secrets
from pathlib import Path
from typing import Any

from tvmerge._util.files import read_growing_jsonl
from tvmerge.errors import AssetError
from tvmerge.judging.client.chat import Usage

_NUMBERS = ("at", "input", "output", "seconds", "cost")
"""The numbers in a line, beside the name of the judge; the cost may be null."""

_TEXTS = ("receipt", "call")
"""The texts that a line may have."""


def ledger_line(
    judge: str, at: float, usage: Usage, cost: float | None, seconds: float, **marks: str | bool
) -> dict[str, Any]:
    """Return the line of a request.

    Args:
        judge: The judge's name.
        at: When it ended, in seconds since 1970.
        usage: Tokens billed.
        cost: Cost in USD, or None if the price is unknown.
        seconds: How long it took.
        marks: `failed`; `at_most` if tokens and cost are the most that the provider may bill; the `receipt`
            or `call` that identify the reply. Those that are empty are left out.
    """
    return {
        "judge": judge,
        "at": round(at, 3),
        "input": usage.input,
        "output": usage.output,
        "cost": cost,
        "seconds": round(seconds, 3),
        **{name: value for name, value in marks.items() if value},
    }


def new_call() -> str:
    """Return an identifier for a line, with which it is entered only once."""
    return secrets.token_hex(6)


def checked_line(row: dict[str, Any], path: Path, number: int) -> dict[str, Any]:
    """Return a line of a ledger's file.

    Raises:
        AssetError: It is none; the message names file and line.
    """
    if not is_ledger_line(row):
        raise AssetError(f"{path}:{number}: not a line of a ledger; move the file away")
    return row


def is_ledger_line(row: dict[str, Any]) -> bool:
    """Return whether an object is a line of a ledger."""
    numbers = [row.get(key, "") for key in _NUMBERS]
    if row.get("cost") is None and "cost" in row:
        numbers.pop()
    texts = row.get("judge"), *(row.get(key, "") for key in _TEXTS)
    return all(isinstance(text, str) for text in texts) and all(map(_is_amount, numbers))


def _is_amount(value: object) -> bool:
    """Return whether a value is a number that a ledger can add up: neither less than nothing nor endless."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def read_calls(path: Path) -> list[tuple[float, float | None]]:
    """Return when each request was sent, in seconds since 1970, and its cost in USD.

    The file need not exist and stays as it is; a run may be writing it.

    Raises:
        AssetError: The file is not a ledger.
    """
    rows = read_growing_jsonl(path) if path.exists() else ()
    checked = (checked_line(row, path, number) for number, row in rows)
    return [(row["at"], row["cost"]) for row in checked]
