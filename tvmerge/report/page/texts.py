"""The texts that the page's script shows."""

from __future__ import annotations

from tvmerge.report.language import tr


def script_texts(who: str) -> dict[str, str]:
    """Return the texts of the script by its names for them, in the language in use.

    Args:
        who: The name of the best, such as `winner`.
    """
    return {
        "better": tr("{who} is better by {size}", who=who, size="{size}"),
        "same": tr("no change"),
        "worse": tr("{who} is worse by {size}", who=who, size="{size}"),
        "cut_off": tr("cut off"),
        "cut_in_thought": tr("cut in thought"),
        "empty_answer": tr("(empty answer)"),
        "no_answer": tr("(no answer)"),
        "no_answer_thought": tr("(no answer: cut in thought)"),
        "thought": tr("thought"),
        "reference": tr("reference answer"),
        "question": tr("Question"),
        "turn": tr("Turn {number}"),
        "shown": tr("{found} of {total} questions"),
        "place": tr("{first} to {last} of {total}"),
        "previous": tr("Previous"),
        "next": tr("Next"),
    }


def state_texts() -> dict[str, str]:
    """Return the states of trials, in the language in use."""
    return {
        "complete": tr("complete"),
        "pruned": tr("stopped"),
        "fail": tr("failed"),
        "running": tr("running"),
        "waiting": tr("waiting"),
        "finalist": tr("finalist"),
        "estimated": tr("estimated"),
    }
