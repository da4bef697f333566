"""Tiny checkpoints that many tests read and none writes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.convertible import save_convertible_demo
from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.merging.checkpoints.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def llama_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folders of a target, a base and a tuned model in bfloat16, with the same tokenizer."""
    root = tmp_path_factory.mktemp("llama")
    target, base, tuned = (
        saved_model(root / name, "llama", seed=seed) for seed, name in enumerate(("target", "base", "tuned"))
    )
    for folder in (target, base, tuned):
        save_tokenizer(folder, [f"w{number}" for number in range(64)])
    return target, base, tuned


@pytest.fixture
def llamas(llama_folders: tuple[Path, Path, Path]) -> tuple[Checkpoint, Checkpoint, Checkpoint]:
    """The three models, opened."""
    target, base, tuned = (Checkpoint(folder) for folder in llama_folders)
    return target, base, tuned


@pytest.fixture(scope="session")
def convertible_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's models, with a tokenizer that llama.cpp's converter knows."""
    return save_convertible_demo(tmp_path_factory.mktemp("convertible"))
