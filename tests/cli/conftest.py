"""Small models and a small benchmark that tests of commands read and none writes to."""

from __future__ import annotations

import warnings
from itertools import groupby
from pathlib import Path

import pytest

from examples.demo.generate import benchmark_questions, question_row
from tests.merging.checkpoints.lora.adapters import saved_adapter
from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge._util.files import write_jsonl

_WORDS = [f"w{number}" for number in range(64)]


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of small models; `extended` has other tokens, `adapter` is a LoRA of `base`."""
    root = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("target", "other", "base", "chat", "code")):
        save_tokenizer(saved_model(root / name, "llama", seed=seed), _WORDS, eos_token="w2")
    extended = saved_model(root / "extended", "llama", seed=9, vocab_size=70)
    save_tokenizer(extended, [*(f"語{number}" for number in range(6)), *reversed(_WORDS)], eos_token="w2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft calls what is deprecated
        saved_adapter(root / "base", root / "adapter")
    return root


@pytest.fixture(scope="session")
def small_bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of 32 of the demo's 240 questions: of each category two to search on, and two held out."""
    folder = tmp_path_factory.mktemp("small_bench")
    categories = groupby(benchmark_questions(), key=lambda question: question.category)
    chosen = [question for _, questions in categories for question in list(questions)[:4]]
    write_jsonl(folder / "question.jsonl", map(question_row, chosen))
    return folder


@pytest.fixture
def here(small_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which the models are under their names."""
    for folder in small_models.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path
