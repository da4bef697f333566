"""One run from settings to results: search, confirm on held-out questions, write the model and the report."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, aclosing, closing, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tvmerge.build import Run, build_run
from tvmerge.caches import Caches
from tvmerge.config import SQLITE, MergeConfig
from tvmerge.confirmation import Entrant, choose, confirm
from tvmerge.errors import StudyError
from tvmerge.evaluation.evidence import Evidence
from tvmerge.evaluation.statistics import coverage, estimate
from tvmerge.files import write_json, write_text
from tvmerge.judging.panel import agreement
from tvmerge.jury import Note
from tvmerge.locking import locked
from tvmerge.orchestrator import search
from tvmerge.records import Evaluation, Outcome, Recipe, Trial
from tvmerge.report.page import write_page
from tvmerge.report.progress import Progress
from tvmerge.report.result import LABELS, Contender, RunResult, as_json
from tvmerge.report.table import score_rows
from tvmerge.report.verdict import verdict
from tvmerge.writing import write_merge

if TYPE_CHECKING:
    from tvmerge.config import RunConfig


ELSEWHERE = ("base_model", "tuned_model", "moe_base", "cache_dir")
"""Settings that the command of a model card leaves out or gives by another name."""


async def optimize(config: RunConfig) -> RunResult:
    """Run `config` to its end, going on where an earlier run of it stopped.

    Raises:
        UserError: Bad input or a bad environment.
        ProviderError, BudgetError: The judge cannot go on; everything done is saved.
    """
    with _held(config), closing(Caches()) as caches, Progress() as progress:
        run = await asyncio.to_thread(build_run, config, caches, progress.note)
        try:
            await _answer_baseline(run)
            started = time.perf_counter()
            await _search(run, progress)
            seconds = time.perf_counter() - started
            idle = run.trace.idle_share()
            if idle is not None:
                progress.note(f"engines sat idle {idle:.0%} of the search")
            contenders = await _confirm(run, progress)
            result = _result(run, contenders, seconds)
            await asyncio.to_thread(_write, run, result, progress.note)
        finally:
            await run.evaluator.drain(config.grace)
            await run.close()
    return result


@contextmanager
def _held(config: RunConfig) -> Iterator[None]:
    """Hold the run folder and the study's file; refuse a folder that holds another study's evidence.

    Raises:
        StudyError: Another process holds one of them, or the folder belongs to another study.
    """
    with ExitStack() as held:
        held.enter_context(locked(config.run_folder))
        if config.storage_url.startswith(SQLITE):
            database = Path(config.storage_url.removeprefix(SQLITE))
            held.enter_context(locked(database.parent, f".{database.name}.lock"))
        mark = config.run_folder / ".study"
        study = f"{config.study}\n"
        if mark.exists() and mark.read_text(encoding="utf-8") != study:
            owner = mark.read_text(encoding="utf-8").strip()
            raise StudyError(
                f"{config.run_folder} holds the study '{owner}'; choose another --run-dir for this one"
            )
        write_text(mark, study)
        yield


async def _answer_baseline(run: Run) -> None:
    """For pairwise judging: the untouched target's answers, which all others are compared with."""
    if run.jury.baseline is None:
        return
    questions = (*run.search_questions, *run.holdout_questions)
    async with aclosing(run.pool.answer(run.space.uniform(0.0), questions, run.sampling)) as stream:
        async for answers in stream:
            run.jury.baseline.update({a.question_id: a for a in answers if a.sample == 0})


async def _search(run: Run, progress: Progress) -> None:
    evidence = _evidence(run, run.config.run_folder, [str(n) for n in range(run.study.told)])

    def outcome(trial: Trial, evaluation: Evaluation) -> Outcome:
        evidence.keep(str(trial.number), evaluation)
        return score(evaluation, run.config.min_coverage)

    progress.search_started(run.config.n_trials, run.study.told)
    await search(
        run.study,
        run.config.n_trials,
        lambda trial: run.evaluator.evaluate(trial.recipe, run.search_questions),
        outcome,
        lambda trial: progress.trial_told(trial, run.study.best()),
    )


def _evidence(run: Run, folder: Path, known: Collection[str]) -> Evidence:
    mode: Literal["single", "pair"] = "single" if run.jury.baseline is None else "pair"
    return Evidence(folder, run.jury.judge.name, known, mode=mode)


async def _confirm(run: Run, progress: Progress) -> tuple[Contender, ...]:
    entrants = choose(run.space, run.study.trials)
    evidence = _evidence(run, run.config.run_folder / "holdout", ())

    def scored(entrant: Entrant, evaluation: Evaluation) -> None:
        evidence.keep(entrant.model, evaluation)
        progress.confirmed(LABELS[entrant.key], estimate(evaluation.judgments))

    progress.confirming(len({entrant.model for entrant in entrants}), len(run.holdout_questions))
    return await confirm(
        entrants, run.evaluator.evaluate, run.search_questions, run.holdout_questions, scored
    )


def score(evaluation: Evaluation, min_coverage: float) -> Outcome:
    """What the study is told of an evaluation: its mean, or a failure where too few judgments gave one."""
    covered = coverage(evaluation.judgments)
    found = estimate(evaluation.judgments)
    attrs = {"n": found.n, "coverage": round(covered, 6), "judgments": len(evaluation.judgments)}
    if found.n == 0 or covered < min_coverage:
        return Outcome(None, attrs)
    return Outcome(found.mean, attrs | {"se": None if math.isnan(found.se) else found.se})


def _result(run: Run, contenders: tuple[Contender, ...], seconds: float) -> RunResult:
    return RunResult(
        study=run.config.study,
        benchmark=run.jury.benchmark.name,
        judge=run.jury.judge.name,
        models=run.models.identities,
        weight_range=(run.space.low, run.space.high),
        contenders=contenders,
        trials=run.study.trials,
        settings=asdict(run.config),
        output=str(run.config.model_folder),
        seconds=seconds,
        usage=tuple(row.as_json() for row in run.jury.ledger.usage()),
        agreement=_agreement(contenders),
    )


def _agreement(contenders: Sequence[Contender]) -> dict[str, float | None] | None:
    """How far the judges of a panel agree on the answers of the final comparison."""
    found = agreement([j for sample in c.samples for j in sample.judgments] for c in contenders)
    return None if found is None else found.as_json()


def _write(run: Run, result: RunResult, note: Note) -> None:
    """The model first: a report must not speak of a model that is not there."""
    from tvmerge.merging.card import CardFacts

    config = run.config
    # A template that was given is part of what was scored: the model must bring it along.
    texts = {} if config.chat_template is None else {"chat_template.jinja": run.chat.identity}
    lines = write_merge(
        run.models,
        config.model_folder,
        Recipe(result.contenders[0].weights),
        facts=CardFacts(command=_command(run), scores=score_rows(result), notes=(verdict(result),)),
        owner=run.owner,
        overwrite=config.overwrite,
        shard_size=config.shard_size,
        save_experts=config.save_experts,
        push_to_hub=config.push_to_hub,
        texts=texts,
    )
    for line in lines:
        note(line)
    write_json(config.run_folder / "result.json", as_json(result))
    write_page(config.run_folder / "report.html", result)
    if config.trace is not None:
        run.trace.write(Path(config.trace))


def _command(run: Run) -> str:
    """The command that merges the best again, with names that mean something elsewhere."""
    names, settings = run.models.identities, run.config.merge
    flags = [f"--{part}-model {names[part]}" for part in ("target", "base", "tuned") if part in names]
    plain = MergeConfig(target_model=())
    for f in fields(MergeConfig):
        value = getattr(settings, f.name)
        if (
            isinstance(value, str | int | float)
            and value != getattr(plain, f.name)
            and f.name not in ELSEWHERE
        ):
            flags.append(f"--{f.name.replace('_', '-')} {value}")
    return " ".join(("tvmerge merge", *flags, "--weights tvmerge.json", "--output-dir model"))
