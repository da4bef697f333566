"""Judges that compare answers, and how they get the answers to compare with."""

from __future__ import annotations

from collections.abc import Mapping

from tvmerge.protocols import ComparingJudge, Judge
from tvmerge.records import Answer, QuestionId


def against(judge: Judge, answers: Mapping[QuestionId, Answer]) -> Judge:
    """The same judge, comparing with a baseline's answers; itself where it compares with none."""
    return judge.against(answers) if isinstance(judge, ComparingJudge) else judge
