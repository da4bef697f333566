"""The plan of a run, as data and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tvmerge.dry_run.calls import PlannedCalls, calls_table
from tvmerge.report.numbers import count, folded, size
from tvmerge.report.terminal.plain import plain_text


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """How many questions a candidate answers at a time.

    Attributes:
        size: The number that is assumed for the plan.
        why: The reason, or what it will depend on; empty if the settings say so.
    """

    size: int
    why: str = ""

    def __str__(self) -> str:
        number = f"{count(self.size, 'question')} at a time"
        return f"{number}: {self.why}" if self.why else number


@dataclass(frozen=True, slots=True)
class TrialSize:
    """The amount of work of a candidate.

    Attributes:
        questions: Number of questions it answers.
        turns: Number of turns of its answers that are judged.
        calls: Maximum number of calls for judging them.
    """

    questions: int
    turns: int
    calls: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The amount of work of the held-out comparison, at most.

    Attributes:
        finalists: Number of candidates that the winner is chosen from.
        selection: Number of questions of the selection split.
        compared: Number of models compared, including the winner.
        test: Number of questions of the test split.
        samples: Number of answers to each question.
    """

    finalists: int
    selection: int
    compared: int
    test: int
    samples: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan of a run that has not started or not ended.

    Attributes:
        study: The study's name.
        storage: Its storage URL without passwords.
        asked: Number of trials asked so far; 0 for a new study.
        told: Number of finished trials.
        left: Number of remaining trials.
        run_folder: The folder of the results.
        model_folder: The folder of the model.
        weights: Names of the weights searched.
        low: Smallest weight.
        high: Largest weight.
        trial: A complete trial.
        earliest_stop: A trial up to its first interim check; None without early stopping.
        comparison: The held-out comparison; None if no questions are held out.
        answers: Maximum number of answers to generate.
        likely_answers: How many of them are likely.
        calls: The requests to each judge in each stage; empty if there are none.
        prices: Each judge's price as text.
        costs: The tokens and the cost of all calls, in a line each.
        likely: What the likely numbers are computed with; empty without calls and answers.
        times: How long the run is likely to take, in a line for each reason.
        reasks: How often a judge is asked again after a reply without a rating.
        stored: Number of stored answers and of stored replies to them; None if unknown without reading the
            models.
        memory: The memory that the models need on each device, one line each.
        model_bytes: Size of the written model.
        files: Number of files of its tensors.
        free_bytes: Free space on its disk.
        warnings: What will stop the run, one line each.
        refusals: Why the run would fail at its start, one line each; empty if it would not.
        block: How many questions a candidate answers at a time, and why; None if trials answer all.
        stop_when: The gain below which the search ends; empty if it asks all its questions.
        evidence: How little its held-out questions can show, one line each; empty if they are enough.
        gguf: What the winner's GGUF files take, one line each; empty without files.
    """

    study: str
    storage: str
    asked: int
    told: int
    left: int
    run_folder: Path
    model_folder: Path
    weights: tuple[str, ...]
    low: float
    high: float
    trial: TrialSize
    earliest_stop: TrialSize | None
    comparison: Comparison | None
    answers: int
    likely_answers: int
    calls: tuple[PlannedCalls, ...]
    prices: dict[str, str]
    costs: tuple[str, ...]
    likely: str
    times: tuple[str, ...]
    reasks: int
    stored: tuple[int, int] | None
    memory: tuple[str, ...]
    model_bytes: int
    files: int
    free_bytes: int
    warnings: tuple[str, ...]
    refusals: tuple[str, ...] = ()
    block: PlannedBlock | None = None
    stop_when: str = ""
    evidence: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()

    def __str__(self) -> str:
        table = (calls_table(self.calls),) if self.calls else ()
        return plain_text(*plan_lines(self), *table, *closing_lines(self))


def plan_lines(plan: RunPlan) -> Iterator[str]:
    """Return the plan without the table of calls, one line each."""
    yield f"study: {plan.study} in {plan.storage}, {_state(plan)}"
    yield f"results: {plan.run_folder}"
    model = f"{size(plan.model_bytes)} in {count(plan.files, 'file')}"
    yield f"model: {plan.model_folder}, {model}; the disk has {size(plan.free_bytes)} free"
    yield from plan.gguf
    yield f"dimensions: {len(plan.weights)} from {plan.low:g} to {plan.high:g}: {folded(plan.weights)}"
    if plan.block is None:
        yield f"a trial: {_trial_size(plan.trial)}; {_race(plan.earliest_stop)}"
    else:
        yield f"as much as a trial: {_trial_size(plan.trial)}; a candidate answers {plan.block}"
    if plan.stop_when:
        yield f"stops earlier: when as many answers again are expected to gain less than {plan.stop_when}"
    yield f"final comparison: {_comparison(plan)}"
    yield f"answers to generate: likely {plan.likely_answers:,}, at most {plan.answers:,}"
    yield f"stored already: {_stored(plan.stored)}"
    yield from plan.memory
    for judge, price in plan.prices.items():
        yield f"judge {judge}: {price}"
    yield from plan.evidence
    yield from (f"warning: {line}" for line in plan.warnings)


def _state(plan: RunPlan) -> str:
    if plan.block is None:
        state = f"{plan.told} of {plan.told + plan.left} trials finished" if plan.asked else "new"
        return f"{state}, {count(plan.left, 'trial')} left"
    state = f"{count(plan.asked, 'candidate')} so far" if plan.asked else "new"
    left = plan.left * plan.trial.questions
    merges = -(-left // plan.block.size)
    return f"{state}, at most {count(left, 'answer')} of {count(merges, 'candidate')} left"


def closing_lines(plan: RunPlan) -> Iterator[str]:
    """Yield what follows the table of calls, one line each: costs, times, and how they were computed."""
    yield from plan.costs
    yield from plan.times
    if plan.likely:
        yield plan.likely
    if plan.calls:
        yield (
            "at most: answers and replies count at their longest, prompts with one token per byte; "
            f"not counted: a reply without a rating is asked for again up to {count(plan.reasks, 'time')}"
        )


def _trial_size(extent: TrialSize) -> str:
    turns, calls = count(extent.turns, "turn"), count(extent.calls, "call")
    return f"{count(extent.questions, 'question')}, {turns} judged with {calls}"


def _race(earliest_stop: TrialSize | None) -> str:
    if earliest_stop is None:
        return "none ends early"
    return f"a trial that racing stops ends after {_trial_size(earliest_stop)} at the earliest"


def _comparison(plan: RunPlan) -> str:
    comparison = plan.comparison
    if comparison is None and plan.block is not None:
        return "the best and the baselines, on all search questions, because none are held out"
    if comparison is None:
        return "none, because no questions are held out"
    text = f"{count(comparison.compared, 'candidate')} on {count(comparison.test, 'held-out question')}"
    if comparison.selection:
        finalists = f"{count(comparison.finalists, 'candidate')} on {count(comparison.selection, 'question')}"
        text = f"{finalists} to choose the winner, then {text}"
    return text if comparison.samples == 1 else f"{text}, each answered {comparison.samples} times"


def _stored(stored: tuple[int, int] | None) -> str:
    if stored is None:
        return "unknown, because no run has used these models yet"
    answers, replies = stored
    return (
        f"{count(answers, 'answer')} of the candidates known now, and judges' replies to them: {replies}; "
        "neither is generated or paid for again"
    )
