"""`tvmerge.optimize` and `tvmerge.optimize_async`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvmerge.api.blocking import wait_for
from tvmerge.api.progress import Progress
from tvmerge.api.settings import run_config
from tvmerge.config import RunConfig

if TYPE_CHECKING:
    from tvmerge.report.run_result import RunResult


def optimize(config: RunConfig | None = None, *, progress: Progress = False, **settings: Any) -> RunResult:
    """Search the weights, confirm the best on held-out questions and write the merged model.

    A run that was interrupted goes on where it stopped when it is called again. Where an event loop is
    running, as in a notebook, the run has one of its own in a thread, and the call returns when it has ended;
    await `optimize_async` to go on meanwhile.

    Args:
        config: The settings, as `load_config` or `RunConfig` give them; None: `settings` have them all.
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
    ready = run_config(config, settings)
    return wait_for(lambda: _run(ready, progress))


async def optimize_async(
    config: RunConfig | None = None, *, progress: Progress = False, **settings: Any
) -> RunResult:
    """`optimize`, in the event loop that is running.

    Cancel the task to stop the run: it ends once what is paid for is saved, after `grace` seconds at most.

    Args:
        config: As for `optimize`.
        progress: As for `optimize`.
        settings: As for `optimize`.

    Raises:
        TvmergeError: As `optimize`.
    """
    return await _run(run_config(config, settings), progress)


async def _run(config: RunConfig, progress: Progress) -> RunResult:
    from tvmerge.run.optimize import optimize as run

    return await run(config, quiet=not progress, tell=progress if callable(progress) else None)
