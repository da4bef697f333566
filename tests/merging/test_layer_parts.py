"""Which weights are of one part of a layer, for models of several architectures and rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.merging.families import saved_model
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.merge import Merge
from tvmerge.merging.open import open_request
from tvmerge.merging.request import MergeRequest, TaskVector


def opened(folder: Path, family: str, rules: GroupRules, *names: str) -> Merge:
    """A merge of small models with random weights, with a task vector of each name."""
    target, base, tuned = (
        str(saved_model(folder / role, family, seed=seed)) for seed, role in enumerate(("t", "b", "u"))
    )
    vectors = tuple(TaskVector(tuned=tuned, base=base, rules=rules, name=name) for name in names)
    return open_request(MergeRequest(targets=(target,), vectors=vectors))


@pytest.mark.parametrize(
    ("family", "together", "alone"),
    [
        ("llama", [{"q_proj", "k_proj", "v_proj", "o_proj"}, {"gate_proj", "up_proj", "down_proj"}], "norm"),
        ("gpt2", [{"c_attn", "attn.c_proj"}, {"c_fc", "mlp.c_proj"}, {"ln_1", "ln_2"}], "ln_f"),
    ],
)
def test_kinds_of_parameters_are_of_the_part_that_they_are_in(
    tmp_path: Path, family: str, together: list[set[str]], alone: str
) -> None:
    merge = opened(tmp_path, family, GroupRules("parameter"), "")
    found = merge.layer_parts
    assert {alone} < set(merge.group_names)
    assert alone not in found
    for names in together:
        assert len({found[name] for name in names}) == 1
    assert len({found[next(iter(names))] for names in together}) == len(together)


def test_each_task_vector_has_parts_of_its_own(tmp_path: Path) -> None:
    found = opened(tmp_path, "llama", GroupRules("parameter"), "one", "two").layer_parts
    assert found["one/q_proj"] == found["one/k_proj"]
    assert found["one/q_proj"] != found["two/q_proj"]


@pytest.mark.parametrize("rules", [GroupRules("layer"), GroupRules("uniform")])
def test_weights_of_whole_layers_are_of_no_part(tmp_path: Path, rules: GroupRules) -> None:
    assert not opened(tmp_path, "llama", rules, "").layer_parts


def test_an_own_group_across_parts_is_of_none(tmp_path: Path) -> None:
    patterns: Any = (("inner", r"(q|k)_proj"), ("across", r"o_proj|up_proj"))
    found = opened(tmp_path, "llama", GroupRules("regex", patterns=patterns), "").layer_parts
    assert set(found) == {"inner"}
