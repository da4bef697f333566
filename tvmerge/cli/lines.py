"""Prints lines that may hold words of a server, a model or a stranger's file."""

from __future__ import annotations

import json
from typing import Any

import click

from tvmerge._util.printable import escaped_json, printable


def say(text: str, *, err: bool = False) -> None:
    """Print the lines of `text` without anything that a terminal obeys.

    Args:
        text: The lines.
        err: Whether they are printed on standard error.
    """
    for line in text.split("\n"):
        click.echo(printable(line), err=err)


def say_json(data: Any) -> None:
    """Print data as JSON, with escapes for all that a terminal obeys."""
    click.echo(escaped_json(json.dumps(data, indent=2, ensure_ascii=False)))
