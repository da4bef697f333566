"""The status of a study, read by another process while a run works on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from tvmerge._util.urls import shown_url
from tvmerge.records import CUT_IN_THOUGHT, CUT_OFF, MEAN, Trial
from tvmerge.report.numbers import count, plus_minus
from tvmerge.study.blocks.size import BlockSize
from tvmerge.study.blocks.sizes import final_size
from tvmerge.study.blocks.table import asks_of, is_under_way
from tvmerge.study.lock import is_study_locked
from tvmerge.study.pareto import pareto_front
from tvmerge.study.storage import N_ANSWERS, N_TRIALS, StoredStudy, read_study
from tvmerge.study.winner import Winner, latest_winner, winner_of


@dataclass(frozen=True, slots=True)
class JudgeCosts:
    """The usage of a judge.

    Attributes:
        calls: Number of calls it answered.
        cost_usd: Their cost in USD; None if the price of any is unknown.
    """

    calls: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """The answers of a search by blocks.

    Attributes:
        told: How many were rated.
        asked: How many were asked, those in flight included.
        total: How many the latest run aims for; None if not recorded.
    """

    told: int
    asked: int
    total: int | None


@dataclass(frozen=True, slots=True)
class StudyStatus:
    """The status of a study.

    Attributes:
        study: Its name.
        storage: Its storage URL without passwords.
        held: Whether a run is working on it.
        n_trials: The total number of trials its latest run aims for; None if not recorded.
        states: Number of trials by Optuna's name of their state.
        best: The best trial, or the Pareto front of several objectives. None while a search by blocks is
            under way.
        last_told: When the last trial finished, in local time; None before the first.
        judges: Calls and USD by judge, over all runs; empty without a ledger.
        answers: Answers told, asked and aimed for, in a search by blocks; None in any other.
        block: How many questions a candidate answers at a time in such a search; None before it is chosen.
        winner: The winner of the latest held-out comparison; None before the first.
        winner_holds: Whether the search has not gone on since.
        under_way: Whether a search by blocks has neither ended nor been paused, so that the best is unknown.
    """

    study: str
    storage: str
    held: bool
    n_trials: int | None
    states: Mapping[str, int]
    best: tuple[Trial, ...]
    last_told: datetime | None
    judges: Mapping[str, JudgeCosts] = field(default_factory=dict)
    answers: AnswerCount | None = None
    block: BlockSize | None = None
    winner: Winner | None = None
    winner_holds: bool = False
    under_way: bool = False

    @property
    def told(self) -> int:
        """The number of finished trials, in any state."""
        return sum(self.states.values()) - self.states.get("RUNNING", 0)

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON data."""
        return {
            "study": self.study,
            "storage": self.storage,
            "held": self.held,
            "n_trials": self.n_trials,
            "told": self.told,
            "running": self.states.get("RUNNING", 0),
            "complete": self.states.get("COMPLETE", 0),
            "pruned": self.states.get("PRUNED", 0),
            "failed": self.states.get("FAIL", 0),
            **(
                {} if self.answers is None else {"answers": asdict(self.answers), "under_way": self.under_way}
            ),
            **({} if self.block is None else {"block": {"size": self.block.size, "why": self.block.why}}),
            "winner": self._winner_as_json(),
            "best": [
                {
                    "number": t.number,
                    "scores": list(t.values),
                    **({MEAN: t.attrs[MEAN], "se": t.attrs["se"]} if MEAN in t.attrs else {}),
                    **{key: t.attrs[key] for key in (CUT_OFF, CUT_IN_THOUGHT) if key in t.attrs},
                }
                for t in self.best
            ],
            "last_told": None if self.last_told is None else self.last_told.astimezone().isoformat(),
            "judges": {name: asdict(costs) for name, costs in self.judges.items()},
        }

    def _winner_as_json(self) -> dict[str, Any] | None:
        return None if self.winner is None else {**self.winner.as_json(), "holds": self.winner_holds}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def read_status(
    storage: str, study: str, judges: Mapping[str, JudgeCosts] = MappingProxyType({})
) -> StudyStatus:
    """Read the status of a study without locking or writing anything.

    Args:
        storage: The storage URL.
        study: The study's name.
        judges: The usage of its judges.

    Raises:
        StudyError: There is no such study, or the storage cannot be read.
    """
    stored = read_study(storage, study)
    under_way = is_under_way(stored.trials)
    front = () if under_way else pareto_front(stored.trials)
    single = not front or len(front[0].values) == 1
    return StudyStatus(
        study=study,
        storage=shown_url(storage),
        held=is_study_locked(storage, study),
        n_trials=stored.attrs.get(N_TRIALS),
        states=Counter(trial.state for trial in stored.trials),
        best=front[:1] if single else front,
        last_told=stored.last_told,
        judges=judges,
        answers=_answers(stored),
        block=final_size(stored.attrs),
        winner=latest_winner(stored.attrs),
        winner_holds=winner_of(stored.attrs, stored.trials) is not None,
        under_way=under_way,
    )


def _answers(stored: StoredStudy) -> AnswerCount | None:
    asks = [ask for trial in stored.trials for ask in asks_of(trial)]
    if not asks:
        return None
    told, asked = (sum(ask.stop - ask.start for ask in some) for some in ([a for a in asks if a.told], asks))
    return AnswerCount(told, asked, stored.attrs.get(N_ANSWERS))


def _progress(found: StudyStatus) -> str:
    """How far the search is. The candidates of a search by blocks all run until it ends."""
    states = {"RUNNING": "running", "PRUNED": "stopped early", "FAIL": "failed"}
    if found.answers is not None:
        told, asked, total = astuple(found.answers)
        states = {"FAIL": "failed"}
        plan = "" if total is None else f" of {total:,}"
        flying = f", {asked - told:,} {'in flight' if found.held else 'unfinished'}" if asked > told else ""
        text = f"{told:,}{plan} answers{flying}; {count(sum(found.states.values()), 'candidate')}"
    else:
        plan = "" if found.n_trials is None else f" of {found.n_trials}"
        text = f"{found.told}{plan} trials finished"
    rest = [f"{found.states[state]} {name}" for state, name in states.items() if found.states.get(state)]
    return ", ".join([text, *rest])


def _winner_lines(found: StudyStatus) -> Iterator[str]:
    """Yield who the winner is, if there is anything to be the best of."""
    winner = found.winner
    if winner is None:
        if found.best:
            yield "  winner: none yet, since there was no held-out comparison"
    elif found.winner_holds:
        how = "named by the held-out comparison"
        if not winner.chosen_on:
            how = "the best of the search, since no others were compared on held-out questions"
        yield f"  winner: trial {winner.trial}, {how}"
        yield f"  {winner.sentence}"
    else:
        yield f"  winner: trial {winner.trial} of an earlier comparison; the search has gone on since"


def _why_unknown(found: StudyStatus) -> str:
    """Why no trial is the best of a search by blocks: trials are estimated together, at its end."""
    if found.held:
        return "known once the search has ended"
    return "not known, since the run was killed before it could say; the same command goes on"


def _lines(found: StudyStatus) -> Iterator[str]:
    yield f"study {found.study} in {found.storage}"
    yield f"  {_progress(found)}; {'a run is working on it' if found.held else 'no run is working on it'}"
    if found.block is not None:
        yield f"  {found.block}"
    if found.under_way:
        yield f"  best of the search: {_why_unknown(found)}"
    for trial in found.best:
        scores = ", ".join(f"{value:.3f}" for value in trial.values)
        if MEAN in trial.attrs:
            scores = f"an estimated {plus_minus(trial.attrs[MEAN], trial.attrs['se'])}"
        share = trial.attrs.get(CUT_IN_THOUGHT)
        cut = f"; {share:.0%} of its answers cut in thought" if share else ""
        what = "best of the search" if len(found.best) == 1 else "front"
        yield f"  {what}: trial {trial.number} with {scores}{cut}"
    yield from _winner_lines(found)
    if found.last_told is not None:
        yield f"  last trial finished {found.last_told:%Y-%m-%d %H:%M:%S}"
    for judge, costs in found.judges.items():
        price = "price not known" if costs.cost_usd is None else f"{costs.cost_usd:.4f} USD"
        yield f"  judge {judge}: {costs.calls:,} calls, {price}"
