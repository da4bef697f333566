"""Engines on a real Ray cluster of two nodes, both on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.engines.models import open_demo_engine
from tests.engines.studies import run_study
from tvmerge.engines.pool import EnginePool
from tvmerge.engines.remote import ray as ray_engine
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.ray import RayEngine, ray_engines
from tvmerge.errors import CheckpointError
from tvmerge.merging.open import Merge
from tvmerge.protocols import Engine
from tvmerge.records import Continuation, LogLikelihood, Trial
from tvmerge.testing.engine_contract import GREEDY, EngineContract
from tvmerge.testing.models import demo_questions, open_models

ray: Any = pytest.importorskip("ray")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing and two nodes with room for two engines each."""
    from ray.cluster_utils import Cluster

    make: Any = Cluster
    cluster = make(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    ray_engine.connect(cluster.address)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def merge(demo_models: Path) -> Merge:
    return open_models(demo_models)


@pytest.fixture(scope="module")
def entry(demo_models: Path) -> Entry:
    return Entry("tests.engines.models:open_demo_engine", {"folder": str(demo_models), "batch_tokens": 800})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(cluster: Any, entry: Entry) -> AsyncIterator[RayEngine]:
    opened = await RayEngine.start(entry)
    yield opened
    await opened.close()


@pytest.mark.asyncio(loop_scope="module")
class TestRayEngine(EngineContract):
    """The contract of all engines."""


async def test_sources_that_a_node_does_not_have_are_an_error_for_people(cluster: Any) -> None:
    with pytest.raises(CheckpointError, match="there is no such model"):
        await RayEngine.start(Entry("tests.engines.entries:refused"))


async def test_an_engine_that_nobody_has_room_for_is_lost(
    cluster: Any, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "PLACEMENT", 0.5)
    with pytest.raises(EngineLostError, match="had 1 CPUs and 8 GPUs free"):
        await RayEngine.start(entry, gpus=8)


async def test_a_caller_that_leaves_ends_the_batch_in_work(cluster: Any) -> None:
    engine = await RayEngine.start(Entry("tests.engines.entries:Endless"))
    for _ in range(2):
        async with aclosing(engine.generate(demo_questions(2), GREEDY)) as stream:
            await anext(stream)
        assert await engine.loglikelihood([Continuation((1,), (1,))]) == [LogLikelihood(0.0, greedy=True)]
    await engine.close()


async def test_an_unexpected_error_is_a_lost_engine(cluster: Any) -> None:
    with pytest.raises(EngineLostError, match="CUDA error"):
        await RayEngine.start(Entry("tests.engines.entries:broken"))


def test_an_address_without_a_cluster_is_bad_input() -> None:
    script = (
        "from tvmerge.engines.remote.ray import connect\n"
        "from tvmerge.errors import ConfigError\n"
        "try:\n    connect('127.0.0.1:1')\nexcept ConfigError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "there is no Ray cluster at 127.0.0.1:1" in done.stdout


async def test_a_study_that_loses_a_node_ends_with_the_table_of_one_engine(
    cluster: Any, entry: Entry, merge: Merge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def alone() -> Engine:
        return open_demo_engine(str(entry.settings["folder"]))

    single = EnginePool({"cpu": alone})
    (tmp_path / "one").mkdir()
    expected = await run_study(tmp_path / "one", merge.group_names, single)
    await single.close()

    notes: list[str] = []
    pool = EnginePool(ray_engines(entry, engines=3), note=notes.append)

    def lose_a_node(trial: Trial) -> None:
        if trial.number == 1:
            # The node that is left has no room for the engines of the other, which is known at once.
            monkeypatch.setattr(ray_engine, "PLACEMENT", 3.0)
            cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)

    (tmp_path / "ray").mkdir()
    found = await run_study(tmp_path / "ray", merge.group_names, pool, on_told=lose_a_node)
    await pool.close()
    assert found == expected
    assert notes
