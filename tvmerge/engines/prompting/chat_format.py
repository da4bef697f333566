"""Converts a conversation to the model's tokens with the target's chat template."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tvmerge._util.bounded import OutOfBoundsError, WorkError, bounded
from tvmerge._util.files import folder_name
from tvmerge._util.regular import read_utf8
from tvmerge.engines.prompting.template_date import FUNCTION, VARIABLE, asks_for_date, directives, with_date
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.pretrained.tokenizer import load_tokenizer

Message = dict[str, str]

TEMPLATE = "chat_template.jinja"
"""The name of the file with a model's chat template."""

SECONDS, _SECONDS_EACH = 10.0, 0.1
"""How long a chat template may take: for the first conversation that it is tried on, and for each."""

LONGEST_PROMPT = 1 << 24
"""Characters of a prompt at most."""

_LONGEST_TEMPLATE = 1 << 24
"""Bytes of a file with a chat template at most."""

_REMEDY = "fix it, or set another with --chat-template"

INPUTS = frozenset({"tools", "documents"})
"""Arguments of transformers' `apply_chat_template` that are passed to the template unchanged."""


class EndlessTemplateError(CheckpointError):
    """A chat template takes more time or memory than a prompt can need."""


class ChatFormat:
    """A tokenizer with its chat template.

    A model without a usable template can be opened, too: only conversations need the template, raw texts do
    not.

    Args:
        folder: The target model's folder.
        template: A file with a Jinja chat template to use instead of the model's.
        arguments: Variables for the template, such as `enable_thinking`.
        day: The date that templates see; default: today.
        trust_remote_code: Whether the tokenizer may run code from its files.

    Raises:
        CheckpointError: The tokenizer cannot be loaded, or the template cannot be read.
        ConfigError: The template does not use one of the variables.
    """

    def __init__(
        self,
        folder: Path,
        template: Path | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        day: date | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.name = folder_name(folder)
        self.tokenizer: Any = load_tokenizer(folder, self.name, trust_remote_code=trust_remote_code)
        self.arguments = dict(arguments or {})
        self.day = datetime.now(UTC).astimezone().date() if day is None else day
        self.texts = template_texts(template)
        """Files that a written model needs to be what was scored, such as a given template."""
        self._template = self.texts.get(TEMPLATE, self._own())
        if self.arguments:
            self._check_arguments()

    @property
    def identity(self) -> str:
        """The template's text, which with the target's digest, arguments and date decides every prompt."""
        return self._template or ""

    @property
    def may_tell_date(self) -> bool:
        """Whether the template reads the date anywhere."""
        return self._template is not None and asks_for_date(self._template)

    @property
    def pad_id(self) -> int:
        """The token id for left padding, which is masked; any id if there is no padding token."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    def on(self, day: date) -> ChatFormat:
        """Return a copy with another date."""
        other = copy(self)
        other.day = day
        return other

    def require_template(self) -> str:
        """Return the template's text.

        Raises:
            CheckpointError: There is none, or there are several and none is the default.
        """
        if self._template is not None:
            return self._template
        own = self.tokenizer.chat_template
        if isinstance(own, dict) and own:
            raise CheckpointError(
                f"{self.name}: of the target's chat templates ({', '.join(sorted(own))}) none is called "
                "'default'; save one to a file and pass it with --chat-template FILE"
            )
        raise CheckpointError(
            f"{self.name}: the target has no chat template; pass one with --chat-template FILE"
        )

    def render(self, messages: Sequence[Message], *, prompt: bool = True, **variables: Any) -> str:
        """Return a conversation as text.

        Args:
            messages: The messages so far.
            prompt: Whether to end where the assistant's next message begins.
            variables: Variables of the template, overriding its arguments and the tokenizer's special tokens.

        Raises:
            CheckpointError: There is no template, or it fails on this conversation.
        """
        try:
            return self._rendered(messages, prompt, variables)
        except CheckpointError:
            raise
        except Exception as error:
            raise _failing(error) from error

    def render_bounded(self, prompts: Mapping[str, Sequence[Message]]) -> list[str]:
        """Return prompts as texts, rendered where a template cannot compute or write for ever.

        Args:
            prompts: The messages so far, by what the prompt is for.

        Raises:
            CheckpointError: There is no template, or it fails on a prompt or writes too much for it; the
                message names the prompt.
            EndlessTemplateError: It takes too long or too much memory.
        """
        self.require_template()
        try:
            return bounded(lambda: self._all_rendered(prompts), SECONDS + _SECONDS_EACH * len(prompts))
        except OutOfBoundsError as error:
            raise EndlessTemplateError(f"the chat template has no end: {error}; {_REMEDY}") from error
        except WorkError as error:
            raise CheckpointError(str(error)) from error

    def _all_rendered(self, prompts: Mapping[str, Sequence[Message]]) -> list[str]:
        texts = []
        for place, messages in prompts.items():
            try:
                text = self._rendered(messages, True, {})
            except MemoryError:
                raise
            except Exception as error:
                raise CheckpointError(f"{place}: {_failing(error)}") from error
            if len(text) > LONGEST_PROMPT:
                raise CheckpointError(
                    f"{place}: the chat template writes {len(text):,} characters; {_REMEDY}"
                )
            texts.append(text)
        return texts

    def refuse_endless(self) -> None:
        """Check that the template ends, on conversations of one and two turns.

        Raises:
            EndlessTemplateError: It takes too long or too much memory.
        """
        asked, said = {"role": "user", "content": "Yes?"}, {"role": "assistant", "content": "Yes."}
        for messages in ([asked], [asked, said], [asked, said, asked]):
            try:
                self.render_bounded({"a conversation": messages})
            except EndlessTemplateError:
                raise
            except CheckpointError:
                continue  # reported where the conversation is needed

    def _rendered(self, messages: Sequence[Message], prompt: bool, variables: Mapping[str, Any]) -> str:
        template, values = self.require_template(), {**self.arguments, **variables}
        if self.may_tell_date:
            template, values = with_date(template), {VARIABLE: directives(self.day), **values}
        text = self.tokenizer.apply_chat_template(
            list(messages),
            chat_template=template,
            add_generation_prompt=prompt,
            tokenize=False,
            **values,
        )
        return str(text)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a conversation up to where the assistant's next message begins.

        Raises:
            CheckpointError: There is no template, or it fails on this conversation.
        """
        return self.tokens(self.render(messages))

    def tokens(self, text: str) -> list[int]:
        """Return the token ids of a rendered text, which already contains its special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def encode_text(self, text: str) -> list[int]:
        """Return the token ids of a raw text, with the tokenizer's special tokens at its start."""
        start = self.tokenizer.bos_token
        begun = bool(start) and text.startswith(start)
        # The caller checks the length; the tokenizer would warn.
        return list(self.tokenizer(text, add_special_tokens=not begun, verbose=False)["input_ids"])

    def decode(self, ids: Sequence[int], stop: Sequence[str] = (), *, strip: bool = True) -> str:
        """Return an answer's text up to the first of `stop`, without special tokens and outer whitespace."""
        text = str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
        ends = [text.index(end) for end in stop if end in text]
        text = text[: min(ends, default=len(text))]
        return text.strip() if strip else text

    def _own(self) -> str | None:
        """Return the tokenizer's template, or of several the one called `default`."""
        own = self.tokenizer.chat_template
        found = own.get("default") if isinstance(own, dict) else own
        return str(found) if found else None

    def _check_arguments(self) -> None:
        """Check that every variable is one that the template reads and that only changes its text.

        Raises:
            CheckpointError: There is no template.
            ConfigError: The template does not read a variable, or tvmerge sets it.
        """
        template = self.require_template()
        reserved = inspect.signature(self.tokenizer.apply_chat_template).parameters.keys() - INPUTS
        for name in self.arguments:
            if name in reserved or name in {"messages", FUNCTION, VARIABLE}:
                raise ConfigError(f"chat_template_kwargs: '{name}' is set by tvmerge; leave it out")
            if not re.search(rf"\b{re.escape(name)}\b", template):
                raise ConfigError(f"chat_template_kwargs: the chat template does not use '{name}'")


def template_texts(template: str | Path | None) -> dict[str, str]:
    """Return a given chat template, by the name of a model's file with it; nothing if none is given.

    Raises:
        CheckpointError: It cannot be read, or is larger than any template.
    """
    if template is None:
        return {}
    try:
        return {TEMPLATE: read_utf8(Path(template), _LONGEST_TEMPLATE)}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"--chat-template {template}: cannot be read: {reason}") from error


def _failing(error: Exception) -> CheckpointError:
    return CheckpointError(f"the chat template fails: {_first_line(error)}; {_REMEDY}")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
