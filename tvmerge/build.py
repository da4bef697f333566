"""From settings to objects: the only wiring. What is cheap to check is checked first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge.caches import Caches, cache_folder
from tvmerge.canonical import digest
from tvmerge.config import SQLITE, RunConfig
from tvmerge.engines import EngineSettings, engine_of, process_starts
from tvmerge.errors import ConfigError
from tvmerge.evaluation.objective import Objective
from tvmerge.evaluation.order import mixed
from tvmerge.evaluation.split import Halves, split
from tvmerge.generation.cached_pool import CachedPool
from tvmerge.generation.devices import resolve_device
from tvmerge.generation.pool import EnginePool, Start
from tvmerge.jury import Jury, Note, assemble
from tvmerge.merging.folders import check_replaceable
from tvmerge.models import open_models, resolved
from tvmerge.orchestrator import Evaluator
from tvmerge.records import Question, Sampling
from tvmerge.search.racing import Rules
from tvmerge.search.space import Space
from tvmerge.trace import Trace
from tvmerge.trials import Trials

if TYPE_CHECKING:
    from tvmerge.evaluation.benchmark import Benchmark
    from tvmerge.generation.chat import ChatFormat
    from tvmerge.merging.opening import Merge
    from tvmerge.protocols import Engine
    from tvmerge.search.study import SearchStudy


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a run is made of.

    Attributes:
        config: Its settings.
        jury: The benchmarks and who judges.
        objective: What is maximised.
        search_questions: What candidates are scored on, in the order in which all meet them.
        holdout_questions: What the best are confirmed on; may be empty.
        models: The three models and what they merge to.
        space: The weights searched.
        study: The search.
        trials: Evaluates and scores the candidates of the study.
        evaluator: Has candidates answer the questions of the search.
        confirmer: Has the best answer the held-out questions.
        chat: The target's tokenizer and chat template.
        pool: The live models.
        sampling: How answers are drawn.
        trace: Where the time goes.
        owner: Identity of the study, for the models it writes.
    """

    config: RunConfig
    jury: Jury
    objective: Objective
    search_questions: tuple[Question, ...]
    holdout_questions: tuple[Question, ...]
    models: Merge
    space: Space
    study: SearchStudy
    trials: Trials
    evaluator: Evaluator
    confirmer: Evaluator
    chat: ChatFormat
    pool: CachedPool
    sampling: Sampling
    trace: Trace
    owner: str

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
    benchmark, judge = jury.benchmark, jury.judge
    objective = Objective(jury.parts)
    search, holdout = _halves(config, jury)
    for device in config.devices or (config.device,):
        resolve_device(device)
    models = open_models(config.merge, caches)
    for remark in models.remarks():
        note(remark)
    space = _space(config, models)
    chat = _chat(config, models)
    fingerprint = {
        **models.fingerprint,
        "chat_template": digest(chat.identity)[:16],
        "benchmark": f"{benchmark.name} {benchmark.digest[:16]}",
        "hold-out": digest([[q.question_id for q in half] for half in (search, holdout)])[:16],
        **_weights_of_parts(objective),
        "judge": {"name": judge.name, **judge.fingerprint},
        "weights": digest(list(space.names))[:16],
        **_search_settings(config),
    }
    owner = digest([config.study, fingerprint])
    study = _open_study(config, space, fingerprint, models)
    _protect(config, jury.folders)
    check_replaceable(config.model_folder, owner, overwrite=config.overwrite, sources=models.folders)
    trace = Trace()
    engines = EnginePool(_starts(config, models), trace=trace, note=note)
    identity = {
        **models.fingerprint,
        "chat_template": digest(chat.identity),
        # Engines draw sampled answers in ways of their own.
        "engine": _engine_kind(config),
    }
    pool = CachedPool(engines, caches.answers, identity)
    sampling = _sampling(config, benchmark)
    evaluator = Evaluator(pool, judge, sampling, trace=trace)
    again = replace(sampling, samples=config.confirm_samples)
    return Run(
        config=config,
        jury=jury,
        objective=objective,
        search_questions=search,
        holdout_questions=holdout,
        models=models,
        space=space,
        study=study,
        chat=chat,
        pool=pool,
        sampling=sampling,
        trace=trace,
        trials=Trials(
            study,
            evaluator,
            objective,
            search,
            rules=_race(config),
            min_coverage=config.min_coverage,
            several=config.multi_objective,
        ),
        evaluator=evaluator,
        confirmer=Evaluator(pool, judge, again, trace=trace),
        owner=owner,
    )


def _halves(config: RunConfig, jury: Jury) -> Halves:
    """The questions of the search, in the order in which all candidates meet them, and those held out."""
    questions = jury.benchmark.questions
    halves = [
        split([q for q in questions if q.question_id in part.questions], config.holdout, config.optuna_seed)
        for part in jury.parts
    ]
    search = [question for half, _ in halves for question in half]
    holdout = tuple(question for _, half in halves for question in half)
    return mixed(search, config.optuna_seed, lambda question: question.category), holdout


def _weights_of_parts(objective: Objective) -> dict[str, object]:
    """What a score is made of, where it is made of several benchmarks."""
    if len(objective.parts) == 1:
        return {}
    shares = zip(objective.parts, objective.shares, strict=True)
    return {"objective": {part.name: round(share, 9) for part, share in shares}}


def _race(config: RunConfig) -> Rules | None:
    if config.racing == "off" or config.multi_objective:
        return None
    return Rules(config.racing_p, config.racing_min_questions, config.racing_batch)


def _sampling(config: RunConfig, benchmark: Benchmark) -> Sampling:
    return Sampling(
        max_new_tokens=config.max_new_tokens,
        temperatures=benchmark.settings.temperatures,
        default_temperature=benchmark.settings.default_temperature,
        seed=config.optuna_seed,
        truncate=config.truncate,
    )


def _protect(config: RunConfig, benchmarks: Sequence[Path]) -> None:
    """Refuse an output folder in which something lies that no overwriting may destroy.

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
    if config.storage_url.startswith(SQLITE):
        precious.append(("the study", Path(config.storage_url.removeprefix(SQLITE))))
    for name, path in precious:
        if path.resolve().is_relative_to(place):
            raise ConfigError(f"--output-dir {config.model_folder} holds {name}; choose a folder of its own")


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
            "truncate",
            "min_coverage",
            "multi_objective",
            "racing",
            "racing_p",
            "racing_min_questions",
            "racing_batch",
        )
    } | {"uniform_weights": list(config.uniform_weights), "engine": _engine_kind(config)}


def _space(config: RunConfig, models: Merge) -> Space:
    names = tuple(models.group_names)
    return Space(
        names, config.weight_min, config.weight_max, models.ranges(config.weight_min, config.weight_max)
    )


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
    run = asdict(resolved(config.merge, models))
    study_id = enter_study(storage, config.study, fingerprint, run)
    return SearchStudy(storage, study_id, space, sampler, fixed=fixed, window=config.trials_in_flight)


def _chat(config: RunConfig, models: Merge) -> ChatFormat:
    from tvmerge.generation.chat import ChatFormat

    return ChatFormat(
        models.target.folder, _path(config.chat_template), trust_remote_code=config.trust_remote_code
    )


def _starts(config: RunConfig, models: Merge) -> dict[str, Start]:
    """How each engine is started: one in this process, several in their own, or over a cluster."""
    devices = [resolve_device(name) for name in config.devices or (config.device,) * config.engines]
    settings = EngineSettings(
        merge=resolved(config.merge, models),
        engine=_engine_kind(config),
        device=devices[0],
        dtype="float32" if devices[0] == "cpu" else _output_dtype(config, models),
        batch_tokens=config.batch_tokens,
        chat_template=config.chat_template,
        fingerprint=models.fingerprint,
    )
    if config.pool == "ray":
        from tvmerge.generation.ray_engine import ray_starts

        gpus = 0 if devices[0] == "cpu" else 1
        return ray_starts(settings.entry(), engines=config.engines, address=config.ray_address, gpus=gpus)
    if len(devices) > 1:
        return process_starts(settings, devices)

    async def start() -> Engine:
        return await asyncio.to_thread(engine_of, models, settings)

    return {devices[0]: start}


def _engine_kind(config: RunConfig) -> str:
    return "vllm" if config.engine == "vllm" else "transformers"


def _output_dtype(config: RunConfig, models: Merge) -> str:
    if config.dtype != "auto":
        return config.dtype
    from tvmerge.merging.dtypes import FLOATS, torch_name

    return next(torch_name(spec.dtype) for spec in models.merger.specs.values() if spec.dtype in FLOATS)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
