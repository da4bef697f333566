"""`tvmerge cache`: inspect, verify, export and prune the cache."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tvmerge._util.printable import escaped_json
from tvmerge.cli.lines import say, say_json
from tvmerge.errors import AssetError, ConfigError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tvmerge._util.cache import ContentCache
    from tvmerge._util.cache_rows import Row

KINDS = ("answers", "judgments", "digests")
REFUSALS = "refusals"

_AT_ONCE = 10_000
"""Number of rows dropped in one transaction."""


@click.group()
def cache() -> None:
    """Manage the cache of answers and paid judgments (TVMERGE_CACHE_DIR)."""


@cache.command()
def stats() -> None:
    """Show what is cached, and where."""
    from tvmerge._util.caches import cache_folder

    say(f"folder: {cache_folder()}")
    _with_each(
        lambda kind, opened: click.echo(
            f"{kind:10} {len(opened):>9,} rows  {opened.volume() / 1e6:>10,.1f} MB"
        )
    )


@cache.command()
@click.argument("key")
def explain(key: str) -> None:
    """Show the rows whose keys start with KEY. A judgment's row includes the request it answers."""
    found = 0

    def show(kind: str, opened: ContentCache) -> None:
        nonlocal found
        for row in opened.rows():
            if row.ours and row.key.startswith(key):
                found += 1
                if row.fault:
                    raise ConfigError(f"{_named(kind, row)}; `tvmerge cache prune` drops it")
                say_json({"kind": kind, "key": row.key, "value": row.value})

    _with_each(show)
    if not found:
        raise ConfigError(f"no key of the cache starts with '{key}'; `tvmerge cache export` lists them")


@cache.command()
def verify() -> None:
    """Read every row and list the damaged ones; exit with 2 if there are any."""
    damaged: Counter[bool] = Counter()

    def look(kind: str, opened: ContentCache) -> None:
        for row in opened.rows():
            damaged[bool(row.fault)] += 1
            if row.fault:
                say(_named(kind, row))

    try:
        _with_each(look)
    except UserError as error:
        raise UserError(
            f"{error}; of the rows read, {damaged[False]} are valid and {damaged[True]} damaged"
        ) from error
    if damaged[True]:
        raise ConfigError(
            f"{damaged[True]} rows are damaged and count as missing; `tvmerge cache prune` drops them"
        )
    click.echo(f"every row is valid: {_rows(damaged[False])}")


@cache.command()
@click.option("--kind", type=click.Choice(KINDS), default="judgments", show_default=True, help="Which rows.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write; without it, standard output.")
def export(kind: str, out: Path | None) -> None:
    """Write the rows as JSON lines, including keys. A judgment's row includes the request it answers."""
    from tvmerge._util.files import jsonl_line, write_pieces

    seen: Counter[bool] = Counter()

    def lines() -> Iterator[str]:
        for row in opened.rows():
            seen[bool(row.fault)] += 1
            if not row.fault:
                yield jsonl_line({"key": row.key, "value": row.value})

    with _opened(kind) as opened:
        if out is not None:
            _check_export(out, opened)
            write_pieces(out, lines())
            say(f"{kind}: {_rows(seen[False])} in {out}")
        else:
            for line in lines():
                click.echo(escaped_json(line), nl=False)
    if seen[True]:
        say(f"damaged and left out: {_rows(seen[True])}; `tvmerge cache verify` lists them", err=True)


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

    def drop(name: str, opened: ContentCache) -> None:
        nonlocal dropped
        doomed = (row.number for row in opened.rows() if _is_doomed(name, row, kind))
        while some := list(islice(doomed, _AT_ONCE)):
            opened.drop(some)
            dropped += len(some)

    try:
        _with_each(drop)
    finally:
        click.echo(f"{_rows(dropped)} dropped")


def _check_export(out: Path, cache: ContentCache) -> None:
    """Check that a file may be replaced: it is missing, empty, or an export of rows that the cache still has.

    Raises:
        ConfigError: It may not.
    """
    from tvmerge._util.files import read_jsonl
    from tvmerge._util.outputs import check_file

    check_file(out, "--out")
    if not out.exists():
        return
    try:
        for line, row in read_jsonl(out):
            if not isinstance(key := row.get("key"), str) or row.keys() != {"key", "value"}:
                raise ConfigError(f"--out {out} exists and its line {line} is no row; name another file")
            if key not in cache:
                raise ConfigError(
                    f"--out {out} exists and has the row {key:.16}, which is no longer in the cache; name "
                    "another file"
                )
    except AssetError as error:
        raise ConfigError(f"--out {out} exists and is not an export ({error}); name another file") from error


def _is_doomed(name: str, row: Row, kind: str | None) -> bool:
    """Return whether `prune` drops a row of the cache `name`."""
    from tvmerge.judging.client.reply_rows import is_refusal

    if kind is None:
        return bool(row.fault)
    return is_refusal(row.value) if kind == REFUSALS else name == kind


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


def _named(kind: str, row: Row) -> str:
    return f"{kind} {row.key}: {row.fault}"


def _with_each(work: Callable[[str, ContentCache], None]) -> None:
    """Do something with each cache, although another may be unreadable.

    Raises:
        UserError: One of them is.
    """
    unreadable: UserError | None = None
    for kind in KINDS:
        try:
            with _opened(kind) as opened:
                work(kind, opened)
        except UserError as error:
            unreadable = unreadable or error
    if unreadable is not None:
        raise unreadable


def _opened(kind: str) -> closing[ContentCache]:
    from tvmerge._util.caches import open_cache

    return closing(open_cache(kind))
