"""Opens a merge from a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging.align import Aligned, align
from tvmerge.merging.checkpoints.arrangement import Structure
from tvmerge.merging.checkpoints.checkpoint import Checkpoint, refuse_quantised_index
from tvmerge.merging.checkpoints.compatibility import check_structures
from tvmerge.merging.checkpoints.configurations import setting_remarks
from tvmerge.merging.checkpoints.digests import DigestCache
from tvmerge.merging.checkpoints.layout import CONFIG, SAFETENSORS_INDEX, read_json
from tvmerge.merging.checkpoints.lora.identity import adapter_base
from tvmerge.merging.checkpoints.prompting import prompt_remarks
from tvmerge.merging.checkpoints.quantised import declared
from tvmerge.merging.checkpoints.sources import Source, check_downloaded, fetch_weights, resolve
from tvmerge.merging.checkpoints.structure import read_structure, structure_of_model
from tvmerge.merging.checkpoints.vocabulary import Vocabulary, share_tokens, vocabulary_of
from tvmerge.merging.deltas import Operand
from tvmerge.merging.finite import check_plan
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.merge import Expert, Merge, is_target
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.model_names import distinct_names
from tvmerge.merging.moe.mixture import align_mixture
from tvmerge.merging.opened import OpenedSources, part_of
from tvmerge.merging.plan import Plan
from tvmerge.merging.remarks import Remark
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.pretrained.empty_model import read_empty_model
from tvmerge.pretrained.tokens import read_tokens

__all__ = ["Merge", "open_merge", "open_request"]


def open_request(
    request: MergeRequest,
    *,
    cache_dir: Path | None = None,
    digest_cache: DigestCache | None = None,
    verify: bool = True,
    download: bool = True,
) -> Merge:
    """Resolve, open, check and align all models of a request.

    Args:
        request: The merge request.
        cache_dir: The hub's cache; default: its usual folder.
        digest_cache: The cache of files' digests.
        verify: Whether to read all weights now and reject NaN and infinities.
        download: Whether to download missing weights from the hub.

    Raises:
        CheckpointError: A model cannot be found or read, or the models do not fit together.
        ConfigError: The request does not fit the models.
    """
    sources, remarks = _resolve(request, cache_dir)
    _check_configurations(request, sources)
    for source in sources.values():
        if download:
            fetch_weights(source, cache_dir=cache_dir, allow_pickle=request.allow_pickle)
        else:
            check_downloaded(source)
    opened = OpenedSources(request, sources, digest_cache, remarks)
    merge = (
        _dense(request, sources, opened) if len(request.targets) == 1 else _mixture(request, sources, opened)
    )
    if verify:
        check_plan(merge.merger.plan, _dtype(request))
    return merge


def open_merge(
    target: str,
    base: str,
    tuned: str,
    mode: str,
    *,
    cache_dir: Path | None = None,
    dtype: torch.dtype | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    digest_cache: DigestCache | None = None,
    verify: bool = True,
) -> Merge:
    """Open a merge of one target and one task vector; see `open_request`."""
    request = MergeRequest(
        targets=(target,),
        vectors=(TaskVector(tuned=tuned, base=base, rules=GroupRules(mode)),),
        dtype=None if dtype is None else str(dtype).removeprefix("torch."),
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
    )
    return open_request(request, cache_dir=cache_dir, digest_cache=digest_cache, verify=verify)


def _resolve(request: MergeRequest, cache_dir: Path | None) -> tuple[dict[str, Source], tuple[str, ...]]:
    """Return the models by their part in the merge (`target`, `base`, `tuned`, ...), and remarks on them."""
    remarks: list[str] = []
    references: dict[str, str] = {}
    for number, target in enumerate(request.targets):
        references["target" if len(request.targets) == 1 else f"target.{number}"] = target
    if request.mixture.base is not None:
        references["moe_base"] = request.mixture.base
    find = partial(resolve, cache_dir=cache_dir, code=request.trust_remote_code)
    sources = {part: find(reference) for part, reference in references.items()}
    for vector in request.vectors:
        tuned = find(vector.tuned)
        if tuned.is_adapter:
            base, remark = adapter_base(
                tuned, vector.base, cache_dir=cache_dir, code=request.trust_remote_code
            )
            remarks += [] if remark is None else [remark]
        elif vector.base is None:
            raise ConfigError(f"the task vector of {vector.tuned} needs the base model it was tuned from")
        else:
            base = find(vector.base)
        sources[part_of(request, vector, "base")] = base
        sources[part_of(request, vector, "tuned")] = tuned
    sources = distinct_names(sources)
    for part, source in sources.items():
        if source.is_adapter and not part.endswith("tuned"):
            raise CheckpointError(f"{source.name} is an adapter (LoRA), and only a tuned model may be one")
    return sources, tuple(remarks)


def _check_configurations(request: MergeRequest, sources: Mapping[str, Source]) -> None:
    """Check the configurations before gigabytes of weights are downloaded."""
    if not any(source.downloaded for source in sources.values()):
        return
    for source in sources.values():
        refuse_quantised_index(source.folder, source.name)
    announced = {
        part: _announced(source, trust_remote_code=request.trust_remote_code)
        for part, source in sources.items()
        if not source.is_adapter
    }
    first, *others = (model.structure for model in announced.values())
    check_structures(first, others, any_vocabulary=request.vocabulary != "error")
    for vector in request.vectors:
        pair = [announced.get(part_of(request, vector, role)) for role in ("base", "tuned")]
        for part, target in announced.items():
            if pair[0] and pair[1] and is_target(part):
                share_tokens(target.tokens, pair[0].tokens, pair[1].tokens, request.vocabulary)


@dataclass(frozen=True, slots=True)
class _Announced:
    """A model before its weights are downloaded."""

    structure: Structure
    tokens: Vocabulary


def _announced(source: Source, *, trust_remote_code: bool) -> _Announced:
    """Return what configuration, tokenizer and the index of its files show of a model."""
    folder, name, trust = source.folder, source.name, trust_remote_code
    stated, index = read_json(folder / CONFIG), folder / SAFETENSORS_INDEX
    names = read_json(index).get("weight_map") if index.is_file() else None
    empty = read_empty_model(folder, name, stated, trust_remote_code=trust)
    tokens = read_tokens(folder, name, trust_remote_code=trust)
    structure = structure_of_model(empty, name)
    if isinstance(names, dict) and structure.arrange(names).duplicates:
        structure = read_structure(folder, name, trust_remote_code=trust, untied=True)
    return _Announced(structure, vocabulary_of(tokens, name, structure.vocabulary))


def _dense(request: MergeRequest, sources: Mapping[str, Source], opened: OpenedSources) -> Merge:
    apart = opened.untie_where_needed(["target"])
    target = opened.model("target")
    aligned = align(target, opened.vectors, vocabulary=request.vocabulary, seed=request.seed)
    plan = _dense_plan(aligned, target, opened)
    noted = _noted(sources, opened, target, aligned.matched, apart)
    # Remote code can only be built from its folder.
    config = None if target.is_untied and request.trust_remote_code else target.changed
    return Merge(request, _merger(request, plan), sources, target, noted=noted, config=config)


def _mixture(request: MergeRequest, sources: Mapping[str, Source], opened: OpenedSources) -> Merge:
    parts = [f"target.{number}" for number in range(len(request.targets))]
    own_base = ["moe_base"] if request.mixture.base is not None else []
    apart = opened.untie_where_needed([*parts, *own_base])
    targets = [opened.model(part) for part in parts]
    base = opened.model("moe_base") if own_base else None
    mixture = align_mixture(targets, base, opened.vectors, request)
    plan = Plan(
        rows=mixture.rows,
        copies={},
        models=dict(opened.parts),
        constants=mixture.gates,
        idle=mixture.idle,
        # The digest identifies the base, so its path does not matter.
        settings={
            "mixture": asdict(replace(request.mixture, base=None)),
            "config": mixture.config,
            **_settings(mixture.experts[0]),  # all of them have the same token ids
        },
    )
    experts = [
        Expert(target, _merger(request, _dense_plan(aligned, target, opened)))
        for target, aligned in zip(targets, mixture.experts, strict=True)
    ]
    return Merge(
        request,
        _merger(request, plan),
        sources,
        base or targets[0],
        noted=_noted(sources, opened, base or targets[0], mixture.matched, apart),
        config=mixture.config,
        experts=tuple(experts),
    )


def _noted(
    sources: Mapping[str, Source],
    opened: OpenedSources,
    donor: Checkpoint,
    matched: Iterable[Remark],
    apart: Sequence[str],
) -> tuple[Remark, ...]:
    """Return remarks on the models."""
    names = {source.folder: source.name for source in sources.values()}
    settings = {names[model.folder]: model.structure.settings for model in opened.whole}
    stale = [
        f"{names[model.folder]}: its config.json says that its weights are quantised ({method}), but they "
        "are floats and are taken as such"
        for model in opened.whole
        if (method := declared(model.config)) is not None
    ]
    lines = (
        *opened.remarks,
        *_untied(donor, apart),
        *setting_remarks(settings, names[donor.folder]),
        *prompt_remarks(names, donor.folder),
        *stale,
    )
    return (*map(Remark, lines), *matched)


def _untied(donor: Checkpoint, apart: Sequence[str]) -> list[str]:
    if donor.changed is None or donor.is_untied:
        return []
    why = f": {' and '.join(apart)} {'move' if len(apart) > 1 else 'moves'} them differently" if apart else ""
    return [f"head and embeddings of {donor.name}, which are one tensor there, are two here{why}"]


def _dense_plan(aligned: Aligned, target: Checkpoint, opened: OpenedSources) -> Plan:
    return Plan(
        rows=aligned.rows,
        copies={name: Operand(target, name) for name in aligned.unchanged},
        models=dict(opened.parts),
        extra=aligned.extra,
        idle=aligned.idle,
        settings=_settings(aligned),
    )


def _settings(aligned: Aligned) -> dict[str, object]:
    return {"tokens": dict(aligned.tokens)} if aligned.tokens else {}


def _merger(request: MergeRequest, plan: Plan) -> RecipeMerger:
    return RecipeMerger(plan, _dtype(request), arithmetic=request.arithmetic)


def _dtype(request: MergeRequest) -> torch.dtype | None:
    return None if request.dtype is None else getattr(torch, request.dtype)
