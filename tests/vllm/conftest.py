"""Tests of the vLLM engine: `make test-vllm` runs them in an environment of their own."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from perf.smollm2 import make
from tvmerge.merging.open import Merge
from tvmerge.testing.models import open_models

# vLLM brings its own torch, so it lives apart. Where it is installed, these tests fail if it does not
# start; where it is not, they are not collected.
if importlib.util.find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]


READY = ("pytest", "vllm.v1.engine.core", "vllm.v1.worker.cpu_worker", "tvmerge.engines.vllm.worker")
"""What an engine's processes import, and what they import of this one."""


@pytest.fixture(scope="package", autouse=True)
def _forked_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines fork their processes, as vLLM does on GPUs, from one that has imported vLLM and no more.

    On CPUs each of them would import it for itself, which takes longer than all else. Studies that are
    processes of their own start their engines as users' do.
    """
    context = multiprocessing.get_context

    def forking(method: str | None = None) -> multiprocessing.context.BaseContext:
        return context("forkserver" if method == "spawn" else method)

    with pytest.MonkeyPatch.context() as patch:
        # Forked processes have the environment of that one.
        patch.setenv("TVMERGE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("VLLM_LOGGING_LEVEL", "ERROR")
        patch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "fork")
        multiprocessing.set_forkserver_preload(list(READY))
        forkserver.ensure_running()
        patch.undo()
        patch.setattr(multiprocessing, "get_context", forking)
        yield


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `target`, `base` and `tuned` made from SmolLM2-135M-Instruct; their embeddings are tied."""
    return make(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="session")
def smollm2_merge(smollm2: Path) -> Merge:
    """The three models, opened."""
    return open_models(smollm2)
