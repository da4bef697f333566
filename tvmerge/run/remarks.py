"""What a run says before it begins."""

from __future__ import annotations

from tvmerge._util.files import write_text
from tvmerge.run.adapters import adapter_remarks
from tvmerge.run.anchoring import anchor_remarks
from tvmerge.run.build import Run
from tvmerge.run.evidence import evidence_remarks
from tvmerge.run.unlike import unlike_remarks
from tvmerge.tasks.base import Note


def tell_remarks(run: Run, note: Note) -> None:
    """Report remarks on the merge, the judges and the questions; long ones are written to the run folder."""
    from tvmerge.merging.remarks import LISTING, listing

    remarks, place = run.models.remarks(), run.paths.folder / LISTING
    if (whole := listing(remarks)) is not None:
        write_text(place, whole)
    answers = run.config.n_trials * len(run.search_questions)
    lines = (*run.stops.lines, *anchor_remarks(run.suite, answers))
    lines += tuple(evidence_remarks(run, run.study.trials))
    lines += (*adapter_remarks(run), *unlike_remarks(run))
    for line in (*(remark.line(place) for remark in remarks), *lines):
        note(line)
