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
from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.holding_pool import HoldingPool
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.vllm.options import decisive
from tvmerge.engines.vllm.reload_check import ReloadCheckedPool
from tvmerge.merging.build import open_models, resolved
from tvmerge.merging.export.folders import check_replaceable
from tvmerge.merging.export.writer import check_space
from tvmerge.run.loop import BACKLOG, Evaluator
from tvmerge.run.spec import RunSpec, build_run_spec
from tvmerge.run.trial import Trials
from tvmerge.study.storage import RELOAD
from tvmerge.tasks.base import Note
from tvmerge.tasks.judged import judge_memory
from tvmerge.tasks.suite import TaskSuite

if TYPE_CHECKING:
    from collections.abc import Callable

    from tvmerge._util.caches import Caches
    from tvmerge.engines.own import OwnEngines
    from tvmerge.merging.open import Merge
    from tvmerge.protocols import Pool
    from tvmerge.records import Sampling
    from tvmerge.study.study import SearchStudy


@dataclass(frozen=True)
class Run(RunSpec):
    """The objects of a run.

    Attributes:
        study: The study.
        pool: The live models.
        trace: Records where the time goes.
    """

    study: SearchStudy
    pool: Pool
    trace: Trace

    @cached_property
    def evaluator(self) -> Evaluator:
        """The evaluator of candidates on the search questions."""
        return self._evaluator(self.sampling)

    @cached_property
    def confirmer(self) -> Evaluator:
        """The evaluator of the best candidates on the held-out questions."""
        return self._evaluator(self.confirm_sampling)

    @cached_property
    def trials(self) -> Trials:
        """The evaluation and scoring of the study's trials."""
        return Trials(
            self.study,
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
            last.push_async_callback(self.suite.judge.close)
            last.push_async_callback(self.pool.close)
            evaluators = (self.evaluator, self.confirmer)
            await asyncio.gather(*(evaluator.drain(self.config.grace) for evaluator in evaluators))

    def _evaluator(self, sampling: Sampling) -> Evaluator:
        # A batch judge answers only after all requests of a window of trials have been sent, so the whole
        # window is generated first.
        backlog = BACKLOG if self.suite.batching is None else sys.maxsize
        return Evaluator(self.pool, self.suite.judge, sampling, backlog=backlog, trace=self.trace)


def build_run(
    config: RunConfig,
    suite: TaskSuite,
    caches: Caches,
    note: Note,
    still_held: Callable[[], None] = lambda: None,
    *,
    own: OwnEngines | None = None,
) -> Run:
    """Build a run.

    Args:
        config: The run's settings.
        suite: The task suite and the judge.
        caches: The caches of expensive results; the caller closes them.
        note: Called with each remark for the user.
        still_held: Raises `StudyError` if another run has taken over the study.
        own: Engines passed by the caller.

    Raises:
        UserError: An input is not usable.
    """
    run_spec = build_run_spec(config, suite, lambda: open_models(config.merge, caches), note, own)
    models = run_spec.models
    with ExitStack() as refused:
        study = run_spec.known_study.open(
            run_spec.space,
            fingerprint=run_spec.fingerprint,
            run={**asdict(resolved(config.merge, models)), "chat": run_spec.record.as_json()},
            enqueued=run_spec.enqueued,
            note=note,
            still_held=still_held,
        )
        refused.callback(study.close)
        check_replaceable(
            config.model_folder, run_spec.owner, overwrite=config.overwrite, sources=models.folders
        )
        check_space(config.model_folder, _model_size(config, models))
        trace = Trace()
        pool = _pool(run_spec, study, caches, trace, note)
        refused.pop_all()
    spec = {f.name: getattr(run_spec, f.name) for f in fields(run_spec)}
    return Run(**spec, study=study, pool=pool, trace=trace)


def _pool(run_spec: RunSpec, study: SearchStudy, caches: Caches, trace: Trace, note: Note) -> Pool:
    """Return the pool of live models."""
    placement, models, suite = run_spec.placement, run_spec.models, run_spec.suite
    found = placement.memory_estimates(models, judges=judge_memory(suite.specs))
    for load in found:
        note(str(load))
    engines = EnginePool(placement.engine_factories(models, run_spec.record, found), trace=trace, note=note)
    context = partial(placement.rated_context, models)
    compared = _compared(engines, run_spec, study, note)
    pool = suite.pool(CachedPool(compared, caches.answers, run_spec.answer_identity), run_spec.chat, context)
    return pool if suite.batching is None else HoldingPool(pool, suite.batching.hold)


def _compared(pool: EnginePool, run_spec: RunSpec, study: SearchStudy, note: Note) -> Pool:
    """Return the pool, which compares vLLM with transformers first if the study has not done so."""
    placement, models, stored = run_spec.placement, run_spec.models, run_spec.known_study.stored
    if placement.kind != "vllm" or (stored is not None and RELOAD in stored.attrs):
        return pool
    if others := [name for name in decisive(placement.options) if name != "max_model_len"]:
        note(f"vLLM is not compared with transformers, which does not know {', '.join(others)} of [vllm]")
        return pool
    return ReloadCheckedPool(
        pool,
        placement.reference(models, run_spec.record),
        run_spec.chat,
        partial(placement.rated_context, models),
        placement.compute_dtype(models),
        note=note,
        passed=lambda difference: study.record(RELOAD, difference),
    )


def _model_size(config: RunConfig, models: Merge) -> int:
    """Return the bytes of tensors to be written, of the model and of its experts if they are wanted."""
    mergers = [models.merger, *(expert.merger for expert in models.experts if config.save_experts)]
    return sum(spec.nbytes for merger in mergers for spec in merger.specs.values())
