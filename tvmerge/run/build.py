"""From settings to objects: the only wiring. What is cheap to check is checked first."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tvmerge._util.trace import Trace
from tvmerge.config import RunConfig
from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.holding_pool import HoldingPool
from tvmerge.engines.pool import EnginePool
from tvmerge.merging.build import open_models, resolved
from tvmerge.merging.export.folders import check_replaceable
from tvmerge.merging.export.writer import check_space
from tvmerge.run.loop import BACKLOG, Evaluator
from tvmerge.run.spec import RunSpec, build_run_spec
from tvmerge.run.trial import Trials
from tvmerge.tasks.base import Note
from tvmerge.tasks.judged import judge_memory
from tvmerge.tasks.suite import Jury

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
    """Everything a run is made of: what it rests on, and what does the work.

    Attributes:
        study: The search.
        pool: The live models.
        trace: Where the time goes.
    """

    study: SearchStudy
    pool: Pool
    trace: Trace

    @cached_property
    def evaluator(self) -> Evaluator:
        """Has candidates answer the questions of the search."""
        return self._evaluator(self.sampling)

    @cached_property
    def confirmer(self) -> Evaluator:
        """Has the best answer the held-out questions."""
        return self._evaluator(self.confirm_sampling)

    @cached_property
    def trials(self) -> Trials:
        """Evaluates and scores the candidates of the study."""
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
        """Finish what is paid for, then free the models and the judge's connections."""
        async with AsyncExitStack() as last:
            last.push_async_callback(self.jury.judge.close)
            last.push_async_callback(self.pool.close)
            evaluators = (self.evaluator, self.confirmer)
            await asyncio.gather(*(evaluator.drain(self.config.grace) for evaluator in evaluators))

    def _evaluator(self, sampling: Sampling) -> Evaluator:
        # In batches, the judge answers when all that a window of trials asks has been sent, so all of that
        # is made first.
        backlog = BACKLOG if self.jury.batching is None else sys.maxsize
        return Evaluator(self.pool, self.jury.judge, sampling, backlog=backlog, trace=self.trace)


def build_run(
    config: RunConfig,
    jury: Jury,
    caches: Caches,
    note: Note,
    still_held: Callable[[], None] = lambda: None,
    *,
    own: OwnEngines | None = None,
) -> Run:
    """Wire a run.

    Args:
        config: Its settings.
        jury: The benchmarks and who judges.
        caches: Where expensive results are kept; closed by whoever opened them.
        note: Tells the user something in passing.
        still_held: Raises `StudyError` where the study is not this run's any more.
        own: Engines of the caller's own.

    Raises:
        UserError: Something the user gave is not usable; nothing big was read before the cheap checks.
    """
    ground = build_run_spec(config, jury, lambda: open_models(config.merge, caches), note, own)
    models = ground.models
    study = ground.known_study.open(
        ground.space,
        fingerprint=ground.fingerprint,
        run={**asdict(resolved(config.merge, models)), "chat": ground.record.as_json()},
        enqueued=ground.enqueued,
        note=note,
        still_held=still_held,
    )
    check_replaceable(config.model_folder, ground.owner, overwrite=config.overwrite, sources=models.folders)
    check_space(config.model_folder, _model_size(config, models))
    trace = Trace()
    return Run(
        **{f.name: getattr(ground, f.name) for f in fields(ground)},
        study=study,
        pool=_pool(ground, caches, trace, note),
        trace=trace,
    )


def _pool(ground: RunSpec, caches: Caches, trace: Trace, note: Note) -> Pool:
    """The live models, which answer all that is asked."""
    placement, models, jury = ground.placement, ground.models, ground.jury
    found = placement.loads(models, judges=judge_memory(jury.specs))
    for load in found:
        note(str(load))
    engines = EnginePool(placement.starts(models, ground.record, found), trace=trace, note=note)
    context = partial(placement.rated_context, models)
    pool = jury.pool(CachedPool(engines, caches.answers, ground.answer_identity), ground.chat, context)
    return pool if jury.batching is None else HoldingPool(pool, jury.batching.hold)


def _model_size(config: RunConfig, models: Merge) -> int:
    """Bytes of tensors that are written: the model's, and its experts' where they are wanted."""
    mergers = [models.merger, *(expert.merger for expert in models.experts if config.save_experts)]
    return sum(spec.nbytes for merger in mergers for spec in merger.specs.values())
