"""A provider that answers at random: nothing is lost, paid twice or asked for without end.

Several modules: judges with all that wraps their requests.
"""

from __future__ import annotations

from pathlib import Path

from tests.judging.campaign import run_campaign
from tvmerge.judging.prompts.prompts import JudgePrompt

SEQUENCES = 40
SEED = 20261128


async def test_no_answer_makes_a_judge_ask_without_end_lose_or_invent_a_rating(
    prompts: dict[str, JudgePrompt], tmp_path: Path
) -> None:
    kinds = await run_campaign(SEQUENCES, SEED, prompts, tmp_path)
    assert kinds.keys() >= {"good", "content", "refused", "unusable", "odd", "error", "reset", "truncate"}
