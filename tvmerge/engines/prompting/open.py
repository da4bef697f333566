"""Finds the chat format and the stop tokens from settings and models, and records them in written models.

A run and `tvmerge merge` share this, so that a written model stops where it did in the search.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.files import folder_name
from tvmerge.engines.prompting.chat_format import (
    ChatFormat,
    template_texts,
)
from tvmerge.engines.prompting.settings import ONLY, ChatConfig
from tvmerge.engines.prompting.stop_tokens import Collector, Speaker, StopTokens
from tvmerge.engines.prompting.turn_end import keeps_prompts, turn_end
from tvmerge.merging.checkpoints.eos import eos_texts, read_eos
from tvmerge.merging.merge import is_target
from tvmerge.pretrained.tokenizer import TokenizerError, has_tokenizer, load_tokenizer

if TYPE_CHECKING:
    from datetime import date

    from tvmerge.merging.merge import Merge


@dataclass(frozen=True, slots=True)
class ChatRecord:
    """The chat settings that a run stores in the study and in the models it writes.

    Attributes:
        stops: The tokens that end an answer; if there are none, the target's files are kept.
        texts: Contents of model files by name, such as a given chat template.
        arguments: Variables of the chat template.
        day: The date that prompts contain; None if they contain none.
    """

    stops: StopTokens = field(default_factory=StopTokens)
    texts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    day: date | None = None

    def files(self, folder: Path) -> dict[str, str]:
        """Return the files, by name, that replace those copied from `folder`.

        Raises:
            CheckpointError: A file in `folder` cannot be read.
        """
        return {**eos_texts(folder, self.stops.ids, self.stops.eos), **self.texts}

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that reproduce the model's files, in addition to those of the merge."""
        return {
            **({"stop_token": (ONLY, *self.stops.texts)} if self.stops.tokens else {}),
            **({"chat_template_kwargs": dict(self.arguments)} if self.arguments else {}),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the section on chats of the model's card, in Markdown."""
        notes = []
        if self.stops.tokens:
            listed = ", ".join(f"`{t.text}` ({', '.join(t.named_by)})" for t in self.stops.tokens)
            notes.append(f"An answer ends at {listed}, as listed in `generation_config.json`.")
        if self.arguments:
            listed = ", ".join(f"`{name}={json.dumps(value)}`" for name, value in self.arguments.items())
            notes.append(f"Scored with these variables of the chat template: {listed}. Use the same ones.")
        return tuple(notes)

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return {
            "stop_tokens": self.stops.as_json(),
            "texts": dict(self.texts),
            "arguments": dict(self.arguments),
            "day": None if self.day is None else self.day.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChatRecord:
        """Restore what `as_json` returned, without the date, which is not written with models."""
        stops = data.get("stop_tokens")
        return cls(
            StopTokens() if stops is None else StopTokens.from_json(stops),
            data.get("texts", {}),
            data.get("arguments", {}),
        )


def open_chat(config: ChatConfig, models: Merge) -> ChatFormat:
    """Open the target's tokenizer and chat template, with the settings applied.

    Raises:
        UserError: They cannot be read, or they do not fit the settings.
    """
    chat = ChatFormat(
        models.target.folder,
        None if config.chat_template is None else Path(config.chat_template),
        arguments=config.chat_template_kwargs,
        trust_remote_code=models.request.trust_remote_code,
    )
    if chat.identity:
        chat.refuse_endless()
    return chat


def find_stop_tokens(chat: ChatFormat, config: ChatConfig, models: Merge) -> StopTokens:
    """Find the tokens that end an answer.

    They are the token with which the chat template closes a turn, those in the files of target and tuned
    models, and those given by the user.

    Raises:
        CheckpointError: A model's file names something that is not a token.
        ConfigError: A given token is not in the target's tokenizer.
    """
    found, end = Collector(chat.tokenizer, models.target.name), turn_end(chat)
    if ONLY not in config.stop_token:
        if end.token is not None:
            found.add(end.token, "chat template")
        found.remarks += [end.problem] if end.problem else []
        for speaker in _speakers(chat, models, found.remarks):
            found.add_speaker(speaker)
    for text in config.stop_token:
        if text != ONLY:
            found.add_text(text)
    return StopTokens(found.tokens, _eos(chat, found, end.token), tuple(found.remarks))


def chat_of_merge(config: ChatConfig, models: Merge) -> tuple[ChatRecord, tuple[str, ...]]:
    """Return the record for a merge without a search, and remarks on it, one line each.

    Models without a usable tokenizer can be merged, too; their stop tokens are those in the target's files.

    Raises:
        UserError: As in `open_chat` and `find_stop_tokens`, except for a tokenizer that is not needed.
    """
    try:
        chat = open_chat(config, models)
    except TokenizerError as error:
        if config.stop_token or config.chat_template_kwargs:
            raise
        return ChatRecord(texts=template_texts(config.chat_template)), (
            f"stop tokens: those in the target's files ({error})",
        )
    stops = find_stop_tokens(chat, config, models)
    return ChatRecord(stops, chat.texts, chat.arguments), stops.lines


def _speakers(chat: ChatFormat, models: Merge, remarks: list[str]) -> Iterator[Speaker]:
    """Yield every model that may know the stop tokens: targets, tuned models and bases of adapters."""
    seen: set[Path] = set()
    target, trust = models.target, models.request.trust_remote_code
    for part in _parts(models):
        source = models.sources[part]
        if source.folder in seen:
            continue
        seen.add(source.folder)
        stated = read_eos(source.folder)
        # Without a generation_config.json, transformers uses this; a tuned model's may be a mere default.
        sure = stated.config if stated.generation is None and source is target else stated.generation or ()
        tokenizer = chat.tokenizer
        if source is not target and has_tokenizer(source.folder):
            try:
                tokenizer = load_tokenizer(source.folder, folder_name(source.folder), trust_remote_code=trust)
            except TokenizerError as error:
                remarks.append(f"no stop tokens are taken from {part}: {error}")
                continue
        own = tokenizer is not chat.tokenizer or source is target
        eos = tokenizer.eos_token_id if own else None
        yield Speaker(part, tokenizer, sure if eos is None else (*sure, int(eos)), unsure=stated.config)


def _parts(models: Merge) -> list[str]:
    """Return the models' parts in the merge, the one that gives the tokenizer first."""
    parts = [part for part, source in models.sources.items() if source is models.target]
    parts += [part for part in models.sources if is_target(part)]
    for part, source in models.sources.items():
        if part.rpartition("/")[2] == "tuned":
            parts += [part, f"{part.removesuffix('tuned')}base"] if source.is_adapter else [part]
    return list(dict.fromkeys(parts))


def _eos(chat: ChatFormat, found: Collector, closing: int | None) -> str | None:
    """Return the eos token of a written model's tokenizer; None to keep the target's.

    Some programs stop only at this token, so it should be the one that closes a turn.
    """
    tokens = {token.id: token.text for token in found.tokens}
    number = closing if closing in tokens else next(iter(tokens), None)
    own = chat.tokenizer.eos_token_id
    if number is None or number == own or (number != closing and own in tokens):
        return None
    if not keeps_prompts(chat, tokens[number]):
        found.remarks.append(
            f"the tokenizer's eos_token stays {chat.tokenizer.eos_token}, since the chat template writes it"
        )
        return None
    return tokens[number]
