"""Every family: made, merged, written, loaded by transformers and by the live model, and made to speak.

Several modules: all of merging, and the live model.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from tests.merging.families import FAMILIES, random_model, saved_model
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.live import load_into
from tvmerge.merging.open import open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.pretrained.architectures import factory_of
from tvmerge.records import Recipe


def test_at_least_ten_families_are_covered() -> None:
    assert len(FAMILIES) >= 17
    assert {"qwen3", "qwen2", "llama", "mistral", "gemma3", "qwen3_moe", "phi3", "phi4"} < set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merged_model_of_the_family_speaks(family: str, tmp_path: Path) -> None:
    target, base, tuned = (saved_model(tmp_path / n, family, seed=s) for s, n in enumerate(("t", "b", "u")))
    vector = TaskVector(tuned=str(tuned), base=str(base), rules=GroupRules("block"))
    merge = open_request(MergeRequest(targets=(str(target),), vectors=(vector,)))
    recipe = Recipe({name: 0.2 + 0.1 * index for index, name in enumerate(merge.group_names)})
    write_merge(merge, tmp_path / "out", recipe)
    factory = factory_of(AutoConfig.from_pretrained(tmp_path / "out"))
    model, report = factory.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    live = random_model(family, seed=9)
    load_into(live, merge.merger.merge(recipe), ignore=merge.merger.extra)
    state = live.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    plan = merge.merger.plan
    weighted = {row.name for row in plan.rows if row.terms}
    assert weighted | plan.idle[""].keys() | plan.copies.keys() == set(merge.merger.specs)
    tokens = torch.tensor([[3, 5, 7]])
    spoken = model.generate(tokens, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert spoken.shape == (1, 6)
