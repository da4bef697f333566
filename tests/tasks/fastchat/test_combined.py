"""Several benchmarks asked together, as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tvmerge.errors import ConfigError
from tvmerge.tasks.fastchat.benchmark import Benchmark, load_benchmark
from tvmerge.tasks.fastchat.combined import combine


def make(folder: Path, settings: str, *categories: str) -> Benchmark:
    folder.mkdir()
    rows = [{"question_id": n, "category": c, "turns": ["?"]} for n, c in enumerate(categories, start=1)]
    (folder / "question.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "benchmark.toml").write_text(settings, encoding="utf-8")
    return load_benchmark(folder)


@pytest.fixture
def chat(tmp_path: Path) -> Benchmark:
    return make(
        tmp_path / "chat", 'japanese_exempt = ["code"]\n[temperature]\ncode = 0.1\n', "code", "writing"
    )


@pytest.fixture
def exam(tmp_path: Path) -> Benchmark:
    return make(tmp_path / "exam", "[temperature]\ndefault = 0.0\n", "writing", "math")


def test_a_single_benchmark_stays_as_it_is(chat: Benchmark) -> None:
    assert combine([chat]) is chat


def test_questions_and_categories_are_named_after_their_benchmark(chat: Benchmark, exam: Benchmark) -> None:
    both = combine([chat, exam])
    assert both.name == "chat + exam"
    assert [(question.question_id, question.category) for question in both.questions] == [
        ("chat/1", "chat/code"),
        ("chat/2", "chat/writing"),
        ("exam/1", "exam/writing"),
        ("exam/2", "exam/math"),
    ]
    assert [question.question_id for question in both.stated] == ["chat/1", "chat/2", "exam/1", "exam/2"]


def test_each_benchmark_keeps_its_settings(chat: Benchmark, exam: Benchmark) -> None:
    settings = combine([chat, exam]).settings
    assert settings.temperatures == {
        "chat/code": 0.1,
        "chat/writing": chat.settings.default_temperature,
        "exam/writing": 0.0,
        "exam/math": 0.0,
    }
    assert settings.japanese_exempt == ("chat/code",)


def test_references_stay_and_their_absence_is_told_by_the_full_name(chat: Benchmark, exam: Benchmark) -> None:
    assert combine([chat, exam]).without_reference == ("exam/2",)
    asked = combine([chat.for_judge("rules"), exam.for_judge("rules")]).questions
    assert all(question.reference == () for question in asked)


def test_another_set_of_benchmarks_has_another_digest(chat: Benchmark, exam: Benchmark) -> None:
    assert len({combine(some).digest for some in ([chat], [chat, exam], [exam, chat])}) == 3


def test_a_benchmark_named_twice_is_refused(chat: Benchmark) -> None:
    with pytest.raises(ConfigError, match="benchmark chat is named twice; give a weight instead: chat=2"):
        combine([chat, chat])
