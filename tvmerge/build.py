"""From settings to objects: the only wiring. What is cheap to check is checked first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tvmerge.caches import Caches
from tvmerge.canonical import digest
from tvmerge.config import MergeConfig, RunConfig
from tvmerge.evaluation.split import split
from tvmerge.generation.devices import resolve_device
from tvmerge.jury import Jury, Note, assemble
from tvmerge.merging.folders import check_replaceable
from tvmerge.orchestrator import Evaluator
from tvmerge.records import Question, Sampling
from tvmerge.search.space import Space

if TYPE_CHECKING:
    from tvmerge.generation.cached_pool import CachedPool
    from tvmerge.generation.chat import ChatFormat
    from tvmerge.merging.opening import Merge
    from tvmerge.merging.rules import Mode
    from tvmerge.protocols import Engine
    from tvmerge.search.study import SearchStudy


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a run is made of.

    Attributes:
        config: Its settings.
        jury: The benchmark and who judges.
        search_questions: What candidates are scored on.
        holdout_questions: What the best is confirmed on; may be empty.
        models: The three models and what they merge to.
        space: The weights searched.
        study: The search.
        evaluator: Scores candidates.
        chat: The target's tokenizer and chat template.
        pool: The live models.
        sampling: How answers are drawn.
        owner: Identity of the study, for the models it writes.
    """

    config: RunConfig
    jury: Jury
    search_questions: tuple[Question, ...]
    holdout_questions: tuple[Question, ...]
    models: Merge
    space: Space
    study: SearchStudy
    evaluator: Evaluator
    chat: ChatFormat
    pool: CachedPool
    sampling: Sampling
    owner: str

    async def close(self) -> None:
        """Free the model and the judge's connections."""
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
    benchmark, judge = jury.benchmark, jury.judge
    search, holdout = split(benchmark.questions, config.holdout, config.optuna_seed)
    device = resolve_device(config.device)
    models = open_models(config.merge, caches)
    space = Space(tuple(models.group_names), config.weight_min, config.weight_max)
    chat = _chat(config, models)
    fingerprint = {
        **models.fingerprint,
        "chat_template": digest(chat.identity)[:16],
        "benchmark": f"{benchmark.name} {benchmark.digest[:16]}",
        "hold-out": digest([[q.question_id for q in half] for half in (search, holdout)])[:16],
        "judge": {"name": judge.name, **judge.fingerprint},
        "weights": digest(list(space.names))[:16],
        **_search_settings(config),
    }
    owner = digest([config.study, fingerprint])
    study = _open_study(config, space, fingerprint, models)
    check_replaceable(config.model_folder, owner, overwrite=config.overwrite, sources=models.folders)
    pool = _pool(config, models, chat, device, caches)
    sampling = Sampling(
        max_new_tokens=config.max_new_tokens,
        temperatures=benchmark.settings.temperatures,
        default_temperature=benchmark.settings.default_temperature,
        seed=config.optuna_seed,
    )
    return Run(
        config=config,
        jury=jury,
        search_questions=search,
        holdout_questions=holdout,
        models=models,
        space=space,
        study=study,
        chat=chat,
        pool=pool,
        sampling=sampling,
        evaluator=Evaluator(pool, judge, sampling),
        owner=owner,
    )


def open_models(config: MergeConfig, caches: Caches) -> Merge:
    """The three models, checked."""
    import torch

    from tvmerge.merging.opening import open_merge

    return open_merge(
        config.target_model,
        config.base_model,
        config.tuned_model,
        cast("Mode", config.optimize_mode),
        cache_dir=_path(config.cache_dir),
        dtype=None if config.dtype == "auto" else getattr(torch, config.dtype),
        allow_pickle=config.allow_pickle,
        trust_remote_code=config.trust_remote_code,
        digest_cache=caches.digests,
    )


def _search_settings(config: RunConfig) -> dict[str, object]:
    """The settings that the scores and the sequence of candidates depend on."""
    return {
        key: getattr(config, key)
        for key in (
            "optimize_mode",
            "weight_min",
            "weight_max",
            "optuna_sampler",
            "optuna_seed",
            "trials_in_flight",
            "max_new_tokens",
            "min_coverage",
        )
    } | {"uniform_weights": list(config.uniform_weights)}


def _open_study(
    config: RunConfig, space: Space, fingerprint: Mapping[str, object], models: Merge
) -> SearchStudy:
    import optuna

    from tvmerge.search.samplers import make_sampler
    from tvmerge.search.storage import enter_study, open_storage
    from tvmerge.search.study import SearchStudy, distributions

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = make_sampler(config.optuna_sampler, distributions(space), config.optuna_seed)
    fixed = [space.uniform(w) for w in dict.fromkeys((0.0, 1.0, *config.uniform_weights)) if space.holds(w)]
    storage = open_storage(config.storage_url)
    run = asdict(_how_to_merge(config, models))
    study_id = enter_study(storage, config.study, fingerprint, run)
    return SearchStudy(storage, study_id, space, sampler, fixed=fixed, window=config.trials_in_flight)


def _how_to_merge(config: RunConfig, models: Merge) -> MergeConfig:
    """What `tvmerge merge --trial` needs, wherever it is called from."""
    target, base, tuned = (
        source.identity if source.commit else str(source.folder.resolve())
        for source in (models.target, models.base, models.tuned)
    )
    return replace(config.merge, target_model=target, base_model=base, tuned_model=tuned)


def _chat(config: RunConfig, models: Merge) -> ChatFormat:
    from tvmerge.generation.chat import ChatFormat

    return ChatFormat(
        models.target.folder, _path(config.chat_template), trust_remote_code=config.trust_remote_code
    )


def _pool(config: RunConfig, models: Merge, chat: ChatFormat, device: str, caches: Caches) -> CachedPool:
    import torch

    from tvmerge.generation.cached_pool import CachedPool
    from tvmerge.generation.pool import EnginePool
    from tvmerge.generation.transformers_engine import TransformersEngine
    from tvmerge.merging.live import load_into

    output = torch.bfloat16 if config.dtype == "auto" else getattr(torch, config.dtype)
    engine = TransformersEngine(
        models.target.folder,
        chat,
        models.merger,
        partial(load_into, ignore=frozenset(models.merger.extra)),
        device=device,
        dtype=torch.float32 if device == "cpu" else output,
        batch_tokens=config.batch_tokens,
        trust_remote_code=config.trust_remote_code,
    )
    identity = {**models.fingerprint, "chat_template": digest(chat.identity)}

    async def start() -> Engine:
        return engine

    return CachedPool(EnginePool({device: start}), caches.answers, identity)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
