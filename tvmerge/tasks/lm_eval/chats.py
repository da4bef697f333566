"""Writes prompts of tasks in the chat template, as lm-eval does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tvmerge.engines.prompting.chat_format import ChatFormat


class ChatWriter:
    """Writes messages in a chat template, leaving out the system message if the template rejects it.

    lm-eval does the same.

    Args:
        chat: The template.

    Attributes:
        refused: The template's error for a system message; empty if it accepted all of them.
    """

    def __init__(self, chat: ChatFormat) -> None:
        self._chat = chat
        self.refused = ""

    def __call__(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
        """Return the text of a conversation; without `add_generation_prompt`, its last message stays open.

        Raises:
            CheckpointError: The template fails even without system messages.
        """
        ends = {} if add_generation_prompt else {"continue_final_message": True}
        try:
            return self._chat.render(messages, prompt=add_generation_prompt, **ends)
        except CheckpointError as error:
            others = [message for message in messages if message["role"] != "system"]
            if len(others) == len(messages):
                raise
            text = self._chat.render(others, prompt=add_generation_prompt, **ends)
            self.refused = self.refused or str(error)
            return text
