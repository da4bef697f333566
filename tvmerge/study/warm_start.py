"""Starts a study with trials of others: all of a forked study, or the best ones for a warm start.

A study stores the numbers of the trials it takes. Finished trials never change, so a resumed run finds the
same recipes even if more trials were added to the other study.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tvmerge._util.suggest import meaning, near_file
from tvmerge._util.urls import hide_passwords, sqlite_url
from tvmerge.errors import ConfigError, StudyError
from tvmerge.records import Recipe, Trial
from tvmerge.study.blocks.table import Ask, asks_of, is_under_way
from tvmerge.study.ranking import ranked_with_estimates
from tvmerge.study.sampler_view import ENQUEUED, INHERITED
from tvmerge.study.space import Space
from tvmerge.study.storage import StoredStudy, read_study, study_names

Kind = Literal["fork", "warm-start"]

_REMEDIES: Mapping[Kind, str] = {
    "fork": "--fork continues the study of the same command without it: set its --study-name and its "
    "--run-dir or --storage",
    "warm-start": "write --warm-start FILE-OR-URL#NAME, such as runs/NAME/study.db#NAME",
}
"""What the user can do about a study that was not found."""

_DATABASES = frozenset({".db", ".sqlite", ".sqlite3"})
"""Suffixes of files that are an SQLite database; a study's name has none of them."""


@dataclass(frozen=True, slots=True)
class SourceStudy:
    """A study from which another one takes trials.

    Attributes:
        kind: `fork` takes all finished trials, `warm-start` the best.
        storage: The URL of its storage.
        study: Its name.
        most: Number of its best trials that a warm start takes.
    """

    kind: Kind
    storage: str
    study: str
    most: int = 0


@dataclass(frozen=True, slots=True)
class InitialTrials:
    """The trials that a study starts with.

    Attributes:
        enqueued: Recipes to try first: baselines, those of the user, the best of another study.
        inherited: Recipes drawn by the forked study's sampler, by their numbers there.
        asks: The questions that the trials of the forked study answered, in order, as rows (number, start,
            stop) where start and stop are positions in the order of the search.
        again: Those of `enqueued` that the forked study tried, by their numbers there.
    """

    enqueued: tuple[Recipe, ...] = ()
    inherited: Mapping[int, Recipe] = field(default_factory=dict)
    asks: tuple[tuple[int, int, int], ...] = ()
    again: Mapping[int, Recipe] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.enqueued) + len(self.inherited)


def warm_start_source(reference: str, storage: str, most: int) -> SourceStudy:
    """Return the study that `--warm-start` names: a name in `storage`, or `<file or URL>#<name>`.

    Raises:
        ConfigError: It is a URL without the name of a study, or a file that does not exist.
    """
    shown = hide_passwords(reference)
    if "://" in shown and "#" not in shown:  # a "#" in a password does not start the name
        raise ConfigError(f"--warm-start {shown} names a storage but no study; add #NAME")
    place, sign, name = reference.rpartition("#")
    if not sign or not ("://" in place or Path(place).is_file()):
        if sign and Path(place).suffix in _DATABASES:
            near = near_file(Path(place))
            meant = meaning(None if near is None else f"{near}#{name}")
            raise ConfigError(f"--warm-start {shown}: there is no file {place}{meant}")
        return SourceStudy("warm-start", storage, reference, most)
    return SourceStudy("warm-start", place if "://" in place else sqlite_url(Path(place)), name, most)


def choose_trials(
    parent: SourceStudy, space: Space, enqueued: Sequence[Recipe], note: Callable[[str], None]
) -> list[int]:
    """Choose the trials to take, by number.

    Args:
        parent: The study they are taken from.
        space: The search space.
        enqueued: Recipes that are tried anyway and are not taken again.
        note: Called with the number of trials that are left out because of their range.

    Raises:
        StudyError: There is no such study, it has other weights, its best trials are not known yet, or it has
            no trial that could be taken.
    """
    source = read_study(parent.storage, parent.study, remedy=_remedy(parent))
    if parent.kind == "warm-start" and is_under_way(source.trials):
        raise StudyError(
            f"the search of study '{parent.study}' has not ended, so its best trials are not known yet; "
            "let its run end or run its command again"
        )
    told = [trial for trial in source.trials if trial.told or any(ask.told for ask in asks_of(trial))]
    if told:
        _check_names(source, told[0], space)
    new = [trial for trial in told if trial.recipe not in enqueued]
    trials = new if parent.kind == "fork" else _best_first(new, parent.most)
    inside = [trial.number for trial in trials if _holds(space, trial)]
    if len(inside) < len(trials):
        note(
            f"{len(trials) - len(inside)} of {len(trials)} trials of study '{parent.study}' are left "
            "out: they are outside the range of the weights"
        )
    if not inside and (parent.kind == "warm-start" or not told):
        raise StudyError(
            f"study '{parent.study}' has no trials to start with: no scored trial is in this range of "
            "weights, except those that are tried anyway"
        )
    return inside


def initial_trials(
    taken: Sequence[tuple[SourceStudy, Sequence[int]]],
    space: Space,
    enqueued: Sequence[Recipe],
    asks: Sequence[tuple[int, int, int]] = (),
) -> InitialTrials:
    """Return the trials that a study starts with: those of other studies and those tried anyway.

    Args:
        taken: The studies, each with the numbers of the trials that are taken.
        space: The search space.
        enqueued: Recipes to try first.
        asks: What the trials of a fork were asked; see `told_asks`.

    Raises:
        StudyError: Another study, or a trial of it, no longer exists.
    """
    recipes, inherited, asked = list(enqueued), {}, {}
    for parent, numbers in taken:
        trials = {trial.number: trial for trial in read_study(parent.storage, parent.study).trials}
        missing = [number for number in numbers if number not in trials]
        if missing:
            raise StudyError(f"study '{parent.study}' has lost trial {missing[0]}; start a new study")
        for number in numbers:
            recipe = space.recipe(trials[number].recipe.weights)
            if parent.kind == "fork" and not trials[number].attrs.get(ENQUEUED):
                inherited[number] = recipe
            elif recipe not in recipes:
                recipes.append(recipe)
        if parent.kind == "fork":
            asked = {n: space.recipe(trials[n].recipe.weights) for n, *_ in asks if n in trials}
    return InitialTrials(
        tuple(recipes),
        {n: recipe for n, recipe in inherited.items() if recipe not in recipes},
        tuple(asks),
        {n: recipe for n, recipe in asked.items() if recipe in recipes},
    )


def told_asks(
    parent: SourceStudy, numbers: Sequence[int], enqueued: Sequence[Recipe] = ()
) -> list[tuple[int, int, int]]:
    """What trials have answered, in order: (trial, place of the first question, place behind the last).

    Args:
        parent: Their study.
        numbers: The trials that are taken from it.
        enqueued: Recipes that are tried anyway; what they have answered is included.

    Raises:
        StudyError: There is no such study.
    """
    trials = read_study(parent.storage, parent.study).trials
    taken = [trial for trial in trials if trial.number in set(numbers) or trial.recipe in enqueued]
    asks = sorted((ask for trial in taken for ask in _told_asks(trial)), key=lambda ask: ask.number)
    return [(ask.trial, ask.start, ask.stop) for ask in asks]


def stored_initial_trials(
    trials: Sequence[Trial], asks: Sequence[tuple[int, int, int]]
) -> InitialTrials | None:
    """Return the initial trials of a search by blocks from its own table; None while some are not in it.

    Args:
        trials: The trials of the study. It makes all that are given before any other.
        asks: What the trials of a fork were asked; see `told_asks`.
    """
    if all(ENQUEUED in trial.attrs or INHERITED in trial.attrs for trial in trials):
        return None
    given = [trial for trial in trials if trial.attrs.get(ENQUEUED)]
    drawn = [trial for trial in trials if INHERITED in trial.attrs and trial not in given]
    return InitialTrials(
        tuple(trial.recipe for trial in given),
        {trial.attrs[INHERITED]: trial.recipe for trial in drawn},
        tuple(asks),
        {trial.attrs[INHERITED]: trial.recipe for trial in given if INHERITED in trial.attrs},
    )


def _told_asks(trial: Trial) -> list[Ask]:
    """What a trial was asked and answered: its blocks, or the first questions of the search at once."""
    asks = asks_of(trial)
    return (
        [a for a in asks if a.told]
        if asks
        else [Ask(trial.number, trial.number, 0, trial.attrs.get("questions", 0))]
    )


def _remedy(of: SourceStudy) -> str:
    """Return what the user can do if there is no such study."""
    path = Path(of.study)
    file = path / "study.db" if path.is_dir() else path
    if of.kind == "fork" or not file.is_file():
        return _REMEDIES[of.kind]
    names = study_names(sqlite_url(file))
    return f"write --warm-start {file}#{names[0] if len(names) == 1 else 'NAME'}"


def _check_names(source: StoredStudy, trial: Trial, space: Space) -> None:
    odd = sorted(set(space.names) ^ set(trial.recipe.weights))
    if odd:
        where = "only there" if odd[0] in trial.recipe.weights else "only here"
        raise StudyError(
            f"study '{source.name}' has {len(trial.recipe.weights)} weights, this run {len(space.names)}, "
            f"and they differ: {odd[0]} is {where}; only a study with the same weights can be continued"
        )


def _best_first(trials: Sequence[Trial], most: int) -> list[Trial]:
    """Return the best of the scored trials, without duplicates of the same weights."""
    distinct: dict[tuple[Any, ...], Trial] = {}
    for trial in ranked_with_estimates(trials):
        distinct.setdefault(tuple(trial.recipe.weights.items()), trial)
    return list(distinct.values())[:most]


def _holds(space: Space, trial: Trial) -> bool:
    bounds = {name: space.bounds(name) for name in space.names}
    return all(low <= trial.recipe.weights[name] <= high for name, (low, high) in bounds.items())
