"""The specification of a run, read from its settings and the models' metadata.

No weights are loaded, nothing is requested or written. `tvmerge.run.build` builds a run from it, and
`tvmerge.dry_run.plan` estimates what the run would take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tvmerge._util.canonical import canonical_json, digest
from tvmerge.config import RunConfig
from tvmerge.engines.placement import Placement
from tvmerge.engines.prompting.open import ChatRecord, find_stop_tokens, open_chat
from tvmerge.judging.registry import packages
from tvmerge.records import Question, Recipe, Sampling
from tvmerge.run.outline import outline
from tvmerge.scoring.objective import Objective
from tvmerge.scoring.racing import RacingRules
from tvmerge.study.open import KnownStudy
from tvmerge.study.settings import SearchConfig
from tvmerge.study.space import Space
from tvmerge.tasks.base import Note
from tvmerge.tasks.baseline import Baseline, baseline_merge
from tvmerge.tasks.kinds import packages as task_packages
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from tvmerge.engines.own import OwnEngines
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.engines.prompting.stop_tokens import StopTokens
    from tvmerge.merging.open import Merge


@dataclass(frozen=True)
class RunSpec:
    """The specification of a run.

    Attributes:
        config: The run's settings.
        suite: The task suite and the judge.
        objective: The objective that is maximised.
        search_questions: The questions candidates are scored on, in the order they are asked.
        holdout_questions: The questions of the held-out comparison; may be empty.
        sampling: The sampling parameters.
        placement: The engines and their devices.
        known_study: The study, as far as it is known without the models.
        models: The opened models and how they are merged.
        space: The search space.
        baseline: The baseline of pairwise judging; None if answers are rated one by one.
        chat: The target's tokenizer and chat template.
        stops: The tokens that end an answer.
        day: The date that prompts contain; None if they contain none.
    """

    config: RunConfig
    suite: TaskSuite
    objective: Objective
    search_questions: tuple[Question, ...]
    holdout_questions: tuple[Question, ...]
    sampling: Sampling
    placement: Placement
    known_study: KnownStudy
    models: Merge
    space: Space
    baseline: Baseline | None
    chat: ChatFormat
    stops: StopTokens
    day: date | None

    @property
    def confirm_sampling(self) -> Sampling:
        """The sampling parameters of the held-out questions."""
        return replace(self.sampling, samples=self.config.confirm_samples)

    @property
    def rules(self) -> RacingRules | None:
        """The rules of early stopping; None if every candidate answers all questions."""
        config = self.config
        if config.racing == "off" or config.multi_objective or not self.objective.by_question:
            return None
        return RacingRules(config.racing_p, config.racing_min_questions, config.racing_batch)

    @property
    def enqueued(self) -> list[Recipe]:
        """The recipes that are tried first: weights 0 and 1 if in range, and those of the user."""
        return _enqueued(self.config, self.space)

    @cached_property
    def fingerprint(self) -> dict[str, object]:
        """Everything that scores and candidates depend on; new model files are read to compute it."""
        return {**self.models.fingerprint, **self.settings_fingerprint}

    @cached_property
    def settings_fingerprint(self) -> dict[str, object]:
        """The part of the fingerprint that is known without reading the models' files."""
        config, benchmark, judge = self.config, self.suite.benchmark, self.suite.judge
        halves = (self.search_questions, self.holdout_questions)
        return {
            "chat_template": digest(self.chat.identity)[:16],
            **({"chat_template_kwargs": self.chat.arguments} if self.chat.arguments else {}),
            "stop_tokens": sorted(self.stops.texts),
            "benchmark": f"{benchmark.name} {benchmark.digest[:16]}",
            "hold-out": digest([[q.question_id for q in half] for half in halves])[:16],
            **_weights_of_parts(self.objective),
            "judge": {"name": judge.name, **judge.fingerprint},
            **packages(self.suite.specs),
            **task_packages(config.task_kinds),
            **({} if self.baseline is None else self.baseline.fingerprint),
            "weights": digest(list(self.space.names))[:16],
            **config.fingerprint,
            **self.known_study.fingerprint,
            **self.placement.identity,
            **self._thoughts,
        }

    @property
    def owner(self) -> str:
        """The study's identity, recorded in the models it writes."""
        return digest([self.config.study, self.fingerprint])

    @property
    def answer_identity(self) -> dict[str, str]:
        """Everything that decides an answer, except recipe, question and sampling."""
        chat = {
            "chat_template": digest(self.chat.identity),
            "stop_tokens": canonical_json(sorted(self.stops.ids)),
            **({"chat_template_kwargs": digest(self.chat.arguments)} if self.chat.arguments else {}),
            **({} if self.day is None else {"day": self.day.isoformat()}),
        }
        return {
            **self.models.fingerprint,
            **chat,
            **self._thoughts,
            **self.placement.identity,
        }

    @property
    def _thoughts(self) -> dict[str, str]:
        """The entry for models whose thoughts are separated from their answers; empty for others."""
        from tvmerge.engines.prompting.replies import ReplyReader

        return {"thoughts": "told apart"} if ReplyReader(self.chat).thinks else {}

    @property
    def record(self) -> ChatRecord:
        """The chat settings that are stored with the study and written with its models."""
        return ChatRecord(self.stops, self.chat.texts, self.chat.arguments, self.day)


def build_run_spec(
    config: RunConfig,
    suite: TaskSuite,
    open_models: Callable[[], Merge],
    note: Note,
    own: OwnEngines | None = None,
) -> RunSpec:
    """Build the specification of a run, doing cheap checks first.

    Args:
        config: The run's settings.
        suite: The task suite and the judge.
        open_models: Opens the models.
        note: Called with each remark for the user.
        own: Engines passed by the caller.

    Raises:
        UserError: An input is not usable.
    """
    known = outline(config, suite, own)
    models = open_models()
    chat, day = _chat(config, suite, models, known.study)
    stops = find_stop_tokens(chat, config.chat, models)
    suite = suite.in_chat(chat, note)
    ranges = models.ranges(config.weight_min, config.weight_max)
    space = Space(tuple(models.group_names), config.weight_min, config.weight_max, ranges)
    baseline = known.baseline
    if suite.compares and baseline is None:
        baseline = baseline_merge(config.baseline, known.study, space, _enqueued(config, space))
    return RunSpec(
        config=config,
        suite=suite,
        objective=known.objective,
        search_questions=known.search_questions,
        holdout_questions=known.holdout_questions,
        sampling=known.sampling,
        placement=known.placement,
        known_study=known.study,
        models=models,
        space=space,
        baseline=baseline,
        chat=chat,
        stops=stops,
        day=day,
    )


def _enqueued(config: SearchConfig, space: Space) -> list[Recipe]:
    wanted = dict.fromkeys((0.0, 1.0, *config.uniform_weights))
    return [space.uniform(weight) for weight in wanted if space.holds(weight)]


def _weights_of_parts(objective: Objective) -> dict[str, object]:
    """Return the weights of the benchmarks in the score, if there are several."""
    if len(objective.parts) == 1:
        return {}
    shares = zip(objective.parts, objective.shares, strict=True)
    return {"objective": {part.name: round(share, 9) for part, share in shares}}


def _chat(
    config: RunConfig, suite: TaskSuite, models: Merge, study: KnownStudy
) -> tuple[ChatFormat, date | None]:
    """Return the chat format, checked on every prompt, and the date that prompts contain, if any.

    Raises:
        UserError: The chat template is not usable or fails on a question.
    """
    from tvmerge.engines.prompting.preflight import check_prompts

    chat = open_chat(config.chat, models)
    dated = check_prompts(chat, suite.rated_questions, models.donor.structure.vocabulary)
    if not dated and not (config.apply_chat_template and chat.may_tell_date):
        return chat, None
    chat = chat.on(study.day or chat.day)
    return chat, chat.day
