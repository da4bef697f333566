"""From settings to a study: its sampler, its storage, and the trials it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.urls import hide_passwords
from tvmerge.errors import StudyError
from tvmerge.records import Recipe
from tvmerge.study.place import StudyPlace
from tvmerge.study.sampler import SamplerFactory, check_objectives, make_sampler, read_settings
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.space import Space
from tvmerge.study.storage import (
    N_TRIALS,
    ORIGIN,
    StoredStudy,
    close_storage,
    enter_study,
    has_study,
    open_storage,
    read_study,
    translated,
)
from tvmerge.study.storage_url import sqlite_file
from tvmerge.study.study import SearchStudy, distributions
from tvmerge.study.warm_start import (
    InitialTrials,
    SourceStudy,
    choose_trials,
    initial_trials,
    warm_start_source,
)

if TYPE_CHECKING:
    from tvmerge.study.settings import SearchConfig

Origin = Sequence[Mapping[str, Any]]
"""The trials of other studies that a study begins with, in the rows of `ORIGIN`."""


@dataclass(frozen=True)
class KnownStudy:
    """The study of a run as it is known before the models are, read from its storage once; writes nothing.

    Attributes:
        config: The settings of the search.
        place: Where it is.
        objectives: How many scores per trial has.
        sampler: The sampler's settings.
        source_studies: The studies that it takes trials from if it is new, by the settings.
    """

    config: SearchConfig
    place: StudyPlace
    objectives: int
    sampler: Any
    source_studies: tuple[SourceStudy, ...]

    @cached_property
    def stored(self) -> StoredStudy | None:
        """The study as it is in its storage; None where it is new.

        Raises:
            StudyError: It cannot be read.
        """
        place = self.place
        return read_study(place.storage, place.name) if has_study(place.storage, place.name) else None

    @property
    def file(self) -> Path | None:
        """The file it is in; None where that is a server."""
        return sqlite_file(self.place.storage)

    @property
    def day(self) -> date | None:
        """The date that its prompts tell, or those of the study it is a fork of; None: neither.

        Raises:
            StudyError: One of them cannot be read.
        """
        found = self.stored
        if found is None and self.config.fork is not None:
            place = self.place
            if has_study(place.parent_storage, place.parent):
                found = read_study(place.parent_storage, place.parent)
        day = None if found is None else found.run.get("chat", {}).get("day")
        return None if day is None else date.fromisoformat(day)

    @cached_property
    def numbered(self) -> StoredStudy | None:
        """The study whose trials a setting names by number: the one that it is a fork of, else itself.

        None where it is new and no fork.

        Raises:
            StudyError: It cannot be read.
        """
        own, place = self.stored, self.place
        if own is None:
            return None if self.config.fork is None else read_study(place.parent_storage, place.parent)
        for row in own.attrs.get(ORIGIN, []):
            if row["kind"] == "fork":
                parent = self._source_study(row)
                return read_study(parent.storage, parent.study)
        return own

    @property
    def enqueued_at_most(self) -> int:
        """How many trials it may have before the sampler draws one: 0, 1, those given, a warm start's."""
        warm = 0 if self.config.warm_start is None else self.config.warm_start_trials
        return 2 + len(self.config.uniform_weights) + warm

    @property
    def fingerprint(self) -> dict[str, object]:
        """What the sequence of candidates depends on beside the seed: the sampler and where it begins."""
        config, initial = self.config, {}
        if config.warm_start is not None:
            initial = {
                "warm_start": hide_passwords(config.warm_start),
                "warm_start_trials": config.warm_start_trials,
            }
        return {
            "sampler": asdict(self.sampler),
            **SAMPLERS.identity(config.optuna_sampler, "sampler_package"),
            **initial,
        }

    def check(
        self, space: Space, enqueued: Sequence[Recipe], note: Callable[[str], None]
    ) -> tuple[SamplerFactory, Origin]:
        """Check whether the study can continue or begin; writes nothing.

        Args:
            space: The weights searched.
            enqueued: Recipes to try first.
            note: Tells the user something in passing.

        Returns:
            What makes the sampler of each trial, and what the study begins with.

        Raises:
            UserError: The sampler cannot search this space, the study has more trials than are wanted or is
                no fork of the one named, or a study to begin with cannot be taken from.
        """
        config, place, stored = self.config, self.place, self.stored
        sampler = make_sampler(
            config.optuna_sampler,
            distributions(space),
            config.optuna_seed,
            self.sampler,
            objectives=self.objectives,
        )
        if stored is None:
            return sampler, [self._origin(of, space, enqueued, note) for of in self.source_studies]
        origin: Origin = stored.attrs.get(ORIGIN, [])
        forked = [row["study"] for row in origin if row["kind"] == "fork"]
        if config.fork is not None and forked != [place.parent]:
            raise StudyError(
                f"study '{config.fork}' exists and is not a fork of '{place.parent}'; choose another name"
            )
        if config.n_trials < (asked := len(stored.trials)):
            raise StudyError(
                f"study '{place.name}' has {asked} trials; --n-trials {config.n_trials} is lower, "
                "but it can only be raised"
            )
        return sampler, origin

    def open(
        self,
        space: Space,
        *,
        fingerprint: Mapping[str, object],
        run: Mapping[str, object],
        enqueued: Sequence[Recipe],
        note: Callable[[str], None],
        still_held: Callable[[], None] = lambda: None,
    ) -> SearchStudy:
        """The study, new or as an earlier run left it; to be closed.

        Args:
            space: The weights searched.
            fingerprint: What scores and candidates depend on.
            run: What is needed to make any trial's model again.
            enqueued: Recipes to try first.
            note: Tells the user something in passing.
            still_held: Raises `StudyError` where the study is not this run's any more.

        Raises:
            UserError: The study cannot be opened, or not be continued with these settings.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler, origin = self.check(space, enqueued, note)
        storage = open_storage(self.place.storage)
        with ExitStack() as refused:
            refused.callback(close_storage, storage)
            study_id = enter_study(
                storage, self.place.name, fingerprint, run, objectives=self.objectives, origin=origin
            )
            initial = self._initial_trials(origin, space, enqueued)
            study = SearchStudy(
                storage,
                study_id,
                space,
                sampler,
                enqueued=initial.enqueued,
                inherited=initial.inherited,
                window=self.config.trials_in_flight,
                still_held=still_held,
            )
            with translated(storage):
                storage.set_study_user_attr(study_id, N_TRIALS, self.config.n_trials)
            refused.pop_all()
        return study

    def _origin(
        self, of: SourceStudy, space: Space, enqueued: Sequence[Recipe], note: Callable[[str], None]
    ) -> dict[str, Any]:
        """A row for `ORIGIN`; it names no storage that is the study's own, which may hold a password."""
        numbers = choose_trials(of, space, enqueued, note)
        note(f"study '{self.place.name}' begins with {len(numbers)} trials of study '{of.study}'")
        here = of.storage == self.place.storage
        return {
            "kind": of.kind,
            "study": of.study,
            "storage": None if here else hide_passwords(of.storage),
            "trials": numbers,
        }

    def _initial_trials(self, origin: Origin, space: Space, enqueued: Sequence[Recipe]) -> InitialTrials:
        """What the study begins with; read from its predecessors while there is something left of it.

        Raises:
            StudyError: A predecessor cannot be read.
        """
        asked = 0 if self.stored is None else len(self.stored.trials)
        if asked >= len(enqueued) + sum(len(row["trials"]) for row in origin):
            return InitialTrials()
        taken = [(self._source_study(row), row["trials"]) for row in origin]
        return initial_trials(taken, space, enqueued)

    def _source_study(self, row: Mapping[str, Any]) -> SourceStudy:
        """A predecessor as a study recorded it; a password that was hidden comes from the settings."""
        wanted = {(of.kind, of.study): of for of in self.source_studies}
        found = wanted.get((row["kind"], row["study"]))
        if found is not None:
            return found
        return SourceStudy(row["kind"], row["storage"] or self.place.storage, row["study"])


def look_up_study(config: SearchConfig, place: StudyPlace, objectives: int) -> KnownStudy:
    """The study of a run; what is wrong with its settings is refused before anything is read.

    Args:
        config: The settings of the search.
        place: Where it is.
        objectives: How many scores per trial has.

    Raises:
        ConfigError: The sampler, its table or what a warm start names is not usable.
    """
    sampler = read_settings(config.optuna_sampler, config.sampler)
    check_objectives(config.optuna_sampler, objectives)
    source_studies = []
    if config.fork is not None:
        source_studies.append(SourceStudy("fork", place.parent_storage, place.parent))
    if config.warm_start is not None:
        source_studies.append(warm_start_source(config.warm_start, place.storage, config.warm_start_trials))
    return KnownStudy(config, place, objectives, sampler, tuple(source_studies))
