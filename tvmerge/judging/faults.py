"""What is wrong with a reply that gives no rating, and what the user can do about it."""

from __future__ import annotations

REFUSED = "refused by the provider"
CUT_OFF = "cut off at the token limit"
THINKING = f"{CUT_OFF}: thinking took all of it"
FAILED = "the provider failed within its reply"
EMPTY = "empty reply"
IN_THOUGHT = "the reply ends within a thought"

_MORE_ROOM = (
    "raise parameters.max_tokens (or max_completion_tokens), or lower the reasoning effort, in the judge's "
    ".toml file"
)
_CURES = (
    (CUT_OFF, _MORE_ROOM),
    (IN_THOUGHT, _MORE_ROOM),
    (FAILED, "run again later, or name another judge"),
    (
        EMPTY,
        "see that the server's chat template and reasoning parser are the model's, or name another judge",
    ),
)
_OTHER_JUDGE = "name a judge that rates as the prompt says, or a prompt for this one (--judge-file)"


_ANOTHER = "name another judge"


def cure(reason: str) -> str:
    """What to do where a judge gives no rating for `reason`; empty where the judge is not at fault."""
    if reason.startswith(REFUSED):
        return ""
    return next((advice for fault, advice in _CURES if reason.startswith(fault)), _OTHER_JUDGE)


def check_cure(reason: str) -> str:
    """What to do where a judge gives no rating even of a harmless text."""
    return cure(reason) or _ANOTHER
