"""What a run found, as data: the one source of `result.json`, the page, the screen and `RunResult`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tvmerge.records import Answer, Difference, Estimate, Judgment, Question, Trial

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
        """The name shown to people."""
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
class RunRecord:
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
