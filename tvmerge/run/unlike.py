"""What a run says of benchmarks of unlike sizes that are searched by blocks of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.study.make import asks_blocks

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


def unlike_remarks(run: RunSpec) -> tuple[str, ...]:
    """Return a note if a benchmark has few questions for its weight.

    Candidates answer the same share of each benchmark, so only a few questions of such a one.
    """
    if not asks_blocks(run.config.optuna_sampler):
        return ()
    found = run.objective.asked_unevenly(run.search_questions)
    if found is None:
        return ()
    few, many = found
    return (
        f"note: beside {many.name}, {few.name} has few search questions for its weight, so the search "
        f"compares candidates on it less well; limit the questions of {many.name}, or pass --optuna-sampler "
        "TPE",
    )
