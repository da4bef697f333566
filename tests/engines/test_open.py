"""Engines opened from plain data, wherever that arrives."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.engines.models import open_demo_engine
from tests.engines.studies import GREEDY, run_study
from tests.merging.checkpoints.lora.adapters import saved_adapter
from tvmerge._util.caches import Caches
from tvmerge.config import MergeConfig
from tvmerge.engines.open import EngineSettings, open_merger, process_engines
from tvmerge.engines.pool import EnginePool
from tvmerge.errors import CheckpointError
from tvmerge.merging.build import open_models
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.testing.models import answers_of, demo_questions, plain_answer, uniform

STOPS = (2,)
"""The demo's end of text."""


@pytest.fixture(scope="module")
def config(demo_models: Path) -> MergeConfig:
    target, base, tuned = (str(demo_models / role) for role in ("target", "base", "tuned"))
    return MergeConfig(target_model=(target,), base_model=base, tuned_model=tuned)


@pytest.fixture
def models(config: MergeConfig) -> Merge:
    with closing(Caches()) as caches:
        opened = open_models(config, caches)
        assert opened.fingerprint
        return opened


async def test_an_engine_opened_from_plain_data_answers_like_one_opened_here(
    config: MergeConfig, models: Merge, demo_models: Path
) -> None:
    settings = EngineSettings(merge=config, stop_tokens=STOPS, fingerprint=models.fingerprint)
    opened: Engine = settings.entry().call()
    here = open_demo_engine(str(demo_models))
    recipe, questions = uniform(models, 0.7), demo_questions(4)
    expected = await answers_of(here, recipe, questions, GREEDY)
    assert await answers_of(opened, recipe, questions, GREEDY) == expected
    await opened.close()
    await here.close()


def _tied(folder: Path, place: Path) -> Path:
    """The model in `folder` with its head tied to its embeddings."""
    shutil.copytree(folder, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    tensors = load_file(place / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    return place


@pytest.mark.filterwarnings("ignore")  # peft warns of ties
async def test_a_head_that_is_untied_answers_in_the_search_as_in_the_written_model(
    demo_models: Path, tmp_path: Path
) -> None:
    target, base = (_tied(demo_models / role, tmp_path / role) for role in ("target", "base"))
    adapter = saved_adapter(base, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    config = MergeConfig(target_model=(str(target),), base_model=str(base), tuned_model=str(adapter))
    with closing(Caches()) as caches:
        models = open_models(config, caches)
    engine: Engine = EngineSettings(merge=config, stop_tokens=STOPS).entry().call()
    recipe, questions = uniform(models, 1.0), demo_questions(3)
    answers = await answers_of(engine, recipe, questions, GREEDY)
    await engine.close()
    write_merge(models, tmp_path / "merged", recipe)
    for question in questions:
        turns = answers[question.question_id, 0].turns
        assert turns == plain_answer(tmp_path / "merged", None, question, GREEDY.max_new_tokens)


def test_other_files_under_the_same_name_are_refused(config: MergeConfig, models: Merge) -> None:
    other = {**models.fingerprint, "tuned": "0" * 64}
    with pytest.raises(
        CheckpointError, match=r"^tuned of target differ on this node .* copy the same model files"
    ):
        EngineSettings(merge=config, stop_tokens=STOPS, fingerprint=other).entry().call()


def test_weights_are_read_for_nan_once_in_a_run(
    config: MergeConfig, demo_models: Path, tmp_path: Path
) -> None:
    shutil.copytree(demo_models, tmp_path / "models")
    file = tmp_path / "models" / "tuned" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"][0] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})
    spoiled = replace(config, tuned_model=str(tmp_path / "models" / "tuned"))
    with pytest.raises(CheckpointError, match="NaN"):
        EngineSettings(merge=spoiled, stop_tokens=STOPS).entry().call()
    # Whoever gives a fingerprint has read the very same files.
    with closing(Caches()) as caches:
        fingerprint = open_models(spoiled, caches, verify=False).fingerprint
    EngineSettings(merge=spoiled, stop_tokens=STOPS, fingerprint=fingerprint).entry().call()


def test_the_workers_of_vllm_get_what_the_merger_yields(config: MergeConfig, models: Merge) -> None:
    recipe = uniform(models, 0.7)
    found = dict(open_merger(**asdict(EngineSettings(merge=config, stop_tokens=STOPS))).merge(recipe))
    expected = dict(models.merger.merge(recipe))
    assert found.keys() == expected.keys()
    assert all(found[name].equal(tensor) for name, tensor in expected.items())
    with pytest.raises(CheckpointError, match="no weight for"):
        open_merger(**asdict(EngineSettings(merge=config, stop_tokens=STOPS))).merge(
            replace(recipe, weights={})
        )


async def test_a_study_on_two_processes_ends_with_the_table_of_one_engine(
    config: MergeConfig, models: Merge, demo_models: Path, tmp_path: Path
) -> None:
    async def alone() -> Engine:
        return open_demo_engine(str(demo_models))

    single = EnginePool({"cpu": alone})
    (tmp_path / "one").mkdir()
    expected = await run_study(tmp_path / "one", models.group_names, single)
    await single.close()
    settings = EngineSettings(merge=config, stop_tokens=STOPS, fingerprint=models.fingerprint)
    engine_factories = process_engines(settings, [("cpu",), ("cpu",)])
    assert list(engine_factories) == ["cpu (1)", "cpu (2)"]
    pool = EnginePool(engine_factories)
    (tmp_path / "two").mkdir()
    assert await run_study(tmp_path / "two", models.group_names, pool) == expected
    await pool.close()
