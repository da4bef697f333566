"""`tvmerge status`: shows the status of a study, running or finished."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--run-dir", type=click.Path(path_type=Path), help="Folder for the run's results.")
@click.option("--storage", help="Storage of the study; default: the one in --run-dir.")
@click.option("--study-name", help="Name of the study; default: the study of --run-dir.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, run_dir: Path | None, storage: str | None, study_name: str | None, as_json: bool) -> None:
    """Show the status of a study, running or finished."""
    from tvmerge.api.status import status as read

    found = read(run_dir, storage=storage, study_name=study_name)
    click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False) if as_json else str(found))
