"""What can be wrong with a reply that gives no rating, and how the user can fix it."""

from __future__ import annotations

REFUSED = "refused by the provider"
CUT_OFF = "cut off at the token limit"
THINKING = f"{CUT_OFF}: thinking took all of it"
FAILED = "the provider failed within its reply"
EMPTY = "empty reply"
NOT_READ = "the reply was not read"
IN_THOUGHT = "the reply ends within a thought"

_MORE_ROOM = (
    "raise parameters.max_tokens (or max_completion_tokens), or lower the reasoning effort, in the judge's "
    ".toml file"
)
_CURES = (
    (CUT_OFF, _MORE_ROOM),
    (IN_THOUGHT, _MORE_ROOM),
    (NOT_READ, "check base_url, or choose another judge"),
    (FAILED, "run again later, or choose another judge"),
    (
        EMPTY,
        "check that the server uses the model's chat template and reasoning parser, or choose another judge",
    ),
)
_OTHER_JUDGE = "choose a judge that follows the prompt, or a prompt for this judge (--judge-file)"


_ANOTHER = "name another judge"


def remedy(reason: str) -> str:
    """Return what to do if a judge gives no rating for `reason`; empty if the judge is not at fault."""
    if reason.startswith(REFUSED):
        return ""
    return next((advice for fault, advice in _CURES if reason.startswith(fault)), _OTHER_JUDGE)


def check_remedy(reason: str) -> str:
    """Return what to do if a judge gives no rating even for a harmless text."""
    return remedy(reason) or _ANOTHER
