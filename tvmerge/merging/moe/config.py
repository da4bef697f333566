"""The configuration of a mixture, made from that of its base model."""

from __future__ import annotations

from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

from tvmerge.merging.moe.layouts import Layout


def mixture_config(
    dense: PreTrainedConfig, layout: Layout, *, experts: int, per_token: int
) -> dict[str, Any]:
    """Return the mixture's `config.json`.

    Every setting that both families have is copied explicitly, so that no default of the mixture's family is
    used (Mixtral's rotary base and context length differ from those of a small Llama).
    """
    maker = CONFIG_MAPPING[layout.model_type]
    known, given, common = maker().to_dict(), dense.to_dict(), PreTrainedConfig().to_dict()
    shared = {key: value for key, value in given.items() if key in known and key not in _OWN}
    numbers: dict[str, Any] = {"num_experts_per_tok": per_token, "output_router_logits": False}
    if layout.model_type == "mixtral":
        numbers |= {"num_local_experts": experts}
    else:
        numbers |= {
            "num_experts": experts,
            "moe_intermediate_size": given["intermediate_size"],
            "norm_topk_prob": True,  # as in Mixtral, the weights of the selected experts sum to 1
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }
    config = maker(**{**shared, **numbers, "architectures": [layout.architecture]}).to_dict()
    if given.get("head_dim") is not None:
        config["head_dim"] = given["head_dim"]
    # Settings of all configurations (labels, output flags, the path) are not part of the model.
    config = {key: value for key, value in config.items() if key in _KEPT or key not in common}
    theta = (config.get("rope_parameters") or {}).get("rope_theta")
    # transformers before version 5, and programs that read its files, expect it at the top level.
    return config | ({"rope_theta": theta} if theta is not None else {})


_KEPT = frozenset({"model_type", "architectures", "dtype", "transformers_version"})
_OWN = frozenset({"model_type", "architectures", "num_experts_per_tok", "num_local_experts", "num_experts"})
