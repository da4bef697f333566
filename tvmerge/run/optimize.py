"""A whole run: search, compare on held-out questions, write the model and the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from tvmerge._util.caches import Caches
from tvmerge._util.files import write_json, write_jsonl, write_text
from tvmerge._util.threads import in_thread
from tvmerge.errors import AssetError, OutputError, UserError
from tvmerge.judging.agreement import Agreement, agreement
from tvmerge.merging.export.export import export_merge
from tvmerge.merging.export.hub import check_upload, push_to_hub
from tvmerge.records import Evaluation, Question, Recipe
from tvmerge.report.conclusion import conclusion
from tvmerge.report.course import course_of
from tvmerge.report.page.page import write_page
from tvmerge.report.result_file import as_json, trial_rows
from tvmerge.report.run_result import RunResult
from tvmerge.report.terminal.progress import Progress
from tvmerge.report.terminal.table import score_rows
from tvmerge.run.build import Run, build_run
from tvmerge.run.holdout import Confirmation, ConfirmationResult
from tvmerge.run.named_winner import with_winner
from tvmerge.run.outline import outline
from tvmerge.run.paths import RunPaths
from tvmerge.run.progress import progress_of
from tvmerge.run.quantised import with_quantised
from tvmerge.run.remarks import tell_remarks
from tvmerge.run.search import Prospects, answer_log, in_order, logged_ratings, run_search
from tvmerge.run.standing import answers_ahead, spent_by
from tvmerge.run.stored_run import paid_calls
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.finalists import choose_baselines, choose_finalists
from tvmerge.study.pareto import pareto_front
from tvmerge.tasks.base import Note
from tvmerge.tasks.baseline import baseline_answers
from tvmerge.tasks.build import build_suite
from tvmerge.tasks.fastchat.question_file import write_questions

if TYPE_CHECKING:
    from tvmerge.config import RunConfig
    from tvmerge.engines.own import OwnEngines
    from tvmerge.protocols import Judge


async def optimize(
    config: RunConfig,
    progress: Progress | None = None,
    *,
    judge: Judge | None = None,
    engines: OwnEngines | None = None,
) -> RunResult:
    """Run `config` to its end, resuming an earlier run of it.

    Args:
        config: The run's settings.
        progress: Shows how far the run is, from `progress_of`; None shows nothing.
        judge: A judge to use instead of those in the settings.
        engines: Engines to use instead of the one in the settings.

    Raises:
        UserError: An input or the environment is not usable.
        ProviderError, BudgetError: The judge cannot continue; all finished work is saved.
        OutputError: The model or a report could not be written; the error holds the result.
    """
    if progress is None:
        with progress_of(config, quiet=True) as silent:
            return await optimize(config, silent, judge=judge, engines=engines)
    paths = RunPaths.of(config)
    with paths.held() as still_held, closing(Caches()) as caches:
        run = await _prepare(config, paths, caches, progress, still_held, judge=judge, engines=engines)
        # Only now, so that a run that fails its checks does not claim the folder.
        write_text(paths.mark, f"{paths.study.name}\n")
        write_questions(paths.questions, run.search_questions, run.holdout_questions)
        tell_remarks(run, progress.note)
        progress.watch(run.flights, spent_by(run), answers_ahead(run, config.confirm_candidates))
        try:
            # The run that is closed must be the one that has sent requests.
            run = await _with_baseline(run, progress)
            return await _to_its_end(run, caches, progress)
        except BaseException:
            progress.phase("stopping, as soon as what was paid for is stored")
            raise
        finally:
            await run.close()


async def _to_its_end(run: Run, caches: Caches, progress: Progress) -> RunResult:
    """Search, compare the best on held-out questions and write the results."""
    started = time.perf_counter()
    prospects = await run_search(run, progress)
    seconds = time.perf_counter() - started
    idle = run.trace.idle_share()
    if idle is not None:
        progress.note(f"engines were idle for {idle:.0%} of the search")
    confirmed = await _confirm(run, progress)
    progress.phase("writing the model and the report")
    result = await in_thread(_conclude, run, confirmed, prospects, seconds, progress.note)
    result = await with_quantised(run, result, confirmed.evaluations, caches, progress)
    progress.event("run_ended", winner=result.contenders[0].trial, conclusion=conclusion(result))
    return result


async def _prepare(
    config: RunConfig,
    paths: RunPaths,
    caches: Caches,
    progress: Progress,
    still_held: Callable[[], None],
    *,
    judge: Judge | None,
    engines: OwnEngines | None,
) -> Run:
    """Build the run, doing all cheap checks before anything expensive."""
    note, phase = progress.note, progress.phase
    caches.tell(note)
    if config.push_to_hub is not None:
        phase("asking the hub whether the model can be uploaded")
        await in_thread(check_upload, config.push_to_hub)
    phase("reading the questions")
    suite = await in_thread(
        build_suite, config, caches, note, paths.ledger, waiting=progress.waiting, own=judge
    )
    async with AsyncExitStack() as failed:
        failed.push_async_callback(suite.close)
        phase("looking up the study")
        known = await in_thread(outline, config, paths, suite, engines)
        await suite.check_batches()
        if not config.no_judge_check:
            phase("the judge rates a test answer")
            await suite.check()
        run = await in_thread(build_run, config, known, caches, note, still_held, phase=phase)
        failed.pop_all()
    return run


async def _with_baseline(run: Run, progress: Progress) -> Run:
    """Return the run with the baseline's answers passed to its pairwise judges; else the run itself.

    Raises:
        CandidateError: The baseline's merge is not usable.
    """
    if run.baseline is None:
        return run
    progress.phase("the baseline answers all questions")
    questions = (*run.search_questions, *run.holdout_questions)
    answers = await baseline_answers(run.baseline, run.pool, questions, run.sampling)
    return replace(run, suite=run.suite.with_baseline(answers))


async def _confirm(run: Run, progress: Progress) -> ConfirmationResult:
    """Choose the winner, compare it with the baselines and log their answers."""
    finalists = choose_finalists(run.study.trials, run.config.confirm_candidates)
    baselines = choose_baselines(run.space, run.study.trials, run.models.sparse)

    labels = {tuple(c.recipe.weights.items()): c.label for c in baselines}
    labels |= {tuple(trial.recipe.weights.items()): f"trial {trial.number}" for trial in finalists}

    async def held_out(recipe: Recipe, questions: Sequence[Question]) -> Evaluation:
        label = labels[tuple(recipe.weights.items())]
        return await run.confirmer.evaluate(recipe, questions, label=label)

    async def searched(recipe: Recipe) -> Evaluation:
        label = labels[tuple(recipe.weights.items())]
        return await run.baseline_evaluator.evaluate(recipe, run.search_questions, label=label)

    confirmation = Confirmation(
        held_out,
        searched,
        run.objective,
        run.suite.benchmark.questions,
        on_scored=lambda candidate, found: progress.confirmed(candidate.label, found),
        min_coverage=run.config.min_coverage,
        races=run.config.racing != "off" and run.suite.batching is None,
    )
    seed = run.config.optuna_seed
    models = len({baseline.model for baseline in baselines})
    progress.confirming(
        confirmation.results(finalists, baselines, run.holdout_questions, seed),
        len(run.holdout_questions),
        answers_ahead(run, len(finalists), models),
    )
    confirmed = await confirmation.run(finalists, baselines, run.holdout_questions, seed)
    log = answer_log(run, run.paths.holdout, judge=run.suite.confirming.judge.name)
    for model, evaluation in confirmed.evaluations.items():
        log.keep(model, in_order(run, evaluation))
    return confirmed


def _conclude(
    run: Run, confirmed: ConfirmationResult, prospects: Prospects, seconds: float, note: Note
) -> RunResult:
    """Write the results; an error carries the result, since all of it is paid for."""
    result = _result(run, confirmed, _agreement(run, confirmed, note), prospects, seconds)
    try:
        course = course_of(run.study.trials, run.study.times(), paid_calls(run.paths.folder))
        result = with_winner(run.study, replace(result, course=course))
        _write(run, result, note)
    except OSError as error:
        raise OutputError(f"{error.filename or run.paths.folder}: {error.strerror}", result) from error
    except UserError as error:
        raise OutputError(str(error), result) from error
    return result


def _result(
    run: Run,
    confirmed: ConfirmationResult,
    agreed: Agreement | None,
    prospects: Prospects,
    seconds: float,
) -> RunResult:
    return RunResult(
        study=run.paths.study.name,
        benchmark=run.suite.benchmark.name,
        judge=run.suite.rated_by,
        models=run.models.identities,
        weight_range=(run.space.low, run.space.high),
        contenders=confirmed.contenders,
        trials=run.study.trials,
        finalists=confirmed.finalists,
        front=_front(run),
        settings=_settings(run),
        output=str(run.paths.model),
        seconds=seconds,
        usage=tuple(row.as_json() for row in run.suite.ledger.usage()),
        agreement=None if agreed is None else agreed.as_json(),
        prospects=prospects,
        block=_block(run),
        folder=run.paths.folder,
    )


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings to record, with the identity of engines passed by the caller."""
    return run.config.shown | ({} if (own := run.placement.own) is None else {"engine": own.identity})


def _block(run: Run) -> str:
    """Return how many questions a candidate answered at a time and why, if the search chose that."""
    size = run.study.sizes.final if isinstance(run.study, BlockStudy) else None
    return "" if size is None else str(size)


def _front(run: Run) -> tuple[int, ...]:
    """Return the Pareto front, if several objectives are maximised."""
    front = pareto_front(run.study.trials) if run.study.objectives > 1 else ()
    return tuple(trial.number for trial in front)


def _agreement(run: Run, confirmed: ConfirmationResult, note: Note) -> Agreement | None:
    """Return how far a panel's judges agree, and each with itself, in the search and the comparison."""
    if not run.suite.rates_again(run.config.judge_samples):
        return None  # without reading the log of a long search
    compared = [pair for evaluation in confirmed.evaluations.values() for pair in evaluation.rated]
    # Without held-out questions, baselines outside the search space are not trials of the search.
    shown = [(sample.answer, sample.judgments) for c in confirmed.contenders for sample in c.samples]
    try:
        return agreement(chain(logged_ratings(run), compared, shown))
    except AssetError as error:
        note(f"the agreement of the judges leaves out the search: {error}")
        return agreement(chain(compared, shown))


def _write(run: Run, result: RunResult, note: Note) -> None:
    """Write the model, then the report, which must not name a model that does not exist, then upload."""
    from tvmerge.merging.export.card import CardFacts

    config, notes = run.config, (conclusion(result), *run.record.notes)
    lines = export_merge(
        run.models,
        run.paths.model,
        Recipe(result.contenders[0].weights),
        facts=CardFacts(score_rows(result), notes, run.record.settings),
        owner=run.owner,
        overwrite=config.overwrite,
        shard_size=config.shard_size,
        save_experts=config.save_experts,
        files=run.record.files,
        # A search takes hours, in which another run may have begun in the folder.
        protect=lambda: run.paths.protect(run.suite.folders),
    )
    for line in lines:
        note(line)
    write_jsonl(run.paths.trials, trial_rows(result.trials))
    write_json(run.paths.result, as_json(result))
    write_page(run.paths.report, result)
    if run.paths.trace is not None:
        run.trace.write(run.paths.trace)
    if config.push_to_hub is not None:
        note(f"hub: {push_to_hub(run.paths.model, config.push_to_hub)}")
