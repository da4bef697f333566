"""The search of a run: candidates are evaluated and told to the study, their answers logged."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tvmerge._util.threads import in_thread
from tvmerge.errors import StudyError
from tvmerge.records import Answer, Evaluation, Judgment, Outcome, QuestionId, Trial
from tvmerge.report.prospects import prospect_line
from tvmerge.report.terminal.progress import Progress
from tvmerge.report.terminal.state import Counts
from tvmerge.run.anchoring import AgreementCheck
from tvmerge.run.block_size import AskClock, SizingStudy, merges_of, most_questions
from tvmerge.run.block_trials import BlockTrials
from tvmerge.run.judging_price import JudgingPrice
from tvmerge.run.loop import ask_and_tell, search
from tvmerge.run.standing import SearchStanding, baselines_among
from tvmerge.run.stopping import Stopping
from tvmerge.study.blocks.size import ASK_TIMES
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.blocks.table import Ask, asks_of
from tvmerge.study.space import uniform_weight
from tvmerge.study.storage import N_ANSWERS, USD_PER_ANSWER
from tvmerge.study.study import SearchStudy
from tvmerge.tasks.fastchat.answer_log import AnswerLog, Mode, read_log

if TYPE_CHECKING:
    from tvmerge.run.build import Run

Prospects = Mapping[str, Any] | None
"""What a longer search can gain, as plain JSON data; None if it is not known."""


async def run_search(run: Run, progress: Progress) -> Prospects:
    """Search to the end, resuming an earlier run; return what a longer search can gain."""
    if isinstance(run.study, SearchStudy):
        await _by_trials(run, run.study, progress)
        return None
    return await _by_blocks(run, run.study, progress)


def answer_log(
    run: Run,
    folder: Path,
    known: Collection[str] = (),
    in_part: Mapping[str, Collection[QuestionId]] = MappingProxyType({}),
    judge: str | None = None,
) -> AnswerLog:
    """Open the log of answers and judgments in `folder`, by all judges or by one; see `AnswerLog`."""
    return AnswerLog(folder, judge or run.suite.raters, known, in_part=in_part, mode=_mode(run))


def logged_ratings(run: Run) -> Iterator[tuple[Answer, list[Judgment]]]:
    """Yield the answers of the search with their judgments, from its log; see `read_log`."""
    return read_log(run.paths.folder, run.suite.raters, mode=_mode(run))


def _mode(run: Run) -> Mode:
    return "pair" if run.suite.compares else "single"


def _search_log(run: Run) -> AnswerLog:
    """Open the log of the search, without what an interrupted run left of trials that were not told."""
    folder = run.paths.folder
    if isinstance(run.study, SearchStudy):
        return answer_log(run, folder, [str(n) for n in range(run.study.told)])
    asked = {
        str(trial.number): {
            question.question_id
            for ask in asks_of(trial)
            if ask.told
            for question in run.search_questions[ask.start : ask.stop]
        }
        for trial in run.study.trials
    }
    return answer_log(run, folder, in_part=asked)


async def _by_trials(run: Run, study: SearchStudy, progress: Progress) -> None:
    log, trials = _search_log(run), run.trials(study)

    def outcome(trial: Trial, evaluation: Evaluation) -> Outcome:
        log.keep(str(trial.number), in_order(run, evaluation))
        return trials.outcome(trial, evaluation)

    standing = SearchStanding(study.trials[: study.told])

    def on_told(trial: Trial) -> None:
        standing.add(trial)
        progress.standing(standing.counts(len(study.running())), standing.baselines)
        progress.trial_told(trial, study.best)

    progress.search_started(run.config.n_trials, study.told)
    await search(study, run.config.n_trials, trials.evaluate, outcome, on_told)
    progress.search_ended(Counts.of(study.trials, ()))


async def _by_blocks(run: Run, study: BlockStudy, progress: Progress) -> Prospects:
    """Ask as many questions as the wanted number of trials would have answered, then end all trials.

    A search that is interrupted (Ctrl-C, a full budget, a judge out of order) is paused, so that its best so
    far can be read and merged.
    """
    log, questions = _search_log(run), run.search_questions
    agreement = AgreementCheck(run.suite, anyway=run.config.judge_anchor_anyway)
    price = JudgingPrice(run.suite, batched=run.config.judge_batch)
    trials = _block_trials(run, study, price)
    sizing = _sizing(run, study, price, progress)
    stopping = _stopping(run, study)

    uniform = {trial.number for trial in study.trials if uniform_weight(trial.recipe) is not None}

    def tell(ask: Ask, evaluation: Evaluation) -> tuple[Trial, Trial | None, list[Trial]]:
        outcome = trials.outcome(ask, evaluation)
        agreement.check(study.asks, ask, outcome)
        log.add(str(ask.trial), in_order(run, evaluation))
        told = trials.tell(ask, outcome)
        sizing.measure(ask)
        stopping.look()
        if uniform_weight(told.recipe) is not None:
            uniform.add(told.number)
        return told, study.best(), [*study.ranked(uniform)]

    async def finish(ask: Ask, evaluation: Evaluation) -> None:
        trial, best, ranked = await in_thread(tell, ask, evaluation)
        running = {ask.trial for ask in study.running()}
        progress.standing(Counts.of(study.trials, running, by_blocks=True), baselines_among(ranked))
        progress.block_told(trial, study.told, best)

    most = run.config.n_trials * len(questions)
    await in_thread(study.record, N_ANSWERS, most)
    await in_thread(stopping.look)
    progress.blocks_started(most, study.told)
    try:
        await ask_and_tell(sizing, most, trials.evaluate, finish, goes_on=lambda: stopping.goes_on)
    except BaseException:
        with suppress(StudyError):  # what ended the search says more
            await in_thread(study.pause, run.config.confirm_candidates)
        raise
    await in_thread(study.settle, run.config.confirm_candidates)
    progress.search_ended(Counts.of(study.trials, ()))
    if (remark := agreement.remark(study.asks)) is not None:
        progress.note(remark)
    if run.suite.anchor is not None:
        return None  # the forecast is of one judge
    prospects = await in_thread(stopping.prospects)
    if prospects is not None:
        progress.note(prospect_line(prospects))
    return prospects


def _block_trials(run: Run, study: BlockStudy, price: JudgingPrice) -> BlockTrials:
    return BlockTrials(
        study,
        run.evaluator,
        run.objective,
        run.search_questions,
        run.suite.anchor_name,
        priced=price.is_known and not price.is_free,
    )


def _sizing(run: Run, study: BlockStudy, price: JudgingPrice, progress: Progress) -> SizingStudy:
    measured = _stored_attrs(run).get(ASK_TIMES, ())
    return SizingStudy(
        study,
        price,
        AskClock(lambda: merges_of(run.trace), before=measured),
        usd_per_hour=run.config.device_usd_per_hour,
        most=most_questions(run),
        note=progress.note,
    )


def _stopping(run: Run, study: BlockStudy) -> Stopping:
    return Stopping(study, run.config.stop_bound, _stored_attrs(run).get(USD_PER_ANSWER))


def _stored_attrs(run: Run) -> Mapping[str, Any]:
    """Return the attributes of the study as an earlier run left them."""
    stored = run.known_study.stored
    return {} if stored is None else stored.attrs


def in_order(run: Run, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation in the order of the benchmark, which readers of the log expect."""
    place = {question.question_id: n for n, question in enumerate(run.suite.benchmark.questions)}
    rated = sorted(evaluation.rated, key=lambda pair: place[pair[0].question_id])
    return replace(evaluation, rated=tuple(rated))
