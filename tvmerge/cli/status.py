"""`tvmerge status`: how a study stands, while a run works on it or afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tvmerge._util.urls import sqlite_url
from tvmerge.errors import ConfigError, StudyError
from tvmerge.records import CUT_IN_THOUGHT

if TYPE_CHECKING:
    from tvmerge.study.status import StudyStatus


@click.command()
@click.option("--run-dir", type=click.Path(path_type=Path), help="Folder of the run's results.")
@click.option("--storage", help="Storage of the study; default: the one in --run-dir.")
@click.option("--study-name", help="Name of the study; default: the one --run-dir belongs to.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, run_dir: Path | None, storage: str | None, study_name: str | None, as_json: bool) -> None:
    """Show how a study stands; it may be running."""
    from tvmerge.study.status import read_status

    if run_dir is None and (storage is None or study_name is None):
        raise ConfigError("give --run-dir, or --storage and --study-name")
    if run_dir is not None:
        storage = storage or sqlite_url(run_dir / "study.db")
        study_name = study_name or _study_of(run_dir)
    found = read_status(str(storage), str(study_name))
    spent = {} if run_dir is None else _spent(run_dir / "ledger.jsonl")
    if as_json:
        click.echo(json.dumps({**found.as_json(), "judges": spent}, indent=2, ensure_ascii=False))
        return
    for line in (*_lines(found), *_spent_lines(spent)):
        click.echo(line)


def _study_of(folder: Path) -> str:
    mark = folder / ".study"
    if not mark.is_file():
        raise StudyError(f"{folder} is no run folder; give --storage and --study-name")
    return mark.read_text(encoding="utf-8").strip()


def _lines(found: StudyStatus) -> Iterator[str]:
    plan = "" if found.n_trials is None else f" of {found.n_trials}"
    parts = [f"{found.told}{plan} trials told"]
    parts += [
        f"{found.states[state]} {name}"
        for state, name in (("RUNNING", "running"), ("PRUNED", "stopped early"), ("FAIL", "failed"))
        if found.states.get(state)
    ]
    yield f"study {found.study} in {found.storage}"
    yield f"  {', '.join(parts)}; {'a run works on it' if found.held else 'no run works on it'}"
    for trial in found.best:
        scores = ", ".join(f"{value:.3f}" for value in trial.values)
        share = trial.attrs.get(CUT_IN_THOUGHT)
        cut = f"; {share:.0%} of its answers cut in thought" if share else ""
        yield f"  {'best' if len(found.best) == 1 else 'front'}: trial {trial.number} with {scores}{cut}"
    if found.last_told is not None:
        yield f"  last trial told {found.last_told:%Y-%m-%d %H:%M:%S}"


def _spent(ledger: Path) -> dict[str, dict[str, Any]]:
    """Calls and USD by judge; a line that is being written at this moment is left for the next look."""
    spent: dict[str, dict[str, Any]] = {}
    if not ledger.is_file():
        return spent
    *whole, _ = ledger.read_text(encoding="utf-8").split("\n")
    for row in map(json.loads, whole):
        if row.get("failed"):
            continue
        account = spent.setdefault(row["judge"], {"calls": 0, "cost_usd": None})
        account["calls"] += 1
        if row["cost"] is not None:
            account["cost_usd"] = (account["cost_usd"] or 0.0) + row["cost"]
    return spent


def _spent_lines(spent: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for judge, account in spent.items():
        cost = account["cost_usd"]
        price = "price not known" if cost is None else f"{cost:.4f} USD"
        yield f"  judge {judge}: {account['calls']:,} calls, {price}"
