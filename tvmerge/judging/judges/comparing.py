"""Gives judges that compare answers the baseline to compare with."""

from __future__ import annotations

from collections.abc import Mapping

from tvmerge.protocols import ComparingJudge, Judge
from tvmerge.records import Answer, QuestionId


def with_baseline(judge: Judge, answers: Mapping[QuestionId, Answer]) -> Judge:
    """Return the judge set up to compare with a baseline's answers; unchanged if it does not compare."""
    return judge.with_baseline(answers) if isinstance(judge, ComparingJudge) else judge
