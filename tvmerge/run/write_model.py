"""Writes a merged model without a search, from given weights or a study's trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge._util.caches import Caches, cache_folder
from tvmerge._util.encodings import read_text
from tvmerge._util.outputs import check_new_folder
from tvmerge._util.parsing import parse_json
from tvmerge._util.whole_imports import whole_imports
from tvmerge.config import ChatConfig, MergeConfig, load_merge_config
from tvmerge.engines.prompting.chat_format import template_texts
from tvmerge.errors import ConfigError, StudyError
from tvmerge.merging.export.folders import check_precious, check_replaceable, experts_folder
from tvmerge.merging.export.hub import check_upload
from tvmerge.records import Recipe
from tvmerge.run.gguf import GgufOfMerge
from tvmerge.run.run_folder import named_study, runs_within
from tvmerge.study.space import is_density
from tvmerge.study.storage_url import sqlite_file
from tvmerge.study.winner import BY_COMPARISON, Choice

if TYPE_CHECKING:
    from tvmerge.engines.prompting.open import ChatRecord
    from tvmerge.merging.open import Merge

ELSEWHERE = ("dtype", "cache_dir", "allow_pickle", "trust_remote_code")
"""Merge settings that may differ from those of the study that the trial belongs to."""

CHAT = ("chat_template", "chat_template_kwargs", "stop_token")
"""Chat settings, which are written into the model's files."""

BESIDE = (*CHAT, "shard_size", "save_experts", "quantise", "llama_cpp")
"""Settings of a run that apply to any merge besides those of the merge."""

WRITING = ("shard_size", "save_experts", "quantise", "llama_cpp", "push_to_hub")
"""Settings that decide how a model is written, and where it is uploaded, which must be said each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of a merge; exactly one of the first three is set.

    Attributes:
        weight: One weight for everything.
        weights: The weights, or a JSON file with them, or a `result.json`.
        trial: The number of a study's trial, `winner` or `best-search`; without any weights it is `winner`.
        run_dir: The run folder of the study; None if the next two name it.
        storage: The storage URL of the study; None for the one in the run folder.
        study_name: The name of the study; None for the study of the run folder.
    """

    weight: float | None = None
    weights: Recipe | Path | None = None
    trial: str | None = None
    run_dir: Path | None = None
    storage: str | None = None
    study_name: str | None = None


def write_model(
    weights: Weights,
    settings: Mapping[str, Any],
    output_dir: Path,
    *,
    config: Path | None = None,
    overwrite: bool = False,
    remark: Callable[[str], object],
    written: Callable[[str], object],
    phase: Callable[[str], object] = lambda _: None,
) -> None:
    """Write target + weight * (tuned - base).

    Args:
        weights: The weights.
        settings: Settings by key, of `MergeConfig`, of chats and of how a model is written.
        output_dir: The folder to write.
        config: A run's TOML file, read for merge settings that are not in `settings`.
        overwrite: Replace the folder's contents, whatever they are.
        remark: Called with each remark on the merge.
        written: Called with a line for each output that was written.
        phase: Called with what is done, before each step that may take a while.

    Raises:
        UserError: An input is not usable, or the folder may not be replaced.
    """
    weights = _with_study(weights)
    protect = partial(_check_outputs, output_dir, settings, dict(_precious(weights, settings, config)))
    _check_settings(output_dir, settings, protect, overwrite=overwrite)
    given = dict(settings)
    writing = {key: given.pop(key) for key in WRITING if key in given}
    gguf = GgufOfMerge.opened(output_dir, writing, overwrite=overwrite)
    merge, recipe, fingerprint, chat = _merge_of(weights, given, config, written)
    phase("importing torch")
    with whole_imports():
        from tvmerge.merging.build import open_models
        from tvmerge.merging.export.card import CardFacts
        from tvmerge.merging.export.export import export_merge
        from tvmerge.merging.remarks import LISTING

    with closing(Caches()) as caches:
        phase("reading and checking the models")
        models = open_models(merge, caches)
        _check_sources(models.fingerprint, fingerprint)
        for found in models.remarks():
            remark(found.line(output_dir / LISTING))
        record = _record(chat, models, remark)
        gguf.check(models)
        if recipe is None:
            recipe = _uniform(models.group_names, weights.weight)
        phase("writing the model")
        writing |= {"overwrite": overwrite, "protect": protect, "files": record.files}
        facts = CardFacts(notes=record.notes, settings=record.settings)
        lines = export_merge(models, output_dir, recipe, facts=facts, **writing)
        for line in chain(lines, gguf.write(models, recipe, record, phase)):
            written(line)


def _merge_of(
    weights: Weights, given: dict[str, Any], config: Path | None, written: Callable[[str], object]
) -> tuple[MergeConfig, Recipe | None, Mapping[str, Any], ChatConfig | Mapping[str, Any]]:
    """Return the merge settings, the weights by name, a trial's model digests and the chat settings.

    Args:
        weights: The weights.
        given: Settings by key, of `MergeConfig` and of chats.
        config: A run's TOML file.
        written: Called with what was chosen of a study.

    Raises:
        UserError: They cannot be read, or one is not finite.
    """
    if _choose(weights) == "--trial":
        merge, choice, fingerprint, chat = _from_study(weights, given)
        written(choice.line)
        return merge, choice.trial.recipe, fingerprint, chat
    own = ChatConfig(**{key: given.pop(key) for key in CHAT if key in given})
    return load_merge_config(given, config), _given_recipe(weights), {}, own


def _with_study(weights: Weights) -> Weights:
    """Return the weights with the storage and the name of the study of their run folder."""
    if weights.run_dir is None:
        return weights
    if weights.weight is not None or weights.weights is not None:
        raise ConfigError("--run-dir is for a trial of that run; leave it out with --weight and --weights")
    storage, study = named_study(weights.run_dir, weights.storage, weights.study_name)
    return replace(weights, storage=storage, study_name=study)


def _check_settings(
    output_dir: Path, settings: Mapping[str, Any], protect: Callable[[], None], *, overwrite: bool
) -> None:
    """Check what can be checked without the models."""
    check_new_folder(output_dir, "--output-dir")
    protect()
    check_replaceable(output_dir, None, overwrite=overwrite)  # again with the sources, once they are read
    template_texts(settings.get("chat_template"))
    if (repository := settings.get("push_to_hub")) is not None:
        check_upload(repository)


def _check_outputs(output_dir: Path, settings: Mapping[str, Any], precious: Mapping[str, Path]) -> None:
    """Check that the folders that may be replaced hold nothing that must stay."""
    outputs = {"--output-dir": output_dir}
    if settings.get("save_experts"):
        outputs["the folder of --save-experts,"] = experts_folder(output_dir)
    for what, folder in outputs.items():
        runs = (("the results of a run", run) for run in runs_within(folder))
        check_precious(folder, chain(precious.items(), runs), what)


def _precious(
    weights: Weights, settings: Mapping[str, Any], config: Path | None
) -> Iterator[tuple[str, Path]]:
    """Yield what must stay even if folders may be replaced, by what it is called."""
    yield "the working directory", Path.cwd()
    yield "tvmerge's cache", cache_folder()
    if config is not None:
        yield "the config file", config
    if isinstance(weights.weights, Path):
        yield "the file of weights", weights.weights
    if weights.storage is not None and (study := sqlite_file(weights.storage)) is not None:
        yield "the study", study
    for key, what in (("chat_template", "the chat template"), ("llama_cpp", "the folder of llama.cpp")):
        if settings.get(key) is not None:
            yield what, Path(settings[key])


def _given_recipe(weights: Weights) -> Recipe | None:
    """Return the weights by name; None if there is one for everything, whose names the models tell."""
    if weights.weight is not None and not math.isfinite(weights.weight):
        raise ConfigError(f"--weight must be a finite number, got {weights.weight}")
    return read_weights(weights.weights) if isinstance(weights.weights, Path) else weights.weights


def _choose(weights: Weights) -> str:
    sources = {"--weight": weights.weight, "--weights": weights.weights, "--trial": weights.trial}
    named = [flag for flag, value in sources.items() if value is not None]
    if not named and weights.storage is not None and weights.study_name is not None:
        return "--trial"
    if len(named) != 1:
        got = " and ".join(named) or "none"
        raise ConfigError(f"pass one of --weight, --weights or --trial; got {got}")
    return named[0]


def _record(
    chat: ChatConfig | Mapping[str, Any], models: Merge, remark: Callable[[str], object]
) -> ChatRecord:
    """Return the chat settings to record, as the study stored them or from these settings."""
    from tvmerge.engines.prompting.open import ChatRecord, chat_of_merge

    if not isinstance(chat, ChatConfig):
        record = ChatRecord.from_json(chat)
        lines = record.stops.lines if record.stops.tokens else ()
    else:
        record, lines = chat_of_merge(chat, models)
    for line in lines:
        remark(line)
    return record


def _from_study(
    weights: Weights, given: Mapping[str, Any]
) -> tuple[MergeConfig, Choice, Mapping[str, Any], Mapping[str, Any]]:
    """Read a trial with its weights, its merge settings, model digests and chat settings from the study."""
    if weights.storage is None or weights.study_name is None:
        raise ConfigError("--trial needs --run-dir, or --storage and --study-name")
    fixed = [f"--{key.replace('_', '-')}" for key in given if key not in ELSEWHERE]
    if fixed:
        raise ConfigError(f"{', '.join(fixed)} cannot be combined with --trial: the study defines it")
    from tvmerge.study.storage import read_study

    stored = read_study(weights.storage, weights.study_name)
    run = dict(stored.run)
    chat = {"texts": run.pop("texts", {}), **run.pop("chat", {})}
    choice = stored.choose(weights.trial or BY_COMPARISON)
    return MergeConfig(**{**run, **given}), choice, stored.fingerprint, chat


def _check_sources(found: Mapping[str, str], expected: Mapping[str, Any]) -> None:
    """Raise if the models are not those that the trial was scored with."""
    changed = [key for key, value in found.items() if key != "dtype" and expected.get(key, value) != value]
    if changed:
        raise StudyError(
            f"{', '.join(changed)} changed since the study was run; restore the models it was run with"
        )


def read_weights(path: Path) -> Recipe:
    """Read weights from a JSON object, or from `weights` in a `result.json`."""
    try:
        data = parse_json(read_text(path, error=ConfigError))
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("weights"), dict):
        data = data["weights"]
    if not isinstance(data, dict) or not all(type(value) in {int, float} for value in data.values()):
        raise ConfigError(f'{path}: must map names to numbers, such as {{"layers.0": 0.7}}')
    return Recipe({name: float(value) for name, value in data.items()})


def _uniform(names: Sequence[str], weight: float | None) -> Recipe:
    """Return the same weight for every group, with densities of 1."""
    return Recipe({name: 1.0 if is_density(name) else float(weight or 0.0) for name in names})
