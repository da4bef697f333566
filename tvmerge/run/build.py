"""From settings to objects: the only wiring. What is cheap to check is checked first."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from tvmerge._util.trace import Trace
from tvmerge.config import RunConfig
from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.holding_pool import HoldingPool
from tvmerge.engines.placement import loads, starts
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.prompting.context_length import rated_context
from tvmerge.merging.build import open_models, resolved
from tvmerge.merging.export.folders import check_replaceable
from tvmerge.merging.export.writer import check_space
from tvmerge.run.loop import BACKLOG, Evaluator
from tvmerge.run.open_study import open_study
from tvmerge.run.spec import RunSpec, build_run_spec
from tvmerge.run.trial import Trials
from tvmerge.tasks.judged import Jury, Note, judge_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tvmerge._util.caches import Caches
    from tvmerge.merging.open import Merge
    from tvmerge.protocols import Pool
    from tvmerge.study.study import SearchStudy


@dataclass(frozen=True)
class Run(RunSpec):
    """Everything a run is made of: what it rests on, and what does the work.

    Attributes:
        study: The search.
        trials: Evaluates and scores the candidates of the study.
        evaluator: Has candidates answer the questions of the search.
        confirmer: Has the best answer the held-out questions.
        pool: The live models.
        trace: Where the time goes.
    """

    study: SearchStudy
    trials: Trials
    evaluator: Evaluator
    confirmer: Evaluator
    pool: Pool
    trace: Trace

    async def close(self) -> None:
        """Finish what is paid for, then free the models and the judge's connections."""
        async with AsyncExitStack() as last:
            last.push_async_callback(self.jury.judge.close)
            last.push_async_callback(self.pool.close)
            evaluators = (self.evaluator, self.confirmer)
            await asyncio.gather(*(evaluator.drain(self.config.grace) for evaluator in evaluators))


def build_run(
    config: RunConfig,
    jury: Jury,
    caches: Caches,
    note: Note,
    still_held: Callable[[], None] = lambda: None,
) -> Run:
    """Wire a run.

    Args:
        config: Its settings.
        jury: The benchmarks and who judges.
        caches: Where dear results are kept; closed by whoever opened them.
        note: Tells the user something in passing.
        still_held: Raises `StudyError` where the study is not this run's any more.

    Raises:
        UserError: Something the user gave is not usable; nothing big was read before the cheap checks.
    """
    ground = build_run_spec(config, jury, lambda: open_models(config.merge, caches), note)
    jury, models = ground.jury, ground.models
    study = _open_study(ground, note, still_held)
    check_replaceable(config.model_folder, ground.owner, overwrite=config.overwrite, sources=models.folders)
    check_space(config.model_folder, _model_size(config, models))
    trace = Trace()
    found = loads(config, models, ground.placement, judges=judge_memory(jury.specs))
    for load in found:
        note(str(load))
    engines = EnginePool(
        starts(config, models, ground.placement, ground.record, found), trace=trace, note=note
    )
    pool: Pool = _with_tasks(CachedPool(engines, caches.answers, ground.answer_identity), ground)
    backlog = BACKLOG
    if jury.batching is not None:
        # The judge answers when all that a window of trials asks has been sent, so all of that is made first.
        pool, backlog = HoldingPool(pool, jury.batching.hold), sys.maxsize
    evaluator = Evaluator(pool, jury.judge, ground.sampling, backlog=backlog, trace=trace)
    trials = Trials(
        study,
        evaluator,
        ground.objective,
        ground.search_questions,
        rules=ground.rules,
        min_coverage=config.min_coverage,
        several=config.multi_objective,
    )
    return Run(
        **{f.name: getattr(ground, f.name) for f in fields(ground)},
        study=study,
        trials=trials,
        evaluator=evaluator,
        confirmer=Evaluator(pool, jury.judge, ground.confirm_sampling, backlog=backlog, trace=trace),
        pool=pool,
        trace=trace,
    )


def _model_size(config: RunConfig, models: Merge) -> int:
    """Bytes of tensors that are written: the model's, and its experts' where they are wanted."""
    mergers = [models.merger, *(expert.merger for expert in models.experts if config.save_experts)]
    return sum(spec.nbytes for merger in mergers for spec in merger.specs.values())


def _with_tasks(pool: CachedPool, ground: RunSpec) -> Pool:
    """The pool, able to answer the documents of tasks where there are any."""
    if not ground.jury.tasks:
        return pool
    from tvmerge.tasks.lm_eval.model import Prompts
    from tvmerge.tasks.lm_eval.pool import HarnessPool

    config = ground.config
    context = rated_context(
        ground.placement.kind,
        config.vllm or {},
        ground.models.target.folder,
        trust_remote_code=config.trust_remote_code,
    )
    return HarnessPool(pool, ground.jury.tasks, Prompts(ground.chat.tokenizer, context))


def _open_study(ground: RunSpec, note: Note, still_held: Callable[[], None]) -> SearchStudy:
    return open_study(
        ground.config,
        ground.space,
        fingerprint=ground.fingerprint,
        run={**asdict(resolved(ground.config.merge, ground.models)), "chat": ground.record.as_json()},
        given=ground.fixed,
        objectives=ground.objectives,
        note=note,
        still_held=still_held,
    )
