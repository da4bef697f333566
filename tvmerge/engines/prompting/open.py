"""How chats are written and where answers end: from settings and models to both, and into written models.

A run and `tvmerge merge` find the same, so that what is written stops where the search did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """What of a run's chats belongs into the models that it writes; a study keeps it.

    Attributes:
        stops: The tokens that end an answer; without any the target's files stay as they are.
        texts: Files of the model, by name: a chat template that was given.
        arguments: Variables of the chat template.
        day: The date that prompts tell; None where they tell none.
    """

    stops: StopTokens = field(default_factory=StopTokens)
    texts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    day: date | None = None

    def files(self, folder: Path) -> dict[str, str]:
        """The files, by name, that take the place of those in the folder that gives a model its files.

        Raises:
            CheckpointError: A file there cannot be read.
        """
        return {**eos_texts(folder, self.stops.ids, self.stops.eos), **self.texts}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that make the model's files again, beside those of the merge."""
        return {
            **({"stop_token": (ONLY, *self.stops.texts)} if self.stops.tokens else {}),
            **({"chat_template_kwargs": dict(self.arguments)} if self.arguments else {}),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model's card says of chats, in Markdown."""
        notes = []
        if self.stops.tokens:
            listed = ", ".join(f"`{t.text}` ({', '.join(t.named_by)})" for t in self.stops.tokens)
            notes.append(f"An answer ends at {listed}; `generation_config.json` lists these tokens.")
        if self.arguments:
            listed = ", ".join(f"`{name}={json.dumps(value)}`" for name, value in self.arguments.items())
            notes.append(f"Scored with variables of the chat template: {listed}. Use the same variables.")
        return tuple(notes)

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "stop_tokens": self.stops.as_json(),
            "texts": dict(self.texts),
            "arguments": dict(self.arguments),
            "day": None if self.day is None else self.day.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChatRecord:
        """What `as_json` gave, but for the date, which no written model has."""
        stops = data.get("stop_tokens")
        return cls(
            StopTokens() if stops is None else StopTokens.from_json(stops),
            data.get("texts", {}),
            data.get("arguments", {}),
        )


def open_chat(config: ChatConfig, models: Merge) -> ChatFormat:
    """The target's tokenizer and chat template, with what the settings say of them.

    Raises:
        UserError: They cannot be read, or do not fit the settings.
    """
    return ChatFormat(
        models.target.folder,
        None if config.chat_template is None else Path(config.chat_template),
        arguments=config.chat_template_kwargs,
        trust_remote_code=models.request.trust_remote_code,
    )


def find_stop_tokens(chat: ChatFormat, config: ChatConfig, models: Merge) -> StopTokens:
    """The tokens that end an answer.

    They are the one with which the chat template closes a turn, those that the files of target and tuned
    models state, and those given.

    Raises:
        CheckpointError: A model's file states something that is no token.
        ConfigError: A token that was given is none of the target's.
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
    """The record for a merge without a search, and what people should know of it, a line each.

    Models without a usable tokenizer can be merged: then the target's files say where texts end.

    Raises:
        UserError: As `open_chat` and `find_stop_tokens`, but for a tokenizer that nothing needs.
    """
    try:
        chat = open_chat(config, models)
    except TokenizerError as error:
        if config.stop_token or config.chat_template_kwargs:
            raise
        texts = {} if config.chat_template is None else template_texts(Path(config.chat_template))
        return ChatRecord(texts=texts), (f"stop tokens: as the target's files say ({error})",)
    stops = find_stop_tokens(chat, config, models)
    return ChatRecord(stops, chat.texts, chat.arguments), stops.lines


def _speakers(chat: ChatFormat, models: Merge, remarks: list[str]) -> Iterator[Speaker]:
    """Every model that may know where answers of the merged one end: targets, tuned ones, adapters' bases."""
    seen: set[Path] = set()
    target = models.target
    for part in _parts(models):
        source = models.sources[part]
        if source.folder in seen:
            continue
        seen.add(source.folder)
        stated = read_eos(source.folder)
        # What transformers obeys without a generation_config.json; a tuned model's may be a mere default.
        sure = stated.config if stated.generation is None and source is target else stated.generation or ()
        tokenizer = chat.tokenizer
        if source is not target and has_tokenizer(source.folder):
            try:
                tokenizer = load_tokenizer(source.folder, trust_remote_code=models.request.trust_remote_code)
            except TokenizerError as error:
                remarks.append(f"no stop tokens are taken from {part}: {error}")
                continue
        own = tokenizer is not chat.tokenizer or source is target
        eos = tokenizer.eos_token_id if own else None
        yield Speaker(part, tokenizer, sure if eos is None else (*sure, int(eos)), unsure=stated.config)


def _parts(models: Merge) -> list[str]:
    """Their parts in the merge, the model that gives the tokenizer first."""
    parts = [part for part, source in models.sources.items() if source is models.target]
    parts += [part for part in models.sources if is_target(part)]
    for part, source in models.sources.items():
        if part.rpartition("/")[2] == "tuned":
            parts += [part, f"{part.removesuffix('tuned')}base"] if source.is_adapter else [part]
    return list(dict.fromkeys(parts))


def _eos(chat: ChatFormat, found: Collector, closing: int | None) -> str | None:
    """What a written model's tokenizer is to call its end of text; None: as the target's does.

    Other programs stop at that token alone, so it is the one that closes a turn.
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
