"""`tvmerge cache`: inspect, verify, export and prune the cache."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tvmerge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tvmerge._util.cache import ContentCache, ForeignKey

KINDS = ("answers", "judgments", "digests")
REFUSALS = "refusals"


@click.group()
def cache() -> None:
    """Manage the cache of answers and paid judgments (TVMERGE_CACHE_DIR)."""


@cache.command()
def stats() -> None:
    """Show what is cached, and where."""
    from tvmerge._util.caches import cache_folder

    click.echo(f"folder: {cache_folder()}")
    for kind, opened in _opened():
        click.echo(f"{kind:10} {len(opened):>9,} rows  {opened.volume() / 1e6:>10,.1f} MB")


@cache.command()
@click.argument("key")
def explain(key: str) -> None:
    """Show the rows whose keys start with KEY. A judgment's row includes the request it answers."""
    found = 0
    for kind, opened in _opened():
        for name in opened:
            if name.startswith(key):
                found += 1
                _print({"kind": kind, "key": name, "value": opened.get(name)})
    if not found:
        raise ConfigError(f"no key of the cache starts with '{key}'; `tvmerge cache export` lists them")


@cache.command()
def verify() -> None:
    """Read every row and list the damaged ones; exit with 2 if there are any."""
    damaged = [f"{kind} {key}" for kind, opened in _opened() for key in _damaged(opened)]
    for line in damaged:
        click.echo(line)
    if damaged:
        raise ConfigError(
            f"{len(damaged)} rows are damaged and count as missing; `tvmerge cache prune` drops them"
        )
    click.echo("every row is valid")


@cache.command()
@click.option("--kind", type=click.Choice(KINDS), default="judgments", show_default=True, help="Which rows.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; without it, standard output.")
def export(kind: str, out: Path | None) -> None:
    """Write the rows as JSON lines, including keys. A judgment's row includes the request it answers."""
    from tvmerge._util.files import jsonl_line, write_text

    for name, opened in _opened():
        if name == kind:
            rows = ({"key": key, "value": opened.get(key)} for key in opened if opened.sound(key))
            text = "".join(map(jsonl_line, rows))
    if out is not None:
        write_text(out, text)
    else:
        click.echo(text, nl=False)


@cache.command()
@click.option(
    "--kind",
    type=click.Choice((*KINDS, REFUSALS)),
    help="Drop all rows of a kind instead of the damaged ones; refusals: texts that judges' providers "
    "refused.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation, for use in scripts.")
def prune(kind: str | None, yes: bool) -> None:
    """Drop damaged rows, or all rows of a kind with --kind. Judgments were paid for."""
    if kind is not None and not yes:
        click.confirm(f"drop all {kind}?", abort=True)
    dropped = 0
    for name, opened in _opened():
        doomed = _refusals(name, opened) if kind == REFUSALS else _doomed(name, opened, kind)
        opened.drop(doomed)
        dropped += len(doomed)
    click.echo(f"{dropped} rows dropped")


def _doomed(name: str, opened: ContentCache, kind: str | None) -> list[str | ForeignKey]:
    return [*opened, *opened.strangers()] if name == kind else _damaged(opened)


def _refusals(name: str, opened: ContentCache) -> list[str]:
    """Return the keys of texts that a judge's provider refused."""
    from tvmerge.judging.client.cache import is_refusal

    if name != "judgments":
        return []
    return [key for key in opened if opened.sound(key) and is_refusal(opened.get(key))]


def _damaged(opened: ContentCache) -> list[str | ForeignKey]:
    """Return the keys whose rows cannot be read, and keys that tvmerge did not write."""
    return [*(key for key in opened if not opened.sound(key)), *opened.strangers()]


def _opened() -> Iterator[tuple[str, ContentCache]]:
    from tvmerge._util.caches import Caches

    with closing(Caches()) as caches:
        for kind in KINDS:
            yield kind, getattr(caches, kind)


def _print(data: object) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
