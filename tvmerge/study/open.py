"""Opens a study from its settings: sampler, storage and the trials it starts with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.urls import hide_passwords, shown_url
from tvmerge.errors import StudyError
from tvmerge.records import Recipe
from tvmerge.report.numbers import count
from tvmerge.study.applicable import check_applicable, check_same_sampler
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.location import StudyLocation
from tvmerge.study.make import Questions, StudyMaker, asks_blocks
from tvmerge.study.sampler import check_objectives, choose_sampler, read_settings
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
from tvmerge.study.study import SearchStudy
from tvmerge.study.warm_start import (
    InitialTrials,
    SourceStudy,
    choose_trials,
    initial_trials,
    stored_initial_trials,
    told_asks,
    warm_start_source,
)

if TYPE_CHECKING:
    from tvmerge.study.settings import SearchConfig

Origin = Sequence[Mapping[str, Any]]
"""The trials of other studies that a study starts with, in the rows of `ORIGIN`."""


@dataclass(frozen=True)
class KnownStudy:
    """The part of a run's study that is known without the models; read once, nothing is written.

    Attributes:
        config: The settings of the search, with the sampler that searches.
        location: Its name and storage.
        objectives: Number of objectives.
        sampler: The sampler's settings.
        source_studies: The studies in the settings that a new study takes trials from.
        remark: How settings are meant that could be misread, for the user; empty if there are none.
    """

    config: SearchConfig
    location: StudyLocation
    objectives: int
    sampler: Any
    source_studies: tuple[SourceStudy, ...]
    remark: str = ""

    @cached_property
    def stored(self) -> StoredStudy | None:
        """The study as it is stored; None if it is new.

        Raises:
            StudyError: It cannot be read.
        """
        location = self.location
        return (
            read_study(location.storage, location.name)
            if has_study(location.storage, location.name)
            else None
        )

    @property
    def file(self) -> Path | None:
        """The file of its storage; None for a database server."""
        return sqlite_file(self.location.storage)

    @property
    def day(self) -> date | None:
        """The date in its prompts, else in those of the study it forks; None if there is none.

        Raises:
            StudyError: One of them cannot be read.
        """
        found = self.stored
        if found is None and self.config.fork is not None:
            location = self.location
            if has_study(location.parent_storage, location.parent):
                found = read_study(location.parent_storage, location.parent)
        day = None if found is None else found.run.get("chat", {}).get("day")
        return None if day is None else date.fromisoformat(day)

    @cached_property
    def numbered(self) -> StoredStudy | None:
        """The study that trial numbers in settings refer to: the one it forks, else itself.

        None if it is new and not a fork.

        Raises:
            StudyError: It cannot be read.
        """
        own, location = self.stored, self.location
        if own is None:
            return None if self.config.fork is None else read_study(location.parent_storage, location.parent)
        for row in own.attrs.get(ORIGIN, []):
            if row["kind"] == "fork":
                parent = self._source_study(row)
                return read_study(parent.storage, parent.study)
        return own

    @property
    def enqueued_at_most(self) -> int:
        """Maximum number of enqueued trials: weights 0 and 1, those of the user and of a warm start."""
        warm = 0 if self.config.warm_start is None else self.config.warm_start_trials
        return 2 + len(self.config.uniform_weights) + warm

    @property
    def fingerprint(self) -> dict[str, object]:
        """What candidates depend on besides the seed: the sampler, the races and the first trials."""
        config, initial = self.config, {}
        races = {} if asks_blocks(config.optuna_sampler) else config.racing_fingerprint
        if config.warm_start is not None:
            initial = {
                "warm_start": hide_passwords(config.warm_start),
                "warm_start_trials": config.warm_start_trials,
            }
        return {
            "sampler": asdict(self.sampler),
            **races,
            **SAMPLERS.identity(config.optuna_sampler, "sampler_package"),
            **initial,
        }

    def check(
        self, space: Space, questions: Questions, enqueued: Sequence[Recipe], note: Callable[[str], None]
    ) -> Origin:
        """Check that the study can be started or resumed, without writing anything.

        Args:
            space: The search space.
            questions: The questions that candidates are scored on.
            enqueued: Recipes to try first.
            note: Called with each remark for the user.

        Raises:
            UserError: The sampler cannot search this space, the study has more trials than wanted or is not a
                fork of the given study, or the trials of another study cannot be used.
        """
        config, location, stored = self.config, self.location, self.stored
        if self.remark:
            note(self.remark)
        if stored is not None:
            check_same_sampler(stored, config.optuna_sampler)
        maker = self._maker(space, questions)
        maker.check(note)
        if stored is None:
            return [self._origin(of, space, enqueued, note) for of in self.source_studies]
        origin: Origin = stored.attrs.get(ORIGIN, [])
        forked = [row["study"] for row in origin if row["kind"] == "fork"]
        if config.fork is not None and forked != [location.parent]:
            raise StudyError(
                f"study '{config.fork}' exists and is not a fork of '{location.parent}'; choose another name"
            )
        asked = maker.asked(stored.trials)
        # Of another benchmark, which is refused later, they would be as many as another number of trials.
        if config.n_trials < min(asked, stored.attrs.get(N_TRIALS, asked)):
            had = f"{'answers of ' if maker.by_blocks else ''}{count(asked, 'trial')}"
            fewer = f"--n-trials {config.n_trials} is lower, but it can only be raised"
            raise StudyError(f"study '{location.name}' has {had}; {fewer}")
        return origin

    def open(
        self,
        space: Space,
        questions: Questions,
        *,
        fingerprint: Mapping[str, object],
        run: Mapping[str, object],
        enqueued: Sequence[Recipe],
        note: Callable[[str], None],
        still_held: Callable[[], None] = lambda: None,
    ) -> SearchStudy | BlockStudy:
        """Open the study, new or as an earlier run left it; the caller closes it.

        Args:
            space: The search space.
            questions: The questions that candidates are scored on.
            fingerprint: Everything that scores and candidates depend on.
            run: What is needed to write the model of any trial.
            enqueued: Recipes to try first.
            note: Called with each remark for the user.
            still_held: Raises `StudyError` if another run has taken over the study.

        Raises:
            UserError: The study cannot be opened or resumed with these settings.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        origin = self.check(space, questions, enqueued, note)
        storage = open_storage(self.location.storage)
        with ExitStack() as refused:
            refused.callback(close_storage, storage)
            study_id = enter_study(
                storage, self.location.name, fingerprint, run, objectives=self.objectives, origin=origin
            )
            initial = self._initial_trials(origin, space, enqueued)
            study = self._maker(space, questions).make(storage, study_id, initial, still_held)
            with translated(storage):
                storage.set_study_user_attr(study_id, N_TRIALS, self.config.n_trials)
            refused.pop_all()
        return study

    def _maker(self, space: Space, questions: Questions) -> StudyMaker:
        return StudyMaker(self.config, self.sampler, space, questions, self.objectives)

    def _origin(
        self, of: SourceStudy, space: Space, enqueued: Sequence[Recipe], note: Callable[[str], None]
    ) -> dict[str, Any]:
        """Return a row for `ORIGIN`, with the storage only if it is another, and without its password."""
        numbers = choose_trials(of, space, enqueued, note)
        note(f"study '{self.location.name}' starts with {count(len(numbers), 'trial')} of study '{of.study}'")
        here = of.storage == self.location.storage
        row: dict[str, Any] = {
            "kind": of.kind,
            "study": of.study,
            "storage": None if here else shown_url(of.storage),
            "trials": numbers,
        }
        if of.kind == "fork" and asks_blocks(self.config.optuna_sampler):
            row["asks"] = told_asks(of, numbers, enqueued)  # stored, because the other study may go on
        return row

    def _initial_trials(self, origin: Origin, space: Space, enqueued: Sequence[Recipe]) -> InitialTrials:
        """Return the trials that the study starts with, reading other studies only while some are left.

        Raises:
            StudyError: Another study cannot be read.
        """
        asks = [(trial, start, stop) for row in origin for trial, start, stop in row.get("asks", ())]
        own = () if self.stored is None else self.stored.trials
        if asks_blocks(self.config.optuna_sampler):
            if (known := stored_initial_trials(own, asks)) is not None:
                return known
        elif len(own) >= len(enqueued) + sum(len(row["trials"]) for row in origin):
            return InitialTrials()
        taken = [(self._source_study(row), row["trials"]) for row in origin]
        return initial_trials(taken, space, enqueued, asks)

    def _source_study(self, row: Mapping[str, Any]) -> SourceStudy:
        """Return a study recorded in `ORIGIN`, with its hidden password taken from the settings."""
        wanted = {(of.kind, of.study): of for of in self.source_studies}
        found = wanted.get((row["kind"], row["study"]))
        if found is not None:
            return found
        return SourceStudy(row["kind"], row["storage"] or self.location.storage, row["study"])


def look_up_study(
    config: SearchConfig, location: StudyLocation, objectives: int, *, by_question: bool
) -> KnownStudy:
    """Return the study of a run, after checking its settings and before reading its storage.

    Args:
        config: The settings of the search.
        location: Its name and storage.
        objectives: Number of objectives.
        by_question: Whether each question has a score.

    Raises:
        ConfigError: The sampler, its table or the study of a warm start is not usable, settings of races
            are set although candidates do not race, or the sampler cannot say when to stop.
    """
    name, remark = choose_sampler(config.optuna_sampler, objectives, by_question=by_question)
    sampler = read_settings(name, config.sampler)
    check_objectives(name, objectives)
    remark = check_applicable(config := replace(config, optuna_sampler=name), remark)
    source_studies = []
    if config.fork is not None:
        source_studies.append(SourceStudy("fork", location.parent_storage, location.parent))
    if config.warm_start is not None:
        source_studies.append(
            warm_start_source(config.warm_start, location.storage, config.warm_start_trials)
        )
    return KnownStudy(config, location, objectives, sampler, tuple(source_studies), remark)
