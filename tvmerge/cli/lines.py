"""Prints lines that may hold words of a server, a model or a stranger's file."""

from __future__ import annotations

import click

from tvmerge._util.printable import printable


def say(text: str) -> None:
    """Print the lines of `text` without anything that a terminal obeys."""
    for line in text.split("\n"):
        click.echo(printable(line))
