"""The part of a run that is known without its models, from the settings and the tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmerge.engines.own import OwnEngines
from tvmerge.engines.place import place
from tvmerge.engines.placement import Placement
from tvmerge.engines.prompting.chat_format import template_texts
from tvmerge.errors import ConfigError
from tvmerge.records import Question, Sampling
from tvmerge.run.gguf import WinnerGguf, find_gguf
from tvmerge.run.paths import RunPaths
from tvmerge.run.stopping import check_prices
from tvmerge.scoring.objective import Objective
from tvmerge.study.make import asks_blocks
from tvmerge.study.open import KnownStudy, look_up_study
from tvmerge.tasks.baseline import Baseline, named_baseline
from tvmerge.tasks.sampling import sampling_of
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.study.settings import SearchConfig


@dataclass(frozen=True)
class Outline:
    """The part of a run that is known without its models.

    Attributes:
        paths: The files and folders of the run.
        suite: The task suite and the judge.
        objective: The objective that is maximised.
        search_questions: The questions candidates are scored on, in the order they are asked.
        holdout_questions: The questions of the held-out comparison; may be empty.
        sampling: The sampling parameters.
        placement: The engines and their devices.
        known_study: The study, as far as it is known without the models.
        baseline: The baseline of pairwise judging; None if answers are rated one by one, or if the baseline
            is a merge and the models are not known yet.
        gguf: What writes the winner as GGUF files and answers with them; None if no files are wanted.
    """

    paths: RunPaths
    suite: TaskSuite
    objective: Objective
    search_questions: tuple[Question, ...]
    holdout_questions: tuple[Question, ...]
    sampling: Sampling
    placement: Placement
    known_study: KnownStudy
    baseline: Baseline | None
    gguf: WinnerGguf | None


def outline(config: RunConfig, paths: RunPaths, suite: TaskSuite, own: OwnEngines | None = None) -> Outline:
    """Check all that can be checked without the models.

    Args:
        config: The run's settings.
        paths: The files and folders of the run.
        suite: The task suite and the judge.
        own: Engines passed by the caller.

    Raises:
        UserError: An input is not usable.
    """
    paths.protect(suite.folders)
    template_texts(config.chat_template)  # read again with the models
    check_prices(config.stop_bound, suite.specs)
    objective, benchmark, seed = Objective(suite.parts), suite.benchmark, config.optuna_seed
    study = look_up_study(
        config,
        paths.study,
        len(objective.parts) if config.multi_objective else 1,
        by_question=objective.by_question,
    )
    _check_anchor(study.config, suite)
    search, holdout = objective.divide(benchmark.questions, config.holdout, seed)
    objective.check_holdout(holdout)
    gguf = find_gguf(config, suite, holdout)
    return Outline(
        paths=paths,
        suite=suite,
        objective=objective,
        search_questions=tuple(search),
        holdout_questions=tuple(holdout),
        sampling=sampling_of(benchmark, config, seed),
        baseline=named_baseline(config.baseline, suite, study, config.turns),
        placement=place(config, own, in_flight=config.trials_in_flight),
        known_study=study,
        gguf=gguf,
    )


def _check_anchor(config: SearchConfig, suite: TaskSuite) -> None:
    """Refuse a second judge where the search needs one judge.

    Raises:
        ConfigError: It does.
    """
    if suite.anchor is None:
        return
    if not asks_blocks(config.optuna_sampler):
        raise ConfigError(
            f"--judge-anchor needs --optuna-sampler auto; {config.optuna_sampler} scores whole trials by one "
            "judge"
        )
    if config.stop_when is not None:
        raise ConfigError(
            "--stop-when forecasts the ratings of one judge; leave out --stop-when or --judge-anchor"
        )
