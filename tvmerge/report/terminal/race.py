"""Describes what racing saved and how the winner was chosen, in a line each."""

from __future__ import annotations

from collections.abc import Iterator

from tvmerge.report.language import tr
from tvmerge.report.numbers import count, estimate, score
from tvmerge.report.result import Finalist, RunRecord


def race_lines(result: RunRecord) -> Iterator[str]:
    """Yield lines on the stopped trials, the choice of the winner and the Pareto front."""
    stopped = [trial for trial in result.trials if trial.state == "PRUNED"]
    asked = [trial.attrs.get("questions", 0) for trial in result.trials]
    # In a search by blocks a trial is pruned because the search ended; its estimate is recorded apart.
    if result.by_blocks:
        yield tr(
            "search: {answers} answers of {candidates}",
            answers=f"{sum(asked):,}",
            candidates=count(len(result.trials), "candidate"),
        )
    elif stopped:
        yield tr(
            "race: {n} of {trials} stopped early; {answers} of {all} answers were generated",
            n=len(stopped),
            trials=count(len(result.trials), "trial"),
            answers=f"{sum(asked):,}",
            all=f"{len(asked) * max(asked):,}",
        )
    chosen = [finalist for finalist in result.finalists if finalist.chosen is not None]
    if chosen:
        most = max(f.chosen.n for f in chosen if f.chosen is not None)
        yield tr(
            "chosen on {on}: {found}; {winner}",
            on=count(most, "other held-out question"),
            found=", ".join(_finalist(f, most) for f in chosen),
            winner=_winner(result),
        )
    elif result.contenders[0].holdout is not None and result.settings.get("confirm_candidates", 1) > 1:
        yield tr(
            "the winner is trial {n}, the best of the search: it was chosen on no held-out questions",
            n=result.contenders[0].trial,
        )
    trials = {trial.number: trial for trial in result.trials}
    for number in result.front:
        parts = trials[number].attrs["parts"].items()
        scores = ", ".join(f"{name} {score(mean)}" for name, mean in parts)
        yield tr("front: trial {n}, {scores}", n=number, scores=scores)


def _winner(result: RunRecord) -> str:
    """Name the winner, and the best of the search if that is another trial."""
    winner, best = result.contenders[0].trial, result.finalists[0].trial
    if best == winner:
        return tr("the winner is trial {n} (which is the best of the search too)", n=winner)
    return tr("the winner is trial {n} (the best of the search was {best})", n=winner, best=best)


def _finalist(finalist: Finalist, most: int) -> str:
    """Return a finalist's score, and on how many questions if it stopped early."""
    on = "" if finalist.chosen is None or finalist.chosen.n == most else f" (on {finalist.chosen.n})"
    return tr("trial {n} {score}", n=finalist.trial, score=estimate(finalist.chosen)) + on
