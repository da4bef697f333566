"""The vLLM engine on mixtures of experts: the contract of all engines, and equality with transformers.

Several modules: the vLLM engine and mixtures, where vLLM is installed.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_asyncio

from tests.engines.mixtures import FAMILIES, mixture_engine, mixture_settings
from tvmerge._util.caches import Caches
from tvmerge.config import MergeConfig
from tvmerge.engines.vllm import server as vllm_server
from tvmerge.errors import ConfigError
from tvmerge.merging.build import open_models
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.testing.engine_contract import GREEDY, EngineContract
from tvmerge.testing.models import Answers, answers_of, demo_questions, uneven, uniform

SMALL = {"enforce_eager": True, "max_num_seqs": 16, "kv_cache_memory_bytes": 64 * 2**20}


def make_engine(settings: MergeConfig, **options: Any) -> Engine:
    return mixture_engine(settings, "vllm", **SMALL, **options)


@pytest.fixture(scope="module", params=FAMILIES)
def settings(
    request: pytest.FixtureRequest, demo_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> MergeConfig:
    return mixture_settings(demo_models, tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def merge(settings: MergeConfig) -> Merge:
    with closing(Caches()) as caches:
        return open_models(settings, caches)


@pytest.fixture(scope="module")
def temporary(settings: MergeConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where vLLM's folders are made."""
    place = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_server, "TemporaryDirectory", partial(TemporaryDirectory, dir=place))
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(settings: MergeConfig, temporary: Path) -> AsyncIterator[Engine]:
    opened = make_engine(settings)
    yield opened
    await opened.close()


@pytest.mark.asyncio(loop_scope="module")
class TestVllmEngineOnMixtures(EngineContract):
    """The contract of all engines."""

    async def test_answers_are_those_of_transformers_after_every_recipe_and_back_to_the_first(
        self, engine: Engine, settings: MergeConfig, merge: Merge
    ) -> None:
        first = uniform(merge, 0.0)
        recipes = [first, uniform(merge, 1.0), uneven(merge, -0.3), first]
        other = mixture_engine(settings)
        expected: list[Answers] = [
            await answers_of(other, recipe, demo_questions(12), GREEDY) for recipe in recipes
        ]
        await other.close()
        for recipe, answers in zip(recipes, expected, strict=True):
            assert await answers_of(engine, recipe, demo_questions(12), GREEDY) == answers
        assert all(one != two for one, two in itertools.combinations(expected[:-1], 2))


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_is_left_of_an_engine_that_was_closed_or_could_not_start(
    engine: Engine, settings: MergeConfig, merge: Merge, temporary: Path
) -> None:
    """The last test of this engine."""
    await engine.apply(uniform(merge, 1.0))
    [folder] = held = entries(temporary)
    assert not list(folder.glob("*.safetensors"))
    refused = make_engine(settings, max_model_len=10**6)
    with pytest.raises(ConfigError, match=r"^vLLM does not start with target: "):
        await refused.apply(uniform(merge, 1.0))
    assert entries(temporary) == held
    await engine.close()
    assert not entries(temporary)
