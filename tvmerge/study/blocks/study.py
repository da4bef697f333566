"""A study whose candidates answer a block of questions at a time; the counterpart of `SearchStudy`.

A trial is a candidate, and its blocks are in its attributes, so that any storage of Optuna's holds all there
is. The window is over asks: ask n is made when exactly the asks 0 .. n - window have been told, and asks are
told in order of their numbers. A candidate runs, in Optuna's terms, until the search is over; `settle` then
ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tvmerge.errors import StudyError
from tvmerge.records import FAILURE, Trial
from tvmerge.study.blocks.candidates import ended, estimated, running_trial
from tvmerge.study.blocks.gain import Prospect
from tvmerge.study.blocks.sampler import BlockSampler
from tvmerge.study.blocks.scale import Scale
from tvmerge.study.blocks.search import Choice
from tvmerge.study.blocks.size import BLOCK_SIZES, BlockSize, Costs, sizes_of
from tvmerge.study.blocks.sizes import BlockSizes
from tvmerge.study.blocks.table import BLOCKS, ESTIMATE, Ask, Scores, Table, asks_of, open_attrs
from tvmerge.study.storage import translated
from tvmerge.study.store.base import TrialResult
from tvmerge.study.store.open import open_trial_store
from tvmerge.study.stored_search import StoredSearch
from tvmerge.study.trials import trial_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from tvmerge.study.space import Space


@dataclass(frozen=True, slots=True)
class Told:
    """What a study is told of an ask.

    Attributes:
        scores: One a question of the block; None where no judgment gave a rating.
        attrs: What to record with the candidate, as plain JSON data.
        failure: Why the candidate cannot be scored; empty where it can.
        anchor: The anchor's scores, one a question; None where it did not rate, and without an anchor.
    """

    scores: Scores
    attrs: Mapping[str, Any]
    failure: str = ""
    anchor: Scores | None = None


class BlockStudy(StoredSearch):
    """A resumable search of blocks of questions over a `Space`.

    Args:
        storage: Where the study is stored.
        study_id: The study's id in the storage.
        space: The weights searched.
        sampler: Chooses what is asked.
        window: The most asks in flight.
        still_held: Raises `StudyError` where the study is not this run's any more; asked before each write.

    Attributes:
        sizes: How many questions the asks have, as far as that was chosen.

    Raises:
        StudyError: The storage cannot be read.
    """

    objectives = 1

    def __init__(
        self,
        storage: BaseStorage,
        study_id: int,
        space: Space,
        sampler: BlockSampler,
        *,
        window: int = 1,
        still_held: Callable[[], None] = lambda: None,
    ) -> None:
        import numpy as np

        super().__init__(storage, study_id, still_held)
        self._space = space
        self._sampler = sampler
        self._window = window
        self._scale = Scale(space)
        with translated(storage):
            self._store = open_trial_store(storage, study_id)
            rows = self._store.read()
            attrs = storage.get_study_user_attrs(study_id)
        self._trials = [trial_of(row, space) for row in rows]
        weights = [self._scale.row(trial.recipe) for trial in self._trials]
        self._weights = np.array(weights).reshape(len(weights), len(self._scale.names))
        self._number_of = {row.tobytes(): number for number, row in enumerate(self._weights)}
        self._given = {self._scale.row(recipe).tobytes(): (recipe, attrs) for recipe, attrs in sampler.given}
        self.sizes = BlockSizes(sizes_of(attrs), sampler, window)
        asks = [ask for trial in self._trials for ask in asks_of(trial)]
        self._asks = sorted(asks, key=lambda ask: ask.number)
        self._told = sum(ask.told for ask in asks)
        self._asked = sum(ask.stop - ask.start for ask in asks)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All candidates, in order of number."""
        return tuple(self._trials)

    @property
    def asks(self) -> tuple[Ask, ...]:
        """All asks, in order of number."""
        return tuple(self._asks)

    @property
    def asked(self) -> int:
        """How many questions were asked, of all candidates."""
        return self._asked

    @property
    def told(self) -> int:
        """How many of these have been told; they are the first ones."""
        return self._asked - sum(ask.stop - ask.start for ask in self.running())

    @property
    def may_ask(self) -> bool:
        """Whether the window has room for one more ask in flight."""
        return len(self._asks) - self._told < self._window

    def running(self) -> tuple[Ask, ...]:
        """Asks made and not told: in flight, or left so by a run that ended before its time."""
        return tuple(self._asks[self._told :])

    def choose_size(self, costs: Costs, most: int) -> BlockSize:
        """Choose and store how many questions the next asks have; see `BlockSizes.choose`."""
        found = self.sizes.choose(len(self._asks), self._table(len(self._asks)), costs, most)
        self.record(BLOCK_SIZES, self.sizes.as_json())
        return found

    def ask(self) -> Ask:
        """The next ask, already written to the storage when this returns.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        self._still_held()
        number = len(self._asks)
        choice = self._sampler.ask(number, self._table(number))
        place = self._number_of.get(choice.weights.tobytes())
        if place is None:
            made = self._new(number, choice)
        else:
            trial = self._trials[place]
            made = Ask(number, trial.number, choice.start, choice.stop)
            self._add(trial, {BLOCKS: [*trial.attrs[BLOCKS], made.row]}, {})
        self._asks.append(made)
        self._asked += made.stop - made.start
        return made

    def tell(self, ask: Ask, told: Told) -> None:
        """Record the scores of a block; asks are told in order of number.

        Raises:
            StudyError: It is not this ask's turn, it has another number of scores than questions, the
                storage cannot be written, or another run took the study over.
        """
        if ask.number != self._told:
            raise StudyError(f"ask {ask.number} cannot be told before ask {self._told}")
        if not told.failure and len(told.scores) != ask.stop - ask.start:
            raise StudyError(f"ask {ask.number} has {len(told.scores)} scores for its questions")
        self._still_held()
        done = replace(ask, scores=() if told.failure else tuple(told.scores), anchor=told.anchor)
        trial = self._trials[ask.trial]
        rows = [done.row if row[0] == ask.number else row for row in trial.attrs[BLOCKS]]
        steps = {}
        if rated := [score for score in told.scores if score is not None and not told.failure]:
            steps[ask.number] = sum(rated) / len(rated)
        failure = {FAILURE: told.failure} if told.failure else {}
        self._add(trial, {**told.attrs, **failure, BLOCKS: rows}, steps)
        self._asks[ask.number] = done
        self._told += 1

    def best(self) -> Trial | None:
        """The candidate that is recommended now, with the estimate of its score; None before a score."""
        return next(self.ranked(), None)

    def ranked(self, among: Container[int] | None = None) -> Iterator[Trial]:
        """The scored candidates with the estimates of their scores, the best first.

        Args:
            among: Numbers of the trials that are wanted; None for all.
        """
        for number, mean, sd in self._sampler.ranked(self._table(len(self._asks) + self._window)):
            if among is None or number in among:
                yield estimated(self._trials[number], mean, sd)

    def checkpoint(self, every: int) -> int:
        """How many asks were told at the last of the moments that are `every` asks, or a window, apart."""
        step = max(every, self._window)
        return self._told // step * step

    def prospect(self, asks: int | None = None) -> Prospect | None:
        """What further answers can gain; None before enough is known.

        Args:
            asks: Judge by so many of the told asks, the first ones; None for all.
        """
        known = self._asks[: self._told if asks is None else asks]
        return self._sampler.forecast.of(replace(self._table(0), known=known, pending=()))

    def settle(self, finalists: int) -> None:
        """End all trials that have answered.

        The best are COMPLETE, so that any tool of Optuna's finds them; every other with a score is PRUNED. A
        trial's value is what its score on any question is likely to be at least: the mean of the estimate,
        which is the attribute `MEAN`, less `CAUTION` standard deviations. A trial whose first block is in
        flight goes on running. A search that goes on lets trials run again when they are asked again.

        Args:
            finalists: How many of the best are COMPLETE.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        ranked = {trial.number: trial for trial in self.ranked()}
        best = list(ranked)[:finalists]
        for trial in self.trials:
            found = ranked.get(trial.number)
            if not any(ask.told for ask in asks_of(trial)):
                continue
            if found is None:
                result = TrialResult("FAIL", (), {FAILURE: trial.attrs.get(FAILURE, "nothing was rated")})
            else:
                state = "COMPLETE" if trial.number in best else "PRUNED"
                result = TrialResult(state, found.values, {k: found.attrs[k] for k in ESTIMATE})
            self._end(trial, result)
        self.note_trials()

    def pause(self, finalists: int) -> None:
        """Settle an interrupted search, so that readers find its best so far.

        It does nothing in a storage whose trials cannot run again: the search could not go on.

        Args:
            finalists: How many of the best are COMPLETE.

        Raises:
            StudyError: The storage cannot be written, or another run took the study over.
        """
        if self._store.reopens:
            self.settle(finalists)

    def _end(self, trial: Trial, result: TrialResult) -> None:
        changed = ended(trial, result)
        if changed == trial:
            return
        self._still_held()
        with translated(self._storage):
            self._reopen(trial)
            self._store.tell(trial.number, result)
        self._trials[trial.number] = changed

    def _table(self, number: int) -> Table:
        """What ask `number` may depend on."""
        due = min(max(0, number - self._window + 1), self._told)
        return Table(
            weights=self._weights,
            known=self._asks[:due],
            pending=self._asks[due:],
            questions=self._sampler.questions,
            block=self.sizes.at(number),
        )

    def _new(self, number: int, choice: Choice) -> Ask:
        """A candidate that nobody has asked yet."""
        import numpy as np

        made = Ask(number, len(self._trials), choice.start, choice.stop)
        key = choice.weights.tobytes()
        recipe, attrs = self._given.get(key) or (self._scale.recipe(choice.weights), {})
        row = running_trial(self._space, recipe, attrs, made)
        with translated(self._storage):
            self._store.add(row)
        self._trials.append(trial_of(row, self._space))
        # Tables share the array, so it is never changed in place.
        self._weights = np.vstack([self._weights, self._scale.row(recipe)])
        self._number_of[self._weights[-1].tobytes()] = made.trial
        return made

    def _add(self, trial: Trial, attrs: Mapping[str, Any], steps: Mapping[int, float]) -> None:
        with translated(self._storage):
            self._reopen(trial)
            self._store.record(trial.number, attrs, steps)
        open_again = replace(trial, state="RUNNING", value=None, values=())
        self._trials[trial.number] = replace(open_again, attrs={**open_attrs(trial), **attrs})

    def _reopen(self, trial: Trial) -> None:
        if trial.told:
            self._store.reopen(trial.number, set(trial.attrs) - set(open_attrs(trial)))
