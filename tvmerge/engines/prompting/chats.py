"""How the chats of a run are written and end, checked on every prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from tvmerge.engines.prompting.open import find_stop_tokens, open_chat
from tvmerge.engines.prompting.preflight import check_prompts

if TYPE_CHECKING:
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.engines.prompting.settings import ChatConfig
    from tvmerge.engines.prompting.stop_tokens import StopTokens
    from tvmerge.merging.merge import Merge
    from tvmerge.records import Question


@dataclass(frozen=True, slots=True)
class Chats:
    """How the chats of a run are written and end.

    Attributes:
        format: The target's tokenizer and chat template.
        stops: The tokens that end an answer.
        day: The date that prompts contain; None if they contain none.
    """

    format: ChatFormat
    stops: StopTokens
    day: date | None


def open_chats(
    config: ChatConfig,
    models: Merge,
    questions: Sequence[Question],
    *,
    further_prompts: bool,
    day: Callable[[], date | None],
) -> Chats:
    """Open the target's chat format, check it on every prompt, and find the stop tokens.

    Args:
        config: The settings.
        models: The opened models.
        questions: The questions whose prompts are checked.
        further_prompts: Whether other prompts are written in the chat template too.
        day: Returns the date of an earlier run's prompts, or None; called only if prompts may contain one.

    Raises:
        UserError: The chat template is not usable or fails on a question, or a stop token is unknown.
    """
    chat = open_chat(config, models)
    dated = check_prompts(chat, questions, models.donor.structure.vocabulary)
    dated = dated or (further_prompts and chat.may_tell_date)
    if dated:
        chat = chat.on(day() or chat.day)
    return Chats(chat, find_stop_tokens(chat, config, models), chat.day if dated else None)
