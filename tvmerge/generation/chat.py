"""From a conversation to the tokens the model sees, by the target's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tvmerge.errors import CheckpointError
from tvmerge.files import folder_name

Message = dict[str, str]


class ChatFormat:
    """A tokenizer with its chat template.

    Args:
        folder: The target model's folder.
        template: A file with a Jinja chat template to use instead of the model's own.
        trust_remote_code: Whether the tokenizer may bring code of its own.

    Raises:
        CheckpointError: The tokenizer cannot be loaded, or there is no chat template.
    """

    def __init__(
        self, folder: Path, template: Path | None = None, *, trust_remote_code: bool = False
    ) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        except Exception as error:
            first_line = str(error).strip().split("\n")[0]
            raise CheckpointError(
                f"{folder_name(folder)}: the tokenizer cannot be loaded: {first_line}"
            ) from error
        self._given = template is not None
        if template is not None:
            self.tokenizer.chat_template = _read(template)
        if not self.tokenizer.chat_template:
            raise CheckpointError(
                f"{folder_name(folder)}: the target has no chat template; give one with --chat-template FILE"
            )

    @property
    def identity(self) -> str:
        """The template's text; with the target's digest it decides every prompt."""
        return str(self.tokenizer.chat_template)

    @property
    def texts(self) -> dict[str, str]:
        """Files that a written model must bring along to be what was scored: a template that was given."""
        return {"chat_template.jinja": self.identity} if self._given else {}

    @property
    def pad_id(self) -> int:
        """Token for the left padding; masked, so any will do where the tokenizer has none."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation up to where the assistant's next message begins.

        Raises:
            CheckpointError: The template fails on this conversation.
        """
        try:
            text = self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, tokenize=False
            )
        except Exception as error:
            first_line = str(error).strip().split("\n")[0]
            raise CheckpointError(f"the chat template fails: {first_line}") from error
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text as it stands, begun as the tokenizer begins texts."""
        start = self.tokenizer.bos_token
        begun = bool(start) and text.startswith(start)
        # Whether it is too long is for others to say.
        return list(self.tokenizer(text, add_special_tokens=not begun, verbose=False)["input_ids"])

    def decode(self, ids: Sequence[int], stop: Sequence[str] = (), *, strip: bool = True) -> str:
        """The text of an answer up to the first text of `stop`, without special tokens and outer space."""
        text = str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
        ends = [text.index(end) for end in stop if end in text]
        text = text[: min(ends, default=len(text))]
        return text.strip() if strip else text


def _read(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"the chat template {template} cannot be read: {error}") from error
