"""`tvmerge list judges|benchmarks|prompts`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from tvmerge._util.assets import AssetKind, names
from tvmerge._util.encodings import read_text
from tvmerge._util.files import read_jsonl
from tvmerge._util.parsing import parse_toml
from tvmerge.cli.lines import say
from tvmerge.errors import AssetError


@click.command(name="list")
@click.argument("kind", type=click.Choice(["judges", "benchmarks", "prompts"]))
@click.option("--assets", type=click.Path(path_type=Path), help="Folder with your own assets.")
def list_assets(kind: str, assets: Path | None) -> None:
    """List the available judges, benchmarks or prompts."""
    found = names(cast("AssetKind", kind), assets)
    width = max(map(len, found), default=0)
    for name, path in sorted(found.items()):
        say(f"{name:{width}}  {_describe(path)}".rstrip())


def _describe(path: Path) -> str:
    """Return a line about an asset; a malformed file is described by its path and rejected when used."""
    try:
        if path.suffix == ".jsonl":
            return ", ".join(row["name"] for _, row in read_jsonl(path))
        toml = path if path.is_file() else path / "benchmark.toml"
        return str(parse_toml(read_text(toml))["description"])
    except (AssetError, ValueError, KeyError, TypeError):
        return str(path)
