"""`tvmerge.optimize` and `tvmerge.optimize_async`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvmerge.api.blocking import wait_for
from tvmerge.api.objects import GivenEngine, GivenJudge, Objects, objects
from tvmerge.api.progress import Progress
from tvmerge.api.settings import run_config
from tvmerge.config import RunConfig

if TYPE_CHECKING:
    from tvmerge.report.run_result import RunResult


def optimize(
    config: RunConfig | None = None,
    *,
    judge: GivenJudge | None = None,
    engine: GivenEngine | None = None,
    progress: Progress = False,
    **settings: Any,
) -> RunResult:
    """Search the weights, confirm the best on held-out questions and write the merged model.

    A run that was interrupted goes on where it stopped when it is called again. Where an event loop is
    running, as in a notebook, the run has one of its own in a thread, and the call returns when it has ended;
    await `optimize_async` to go on meanwhile.

    Args:
        config: The settings, as `load_config` or `RunConfig` give them; None: `settings` have them all.
        judge: Names as of the setting `judge`, or a judge of your own: an object with what
            `tvmerge.protocols.Judge` asks for. Its ratings are stored under its `fingerprint`; an attribute
            `scale` may say its lowest and highest rating, which are 1 and 10 otherwise. It is not closed.
        engine: A name as of the setting `engine`, or an engine of your own: an object, or several, with what
            `tvmerge.protocols.IdentifiedEngine` asks for, which are not closed; or a class or function that
            makes one of a `tvmerge.protocols.Merger`, with an attribute `fingerprint`.
        progress: True shows on standard error what the command line shows; a function is called with each
            line instead, from the threads of the run. False shows nothing.
        settings: Fields of `RunConfig`, instead of those of `config`. A list may be given as one value, and a
            path as a `Path`.

    Returns:
        What the run found; it is in the run folder as well.

    Raises:
        TvmergeError: See `tvmerge.errors`; a `UserError` says in one line what to change, a `ProviderError`
            or `BudgetError` that the judge cannot go on. Everything done is saved.
        KeyboardInterrupt: After Ctrl-C, once what is paid for is saved.

    Example:
        >>> import tvmerge
        >>> result = tvmerge.optimize(tvmerge.testing.demo_config(), n_trials=2, max_new_tokens=2)
        >>> result.best.key, len(result.trials)
        ('best', 2)
        >>> print(result.verdict)  # doctest: +ELLIPSIS
        The search found nothing better than ...
    """
    given = objects(judge, engine)
    ready = run_config(config, {**settings, **given.settings})
    return wait_for(lambda: _run(ready, given, progress))


async def optimize_async(
    config: RunConfig | None = None,
    *,
    judge: GivenJudge | None = None,
    engine: GivenEngine | None = None,
    progress: Progress = False,
    **settings: Any,
) -> RunResult:
    """`optimize`, in the event loop that is running.

    Cancel the task to stop the run: it ends once what is paid for is saved, after `grace` seconds at most.

    Args:
        config: As for `optimize`.
        judge: As for `optimize`; used in the running loop.
        engine: As for `optimize`; used in the running loop.
        progress: As for `optimize`.
        settings: As for `optimize`.

    Raises:
        TvmergeError: As `optimize`.
    """
    given = objects(judge, engine)
    return await _run(run_config(config, {**settings, **given.settings}), given, progress)


async def _run(config: RunConfig, given: Objects, progress: Progress) -> RunResult:
    from tvmerge.run.optimize import optimize as run

    return await run(
        config,
        quiet=not progress,
        tell=progress if callable(progress) else None,
        judge=given.judge,
        engines=given.engines,
    )
