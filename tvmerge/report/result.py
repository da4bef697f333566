"""What a run found, as data: the one source of `result.json`, the page and the screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tvmerge import __version__
from tvmerge.records import CUT_IN_THOUGHT, CUT_OFF, Answer, Difference, Estimate, Judgment, Question, Trial

ContenderKey = Literal["best", "weight_0", "weight_1", "uniform"]

LABELS: dict[ContenderKey, str] = {
    "best": "best of the search",
    "weight_0": "weight 0 (the untouched target)",
    "weight_1": "weight 1 (the plain task vector)",
    "uniform": "best uniform weight",
}


def label(key: ContenderKey, sparse: str = "") -> str:
    """What people call a contender.

    Args:
        key: Which one.
        sparse: How weight 1 differs from the plain task vector, such as `TIES, density 0.2`; empty: not.
    """
    return f"weight 1 ({sparse})" if key == "weight_1" and sparse else LABELS[key]


@dataclass(frozen=True, slots=True)
class Sample:
    """A held-out question with one contender's answer and what the judge said of it."""

    question: Question
    answer: Answer
    judgments: tuple[Judgment, ...]


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the candidates that are compared at the end.

    Attributes:
        key: Which one it is.
        trial: Its trial in the study, or None where it was scored outside of it.
        weights: Its weights.
        search: Its score on the questions of the search; biased upwards for the best, which was chosen on it.
        holdout: Its score on the held-out questions, or None where there are none.
        gain: How much better the best is on the held-out questions; None for the best itself, and where one
            of the two has too few ratings to be compared.
        shortfall: Why its held-out answers have too few ratings; empty where they have enough.
        samples: Its held-out (else search) answers with their judgments, in question order.
        sparse: How task vectors are made sparse at weight 1; empty where they are added as they are.
    """

    key: ContenderKey
    trial: int | None
    weights: Mapping[str, float]
    search: Estimate
    holdout: Estimate | None
    gain: Difference | None
    shortfall: str = ""
    samples: tuple[Sample, ...] = ()
    sparse: str = ""

    @property
    def label(self) -> str:
        """What people call it."""
        return label(self.key, self.sparse)


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate that the winner was chosen from.

    Attributes:
        trial: Its trial.
        search: Its score on the questions of the search.
        chosen: Its score on the half of the held-out questions that the winner was chosen on; None where
            there was nothing to choose, or nothing to choose on.
    """

    trial: int
    search: Estimate
    chosen: Estimate | None


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run.

    Attributes:
        study: The study's name.
        benchmark: The benchmark's name.
        judge: The judge's name.
        models: What `target`, `base` and `tuned` resolved to, for people.
        weight_range: Bounds of the search.
        contenders: The best first, then the two baselines, then the best uniform weight if there is one.
        trials: All trials of the study.
        finalists: The candidates the winner was chosen from, the best of the search first.
        front: Numbers of the trials on the Pareto front, where the study maximises several scores.
        settings: The run's settings, for the record.
        output: Where the merged model was written, for people.
        seconds: Wall time of the search part of this run.
        usage: What each judge took over all of the study's runs, as plain JSON data.
        agreement: How far judges agree, as plain JSON data; None where no turn was rated twice.
    """

    study: str
    benchmark: str
    judge: str
    models: Mapping[str, str]
    weight_range: tuple[float, float]
    contenders: tuple[Contender, ...]
    trials: tuple[Trial, ...]
    finalists: tuple[Finalist, ...] = ()
    front: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    seconds: float = 0.0
    usage: tuple[Mapping[str, Any], ...] = ()
    agreement: Mapping[str, Any] | None = None

    def contender(self, key: ContenderKey) -> Contender | None:
        """The contender called `key`."""
        return next((c for c in self.contenders if c.key == key), None)


def as_json(result: RunResult) -> dict[str, Any]:
    """The content of `result.json`; an uncertainty that is not defined is null."""
    best = result.contenders[0]
    return {
        "tvmerge": __version__,
        "study": result.study,
        "benchmark": result.benchmark,
        "judge": result.judge,
        "models": dict(result.models),
        "best_trial": best.trial,
        "weights": dict(best.weights),
        "search": {c.key: _contender(c, c.search) for c in result.contenders},
        "holdout": {c.key: _contender(c, c.holdout) for c in result.contenders if c.holdout is not None},
        "answers": {c.key: _ends(c.samples) for c in result.contenders if c.samples},
        "gain": {c.key: _difference(c.gain) for c in result.contenders if c.gain is not None},
        "trials": {
            "complete": sum(t.state == "COMPLETE" for t in result.trials),
            "stopped": sum(t.state == "PRUNED" for t in result.trials),
            "failed": sum(t.state == "FAIL" for t in result.trials),
        },
        "finalists": [
            {"trial": f.trial, "search": _estimate(f.search), "chosen_on": _estimate(f.chosen)}
            for f in result.finalists
        ],
        "front": _front(result),
        "judging": {"usage": [dict(row) for row in result.usage], "agreement": result.agreement},
        "output": result.output,
        "seconds": round(result.seconds, 3),
        "settings": dict(result.settings),
    }


def _contender(contender: Contender, estimate: Estimate) -> dict[str, Any]:
    row = _estimate(estimate) or {}
    if contender.key == "uniform":
        row["weight"] = next(iter(contender.weights.values()))
    return row


def _ends(samples: Sequence[Sample]) -> dict[str, Any]:
    """How a contender's answers ended."""
    ends = [end for sample in samples for end in sample.answer.finish]
    turns = sum(len(sample.answer.turns) for sample in samples)
    return {"turns": turns, CUT_OFF: ends.count("length"), CUT_IN_THOUGHT: ends.count("thought")}


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"mean": _number(found.mean), "se": _number(found.se), "n": found.n}


def _front(result: RunResult) -> list[dict[str, Any]]:
    """The trials that no other beats on every benchmark, with their scores there."""
    trials = {trial.number: trial for trial in result.trials}
    return [{"trial": number, "scores": dict(trials[number].attrs["parts"])} for number in result.front]


def _difference(gain: Difference) -> dict[str, Any]:
    return {
        "difference": _number(gain.difference),
        "low": _number(gain.low),
        "high": _number(gain.high),
        "n": gain.n,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
