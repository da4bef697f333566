"""Prompts of tasks in the chat template, as lm-eval writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvmerge.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tvmerge.engines.prompting.chat_format import ChatFormat


class ChatWriter:
    """Writes messages in a chat template, without a system message where the template takes none.

    lm-eval does so too.

    Args:
        chat: The template.

    Attributes:
        refused: What the template said of a system message; empty where it took them all.
    """

    def __init__(self, chat: ChatFormat) -> None:
        self._chat = chat
        self.refused = ""

    def __call__(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
        """The text of a conversation; without `add_generation_prompt` its last message continues.

        Raises:
            CheckpointError: The template fails, without system messages too.
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
