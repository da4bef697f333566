"""`tvmerge.plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvmerge.api.blocking import wait_for
from tvmerge.api.objects import GivenEngine, GivenJudge, caller_objects
from tvmerge.api.progress import Progress, progress_callback
from tvmerge.api.settings import run_config
from tvmerge.config import RunConfig

if TYPE_CHECKING:
    from tvmerge.dry_run.text import RunPlan


def plan(
    config: RunConfig | None = None,
    *,
    judge: GivenJudge | None = None,
    engine: GivenEngine | None = None,
    progress: Progress = False,
    **settings: Any,
) -> RunPlan:
    """Plan a run: what it would do and cost at most. Nothing is loaded, requested or written.

    Args:
        config: As for `optimize`.
        judge: As for `optimize`; the cost of a judge object is unknown, so it is not counted.
        engine: As for `optimize`.
        progress: How notes on the models and the benchmark are shown, as for `optimize`.
        settings: As for `optimize`.

    Returns:
        The plan; `print` shows it as `tvmerge optimize --dry-run` does.

    Raises:
        TvmergeError: The run could not start.

    Examples:
        >>> import tvmerge
        >>> planned = tvmerge.plan(tvmerge.testing.demo_config(), n_trials=7, run_dir="runs/planned")
        >>> planned.left, len(planned.weights)
        (7, 8)
    """
    given = caller_objects(judge, engine)
    ready = run_config(config, {**settings, **given.settings})

    async def planned() -> RunPlan:
        from tvmerge.dry_run.plan import plan_run

        return await plan_run(ready, progress_callback(progress), judge=given.judge, engines=given.engines)

    return wait_for(planned)
