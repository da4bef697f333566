"""Converts a run's record to and from the files `result.json` and `trials.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tvmerge._util.encodings import read_text
from tvmerge._util.evidence import FEWEST_QUESTIONS
from tvmerge._util.files import read_jsonl
from tvmerge._util.parsing import parse_json
from tvmerge._version import __version__
from tvmerge.errors import AssetError
from tvmerge.records import CUT_IN_THOUGHT, CUT_OFF, Estimate, QuestionId, Recipe, Trial
from tvmerge.report.conclusion import conclude
from tvmerge.report.json_values import (
    difference_json,
    estimate_json,
    maybe_estimate,
    quantised_json,
    read_difference,
    read_estimate,
    read_quantised,
)
from tvmerge.report.result import (
    LABELS,
    Contender,
    ContenderKey,
    Finalist,
    RunRecord,
    Sample,
)
from tvmerge.report.result_check import check_result
from tvmerge.report.stored_trial import check_trial

RESULT = "result.json"
"""Name of the file with a run's result."""

TRIALS = "trials.jsonl"
"""Name of the file with the trials of its study."""


def as_json(result: RunRecord) -> dict[str, Any]:
    """Return the content of `result.json`; undefined uncertainties are null."""
    best = result.contenders[0]
    return {
        "tvmerge": __version__,
        "study": result.study,
        "benchmark": result.benchmark,
        "judge": result.judge,
        "models": dict(result.models),
        "winner": _winner(result),
        "verdict": _verdict(result),
        "best_trial": best.trial,
        "weights": dict(best.weights),
        "weight_range": list(result.weight_range),
        "contenders": {c.key: _candidate(c) for c in result.contenders},
        "search": {c.key: _contender(c, c.search) for c in result.contenders},
        "holdout": {c.key: _contender(c, c.holdout) for c in result.contenders if c.holdout is not None},
        "answers": {c.key: _ends(c.samples) for c in result.contenders if c.samples},
        "compared_on": list(dict.fromkeys(s.question.question_id for s in best.samples)),
        "gain": {c.key: difference_json(c.gain) for c in result.contenders if c.gain is not None},
        "quantised": list(map(quantised_json, result.quantised)),
        "trials": _trials(result),
        "finalists": [
            {"trial": f.trial, "search": estimate_json(f.search), "chosen_on": estimate_json(f.chosen)}
            for f in result.finalists
        ],
        "front": _front(result),
        "prospects": None if result.prospects is None else dict(result.prospects),
        "judging": {"usage": [dict(row) for row in result.usage], "agreement": result.agreement},
        "block": result.block or None,
        "output": result.output,
        "seconds": round(result.seconds, 3),
        "settings": dict(result.settings),
    }


def trial_rows(trials: Sequence[Trial]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `trials.jsonl`, one per trial."""
    for trial in trials:
        yield {
            "number": trial.number,
            "state": trial.state,
            "values": list(trial.values),
            "weights": dict(trial.recipe.weights),
            "attrs": dict(trial.attrs),
        }


def read_trials(path: Path) -> tuple[Trial, ...]:
    """Read the trials in a `trials.jsonl`.

    Raises:
        AssetError: The file cannot be read, or a row is not a trial.
    """
    return tuple(_trial(row, f"{path}:{number}") for number, row in read_jsonl(path))


def read_record(path: Path, trials: Sequence[Trial]) -> RunRecord:
    """Read the record in a `result.json`, which may come from an earlier release with fewer keys.

    Args:
        path: The file.
        trials: The trials of the study, which are not in the file.

    Raises:
        AssetError: The file cannot be read, or was not written by a run.
    """
    data = _read(path)
    try:
        record = _record(data, tuple(trials))
        check_result(record)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise AssetError(f"{path}: not the result of a run of tvmerge ({problem})") from error
    return record


def compared_on(path: Path) -> tuple[QuestionId, ...]:
    """Return the questions whose answers are in the report, from a `result.json`; earlier ones name none.

    Raises:
        AssetError: The file cannot be read, or was not written by a run.
    """
    data = _read(path)
    found = data.get("compared_on", []) if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(type(key) in {int, str} for key in found):
        raise AssetError(
            f"{path}: not the result of a run of tvmerge: its compared_on are no ids of questions"
        )
    return tuple(found)


def _read(path: Path) -> Any:
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise AssetError(f"{path}: not valid JSON: {error}") from error


def _trials(result: RunRecord) -> dict[str, int]:
    """Return how many trials ended how; a search by blocks ends its trials itself, and stops none."""
    pruned = sum(t.state == "PRUNED" for t in result.trials)
    return {
        "complete": sum(t.state == "COMPLETE" for t in result.trials),
        "estimated": pruned if result.by_blocks else 0,
        "stopped": 0 if result.by_blocks else pruned,
        "failed": sum(t.state == "FAIL" for t in result.trials),
    }


def _winner(result: RunRecord) -> dict[str, Any] | None:
    """Return which trial the held-out comparison named, and the best of the search; None without one."""
    best = result.contenders[0]
    if best.holdout is None:
        return None
    searched = result.finalists[0].trial if result.finalists else best.trial
    return {"trial": best.trial, "best_of_search": searched}


def _verdict(result: RunRecord) -> dict[str, Any]:
    """Return the conclusion, and what it is about and rests on."""
    found = conclude(result)
    gain = None if found.rival is None else found.rival.gain
    return {
        "kind": found.kind,
        "sentence": found.sentence,
        "rival": None if found.rival is None else found.rival.key,
        "questions": 0 if gain is None else gain.n,
        "fewest_questions": FEWEST_QUESTIONS,
    }


def _candidate(contender: Contender) -> dict[str, Any]:
    return {
        "trial": contender.trial,
        "weights": dict(contender.weights),
        "shortfall": contender.shortfall,
        "sparse": contender.sparse,
    }


def _contender(contender: Contender, estimate: Estimate) -> dict[str, Any]:
    row = estimate_json(estimate) or {}
    if contender.key == "uniform":
        row["weight"] = next(iter(contender.weights.values()))
    return row


def _ends(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return how a contender's answers ended."""
    ends = [end for sample in samples for end in sample.answer.finish]
    turns = sum(len(sample.answer.turns) for sample in samples)
    return {"turns": turns, CUT_OFF: ends.count("length"), CUT_IN_THOUGHT: ends.count("thought")}


def _front(result: RunRecord) -> list[dict[str, Any]]:
    """Return the trials that no other beats on every benchmark, with their scores."""
    trials = {trial.number: trial for trial in result.trials}
    return [{"trial": number, "scores": dict(trials[number].attrs["parts"])} for number in result.front]


def _record(data: Mapping[str, Any], trials: tuple[Trial, ...]) -> RunRecord:
    settings = data["settings"]
    low, high = data.get("weight_range") or (settings["weight_min"], settings["weight_max"])
    return RunRecord(
        study=data["study"],
        benchmark=data["benchmark"],
        judge=data["judge"],
        models=data["models"],
        weight_range=(low, high),
        contenders=tuple(_read_contender(key, data, trials) for key in LABELS if key in data["search"]),
        trials=trials,
        finalists=tuple(
            Finalist(row["trial"], read_estimate(row["search"]), maybe_estimate(row["chosen_on"]))
            for row in data["finalists"]
        ),
        front=tuple(row["trial"] for row in data["front"]),
        settings=settings,
        output=data["output"],
        seconds=data["seconds"],
        usage=tuple(data["judging"]["usage"]),
        agreement=data["judging"]["agreement"],
        prospects=data.get("prospects"),
        block=data.get("block") or "",
        quantised=tuple(map(read_quantised, data.get("quantised", ()))),
    )


def _read_contender(key: ContenderKey, data: Mapping[str, Any], trials: Sequence[Trial]) -> Contender:
    known = data.get("contenders", {}).get(key) or _earlier_candidate(key, data, trials)
    gain = data["gain"].get(key)
    return Contender(
        key=key,
        trial=known["trial"],
        weights=known["weights"],
        search=read_estimate(data["search"][key]),
        holdout=maybe_estimate(data["holdout"].get(key)),
        gain=None if gain is None else read_difference(gain),
        shortfall=known["shortfall"],
        sparse=known["sparse"],
    )


def _earlier_candidate(key: ContenderKey, data: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, Any]:
    """Return a contender from a file with only the best's weights and a single weight of the others.

    Its densities, which are not in the file, are those of its trial, or missing if it has none.
    """
    weights = dict(data["weights"])
    trial: int | None = data["best_trial"]
    if key != "best":
        weight = {"weight_0": 0.0, "weight_1": 1.0}.get(key, data["search"][key].get("weight"))
        weights = {name: weight for name in weights if name.rpartition("/")[2] != "density"}
        same = (t for t in trials if t.scored and weights.items() <= t.recipe.weights.items())
        found = next(same, None)
        trial = None if found is None else found.number
        weights = weights if found is None else dict(found.recipe.weights)
    return {"trial": trial, "weights": weights, "shortfall": "", "sparse": ""}


def _trial(row: Mapping[str, Any], place: str) -> Trial:
    try:
        values = tuple(map(float, row["values"]))
        trial = Trial(
            number=row["number"],
            recipe=Recipe(row["weights"]),
            value=values[0] if values else None,
            state=row["state"],
            attrs=row["attrs"],
            values=values,
        )
        check_trial(trial)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise AssetError(f"{place}: no trial ({type(error).__name__}: {error})") from error
    return trial
