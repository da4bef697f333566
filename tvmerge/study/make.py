"""From settings to a study, by either kind of search: whole trials, or blocks of questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmerge.errors import ConfigError
from tvmerge.records import Trial
from tvmerge.report.numbers import count
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import BlockSearch
from tvmerge.study.blocks.size import ASSUMED
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.blocks.table import asks_of
from tvmerge.study.sampler import SamplerFactory, make_sampler
from tvmerge.study.samplers import SAMPLERS
from tvmerge.study.space import Space
from tvmerge.study.study import SearchStudy, distributions
from tvmerge.study.warm_start import InitialTrials

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.study.settings import SearchConfig


def asks_blocks(sampler: str) -> bool:
    """Whether candidates of a sampler answer a block of questions at a time."""
    return SAMPLERS.load(sampler).make_blocks is not None


def most_candidates(config: SearchConfig, questions: int) -> int:
    """The maximum number of candidates of a search; by blocks, each may answer a single question.

    Args:
        config: The settings, with the sampler that searches.
        questions: How many questions the search has.
    """
    return config.n_trials * (questions if asks_blocks(config.optuna_sampler) else 1)


@dataclass(frozen=True, slots=True)
class Questions:
    """What candidates are scored on.

    Attributes:
        number: How many questions there are.
        scale: How far apart the lowest and the highest score are; None where single questions have no score.
    """

    number: int
    scale: float | None


@dataclass(frozen=True)
class StudyMaker:
    """Makes the study of a search.

    Attributes:
        config: The settings of the search.
        settings: The sampler's settings.
        space: The weights searched.
        questions: What candidates are scored on.
        objectives: How many scores are maximised.
    """

    config: SearchConfig
    settings: Any
    space: Space
    questions: Questions
    objectives: int

    @property
    def by_blocks(self) -> bool:
        """Whether candidates answer a block of questions at a time."""
        return asks_blocks(self.config.optuna_sampler)

    def check(self, note: Callable[[str], None]) -> None:
        """Refuse what the sampler cannot search.

        Args:
            note: Called with each remark for the user.

        Raises:
            ConfigError: No weight varies, or too few, a block is larger than the search, or single questions
                have no score but need one.
        """
        if not self.by_blocks:
            self._sampler()
        elif not Scale(self.space).names:
            raise ConfigError("there is nothing to search: every weight has a single value")
        elif self.questions.scale is None:
            raise ConfigError(
                f"{self.config.optuna_sampler} needs a score of each question, and a metric here is of all "
                "documents together; use --optuna-sampler TPE"
            )
        else:
            self._check_block(note)

    def asked(self, trials: Sequence[Trial]) -> int:
        """How many trials were asked; in a search by blocks, how many would have answered as much."""
        if not self.by_blocks:
            return len(trials)
        return sum(ask.stop - ask.start for t in trials for ask in asks_of(t)) // self.questions.number

    def make(
        self,
        storage: BaseStorage,
        study_id: int,
        initial: InitialTrials,
        still_held: Callable[[], None],
    ) -> SearchStudy | BlockStudy:
        """The study.

        Args:
            storage: Where it is stored.
            study_id: Its id in the storage.
            initial: The trials that it begins with.
            still_held: Raises `StudyError` where the study is not this run's any more.

        Raises:
            StudyError: The storage cannot be read.
        """
        config, window = self.config, self.config.trials_in_flight
        make_blocks = SAMPLERS.load(config.optuna_sampler).make_blocks
        if make_blocks is not None and self.questions.scale is not None:
            number, scale = self.questions.number, self.questions.scale
            search = BlockSearch(self.space, initial, number, scale, config.optuna_seed)
            sampler = make_blocks(search, self.settings)
            return BlockStudy(storage, study_id, self.space, sampler, window=window, still_held=still_held)
        return SearchStudy(
            storage,
            study_id,
            self.space,
            self._sampler(),
            enqueued=initial.enqueued,
            inherited=initial.inherited,
            window=window,
            still_held=still_held,
        )

    def _check_block(self, note: Callable[[str], None]) -> None:
        number, block = self.questions.number, (self.config.sampler or {}).get("block")
        if block is None:
            if number < ASSUMED:
                note(f"a candidate answers {count(number, 'question')} at a time: the search has no more")
        elif block > number:
            raise ConfigError(
                f"[sampler] block is {block}, but the search has {count(number, 'question')}; lower it, "
                "leave it out, or hold out fewer questions (--holdout)"
            )

    def _sampler(self) -> SamplerFactory:
        config = self.config
        return make_sampler(
            config.optuna_sampler,
            distributions(self.space),
            config.optuna_seed,
            self.settings,
            objectives=self.objectives,
        )
