"""The data of a run's result, from which `result.json`, page, terminal output and `RunResult` are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tvmerge.records import MEAN, Answer, Difference, Estimate, Judgment, Question, Trial
from tvmerge.report.course import Course
from tvmerge.report.language import tr
from tvmerge.report.unfinished import Unfinished

ContenderKey = Literal["best", "weight_0", "weight_1", "uniform"]

WINNER = "winner"
"""The name of the candidate that the held-out comparison names; without one it is the best of the search."""

LABELS: dict[ContenderKey, str] = {
    "best": "best of the search",
    "weight_0": "weight 0 (the untouched target)",
    "weight_1": "weight 1 (the plain task vector)",
    "uniform": "best uniform weight",
}


def label(key: ContenderKey, sparse: str = "") -> str:
    """Return the name of a contender shown to users.

    Args:
        key: The contender.
        sparse: How weight 1 differs from the plain task vector, such as `TIES, density 0.2`; may be empty.
    """
    if key == "weight_1" and sparse:
        return tr("weight 1 ({sparse})", sparse=sparse)
    return tr(LABELS[key])


@dataclass(frozen=True, slots=True)
class Sample:
    """A held-out question with a contender's answer and its judgments."""

    question: Question
    answer: Answer
    judgments: tuple[Judgment, ...]


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the candidates that are compared at the end.

    Attributes:
        key: Which contender it is.
        trial: Its trial in the study, or None if it was scored outside the study.
        weights: Its weights.
        search: Its score on the questions of the search; biased upwards for the best, which was chosen by it.
        holdout: Its score on the held-out questions, or None if there are none.
        gain: How much better the best is on the held-out questions; None for the best itself, and if one of
            the two has too few ratings.
        shortfall: Why its held-out answers have too few ratings; empty if they have enough.
        samples: Its held-out (or else search) answers with their judgments, in question order.
        sparse: How task vectors are made sparse at weight 1; empty if they are added unchanged.
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
        """The name shown to users."""
        if self.key == "best" and self.holdout is not None:
            return tr(WINNER)
        return label(self.key, self.sparse)

    @property
    def short(self) -> str:
        """The name of the best within a sentence: `winner` after a held-out comparison, else `best`."""
        return tr(WINNER) if self.holdout is not None else tr("best")


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate that the winner was chosen from.

    Attributes:
        trial: Its trial.
        search: Its score on the questions of the search.
        chosen: Its score on the half of the held-out questions used to choose the winner; None if there was
            only one candidate, there are no such questions, or no candidate has enough ratings there, so
            that the search has chosen.
    """

    trial: int
    search: Estimate
    chosen: Estimate | None


@dataclass(frozen=True, slots=True)
class QuantisedWinner:
    """The winner as a GGUF file, scored on the held-out questions that it was compared on.

    Attributes:
        type: The type of the file, such as `Q4_K_M`.
        file: Where it is, as shown to users.
        nbytes: Its size.
        holdout: Its score.
        lost: How much higher the unquantised winner scores, by question; None with too few ratings.
        shortfall: Why its answers have too few ratings; empty if they have enough.
    """

    type: str
    file: str
    nbytes: int
    holdout: Estimate
    lost: Difference | None
    shortfall: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished run, or what is known of one that has not ended.

    Attributes:
        study: The study's name.
        benchmark: The benchmark's name.
        judge: The judge's name.
        models: What `target`, `base` and `tuned` resolved to, as shown to users.
        weight_range: Bounds of the search.
        contenders: The winner first, then the two baselines, then the best uniform weight if there is one.
        trials: All trials of the study.
        finalists: The candidates the winner was chosen from, the best of the search first.
        front: Numbers of the trials on the Pareto front, if the study maximises several scores.
        settings: The run's settings.
        output: Where the merged model was written, as shown to users.
        seconds: Wall time of this run's search in seconds.
        usage: What each judge has used in all runs of the study, as plain JSON data.
        agreement: How far judges agree, as plain JSON data; None if no turn was rated twice.
        prospects: What a longer search can gain, as plain JSON data; None if the search did not estimate it.
        block: How many questions a candidate answered at a time and why; empty if the search did not choose.
        progress: How far a run has come that has not ended; None for a finished run.
        course: How its best score, calls and cost went on, over all sessions; None if no times are stored.
        quantised: The winner as GGUF files, in the order they were asked for.
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
    prospects: Mapping[str, Any] | None = None
    block: str = ""
    progress: Unfinished | None = None
    course: Course | None = None
    quantised: tuple[QuantisedWinner, ...] = ()

    @property
    def unfinished(self) -> str:
        """How far a run has come that has not ended, in sentences; empty for a finished run."""
        return "" if self.progress is None else self.progress.sentence

    @property
    def worked(self) -> float:
        """Seconds that the run worked, over all its sessions; without stored times, those of its search."""
        stored = self.course.moments[-1].seconds if self.course is not None and self.course.moments else 0.0
        return max(self.seconds, stored)

    @property
    def by_blocks(self) -> bool:
        """Whether candidates answered some of the questions each, so that their scores are estimates."""
        return any(MEAN in trial.attrs for trial in self.trials)

    def contender(self, key: ContenderKey) -> Contender | None:
        """Return the contender with this key, or None."""
        return next((c for c in self.contenders if c.key == key), None)
