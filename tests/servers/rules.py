"""What a language model would say if it rated by the rules of the offline judge.

So a study over a network finds what the demo finds: better and worse candidates, and losers to stop.
"""

from __future__ import annotations

import re

from tvmerge.judging.judges.rules import rate
from tvmerge.records import Answer, Question

_SECTION = re.compile(r"^## ([^\n]*)\n(.*?)(?=\n\n## |\n\nNow grade )", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^<<<[^\n]*>>>\n?|\n?<<<[^\n]*>>>$")


def reply(user_prompt: str) -> str:
    """A rating of the last answer in one of the shipped prompts, with its reasons."""
    asked, reference, said = (
        _last(user_prompt, heading) for heading in ("The user's", "Reference answer", "The assistant's")
    )
    question = Question("shown", "", (asked,), (reference,) if reference else ())
    return rate(question, Answer("shown", (_FENCE.sub("", said),)), 1)[1]


def _last(prompt: str, heading: str) -> str:
    """The text of the last section whose heading begins so; empty where there is none."""
    return next((text for title, text in reversed(_SECTION.findall(prompt)) if title.startswith(heading)), "")
