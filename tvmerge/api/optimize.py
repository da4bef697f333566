"""`tvmerge.optimize` and `tvmerge.optimize_async`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvmerge.api.blocking import wait_for
from tvmerge.api.objects import CallerObjects, GivenEngine, GivenJudge, caller_objects
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

    Call it again to resume an interrupted run. If an event loop is running, as in a notebook, the run gets
    its own loop in a thread, and the call blocks until the run has ended; await `optimize_async` instead to
    keep the loop free.

    Args:
        config: The settings, from `load_config` or `RunConfig`; None to take them all from `settings`.
        judge: Names as in the setting `judge`, or a judge object that implements
            `tvmerge.protocols.Judge`. Its ratings are stored under its `fingerprint`. If it has an attribute
            `scale`, that is its lowest and highest rating, otherwise they are 1 and 10. For
            `judge_mode="pairwise"` it implements `tvmerge.protocols.ComparingJudge` as well, and its ratings
            are in [0, 1]. It is not closed.
        engine: A name as in the setting `engine`; or one or more engine objects that implement
            `tvmerge.protocols.IdentifiedEngine`, which are not closed; or a class or function that takes a
            `tvmerge.protocols.Merger` and returns an engine, with an attribute `fingerprint`.
        progress: True prints to standard error what the command line prints. A function is called with each
            line instead, from the threads of the run. False prints nothing.
        settings: Fields of `RunConfig` that override those of `config`. A single value may stand for a list,
            and a `Path` for a path.

    Returns:
        The result of the run, which is in the run folder as well.

    Raises:
        TvmergeError: See `tvmerge.errors`. A `UserError` says in one line what to change; a `ProviderError`
            or `BudgetError` means that the judge cannot continue. All finished work is saved.
        KeyboardInterrupt: After Ctrl-C, once everything paid for is saved.

    Examples:
        >>> import tvmerge
        >>> result = tvmerge.optimize(tvmerge.testing.demo_config(), n_trials=2, max_new_tokens=2)
        >>> result.best.key, len(result.trials)
        ('best', 48)
        >>> print(result.conclusion)  # doctest: +ELLIPSIS
        The winner, trial ..., beats ...95% interval...
    """
    given = caller_objects(judge, engine)
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
    """Run `optimize` in the running event loop.

    Cancel the task to stop the run. It ends once everything paid for is saved, within `grace` seconds.

    Args:
        config: As for `optimize`.
        judge: As for `optimize`; used in the running loop.
        engine: As for `optimize`; used in the running loop.
        progress: As for `optimize`.
        settings: As for `optimize`.

    Raises:
        TvmergeError: As for `optimize`.
    """
    given = caller_objects(judge, engine)
    return await _run(run_config(config, {**settings, **given.settings}), given, progress)


async def _run(config: RunConfig, given: CallerObjects, progress: Progress) -> RunResult:
    from tvmerge.run.progress import progress_of

    tell = progress if callable(progress) else None
    with progress_of(config, quiet=not progress, tell=tell) as shown:
        shown.phase("importing torch")
        from tvmerge.run.optimize import optimize as run

        return await run(config, shown, judge=given.judge, engines=given.engines)
