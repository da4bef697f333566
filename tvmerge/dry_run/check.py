"""Checks that models fit together before anything is loaded or paid for: `tvmerge check`.

Only configurations, tokenizers, templates and the headers of weights are read. The report says what would be
merged, copied and left out, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tvmerge.engines.place import place
from tvmerge.engines.prompting.open import find_stop_tokens, open_chat
from tvmerge.errors import UserError
from tvmerge.merging.build import open_models
from tvmerge.merging.checkpoints.checkpoint import Checkpoint
from tvmerge.merging.checkpoints.contents import companions
from tvmerge.merging.checkpoints.lora.adapter import Adapter
from tvmerge.merging.dtypes import torch_name
from tvmerge.merging.export.writer import SHARD_SIZE, shard_sizes
from tvmerge.merging.methods import METHODS
from tvmerge.pretrained.context_length import model_context
from tvmerge.report.numbers import count, folded, size

if TYPE_CHECKING:
    from tvmerge._util.caches import Caches
    from tvmerge.config import ModelConfig
    from tvmerge.engines.prompting.chat_format import ChatFormat
    from tvmerge.merging.open import Merge

_QUESTION = "こんにちは"
"""The question of the rendered conversation."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report.

    Attributes:
        title: Its title.
        lines: Its lines.
        problem: Why a run with these models would fail; empty if it would not.
    """

    title: str
    lines: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """The report of a check.

    Attributes:
        sections: Its sections.
    """

    sections: tuple[Section, ...] = field(default=())

    @property
    def problems(self) -> tuple[str, ...]:
        """Why a run would fail, one line each; empty if it would not."""
        return tuple(section.problem for section in self.sections if section.problem)


def check_models(config: ModelConfig, caches: Caches, *, verify: bool = False, names: bool = False) -> Check:
    """Check that models fit each other, their chat template and this machine's memory.

    Args:
        config: The settings of merging, prompts and engines.
        caches: The caches with digests of model files.
        verify: Whether to read every weight, downloading missing ones, and reject NaN and infinities.
        names: Whether to list all tensors of a remark instead of the first ones.

    Raises:
        CheckpointError: A model cannot be found or read, or the models do not fit together.
        ConfigError: Settings contradict each other or do not fit the models.
    """
    models = open_models(config.merge, caches, verify=verify, download=verify)
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "models": partial(_models, models),
        "weights": partial(_weights, models),
        "positions": partial(_positions, config, models),
        "notes": partial(_notes, models, names=names),
        "chat": partial(_chat, config, models),
        "memory": partial(_memory, config, models),
        "files": partial(_files, config, models),
    }
    sections = (_section(title, lines) for title, lines in parts.items())
    return Check(tuple(section for section in sections if section.lines or section.problem))


def _section(title: str, lines: Callable[[], Iterator[str]]) -> Section:
    """Return a section with its lines up to the first problem, so that all problems are reported at once."""
    found: list[str] = []
    try:
        found.extend(lines())
    except UserError as error:
        return Section(title, tuple(found), str(error))
    return Section(title, tuple(found))


def _models(models: Merge) -> Iterator[str]:
    """Yield a description of each model, by its part in the merge."""
    for part, model in models.merger.plan.models.items():
        described = _adapter(model) if isinstance(model, Adapter) else _checkpoint(model)
        yield f"{part}: {models.sources[part].identity}, {described}"


def _checkpoint(model: object) -> str:
    assert isinstance(model, Checkpoint)
    structure = model.structure
    formats = Counter(spec.dtype for spec in model.specs.values())
    shown = " and ".join(torch_name(code) for code, _ in formats.most_common())
    whole = size(sum(spec.nbytes for spec in model.specs.values()))
    return (
        f"{structure.architecture}, {count(structure.layers, 'layer')}, {structure.vocabulary:,} rows of "
        f"tokens, {count(len(model.specs), 'tensor')} of {shown}, {whole} in "
        f"{count(len(model.files), 'file')}"
    )


def _adapter(model: Adapter) -> str:
    whole = size(sum(spec.nbytes for spec in model.specs.values()))
    return f"adapter (LoRA) of {model.base.name}, {count(len(model.specs), 'tensor')}, {whole}"


def _weights(models: Merge) -> Iterator[str]:
    """Yield which tensors get which weight."""
    rows = models.merger.plan.rows
    moved = sum(bool(row.terms) for row in rows)
    yield f"{moved} of {count(len(rows), 'floating-point tensor')} get a weight"
    for vector in models.request.vectors:
        method = "" if METHODS.load(vector.method).sparsify is None else f", made sparse by {vector.method}"
        yield f"{vector.name or 'task vector'}: {vector.rules.mode} weights{method}"
    yield f"{count(len(models.group_names), 'weight')}: {folded(models.group_names)}"


def _positions(config: ModelConfig, models: Merge) -> Iterator[str]:
    """Yield the position settings of the merged model, which are those of the target's configuration."""
    context = model_context(models.donor.folder, trust_remote_code=config.trust_remote_code)
    yield f"context: {'no limit' if context is None else f'{context:,} tokens'}"
    rope = {
        path.removeprefix("rope_parameters."): value
        for path, value in models.donor.structure.settings.items()
        if path.startswith("rope_")
    }
    if rope:
        yield f"RoPE: {', '.join(f'{name} {value}' for name, value in rope.items())}"


def _notes(models: Merge, *, names: bool) -> Iterator[str]:
    """Yield remarks on the models, and which tensors get no weight and why."""
    remarks = models.remarks()
    if not any(remark.text.startswith("tokens") for remark in remarks):
        yield "tokens: numbered alike in all models"
    for remark in remarks:
        yield from remark.whole.splitlines() if names else [remark.line()]


def _chat(config: ModelConfig, models: Merge) -> Iterator[str]:
    """Yield how a conversation is rendered and which tokens end an answer.

    Raises:
        UserError: There is no tokenizer or no template, or the template fails on a conversation.
    """
    chat = open_chat(config, models)
    given = config.chat_template
    yield f"chat template: {f'the one given, {given}' if given else f'that of {models.target.name}'}"
    yield f"a question is written as {chat.render([_message('user')])!r}"
    yield from find_stop_tokens(chat, config, models).lines
    yield _second_turn(chat)


def _second_turn(chat: ChatFormat) -> str:
    talk = [_message("user"), _message("assistant"), _message("user")]
    try:
        chat.render(talk)
    except UserError as error:
        return f"the template does not support a second turn, so questions can have only one turn: {error}"
    return "a conversation can have several turns"


def _message(role: str) -> dict[str, str]:
    return {"role": role, "content": _QUESTION}


def _memory(config: ModelConfig, models: Merge) -> Iterator[str]:
    """Yield the memory that a live model needs on each device.

    Raises:
        UserError: It does not fit, or a device does not exist.
    """
    placement = place(config)
    yield f"engine: {placement.kind}"
    placement.check_models(models)
    for load in placement.memory_estimates(models, judges={}):
        yield str(load)
        load.check()


def _files(config: ModelConfig, models: Merge) -> Iterator[str]:
    """Yield the files of a written model; the notes list files that are not copied."""
    sizes, donor = shard_sizes(models.merger.specs, SHARD_SIZE), models.donor
    code = config.trust_remote_code
    yield f"tensors: {size(sum(sizes))} in {count(len(sizes), 'file')}"
    taken = [path.relative_to(donor.folder).as_posix() for path in companions(donor.folder, code=code)]
    yield f"copied from {donor.name}: {', '.join(taken)}"
