"""What is known of a run without its models, from its settings and what is asked."""

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
from tvmerge.run.baseline import Baseline, baseline_file, check_trial
from tvmerge.scoring.objective import Objective
from tvmerge.study.open import KnownStudy, look_up_study
from tvmerge.tasks.suite import Jury

if TYPE_CHECKING:
    from tvmerge.tasks.fastchat.benchmark import Benchmark


@dataclass(frozen=True)
class Outline:
    """What is known of a run without its models.

    Attributes:
        objective: What is maximised.
        search_questions: What candidates are scored on, in the order in which all meet them.
        holdout_questions: What the best are confirmed on; may be empty.
        sampling: How answers are drawn.
        placement: What answers, and on which devices.
        study: The study, as far as it is known.
        baseline: The answers of a file that pairs are compared with; None where there are none.
    """

    objective: Objective
    search_questions: tuple[Question, ...]
    holdout_questions: tuple[Question, ...]
    sampling: Sampling
    placement: Placement
    study: KnownStudy
    baseline: Baseline | None


def outline(config: RunConfig, jury: Jury, own: OwnEngines | None = None) -> Outline:
    """Check what can be checked without the models.

    Args:
        config: The run's settings.
        jury: What is asked, and who judges.
        own: Engines of the caller's own.

    Raises:
        UserError: Something the user gave is not usable.
    """
    objective = Objective(jury.parts)
    study = look_up_study(config, config.study_place, objectives(config, objective))
    search, holdout = objective.divide(jury.benchmark.questions, config.holdout, config.optuna_seed)
    _check_holdout(config, objective, holdout)
    sampling = _sampling(config, jury.benchmark)
    placement = place(config, own)
    _protect(config, jury.folders, study.file)
    check_trial(config.baseline, study)
    baseline = baseline_file(config.baseline, jury, config.turns)
    return Outline(objective, tuple(search), tuple(holdout), sampling, placement, study, baseline)


def objectives(config: RunConfig, objective: Objective) -> int:
    """How many scores per trial has."""
    return len(objective.parts) if config.multi_objective else 1


def _check_holdout(config: RunConfig, objective: Objective, holdout: Sequence[Question]) -> None:
    """Refuse several benchmarks of which one has too few held-out questions for the last comparison.

    Its interval takes two questions of each benchmark, and the choice of the winner one more. A benchmark
    alone may be as small as one likes: then no other is asked in vain.

    Raises:
        ConfigError: One has too few, though questions are held out.
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
    # Who gives a default means every category that he does not name, as in benchmark.toml.
    return Sampling(
        max_new_tokens=config.max_new_tokens,
        max_thinking_tokens=config.max_thinking_tokens,
        temperatures=own if default is not None else {**settings.temperatures, **own},
        default_temperature=settings.default_temperature if default is None else default,
        seed=config.optuna_seed,
        truncate=config.truncate,
    )


def _protect(config: RunConfig, benchmarks: Sequence[Path], study: Path | None) -> None:
    """Refuse an output folder in which something is that no overwriting may destroy.

    Raises:
        ConfigError: The run, the study, the questions, the cache or the working directory would be lost.
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
