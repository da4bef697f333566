"""Tests of the vLLM engine: `make test-vllm` runs them in an environment of their own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from perf.smollm2 import make
from tvmerge.merging.open import Merge
from tvmerge.testing.models import open_models

# vLLM brings its own torch, so it lives apart. Where it is installed, these tests fail if it does not
# start; where it is not, they are not collected.
if importlib.util.find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `target`, `base` and `tuned` made from SmolLM2-135M-Instruct; their embeddings are tied."""
    return make(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="session")
def smollm2_merge(smollm2: Path) -> Merge:
    """The three models, opened."""
    return open_models(smollm2)
