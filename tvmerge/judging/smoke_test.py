"""Asks each judge for one easy rating before anything expensive begins, to find errors early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tvmerge._util.tasks import gather_or_cancel
from tvmerge.errors import ProviderError
from tvmerge.judging.faults import check_remedy
from tvmerge.judging.judges.prompted import PromptedJudge
from tvmerge.judging.judges.reply import JudgeReply
from tvmerge.records import Answer, Question

_QUESTIONS = ("日本の首都はどこですか。", "フランスの首都はどこですか。")
_ANSWERS = (
    ("日本の首都は東京です。", "フランスの首都はパリです。"),
    ("日本の首都は大阪です。", "フランスの首都はリヨンです。"),
)


async def check(judges: Sequence[PromptedJudge], like: Question) -> None:
    """Check that each of `judges` gives a rating.

    Raises:
        ProviderError: A judge gives none; the message says why and how to fix it.
        UserError, BudgetError: A judge cannot be asked.
    """
    for judge, said in zip(judges, await try_out(judges, like), strict=True):
        if not said.scores:
            advice = check_remedy(said.reason)
            raise ProviderError(
                f"judge {judge.name} does not rate a test answer ({said.reason}): {advice}; nothing was "
                "loaded (--no-judge-check leaves this test out)"
            )


async def try_out(judges: Sequence[PromptedJudge], like: Question) -> list[JudgeReply]:
    """Return the reply of each of `judges` about an easy answer.

    Args:
        judges: The judges; each is asked once, with its own prompt and parameters.
        like: A question of the benchmark, whose kind of prompt is used. A judge that rates all turns in one
            request gets two, if this question has so many.
    """
    return await gather_or_cancel(_try_out(judge, like) for judge in judges)


async def _try_out(judge: PromptedJudge, like: Question) -> JudgeReply:
    turns = min(len(like.turns), len(_QUESTIONS)) if judge.together else 1
    answer, other = (Answer(like.question_id, texts[:turns]) for texts in _ANSWERS)
    compared = bool(like.reference or like.eval_aspect)
    question = replace(
        like, turns=_QUESTIONS[:turns], reference=answer.turns if compared else (), eval_aspect=""
    )
    return await judge.try_out(question, answer, other)
