"""Plans a run without requesting, loading or writing anything: `tvmerge optimize --dry-run`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from tvmerge._util.caches import Caches, KnownCaches, UnknownDigestError
from tvmerge._util.urls import shown_url
from tvmerge.dry_run.block import planned_block
from tvmerge.dry_run.calls import PlannedCalls, cost_lines
from tvmerge.dry_run.cost import memory_errors, planned_calls, price_text, warnings, written_sizes
from tvmerge.dry_run.duration import device_time, quota_lines
from tvmerge.dry_run.gguf import gguf_lines
from tvmerge.dry_run.likely import Habits, habits_of
from tvmerge.dry_run.remaining import RemainingWork, remaining_work
from tvmerge.dry_run.requests import RequestCount, RequestEstimator, turns_of
from tvmerge.dry_run.stages import GGUF, SEARCH, StageEstimator
from tvmerge.dry_run.text import Comparison, PlannedBlock, RunPlan, TrialSize
from tvmerge.engines.answer_store import StoredAnswers
from tvmerge.judging.client.request_counter import RequestCounter
from tvmerge.merging.build import open_models
from tvmerge.merging.export.export import check_export
from tvmerge.merging.export.writer import free_space
from tvmerge.records import Answer, Question, QuestionId, Trial
from tvmerge.run.adapters import adapter_remarks
from tvmerge.run.anchoring import anchor_remarks
from tvmerge.run.evidence import evidence_remarks
from tvmerge.run.outline import outline
from tvmerge.run.paths import RunPaths
from tvmerge.run.spec import RunSpec, build_run_spec
from tvmerge.run.unlike import unlike_remarks
from tvmerge.run.winner_gguf import check_gguf, check_gguf_folder, gguf_sizes
from tvmerge.study.make import asks_blocks
from tvmerge.tasks.base import Note
from tvmerge.tasks.build import build_suite
from tvmerge.tasks.judged import judge_memory

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.engines.own import OwnEngines
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.merging.open import Merge
    from tvmerge.merging.settings import MergeConfig
    from tvmerge.protocols import Judge


async def plan_run(
    config: RunConfig, note: Note, *, judge: Judge | None = None, engines: OwnEngines | None = None
) -> RunPlan:
    """Return what a run of `config` would do and take.

    Args:
        config: The run's settings.
        note: Called with each remark for the user.
        judge: A judge to use instead of those in the settings; it is not called.
        engines: Engines to use instead of the one in the settings; they are not called.

    Raises:
        UserError: The run would fail at its start.
    """
    paths = RunPaths.of(config)
    paths.check_writable()
    counter = RequestCounter()
    with closing(KnownCaches()) as caches:
        suite = build_suite(config, caches, note, counter=counter, own=judge)
        try:
            known = await asyncio.to_thread(outline, config, paths, suite, engines)
            models = await asyncio.to_thread(_open, config.merge, caches)
            run_spec = await asyncio.to_thread(build_run_spec, config, known, models, note)
            await asyncio.to_thread(check_gguf, run_spec)
            for remark in run_spec.models.remarks():
                note(remark.line())
            stored, trials = await asyncio.to_thread(_known, run_spec, caches, note)
            answers = config.n_trials * len(run_spec.search_questions)
            for line in (
                *run_spec.stops.lines,
                *adapter_remarks(run_spec),
                *unlike_remarks(run_spec),
                *anchor_remarks(suite, answers),
            ):
                note(line)
            return await _plan(run_spec, trials, counter, stored)
        finally:
            await suite.close()


def _open(config: MergeConfig, caches: Caches) -> Merge:
    try:
        return open_models(config, caches, verify=False, download=False)
    except UnknownDigestError:
        # The router of a mixture is measured on a live model; here another of the same shape stands in.
        return open_models(replace(config, gate="zeros", experts=()), caches, verify=False, download=False)


def _known(run_spec: RunSpec, caches: Caches, note: Note) -> tuple[StoredAnswers | None, tuple[Trial, ...]]:
    """Return the stored answers of these models, None if their digests are unknown, and the trials.

    Raises:
        UserError: The study cannot be started or resumed with these settings, or the model's folder cannot be
            replaced.
    """
    config, models = run_spec.config, run_spec.models
    try:
        measured = models.request.mixture.gate != config.gate
        fingerprint = None if measured else run_spec.fingerprint
    except UnknownDigestError:
        fingerprint = None
    trials = _trials(run_spec, fingerprint, note)
    if fingerprint is None:
        return None, trials
    check_export(
        models,
        run_spec.paths.model,
        owner=run_spec.owner,
        overwrite=config.overwrite,
        save_experts=config.save_experts,
    )
    check_gguf_folder(run_spec)
    return StoredAnswers(caches.answers, run_spec.answer_identity), trials


def _trials(run_spec: RunSpec, fingerprint: Mapping[str, object] | None, note: Note) -> tuple[Trial, ...]:
    """Return the trials of the study, if it exists.

    Raises:
        UserError: It cannot be read, started or resumed with these settings.
    """
    from tvmerge.study.compare import compare

    run_spec.known_study.check(run_spec.space, run_spec.questions, run_spec.enqueued, note)
    study = run_spec.known_study.stored
    if study is None:
        return ()
    # Unknown parts of the models' fingerprint are assumed to be unchanged.
    known = fingerprint or {**study.fingerprint, **run_spec.settings_fingerprint}
    compare(study.name, study.fingerprint, known)
    return tuple(replace(trial, recipe=run_spec.space.recipe(trial.recipe.weights)) for trial in study.trials)


async def _plan(
    run_spec: RunSpec, trials: Sequence[Trial], counter: RequestCounter, stored: StoredAnswers | None
) -> RunPlan:
    config, models, paths = run_spec.config, run_spec.models, run_spec.paths
    remaining = remaining_work(run_spec, trials)
    baseline, missing = _baseline(run_spec, stored)

    habits = habits_of(run_spec, trials, stored)
    longest, usual = (
        StageEstimator(run_spec, counter, length, stored, baseline)
        for length in (config.max_new_tokens, habits.answer_bytes)
    )
    most, likely = await longest.stages(remaining), await usual.stages(remaining)
    likely[SEARCH] = likely[SEARCH].share(habits.answered)
    specs, batched = run_spec.suite.specs, config.judge_batch
    calls = planned_calls(specs, most, likely, habits, batched=batched)
    whole = sum(most.values(), RequestCount())
    answers, likely_answers = (_answers(stages) + missing for stages in (most, likely))
    block = planned_block(run_spec) if asks_blocks(config.optuna_sampler) else None
    sizes, free = written_sizes(models, config), free_space(paths.model)
    gguf = gguf_sizes(run_spec)
    memory = run_spec.placement.memory_estimates(models, judges=judge_memory(run_spec.suite.specs))
    return RunPlan(
        study=paths.study.name,
        storage=shown_url(paths.study.storage),
        asked=len(trials),
        told=sum(trial.state != "RUNNING" for trial in trials),
        left=remaining.search.number,
        run_folder=paths.folder,
        model_folder=paths.model,
        weights=run_spec.space.names,
        low=run_spec.space.low,
        high=run_spec.space.high,
        trial=await _trial_size(longest.searching, run_spec.search_questions),
        earliest_stop=await _earliest_stop(longest.searching, run_spec),
        comparison=_comparison(run_spec, remaining),
        answers=answers,
        likely_answers=likely_answers,
        calls=calls,
        prices={spec.name: price_text(spec, batched=batched) for spec in specs},
        costs=tuple(cost_lines(calls, config.jpy_per_usd, config.max_cost)) if calls else (),
        likely=str(habits) if calls or answers else "",
        times=tuple(_times(run_spec, memory, habits, answers=likely_answers, calls=calls, block=block)),
        reasks=config.judge_reasks,
        stored=None if stored is None else (whole.stored_answers, whole.stored_replies),
        memory=tuple(map(str, memory)),
        model_bytes=sum(sizes),
        files=len(sizes),
        free_bytes=free,
        warnings=tuple(warnings(config, calls, sum(sizes) + sum(gguf.values()), free)),
        evidence=tuple(evidence_remarks(run_spec, trials)),
        # Nothing is loaded if all answers are stored.
        refusals=tuple(memory_errors(memory)) if answers else (),
        stop_when=str(config.stop_bound or ""),
        block=block,
        gguf=tuple(gguf_lines(run_spec, gguf, remaining.test, memory, _tokens(run_spec, habits))),
    )


def _answers(stages: Mapping[str, RequestCount]) -> int:
    """Return how many answers the engines generate; llama-server gives those of GGUF files."""
    return sum(count.answers for stage, count in stages.items() if stage != GGUF)


def _times(
    run_spec: RunSpec,
    memory: Sequence[MemoryEstimate],
    habits: Habits,
    *,
    answers: int,
    calls: Sequence[PlannedCalls],
    block: PlannedBlock | None,
) -> Iterator[str]:
    """Yield how long the run is likely to take, a line for each reason."""
    config, questions = run_spec.config, run_spec.search_questions
    tokens = _tokens(run_spec, habits)
    asked = len(questions) if block is None else block.size
    placement = run_spec.placement
    at_once = min(placement.batch_size(tokens) or 1, asked) * max(1, placement.adapters)
    yield from filter(None, (device_time(run_spec, memory, answers, tokens, at_once),))
    yield from quota_lines(run_spec.suite.specs, calls, config.judging)


def _tokens(run_spec: RunSpec, habits: Habits) -> int:
    """Return how many tokens an answer is likely to have, with all turns."""
    questions = run_spec.search_questions
    turns = max(1, round(turns_of(questions) / len(questions)))
    return turns * min(run_spec.config.max_new_tokens, habits.answer_tokens)


def _baseline(run_spec: RunSpec, stored: StoredAnswers | None) -> tuple[dict[QuestionId, Answer], int]:
    """Return the known answers of the baseline of pairwise judging, and the number of unknown ones."""
    if run_spec.baseline is None or run_spec.baseline.recipe is None:
        return {} if run_spec.baseline is None else dict(run_spec.baseline.answers), 0
    questions = (*run_spec.search_questions, *run_spec.holdout_questions)
    if stored is None:
        return {}, len(questions)
    found, missing = stored.look_up(run_spec.baseline.recipe, questions, run_spec.sampling)
    return {answer.question_id: answer for answer in found}, len(missing)


async def _trial_size(estimator: RequestEstimator, questions: Sequence[Question]) -> TrialSize:
    count = await estimator.unknown(questions)
    return TrialSize(len(questions), turns_of(questions), sum(calls.calls for calls in count.calls.values()))


async def _earliest_stop(estimator: RequestEstimator, run_spec: RunSpec) -> TrialSize | None:
    """Return a trial up to the first interim check of its race."""
    interim_checks = (
        run_spec.rules.interim_checks(len(run_spec.search_questions)) if run_spec.rules is not None else ()
    )
    return (
        await _trial_size(estimator, run_spec.search_questions[: interim_checks[0]])
        if interim_checks
        else None
    )


def _comparison(run_spec: RunSpec, remaining: RemainingWork) -> Comparison | None:
    if not run_spec.holdout_questions:
        return None
    return Comparison(
        finalists=remaining.finalists,
        selection=len(remaining.selection.questions),
        compared=remaining.test.number,
        test=len(remaining.test.questions),
        samples=run_spec.config.confirm_samples,
    )
