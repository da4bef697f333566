"""Describes what racing saved and how the winner was chosen, in a line each."""

from __future__ import annotations

from collections.abc import Iterator

from tvmerge.records import MEAN
from tvmerge.report.numbers import count, estimate, score
from tvmerge.report.result import Finalist, RunRecord


def race_lines(result: RunRecord) -> Iterator[str]:
    """Yield lines on the stopped trials, the choice of the winner and the Pareto front."""
    stopped = [trial for trial in result.trials if trial.state == "PRUNED"]
    asked = [trial.attrs.get("questions", 0) for trial in result.trials]
    # In a search by blocks a trial is pruned because the search ended; its estimate is recorded apart.
    if any(MEAN in trial.attrs for trial in result.trials):
        yield f"search: {sum(asked):,} answers of {count(len(result.trials), 'candidate')}"
    elif stopped:
        yield (
            f"race: {len(stopped)} of {count(len(result.trials), 'trial')} stopped early; "
            f"{sum(asked):,} of {len(asked) * max(asked):,} answers were generated"
        )
    chosen = [finalist for finalist in result.finalists if finalist.chosen is not None]
    if chosen:
        most = max(f.chosen.n for f in chosen if f.chosen is not None)
        found = ", ".join(_finalist(f, most) for f in chosen)
        on = count(most, "other held-out question")
        yield f"chosen on {on}: {found}; {_winner(result)}"
    elif result.contenders[0].holdout is not None and result.settings.get("confirm_candidates", 1) > 1:
        winner = result.contenders[0].trial
        yield f"the winner is trial {winner}, the best of the search: it was chosen on no held-out questions"
    trials = {trial.number: trial for trial in result.trials}
    for number in result.front:
        parts = trials[number].attrs["parts"].items()
        yield f"front: trial {number}, {', '.join(f'{name} {score(mean)}' for name, mean in parts)}"


def _winner(result: RunRecord) -> str:
    """Name the winner, and the best of the search if that is another trial."""
    winner, best = result.contenders[0].trial, result.finalists[0].trial
    other = "which is the best of the search too" if best == winner else f"the best of the search was {best}"
    return f"the winner is trial {winner} ({other})"


def _finalist(finalist: Finalist, most: int) -> str:
    """Return a finalist's score, and on how many questions if it stopped early."""
    on = "" if finalist.chosen is None or finalist.chosen.n == most else f" (on {finalist.chosen.n})"
    return f"trial {finalist.trial} {estimate(finalist.chosen)}{on}"
