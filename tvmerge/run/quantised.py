"""The winner as users will run it: as GGUF files, each scored on the questions the winner was compared on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tvmerge._util.canonical import digest
from tvmerge._util.files import write_json
from tvmerge._util.threads import in_thread
from tvmerge.engines.cached_pool import CachedPool
from tvmerge.engines.llama_server.server import decisive_settings
from tvmerge.engines.pool import EnginePool
from tvmerge.errors import OutputError, UserError
from tvmerge.merging.checkpoints.digests import file_digest
from tvmerge.merging.gguf.tools import unquantised_type
from tvmerge.pretrained.context_length import model_context
from tvmerge.records import Evaluation, Question, Recipe
from tvmerge.report.page.page import write_page
from tvmerge.report.result import Contender, QuantisedWinner
from tvmerge.report.result_file import as_json
from tvmerge.run.gguf import gguf_line, gguf_source
from tvmerge.run.search import answer_log, in_order
from tvmerge.run.winner_gguf import winner_folder

if TYPE_CHECKING:
    from tvmerge._util.caches import Caches
    from tvmerge.merging.gguf.folder import GgufFile
    from tvmerge.protocols import Engine, Pool
    from tvmerge.report.run_result import RunResult
    from tvmerge.report.terminal.progress import Progress
    from tvmerge.run.build import Run
    from tvmerge.run.gguf import WinnerGguf


async def with_quantised(
    run: Run, result: RunResult, known: Iterable[str], caches: Caches, progress: Progress
) -> RunResult:
    """Return the result with the winner's GGUF files and their scores, and write it; unchanged without files.

    Args:
        run: The run; its engines are closed, since the server needs their memory.
        result: The result, which is written, as is its model.
        known: The models whose answers to held-out questions are in the log.
        caches: The caches of answers and of digests.
        progress: Shows how far the run is.

    Raises:
        OutputError: A program failed, or the disk is full; the error holds the result without the files.
        ProviderError, BudgetError: The judge cannot continue; all finished work is saved.
    """
    if run.gguf is None:
        return result
    try:
        found = await _QuantisedScores(run, run.gguf, caches, progress).added_to(result, known)
        await in_thread(_write, run, found)
    except OSError as error:
        raise OutputError(f"{error.filename or run.paths.folder}: {error.strerror}", result) from error
    except UserError as error:
        raise OutputError(str(error), result) from error
    return found


@dataclass(frozen=True, slots=True)
class _QuantisedScores:
    """Writes a run's winner as GGUF files and scores each beside the unquantised winner.

    Attributes:
        run: The run.
        gguf: What writes the files and answers with them.
        caches: The caches of answers and of digests.
        progress: Shows how far the run is.
    """

    run: Run
    gguf: WinnerGguf
    caches: Caches
    progress: Progress

    async def added_to(self, result: RunResult, known: Iterable[str]) -> RunResult:
        run, samples = self.run, result.best.samples
        await run.close_engines()
        recipe = Recipe(result.best.weights)
        folder = winner_folder(run, gguf_source(run.models, recipe, run.record))
        files = await folder.write(self.gguf.tools, unquantised_type(run.models), self.progress.phase)
        for file in files:
            self.progress.note(gguf_line(file))
        questions = tuple({s.question.question_id: s.question for s in samples}.values())
        self.progress.rescoring(len(files), len(questions), len(files) * len(samples))
        log = answer_log(run, run.paths.holdout, tuple(known), judge=run.suite.confirming.judge.name)
        scored = []
        for file in files:
            found = await self._evaluate(file, recipe, questions)
            log.keep(f"{result.best.trial}-{file.type}", in_order(run, found))
            scored.append(_of_file(run, result.best, file, found))
            self.progress.confirmed(_label(file), scored[-1].holdout)
        usage = tuple(row.as_json() for row in run.suite.ledger.usage())
        return replace(result, quantised=tuple(scored), usage=usage)

    async def _evaluate(self, file: GgufFile, recipe: Recipe, questions: tuple[Question, ...]) -> Evaluation:
        run = self.run
        evaluator = run.rescorer(pool := await self._pool(file))
        try:
            return await evaluator.evaluate(recipe, questions, label=_label(file))
        finally:
            await evaluator.drain(run.config.grace)
            await pool.close()

    async def _pool(self, file: GgufFile) -> Pool:
        """Return a pool that answers with a file; answers are stored apart from those of other models."""
        from tvmerge.engines.llama_server.engine import LlamaServerEngine

        run, server = self.run, self.gguf.server
        context = model_context(run.models.donor.folder, trust_remote_code=run.config.trust_remote_code)

        async def start() -> Engine:
            return LlamaServerEngine(server, file.path, run.chat, stop_tokens=run.stops.ids, context=context)

        identity = {
            "gguf": await in_thread(file_digest, file.path, self.caches.digests),
            "type": file.type,
            "engine": f"llama-server, {self.gguf.version}",
            "settings": digest(decisive_settings()),
            **run.chat_identity,
        }
        engines = {f"llama-server with {file.type}": start}
        pool: Pool = EnginePool(engines, trace=run.trace, note=self.progress.note)
        return run.suite.pool(CachedPool(pool, self.caches.answers, identity), run.chat, lambda: context)


def _label(file: GgufFile) -> str:
    return f"the winner as {file.type}"


def _of_file(run: Run, best: Contender, file: GgufFile, found: Evaluation) -> QuantisedWinner:
    """Return the score of a file, and how far it is below that of the unquantised winner, by question."""
    short = found.failure or run.objective.shortfall(found.judgments, run.config.min_coverage)
    unquantised = [judgment for sample in best.samples for judgment in sample.judgments]
    lost = None if short or best.shortfall else run.objective.difference(unquantised, found.judgments)
    return QuantisedWinner(
        type=file.type,
        file=str(file.path),
        nbytes=file.nbytes,
        holdout=run.objective.estimate(found.judgments),
        lost=lost,
        shortfall=short,
    )


def _write(run: Run, result: RunResult) -> None:
    write_json(run.paths.result, as_json(result))
    write_page(run.paths.report, result)
    if run.paths.trace is not None:
        run.trace.write(run.paths.trace)
