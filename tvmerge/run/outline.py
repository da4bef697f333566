"""The part of a run that is known without its models, from the settings and the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.caches import cache_folder
from tvmerge.config import RunConfig
from tvmerge.engines.own import OwnEngines
from tvmerge.engines.placement import Placement, place
from tvmerge.errors import ConfigError
from tvmerge.records import Question, Sampling
from tvmerge.scoring.objective import Objective
from tvmerge.study.open import KnownStudy, look_up_study
from tvmerge.tasks.baseline import Baseline, baseline_file, check_trial
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from tvmerge.tasks.fastchat.benchmark import Benchmark


@dataclass(frozen=True)
class Outline:
    """The part of a run that is known without its models.

    Attributes:
        objective: The objective that is maximised.
        search_questions: The questions candidates are scored on, in the order they are asked.
        holdout_questions: The questions of the held-out comparison; may be empty.
        sampling: The sampling parameters.
        placement: The engines and their devices.
        study: The study, as far as it is known without the models.
        baseline: The baseline's answers if they come from a file, else None.
    """

    objective: Objective
    search_questions: tuple[Question, ...]
    holdout_questions: tuple[Question, ...]
    sampling: Sampling
    placement: Placement
    study: KnownStudy
    baseline: Baseline | None


def outline(config: RunConfig, suite: TaskSuite, own: OwnEngines | None = None) -> Outline:
    """Check all that can be checked without the models.

    Args:
        config: The run's settings.
        suite: The task suite and the judge.
        own: Engines passed by the caller.

    Raises:
        UserError: An input is not usable.
    """
    objective = Objective(suite.parts)
    study = look_up_study(config, config.study_location, objectives(config, objective))
    search, holdout = objective.divide(suite.benchmark.questions, config.holdout, config.optuna_seed)
    _check_holdout(config, objective, holdout)
    sampling = _sampling(config, suite.benchmark)
    placement = place(config, own)
    _protect(config, suite.folders, study.file)
    check_trial(config.baseline, study)
    baseline = baseline_file(config.baseline, suite, config.turns)
    return Outline(objective, tuple(search), tuple(holdout), sampling, placement, study, baseline)


def objectives(config: RunConfig, objective: Objective) -> int:
    """Return the number of objectives of the study."""
    return len(objective.parts) if config.multi_objective else 1


def _check_holdout(config: RunConfig, objective: Objective, holdout: Sequence[Question]) -> None:
    """Raise if one of several benchmarks has too few held-out questions for the comparison.

    The confidence interval needs two questions of each benchmark, and the choice of the winner one more. A
    single benchmark may have fewer, since no other benchmark's questions would be wasted.

    Raises:
        ConfigError: One has too few held-out questions, but not none.
    """
    if not holdout or len(objective.parts) == 1:
        return
    choice = min(config.confirm_candidates, config.n_trials) > 1
    for part in objective.parts:
        held = sum(question.question_id in part.questions for question in holdout)
        if held < 2 + choice:
            fewer = " compare one candidate (--confirm-candidates 1)," if held == 2 else ""
            raise ConfigError(
                f"too few questions of {part.name} are held out to confirm the best of the search: {held}; "
                f"hold out more (--holdout),{fewer} or nothing (--holdout 0)"
            )


def _sampling(config: RunConfig, benchmark: Benchmark) -> Sampling:
    own = dict(config.temperature or {})
    default = own.pop("default", None)
    categories = {question.category for question in benchmark.questions}
    if unknown := sorted(own.keys() - categories):
        raise ConfigError(
            f"temperature: no question has the category '{unknown[0]}'; there are: "
            f"{', '.join(sorted(categories))}"
        )
    settings = benchmark.settings
    # The default is for all categories that are not named, as in benchmark.toml.
    return Sampling(
        max_new_tokens=config.max_new_tokens,
        max_thinking_tokens=config.max_thinking_tokens,
        temperatures=own if default is not None else {**settings.temperatures, **own},
        default_temperature=settings.default_temperature if default is None else default,
        seed=config.optuna_seed,
        truncate=config.truncate,
    )


def _protect(config: RunConfig, benchmarks: Sequence[Path], study: Path | None) -> None:
    """Raise if the output folder contains something that must not be overwritten.

    Raises:
        ConfigError: It contains the run, the study, the questions, the cache or the working directory.
    """
    place = config.model_folder.resolve()
    precious = [
        ("the run folder", config.run_folder),
        *(("the benchmark", folder) for folder in benchmarks),
        ("tvmerge's cache", cache_folder()),
        ("the working directory", Path.cwd()),
    ]
    if study is not None:
        precious.append(("the study", study))
    for name, path in precious:
        if path.resolve().is_relative_to(place):
            raise ConfigError(f"--output-dir {config.model_folder} holds {name}; choose a separate folder")
