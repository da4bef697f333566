"""The winner of a study: the trial that its held-out comparison named, and whether that still holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tvmerge._util.suggest import did_you_mean, meaning
from tvmerge.errors import StudyError
from tvmerge.records import Trial
from tvmerge.study.blocks.table import asks_of, is_under_way
from tvmerge.study.ranking import ranked

WINNER = "tvmerge:winner"
"""Study attribute: the latest winner, as the fields of `Winner`."""

IS_WINNER = "winner"
"""Trial attribute: true for the winner."""

BY_COMPARISON, BY_SEARCH = "winner", "best-search"
"""The names of the winner, and of the best of the search, where a trial is chosen."""


@dataclass(frozen=True, slots=True)
class Winner:
    """The winner of a held-out comparison.

    Attributes:
        trial: Its number.
        best_of_search: The number of the trial with the best score in the search.
        verdict: The kind of the conclusion, such as `better` or `too_few`.
        sentence: The conclusion.
        told: How far the search was: its finished trials, or told answers in a search by blocks.
        chosen_on: On how many held-out questions it was chosen among several; 0 if the search chose it.
    """

    trial: int
    best_of_search: int
    verdict: str
    sentence: str
    told: int
    chosen_on: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """A trial that was chosen by its number or its name.

    Attributes:
        trial: The trial.
        line: Which one it is and what it is, for the user.
    """

    trial: Trial
    line: str


def told_of(trials: Sequence[Trial]) -> int:
    """Return how far a search is: told answers in a search by blocks, else finished trials."""
    asks = [ask for trial in trials for ask in asks_of(trial)]
    if asks:
        return sum(ask.stop - ask.start for ask in asks if ask.told)
    return sum(trial.told for trial in trials)


def winner_of(attrs: Mapping[str, Any], trials: Sequence[Trial]) -> Winner | None:
    """Return the winner of a study; None if there was no comparison since its last answer.

    Args:
        attrs: The study's attributes.
        trials: Its trials.
    """
    found = latest_winner(attrs)
    return None if found is None or found.told != told_of(trials) else found


def latest_winner(attrs: Mapping[str, Any]) -> Winner | None:
    """Return the winner of the latest comparison, even if the search has gone on since."""
    return Winner(**attrs[WINNER]) if WINNER in attrs else None


def choose(study: str, attrs: Mapping[str, Any], trials: Sequence[Trial], name: str) -> Choice:
    """Return the trial with a number, the `winner`, or `best-search`, the best of the search.

    Without a held-out comparison, `winner` is the best of the search, and the line says so.

    Args:
        study: The study's name, for messages.
        attrs: Its attributes.
        trials: Its trials.
        name: The number, or the name.

    Raises:
        StudyError: There is no such trial.
    """
    if name.isdecimal() and int(name) < len(trials):
        return Choice(trials[int(name)], f"trial {int(name)}")
    if name not in {BY_COMPARISON, BY_SEARCH}:
        # `best` was the name of the winner.
        near = meaning(BY_COMPARISON) if name == "best" else did_you_mean(name, (BY_COMPARISON, BY_SEARCH))
        raise StudyError(
            f"study '{study}' has no trial '{name}'{near}; it has 0 to {len(trials) - 1}, "
            f"`{BY_COMPARISON}` and `{BY_SEARCH}`"
        )
    if is_under_way(trials):
        raise StudyError(
            f"the search of study '{study}' has not ended, so none is the best yet; let its run end or run "
            "its command again, or pass the number of a trial"
        )
    winner, best = winner_of(attrs, trials), next(iter(ranked(trials)), None)
    if name != BY_SEARCH and winner is not None:
        return Choice(trials[winner.trial], _of_comparison(winner))
    if best is None:
        raise StudyError(f"study '{study}' has no scored trial yet")
    return Choice(best, f"trial {best.number}: the best of the search{_besides(winner, best, attrs)}")


def _of_comparison(winner: Winner) -> str:
    other = ", and the best of the search"
    if winner.best_of_search != winner.trial:
        other = f"; the best of the search is trial {winner.best_of_search} (--trial {BY_SEARCH})"
    return f"trial {winner.trial}: the winner of the held-out comparison{other}"


def _besides(winner: Winner | None, best: Trial, attrs: Mapping[str, Any]) -> str:
    """Return who the winner is, if it is not the best of the search."""
    if winner is None:
        before = latest_winner(attrs)
        if before is None:
            return "; no held-out comparison has named a winner"
        return f"; the search has gone on since the held-out comparison that named trial {before.trial}"
    if winner.trial == best.number:
        return ", and the winner of the held-out comparison"
    return f"; the winner of the held-out comparison is trial {winner.trial} (--trial {BY_COMPARISON})"
