"""The judge `rules`, which makes no calls."""

from __future__ import annotations

from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.providers import Provider
from tvmerge.judging.spec import JudgeSpec


def _judge(_: JudgeSpec) -> RulesJudge:
    return RulesJudge()


PROVIDER = Provider(judge=_judge)
