"""Builds the objects of a run from its settings. Cheap checks come first."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tvmerge._util.trace import Trace
from tvmerge.config import RunConfig
from tvmerge.engines.open_pool import open_pool
from tvmerge.engines.turns import Turns
from tvmerge.merging.build import open_models, resolved
from tvmerge.merging.export.export import check_export
from tvmerge.merging.export.writer import check_space
from tvmerge.report.terminal.flights import Flights
from tvmerge.run.loop import BACKLOG, Evaluator
from tvmerge.run.spec import RunSpec, build_run_spec
from tvmerge.run.trial import Trials
from tvmerge.run.winner_gguf import check_gguf, check_gguf_folder, gguf_sizes
from tvmerge.tasks.base import Note
from tvmerge.tasks.judged import judge_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tvmerge._util.caches import Caches
    from tvmerge.engines.placement import Placement
    from tvmerge.merging.settings import MergeConfig
    from tvmerge.protocols import Judge, Pool
    from tvmerge.records import Recipe, Sampling
    from tvmerge.run.outline import Outline
    from tvmerge.study.blocks.study import BlockStudy
    from tvmerge.study.study import SearchStudy

RELOAD = "tvmerge:vllm_reload"
"""Study attribute: how far vLLM was from transformers after it reloaded the model, in nats per token."""

ADAPTERS = "tvmerge:vllm_adapters"
"""Study attribute: how far vLLM with adapters was from transformers' merges, in nats per token."""


@dataclass(frozen=True)
class Run(RunSpec):
    """The objects of a run.

    Attributes:
        study: The study.
        pool: The live models.
        confirm_pool: The live models of the held-out questions, which are merged as they are written.
        trace: Records where the time goes.
        flights: The candidates in flight.
    """

    study: SearchStudy | BlockStudy
    pool: Pool
    confirm_pool: Pool
    trace: Trace
    flights: Flights

    @cached_property
    def evaluator(self) -> Evaluator:
        """The evaluator of candidates on the search questions."""
        anchor, judge, seed = self.suite.anchor, self.suite.judge, self.config.optuna_seed
        judge_of = None if anchor is None else partial(anchor.beside, judge, seed)
        return self._evaluator(judge, self.sampling, judge_of)

    @cached_property
    def confirmer(self) -> Evaluator:
        """The evaluator of the best candidates on the held-out questions."""
        return self._evaluator(self.suite.confirming.judge, self.confirm_sampling, pool=self.confirm_pool)

    @cached_property
    def baseline_evaluator(self) -> Evaluator:
        """The evaluator of baselines that are no trials, on the search questions."""
        if self.suite.anchor is None:
            return self.evaluator
        return self._evaluator(self.suite.confirming.judge, self.sampling)

    def rescorer(self, pool: Pool) -> Evaluator:
        """Return the evaluator of the winner's files, which answer held-out questions in another pool."""
        return self._evaluator(self.suite.confirming.judge, self.confirm_sampling, pool=pool)

    def trials(self, study: SearchStudy) -> Trials:
        """Return the evaluation and scoring of the trials of `study`."""
        return Trials(
            study,
            self.evaluator,
            self.objective,
            self.search_questions,
            rules=self.rules,
            min_coverage=self.config.min_coverage,
            several=self.config.multi_objective,
        )

    async def close(self) -> None:
        """Wait for requests that are paid for, then close the engines, the judge and the study."""
        async with AsyncExitStack() as last:
            last.callback(self.study.close)
            last.push_async_callback(self.suite.close)
            last.push_async_callback(self.close_engines)
            evaluators = {self.evaluator, self.confirmer, self.baseline_evaluator}
            await asyncio.gather(*(evaluator.drain(self.config.grace) for evaluator in evaluators))

    async def close_engines(self) -> None:
        """Close all engines, which start again on use."""
        async with AsyncExitStack() as last:
            for pool in {id(pool): pool for pool in (self.pool, self.confirm_pool)}.values():
                last.push_async_callback(pool.close)

    def _evaluator(
        self,
        judge: Judge,
        sampling: Sampling,
        judge_of: Callable[[Recipe], Judge] | None = None,
        pool: Pool | None = None,
    ) -> Evaluator:
        # A batch judge answers only after all requests of a window of trials have been sent, so the whole
        # window is generated first.
        backlog = BACKLOG if self.suite.batching is None else sys.maxsize
        return Evaluator(
            self.pool if pool is None else pool,
            judge,
            sampling,
            backlog=backlog,
            trace=self.trace,
            flights=self.flights,
            judge_of=judge_of,
        )


def build_run(
    config: RunConfig,
    known: Outline,
    caches: Caches,
    note: Note,
    still_held: Callable[[], None] = lambda: None,
    *,
    phase: Note = lambda _: None,
) -> Run:
    """Build a run.

    Args:
        config: The run's settings.
        known: The part of the run that is known without its models.
        caches: The caches of expensive results; the caller closes them.
        note: Called with each remark for the user.
        still_held: Raises `StudyError` if another run has taken over the study.
        phase: Called with what it is doing, before each step that may take a while.

    Raises:
        UserError: An input is not usable.
    """
    phase("reading and checking the models")
    models = open_models(config.merge, caches)
    phase("opening the study")
    merge = resolved(config.merge, models)
    spec = build_run_spec(config, known, models, note)
    check_gguf(spec, phase)
    with ExitStack() as refused:
        study = spec.known_study.open(
            spec.space,
            spec.questions,
            fingerprint=spec.fingerprint,
            run={**asdict(merge), "chat": spec.record.as_json()},
            enqueued=spec.enqueued,
            note=note,
            still_held=still_held,
        )
        refused.callback(study.close)
        study.name_objectives(_objective_names(spec, study.objectives))
        _check_folders(spec)
        trace = Trace()
        pool, confirm_pool = _pools(spec, merge, caches, study, trace=trace, note=note)
        refused.pop_all()
    known_parts = {f.name: getattr(spec, f.name) for f in fields(spec)}
    return Run(
        **known_parts, study=study, pool=pool, confirm_pool=confirm_pool, trace=trace, flights=Flights(trace)
    )


def _pools(
    spec: RunSpec,
    merge: MergeConfig,
    caches: Caches,
    study: SearchStudy | BlockStudy,
    *,
    trace: Trace,
    note: Note,
) -> tuple[Pool, Pool]:
    """Return the pools of the search and of the held-out questions: two if candidates are adapters."""
    placement, models = spec.placement, spec.models
    turns = Turns() if placement.adapters else None

    def opened(placement: Placement, attr: str, identity: Mapping[str, str], *, late: bool = False) -> Pool:
        pool = open_pool(
            placement,
            models,
            merge,
            spec.chat,
            spec.record,
            on_compared=None if _is_compared(spec, attr) else partial(study.record, attr),
            answers=caches.answers,
            identity=identity,
            judges=judge_memory(spec.suite.specs),
            trace=trace,
            note=note,
            turns=turns,
            late=late,
        )
        return spec.suite.pool(pool, spec.chat, partial(placement.rated_context, models))

    search = opened(placement, ADAPTERS if placement.adapters else RELOAD, spec.answer_identity)
    if not placement.adapters:
        return search, search
    return search, opened(placement.merged, RELOAD, spec.confirm_identity, late=True)


def _check_folders(spec: RunSpec) -> None:
    """Check that the winner's folders may be replaced, and that their disk has room.

    Raises:
        CheckpointError: One must not be replaced, or the disk is too full.
    """
    folder, models, config = spec.paths.model, spec.models, spec.config
    check_export(
        models, folder, owner=spec.owner, overwrite=config.overwrite, save_experts=config.save_experts
    )
    check_gguf_folder(spec)
    check_space(folder, models.nbytes(experts=config.save_experts) + sum(gguf_sizes(spec).values()))


def _is_compared(spec: RunSpec, attr: str) -> bool:
    """Return whether an earlier run of the study has compared vLLM with transformers."""
    stored = spec.known_study.stored
    return stored is not None and attr in stored.attrs


def _objective_names(spec: RunSpec, objectives: int) -> list[str]:
    """Return what each objective is the score on."""
    if objectives > 1:
        return [f"score on {part.name}" for part in spec.objective.parts]
    return [f"score on {spec.suite.benchmark.name}"]
