"""The specification of a run, read from its settings and the models' metadata.

No weights are loaded, nothing is requested or written. `tvmerge.run.build` builds a run from it, and
`tvmerge.dry_run.plan` estimates what the run would take.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tvmerge._util.canonical import canonical_json, digest
from tvmerge.config import RunConfig
from tvmerge.engines.prompting.chats import open_chats
from tvmerge.engines.prompting.open import ChatRecord
from tvmerge.judging.registry import packages
from tvmerge.records import Recipe, Sampling
from tvmerge.run.outline import Outline
from tvmerge.scoring.objective import Objective
from tvmerge.scoring.racing import RacingRules
from tvmerge.study.make import Questions, asks_blocks
from tvmerge.study.settings import UNIFORM_WEIGHTS, SearchConfig
from tvmerge.study.space import Space
from tvmerge.tasks.base import Note
from tvmerge.tasks.baseline import baseline_merge
from tvmerge.tasks.kinds import packages as task_packages

if TYPE_CHECKING:
    from datetime import date

    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.engines.prompting.stop_tokens import StopTokens
    from tvmerge.merging.open import Merge


@dataclass(frozen=True)
class RunSpec(Outline):
    """The specification of a run: its outline, and what is known with the models.

    Attributes:
        config: The run's settings.
        models: The opened models and how they are merged.
        space: The search space.
        chat: The target's tokenizer and chat template.
        stops: The tokens that end an answer.
        day: The date that prompts contain; None if they contain none.
    """

    config: RunConfig
    models: Merge
    space: Space
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
        blocks = asks_blocks(self.config.optuna_sampler)
        if blocks or self.config.multi_objective or not self.objective.by_question:
            return None
        rules = self.config.racing_rules
        if rules is None:
            return None
        # Before that, a benchmark that counts in the score would have no say.
        least = self.objective.all_parts_within(self.search_questions)
        return replace(rules, minimum=max(rules.minimum, least))

    @property
    def questions(self) -> Questions:
        """The search questions, as the study knows them."""
        return Questions(len(self.search_questions), self.objective.scale)

    @property
    def enqueued(self) -> list[Recipe]:
        """The recipes that are tried first: the uniform weights in range, 0 and 1 among them."""
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
            **({"judge_turns": "together"} if config.bench_name and config.judge_turns == "together" else {}),
            **({} if self.suite.anchor is None else {"judge_anchor": self.suite.anchor.fingerprint}),
            **packages(self.suite.specs),
            **task_packages(config.task_kinds),
            **({} if self.baseline is None else self.baseline.fingerprint),
            "weights": digest(list(self.space.names))[:16],
            **config.fingerprint,
            **self._first_trials,
            **self.known_study.fingerprint,
            **self.placement.identity,
            **self._thoughts,
        }

    @property
    def _first_trials(self) -> dict[str, object]:
        """The uniform weights in the order they are tried, and whether they race; empty for blocks."""
        config = self.config
        if asks_blocks(config.optuna_sampler):
            return {}
        tried: dict[str, object] = {"uniform_weights": _uniform_weights(config, self.space)}
        return tried if self.rules is None else {**tried, "raced": "every trial"}

    @property
    def owner(self) -> str:
        """The study's identity, recorded in the models it writes."""
        return digest([self.paths.study.name, self.fingerprint])

    @property
    def answer_identity(self) -> dict[str, str]:
        """Everything that decides an answer, except recipe, question and sampling."""
        return {**self.models.fingerprint, **self.chat_identity, **self.placement.identity}

    @property
    def confirm_identity(self) -> dict[str, str]:
        """The same for the held-out questions, where each candidate is merged as it is written."""
        return {**self.models.fingerprint, **self.chat_identity, **self.placement.merged.identity}

    @property
    def chat_identity(self) -> dict[str, str]:
        """What decides how a conversation becomes a prompt, and where an answer ends."""
        return {
            "chat_template": digest(self.chat.identity),
            "stop_tokens": canonical_json(sorted(self.stops.ids)),
            **({"chat_template_kwargs": digest(self.chat.arguments)} if self.chat.arguments else {}),
            **({} if self.day is None else {"day": self.day.isoformat()}),
            **self._thoughts,
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


def build_run_spec(config: RunConfig, known: Outline, models: Merge, note: Note) -> RunSpec:
    """Build the specification of a run.

    Args:
        config: The run's settings.
        known: The part of the run that is known without its models.
        models: The opened models.
        note: Called with each remark for the user.

    Raises:
        UserError: An input is not usable.
    """
    known.placement.check_models(models)
    config = replace(config, optuna_sampler=known.known_study.config.optuna_sampler)
    low, high = config.weight_min, config.weight_max
    space = Space(tuple(models.group_names), low, high, models.ranges(low, high), models.layer_parts)
    chats = open_chats(
        config.chat,
        models,
        known.suite.rated_questions,
        further_prompts=config.apply_chat_template,
        day=lambda: known.known_study.day,
    )
    suite, baseline = known.suite.in_chat(chats.format, note), known.baseline
    if suite.compares and baseline is None:
        enqueued = _enqueued(config, space)
        baseline = baseline_merge(config.baseline, known.known_study, space, enqueued)
    outlined = {f.name: getattr(known, f.name) for f in fields(known)}
    return RunSpec(
        **{**outlined, "suite": suite, "baseline": baseline},
        config=config,
        models=models,
        space=space,
        chat=chats.format,
        stops=chats.stops,
        day=chats.day,
    )


def _enqueued(config: SearchConfig, space: Space) -> list[Recipe]:
    return [space.uniform(weight) for weight in _uniform_weights(config, space)]


def _uniform_weights(config: SearchConfig, space: Space) -> list[float]:
    """Return the uniform weights in range, in the order they are tried."""
    own = config.uniform_weights
    if not asks_blocks(config.optuna_sampler):
        wanted = (*own, 1.0, 0.0)
    else:  # a search by blocks adds its own uniform weights
        wanted = (0.0, 1.0, *(() if own == UNIFORM_WEIGHTS else own))
    return [weight for weight in dict.fromkeys(wanted) if space.holds(weight)]


def _weights_of_parts(objective: Objective) -> dict[str, object]:
    """Return the weights of the benchmarks in the score, if there are several."""
    if len(objective.parts) == 1:
        return {}
    shares = zip(objective.parts, objective.shares, strict=True)
    return {"objective": {part.name: round(share, 9) for part, share in shares}}
