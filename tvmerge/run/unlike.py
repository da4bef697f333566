"""What a run says of benchmarks of unlike sizes that are searched by blocks of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.study.make import asks_blocks

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


def unlike_remarks(run: RunSpec) -> tuple[str, ...]:
    """Return what to know if a question of one benchmark counts much more than one of another.

    Candidates answer as large a share of each benchmark, so few questions of the smaller one, and the search
    compares them on it less well.
    """
    if not asks_blocks(run.config.optuna_sampler):
        return ()
    found = run.objective.asked_unevenly(run.search_questions)
    if found is None:
        return ()
    more, less = found
    return (
        f"note: a search question of {more.name} counts for several of {less.name}, and candidates answer "
        f"few of it, so the search compares them on {more.name} less well; limit the questions of "
        f"{less.name}, or pass --optuna-sampler TPE",
    )
