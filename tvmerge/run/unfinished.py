"""What is known of a run that has not ended, from its study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from tvmerge._util.files import folder_name
from tvmerge._util.lists import exists
from tvmerge.errors import StudyError
from tvmerge.records import MEAN, Estimate, Trial
from tvmerge.report.result import Contender, ContenderKey, RunRecord
from tvmerge.report.unfinished import Unfinished
from tvmerge.study.blocks.table import ESTIMATE, asks_of, is_under_way
from tvmerge.study.pareto import pareto_front
from tvmerge.study.ranking import ranked_with_estimates
from tvmerge.study.space import uniform_weight
from tvmerge.study.storage import N_ANSWERS, N_TRIALS, StoredStudy


def unfinished_record(stored: StoredStudy, *, held: bool) -> RunRecord:
    """Return what is known of a run that has not ended.

    While a search by blocks is under way, its own estimates are not stored. The plain means of the answers so
    far stand in for them.

    Args:
        stored: The study.
        held: Whether a run is working on it.

    Raises:
        StudyError: No trial has a score yet.
    """
    rough = is_under_way(stored.trials)
    trials = _with_plain_means(stored.trials) if rough else stored.trials
    ranked = _by_lower_bound(trials) if rough else ranked_with_estimates(trials)
    if not ranked:
        raise StudyError(f"study '{stored.name}' has no scored trial yet; wait until its run has told one")
    settings = stored.fingerprint
    several = len(ranked[0].values) > 1
    return RunRecord(
        study=stored.name,
        benchmark=str(settings.get("benchmark", "")).rpartition(" ")[0],
        judge=settings.get("judge", {}).get("name", ""),
        models=_models(stored.run),
        weight_range=(settings.get("weight_min", 0.0), settings.get("weight_max", 2.0)),
        contenders=_contenders(ranked),
        trials=trials,
        front=tuple(t.number for t in pareto_front(trials)) if several else (),
        settings=settings,
        progress=_progress(stored, ranked[0], held=held, rough=rough),
    )


def _with_plain_means(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the candidates of a search by blocks with the means of their scores so far.

    The standard error is that of the spread of all scores: four equal ratings of one candidate are no
    certainty.
    """
    spread = pstdev([score for trial in trials for score in _scores(trial)] or [0.0])
    return tuple(_with_plain_mean(trial, spread) for trial in trials)


def _with_plain_mean(trial: Trial, spread: float) -> Trial:
    scores = _scores(trial)
    if not scores or trial.state == "FAIL":
        return replace(trial, attrs={k: v for k, v in trial.attrs.items() if k not in ESTIMATE})
    mean = fmean(scores)
    attrs = {**trial.attrs, MEAN: mean, "se": spread / math.sqrt(len(scores)), "n": len(scores)}
    return replace(trial, value=mean, values=(mean,), attrs=attrs)


def _scores(trial: Trial) -> list[float]:
    return [score for ask in asks_of(trial) for score in ask.scores or () if score is not None]


def _by_lower_bound(trials: Sequence[Trial]) -> list[Trial]:
    """Return the candidates with a score, by their mean less one standard error."""
    known = [trial for trial in trials if MEAN in trial.attrs]
    return sorted(known, key=lambda trial: (trial.attrs["se"] - trial.attrs[MEAN], trial.number))


def _contenders(ranked: Sequence[Trial]) -> tuple[Contender, ...]:
    found: dict[ContenderKey, Trial] = {"best": ranked[0]}
    for trial in ranked:
        match uniform_weight(trial.recipe):
            case None:
                continue
            case 0.0:
                found.setdefault("weight_0", trial)
            case 1.0:
                found.setdefault("weight_1", trial)
        found.setdefault("uniform", trial)
    order: tuple[ContenderKey, ...] = ("best", "weight_0", "weight_1", "uniform")
    return tuple(_contender(key, found[key]) for key in order if key in found)


def _contender(key: ContenderKey, trial: Trial) -> Contender:
    se = trial.attrs.get("se")
    mean = trial.attrs.get(MEAN, trial.overall)
    return Contender(
        key=key,
        trial=trial.number,
        weights=trial.recipe.weights,
        search=Estimate(
            math.nan if mean is None else mean, math.nan if se is None else se, int(trial.attrs.get("n", 0))
        ),
        holdout=None,
        gain=None,
    )


def _models(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the models, which the study stores as they were given."""
    found = {"target": ", ".join(map(_shown, run.get("target_model") or ()))}
    vectors = run.get("task_vectors") or [{}]
    for vector in vectors:
        prefix = f"{vector['name']}/" if vector.get("name") else ""
        for role in ("base", "tuned"):
            found[prefix + role] = _shown(vector.get(role) or run.get(f"{role}_model") or "")
    return {role: model for role, model in found.items() if model}


def _shown(model: str) -> str:
    return folder_name(Path(model)) if exists(model) else model


def _progress(stored: StoredStudy, best: Trial, *, held: bool, rough: bool) -> Unfinished:
    asks = [ask for trial in stored.trials for ask in asks_of(trial)]
    return Unfinished(
        unit="answer" if asks else "trial",
        done=sum(a.stop - a.start for a in asks if a.told) if asks else sum(t.told for t in stored.trials),
        total=stored.attrs.get(N_ANSWERS if asks else N_TRIALS),
        held=held,
        rough=rough,
        leader=best.number,
        mean=best.attrs.get(MEAN, best.overall),
        se=best.attrs.get("se"),
    )
