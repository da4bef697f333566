"""Compares the settings of configurations other than shapes.

Two models of equal shapes may interpret the same numbers differently, such as 4 heads of 8 rows or 2 of 16.
Models cannot be merged if they differ in a setting that decides what the numbers of a tensor mean. If a
setting only decides how well they fit (rotary base, epsilon, window), the user is informed. No model family
is known here: settings are recognized by words in their names, as transformers spells them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

Settings = Mapping[str, Any]
"""Values of settings as JSON data, by path (`rope_parameters.rope_theta`)."""

Topic = Literal["none", "meaning", "RoPE", "norm epsilon", "attention window", "settings"]

_ABSENT = "none"
_LONGEST = 60
"""Maximum number of characters of a value in a message."""

_ADMINISTRATIVE = re.compile(
    r"^_|^(architectures|auto_map|model_type|problem_type|task_specific_params|finetuning_task|name_or_path"
    r"|(torch_)?dtype|use_cache|return_dict|(id2)?label(2id)?|id2label|is_encoder_decoder|pretraining_tp"
    r"|tie_word_embeddings|quantization_config|compression_config|tokenizer_class|attn_implementation"
    r"|chunk_size_feed_forward|num_logits_to_keep|max_position_embeddings|n_positions|n_ctx|max_seq_len"
    r"|seq_length|context_length|model_max_length|seed)$"
    r"|_token_ids?$|vocab_size|dropout|_pdrop$|layerdrop|^initializer|_initializer_|init_std|_init_|init_device"
    r"|^output_(attentions|hidden_states|router_logits)$|_loss(_|$)|jitter|^summary_|classifier|_version$"
    r"|mtp|nextn"
)
"""Settings that do not affect how a trained model computes, or that are checked elsewhere (tokens, ties)."""

_TOPICS: tuple[tuple[Topic, str], ...] = (
    (
        "RoPE",
        r"rope_theta$|rope_scaling$|rope_parameters$|rotary_emb_base|rope_(local_)?base|original_max_pos",
    ),
    ("norm epsilon", r"(^|_)eps(ilon)?(_|$)"),
    ("attention window", r"window|sliding|attention_chunk_size|^local_attention$"),
    # Attention heads and their groups, not `lm_head`.
    ("meaning", r"(?<!lm)(^|_)(heads?|headdim|nheads)(_|$)|query_groups|multi_query|kv_channels|n_?groups"),
    # The kind of each layer.
    ("meaning", r"(^|_)layers?(_|$)|block_types?$|att(entio)?n_types?$|full_attn|dense_replace|sparse_step"),
    # The activation between two matrices.
    ("meaning", r"(^|_)(act|afn|activation)(_|$)|gelu"),
    # The encoding of positions.
    ("meaning", r"alibi|rotary|(^|_)(no)?rope(_|$)|position_|pos_emb|causal|bidirectional|prefix_lm"),
    # Factors and bounds of activations.
    (
        "meaning",
        r"scal(e|es|ar|ing)(_|$)|multiplier|soft_?cap|clip|clamp|limit|_factor$|_alpha|_beta|lambda|temperature",
    ),
    # The selection of experts, and how their outputs are added.
    ("meaning", r"per_tok|top_?k|n_group$|expert_group|scoring|selection|renorm|moe_k$|gat(e|ing)(_|$)"),
    # The order of the parts of a layer.
    ("meaning", r"parallel|residual|norm(_|$)|layernorm"),
    ("none", r"size$|(^|_)dim$|^hidden_"),
)
"""The topic of a setting by words in its name; the first match decides. Shapes are checked elsewhere."""

_PATTERNS_OF_LAYERS = re.compile(r"^(use_sliding_window|max_window_layers|sliding_window_pattern)$")
"""Settings from which `layer_types` is computed, if a configuration has it."""


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a language model.

    Args:
        config: The text model's configuration, from transformers' `to_dict`.
    """
    found = dict(_flat("", config))
    for path in {path.rpartition(".")[0] for path in found if path.startswith("rope_parameters.")}:
        found.setdefault(f"{path}.partial_rotary_factor", 1)
        found.pop(f"{path}.type", None)  # the name of rope_type before version 5, which is kept in addition
    heads = next((found[key] for key in ("num_attention_heads", "n_head") if found.get(key)), None)
    if heads and found.get("hidden_size") and found.get("head_dim") is None:
        found["head_dim"] = found["hidden_size"] // heads
    if "layer_types" in found:
        found = {key: value for key, value in found.items() if not _PATTERNS_OF_LAYERS.match(key)}
    return found


def contradictions(models: Mapping[str, Settings]) -> list[str]:
    """Return a problem for each differing setting that decides what the tensors' numbers mean."""
    return [text for topic, text in _differences(models) if topic == "meaning"]


def setting_remarks(models: Mapping[str, Settings], donor: str) -> list[str]:
    """Return remarks on differing settings of models that can be merged, one line per topic.

    Args:
        models: The settings of each model, by its name.
        donor: The model whose settings the merged model has.
    """
    topics: dict[Topic, list[str]] = {}
    for topic, text in _differences(models):
        if topic not in {"meaning", "none"}:
            topics.setdefault(topic, []).append(text)
    return [
        f"{topic} {'differ' if topic == 'settings' else 'differs'}: {'; '.join(texts)}; "
        f"the merged model is like {donor}"
        for topic, texts in topics.items()
    ]


def grouped(values: Mapping[str, str]) -> str:
    """Return values and the models that have them: `1 in target and base, 2 in tuned`."""
    owners: dict[str, list[str]] = {}
    for name, value in values.items():
        owners.setdefault(value, []).append(name)
    return ", ".join(f"{value} in {' and '.join(names)}" for value, names in owners.items())


def _differences(models: Mapping[str, Settings]) -> Iterator[tuple[Topic, str]]:
    paths = dict.fromkeys(path for settings in models.values() for path in settings)
    for path in paths:
        topic = _topic(path)
        # transformers fills in all settings of a family, so absent ones are unknown to it. Only rotary
        # embeddings have other parameters for each kind.
        owners = {
            name: settings.get(path)
            for name, settings in models.items()
            if path in settings or topic == "RoPE"
        }
        values = list(owners.values())
        if topic != "none" and any(not _equal(value, values[0]) for value in values):
            place, values = _first_difference(values)
            shown = dict(zip(owners, map(_shown, values), strict=True))
            yield topic, f"{path}{place} is {grouped(shown)}"


def _topic(path: str) -> Topic:
    root, _, leaf = path.rpartition(".")
    if any(_ADMINISTRATIVE.search(part) for part in path.split(".")):
        return "none"
    if root.startswith("rope_") and "partial" not in leaf:
        return "RoPE"
    return next((topic for topic, words in _TOPICS if re.search(words, leaf)), "settings")


def _equal(one: Any, other: Any) -> bool:
    return one == other or {one is None or one is False, other is None or other is False} == {True}


def _first_difference(values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Return the first difference of lists of equal length; other values unchanged."""
    if not all(isinstance(value, list) for value in values) or len({len(value) for value in values}) > 1:
        return "", list(values)
    place = next(
        i for i, column in enumerate(zip(*values, strict=True)) if any(x != column[0] for x in column)
    )
    return f"[{place}]", [value[place] for value in values]


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif not (path.startswith("rope_") and value is None):
        yield path, _plain(value)


def _plain(value: Any) -> Any:
    """Return a value in a comparable form: lists for tuples, equal NaNs, equal texts for 1e4 and 10000."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return str(value) if math.isnan(value) else int(value) if value.is_integer() else value
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _shown(value: Any) -> str:
    text = _ABSENT if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
