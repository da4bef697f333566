"""Which group or part of a model an unknown name is meant for."""

from __future__ import annotations

import pytest

from tvmerge.merging.suggest import listed, near_group, near_tensor

LAYERS = ("embeddings", *(f"layers.{number}" for number in range(32)), "norm", "head")
TENSORS = ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "lm_head.weight")


@pytest.mark.parametrize(
    ("name", "groups", "meant"),
    [
        ("embedding", LAYERS, "embeddings"),
        ("lm_head", LAYERS, "head"),
        ("layer.7", LAYERS, "layers.7"),
        ("Layers.12", LAYERS, "layers.12"),
        ("layers.40", LAYERS, None),  # another layer is not meant
        ("layers.0", ("chat/layers.0", "chat/layers.1"), "chat/layers.0"),
        ("layers.2", ("layers.0-1", "layers.2-3"), "layers.2-3"),
        ("q_proj", LAYERS, None),
    ],
)
def test_a_group_is_suggested_if_its_numbers_are_those_of_the_name(
    name: str, groups: tuple[str, ...], meant: str | None
) -> None:
    assert near_group(name, groups) == ("" if meant is None else f" (did you mean {meant}?)")


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        ("embeddings", "embed_tokens"),
        ("qproj", "q_proj"),
        (r"self_atn\.q_proj", "self_attn.q_proj"),
        ("lm.head", None),
        (r"layer\.0\.", "layers.0"),
        ("[xyz]{40}", None),
    ],
)
def test_the_part_of_a_tensors_name_that_is_most_like_an_expression_is_suggested(
    expression: str, meant: str | None
) -> None:
    found = near_tensor(expression, TENSORS)
    assert found == ("" if meant is None else f" (did you mean {meant}?)")


def test_many_names_are_listed_by_the_first_and_the_last() -> None:
    assert listed(LAYERS) == "embeddings, layers.0, layers.1, ..., head"
    assert listed(("a", "b", "c", "d", "e")) == "a, b, c, d, e"
