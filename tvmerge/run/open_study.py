"""From settings to a study: its sampler, its storage, and the trials it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from tvmerge._util.urls import hide_passwords
from tvmerge.errors import StudyError
from tvmerge.records import Recipe
from tvmerge.study.sampler import SamplerFactory, check_objectives, make_sampler, read_settings
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.space import Space
from tvmerge.study.storage import (
    N_TRIALS,
    ORIGIN,
    StoredStudy,
    enter_study,
    has_study,
    open_storage,
    read_study,
    translated,
)
from tvmerge.study.study import SearchStudy, distributions
from tvmerge.study.warm_start import Heritage, Predecessor, choose, heritage, warm_start

if TYPE_CHECKING:
    from tvmerge.config import RunConfig


def sampler_fingerprint(config: RunConfig) -> dict[str, object]:
    """What the sequence of candidates depends on beside the seed: the sampler and where the search begins.

    Raises:
        ConfigError: The table `[sampler]` does not fit the sampler.
    """
    begins = {}
    if config.warm_start is not None:
        begins = {
            "warm_start": hide_passwords(config.warm_start),
            "warm_start_trials": config.warm_start_trials,
        }
    return {
        "sampler": asdict(read_settings(config.optuna_sampler, config.sampler)),
        **SAMPLERS.identity(config.optuna_sampler, "sampler_package"),
        **begins,
    }


def check_search(config: RunConfig, objectives: int) -> None:
    """Refuse what is known to be wrong before anything is read.

    Raises:
        ConfigError: The sampler, its table or what a warm start names is not usable.
    """
    read_settings(config.optuna_sampler, config.sampler)
    check_objectives(config.optuna_sampler, objectives)
    _predecessors(config)


def study_day(config: RunConfig) -> date | None:
    """The date that the prompts of a run's study tell, or those of the study it begins with; None: neither.

    Raises:
        StudyError: The study cannot be read.
    """
    studies = [(config.storage_url, config.study)]
    if config.fork is not None:
        studies.append((config.parent_storage_url, config.parent_study))
    for url, name in studies:
        if has_study(url, name):
            found = read_study(url, name).run.get("chat", {}).get("day")
            return None if found is None else date.fromisoformat(found)
    return None


def study_of_trials(config: RunConfig) -> StoredStudy | None:
    """The study whose trials a setting names: the one that the run's is a fork of, else its own.

    Returns:
        The study, or None where the run's own is new and no fork.

    Raises:
        StudyError: It cannot be read.
    """
    if not has_study(config.storage_url, config.study):
        return None if config.fork is None else read_study(config.parent_storage_url, config.parent_study)
    own = read_study(config.storage_url, config.study)
    for row in own.attrs.get(ORIGIN, []):
        if row["kind"] == "fork":
            parent = _stored_predecessor(config, row)
            return read_study(parent.storage, parent.study)
    return own


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A run's study before it is opened.

    Attributes:
        sampler: Makes the sampler of each trial.
        stored: The study as it lies in its storage; None where it is new.
        origin: The trials of other studies that it begins with, in the rows of `ORIGIN`.
    """

    sampler: SamplerFactory
    stored: StoredStudy | None
    origin: Sequence[Mapping[str, Any]]


def find_study(
    config: RunConfig,
    space: Space,
    *,
    given: Sequence[Recipe],
    objectives: int,
    note: Callable[[str], None],
) -> FoundStudy:
    """Look for the study of a run, and whether it can go on or begin; writes nothing.

    Args:
        config: The run's settings.
        space: The weights searched.
        given: Recipes to try first.
        objectives: How many scores a trial has.
        note: Tells the user something in passing.

    Raises:
        UserError: The sampler cannot search this space, the study has more trials than are wanted or is no
            fork of the one named, or a study to begin with cannot be taken from.
    """
    settings = read_settings(config.optuna_sampler, config.sampler)
    sampler = make_sampler(
        config.optuna_sampler, distributions(space), config.optuna_seed, settings, objectives=objectives
    )
    if not has_study(config.storage_url, config.study):
        origin = [_origin(config, of, space, given, note) for of in _predecessors(config)]
        return FoundStudy(sampler, None, origin)
    stored = read_study(config.storage_url, config.study)
    found = FoundStudy(sampler, stored, stored.attrs.get(ORIGIN, []))
    forked = [row["study"] for row in found.origin if row["kind"] == "fork"]
    if config.fork is not None and forked != [config.parent_study]:
        raise StudyError(
            f"study '{config.fork}' exists and is no fork of '{config.parent_study}'; choose another name"
        )
    if config.n_trials < len(stored.rows):
        raise StudyError(
            f"study '{config.study}' has {len(stored.rows)} trials; --n-trials {config.n_trials} is less, it "
            "can only be raised"
        )
    return found


def open_study(
    config: RunConfig,
    space: Space,
    *,
    fingerprint: Mapping[str, object],
    run: Mapping[str, object],
    given: Sequence[Recipe],
    objectives: int,
    note: Callable[[str], None],
    still_held: Callable[[], None] = lambda: None,
) -> SearchStudy:
    """The study of a run, new or as an earlier run left it.

    Args:
        config: The run's settings.
        space: The weights searched.
        fingerprint: What scores and candidates depend on.
        run: What is needed to make any trial's model again.
        given: Recipes to try first.
        objectives: How many scores a trial has.
        note: Tells the user something in passing.
        still_held: Raises `StudyError` where the study is not this run's any more.

    Raises:
        UserError: The study cannot be opened, or not be continued with these settings.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = find_study(config, space, given=given, objectives=objectives, note=note)
    storage = open_storage(config.storage_url)
    study_id = enter_study(
        storage, config.study, fingerprint, run, objectives=objectives, origin=found.origin
    )
    begins = _heritage(config, found, space, given)
    study = SearchStudy(
        storage,
        study_id,
        space,
        found.sampler,
        fixed=begins.fixed,
        inherited=begins.inherited,
        window=config.trials_in_flight,
        still_held=still_held,
    )
    with translated(storage):
        storage.set_study_user_attr(study_id, N_TRIALS, config.n_trials)
    return study


def _predecessors(config: RunConfig) -> list[Predecessor]:
    """The studies that a new study takes trials from, by the settings."""
    found = []
    if config.fork is not None:
        found.append(Predecessor("fork", config.parent_storage_url, config.parent_study))
    if config.warm_start is not None:
        found.append(warm_start(config.warm_start, config.storage_url, config.warm_start_trials))
    return found


def _origin(
    config: RunConfig, of: Predecessor, space: Space, given: Sequence[Recipe], note: Callable[[str], None]
) -> dict[str, Any]:
    """A row for `ORIGIN`; it names no storage that is the study's own, which may hold a password."""
    numbers = choose(of, space, given, note)
    note(f"study '{config.study}' begins with {len(numbers)} trials of study '{of.study}'")
    here = of.storage == config.storage_url
    return {
        "kind": of.kind,
        "study": of.study,
        "storage": None if here else hide_passwords(of.storage),
        "trials": numbers,
    }


def _heritage(config: RunConfig, found: FoundStudy, space: Space, given: Sequence[Recipe]) -> Heritage:
    """What the study begins with; read from its predecessors while there is something left to begin with.

    Raises:
        StudyError: A predecessor cannot be read.
    """
    asked = 0 if found.stored is None else len(found.stored.rows)
    if asked >= len(given) + sum(len(row["trials"]) for row in found.origin):
        return Heritage()
    taken = [(_stored_predecessor(config, row), row["trials"]) for row in found.origin]
    return heritage(taken, space, given)


def _stored_predecessor(config: RunConfig, row: Mapping[str, Any]) -> Predecessor:
    """A predecessor as a study recorded it; an address whose password was hidden comes from the settings."""
    wanted = {(of.kind, of.study): of for of in _predecessors(config)}
    found = wanted.get((row["kind"], row["study"]))
    if found is not None:
        return found
    return Predecessor(row["kind"], row["storage"] or config.storage_url, row["study"])
