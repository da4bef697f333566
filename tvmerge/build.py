"""From settings to objects: the only wiring. What is cheap to check is checked first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from tvmerge.config import RunConfig
from tvmerge.generation.cached_pool import CachedPool
from tvmerge.generation.pool import EnginePool
from tvmerge.groundwork import Groundwork, lay_groundwork
from tvmerge.jury import Note, assemble
from tvmerge.merging.folders import check_replaceable
from tvmerge.models import open_models, resolved
from tvmerge.orchestrator import Evaluator
from tvmerge.placing import loads, starts
from tvmerge.trace import Trace
from tvmerge.trials import Trials

if TYPE_CHECKING:
    from tvmerge.caches import Caches
    from tvmerge.search.study import SearchStudy


@dataclass(frozen=True)
class Run(Groundwork):
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
    pool: CachedPool
    trace: Trace

    async def close(self) -> None:
        """Finish what is paid for, then free the models and the judge's connections."""
        for evaluator in (self.evaluator, self.confirmer):
            await evaluator.drain(self.config.grace)
        await self.pool.close()
        await self.jury.judge.close()


def build_run(config: RunConfig, caches: Caches, note: Note) -> Run:
    """Wire a run.

    Args:
        config: Its settings.
        caches: Where dear results are kept; closed by whoever opened them.
        note: Tells the user something in passing.

    Raises:
        UserError: Something the user gave is not usable; nothing big was read before the cheap checks.
    """
    jury = assemble(config.judging, caches, note, config.run_folder / "ledger.jsonl")
    ground = lay_groundwork(config, jury, lambda: open_models(config.merge, caches))
    models = ground.models
    for remark in models.remarks():
        note(remark)
    study = _open_study(ground)
    check_replaceable(config.model_folder, ground.owner, overwrite=config.overwrite, sources=models.folders)
    trace = Trace()
    found = loads(config, models, ground.placement, judges={})
    for load in found:
        note(str(load))
    engines = EnginePool(starts(config, models, ground.placement, found), trace=trace, note=note)
    pool = CachedPool(engines, caches.answers, ground.answer_identity)
    evaluator = Evaluator(pool, jury.judge, ground.sampling, trace=trace)
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
        confirmer=Evaluator(pool, jury.judge, ground.confirm_sampling, trace=trace),
        pool=pool,
        trace=trace,
    )


def _open_study(ground: Groundwork) -> SearchStudy:
    import optuna

    from tvmerge.search.samplers import make_sampler
    from tvmerge.search.storage import enter_study, open_storage
    from tvmerge.search.study import SearchStudy, distributions

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config, space = ground.config, ground.space
    sampler = make_sampler(config.optuna_sampler, distributions(space), config.optuna_seed)
    storage = open_storage(config.storage_url)
    run = {**asdict(resolved(config.merge, ground.models)), "texts": ground.chat.texts}
    study_id = enter_study(storage, config.study, ground.fingerprint, run)
    return SearchStudy(storage, study_id, space, sampler, fixed=ground.fixed, window=config.trials_in_flight)
