"""What a run says of candidates that are adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.report.numbers import count

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


def adapter_remarks(run: RunSpec) -> tuple[str, ...]:
    """Return how many candidates share a model, and whether what is compared is what is written."""
    if not run.placement.adapters:
        return ()
    shared = f"adapters: vLLM holds {count(run.placement.adapters, 'candidate')} at once"
    if run.holdout_questions:
        return (f"{shared}; on held-out questions they answer as they are written, merged",)
    return (f"{shared}; without held-out questions they are compared as adapters, not as they are written",)
