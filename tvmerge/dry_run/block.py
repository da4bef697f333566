"""How many questions a candidate answers at a time, as far as it is known before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.dry_run.text import PlannedBlock
from tvmerge.run.judging_price import JudgingPrice
from tvmerge.study.blocks.size import ASSUMED
from tvmerge.study.blocks.sizes import final_size

if TYPE_CHECKING:
    from tvmerge.run.spec import RunSpec


def planned_block(run_spec: RunSpec) -> PlannedBlock:
    """Return what the settings or the study say, else what is assumed."""
    study, questions = run_spec.known_study, len(run_spec.search_questions)
    if (block := getattr(study.sampler, "block", None)) is not None:
        return PlannedBlock(min(block, questions))
    if study.stored is not None and (chosen := final_size(study.stored.attrs)) is not None:
        return PlannedBlock(min(chosen.size, questions), chosen.why)
    size = min(ASSUMED, questions)
    if JudgingPrice(run_spec.suite, batched=run_spec.config.judge_batch).is_free:
        return PlannedBlock(size, "judging costs nothing, so there will be more if that saves time")
    return PlannedBlock(size, "assumed, as judging is likely to cost more than the devices")
