"""Records the winner of a run's held-out comparison in its study."""

from __future__ import annotations

from dataclasses import replace

from tvmerge.report.conclusion import conclude
from tvmerge.report.run_result import RunResult
from tvmerge.study.blocks.study import BlockStudy
from tvmerge.study.study import SearchStudy
from tvmerge.study.winner import Winner, told_of


def with_winner(study: SearchStudy | BlockStudy, result: RunResult) -> RunResult:
    """Record the winner, if a held-out comparison named one, and return the result with its mark.

    Raises:
        StudyError: The storage cannot be written, or another run took the study over.
    """
    best = result.contenders[0]
    if best.holdout is None or best.trial is None:
        study.note_trials()
        return result
    found = conclude(result)
    searched = result.finalists[0].trial if result.finalists else best.trial
    chosen_on = max((f.chosen.n for f in result.finalists if f.chosen is not None), default=0)
    told = told_of(study.trials)
    study.name_winner(Winner(best.trial, searched, found.kind, found.sentence, told, chosen_on))
    return replace(result, trials=study.trials)
