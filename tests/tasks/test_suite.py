"""What a run is judged with, as a whole."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tvmerge._util.caches import Caches
from tvmerge.errors import UserError
from tvmerge.judging.judges.anchored import Anchor
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.tasks.build import build_suite
from tvmerge.testing import demo_config


async def test_a_judge_that_cannot_be_closed_does_not_keep_the_anchor_open(tmp_path: Path) -> None:
    closed: list[str] = []

    class Failing(RulesJudge):
        def __init__(self, label: str) -> None:
            super().__init__()
            self.label = label

        async def close(self) -> None:
            closed.append(self.label)
            raise UserError(f"{self.label}: the disk is full")

    with closing(Caches(tmp_path)) as caches:
        suite = build_suite(demo_config(), caches, lambda _: None)
    suite = replace(suite, rater=Failing("judge"), anchor=Anchor(Failing("anchor"), 0.1))
    with pytest.raises(UserError, match="the disk is full"):
        await suite.close()
    assert closed == ["judge", "anchor"]
