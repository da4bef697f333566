"""Reading benchmark folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tvmerge.errors import AssetError
from tvmerge.records import Question
from tvmerge.tasks.fastchat.benchmark import Benchmark, load_benchmark
from tvmerge.tasks.fastchat.benchmark_toml import TEMPERATURES

Write = Callable[..., Path]


def line(question_id: object = 1, category: str = "writing", **more: Any) -> str:
    return json.dumps(
        {"question_id": question_id, "category": category, "turns": ["一", "二"], **more}, ensure_ascii=False
    )


def reference_line(question_id: object, *turns: str) -> str:
    return json.dumps({"question_id": question_id, "choices": [{"index": 0, "turns": turns}]})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a benchmark folder from the text of its files."""

    def _write(questions: str, settings: str | None = None, **references: str) -> Path:
        folder = tmp_path / "bench"
        (folder / "reference_answer").mkdir(parents=True, exist_ok=True)
        (folder / "question.jsonl").write_text(questions, encoding="utf-8")
        if settings is not None:
            (folder / "benchmark.toml").write_text(settings, encoding="utf-8")
        for judge, text in references.items():
            (folder / "reference_answer" / f"{judge}.jsonl").write_text(text, encoding="utf-8")
        return folder

    return _write


def only(benchmark: Benchmark) -> Question:
    (question,) = benchmark.questions
    return question


def test_questions_keep_their_order_and_the_type_of_their_ids(write: Write) -> None:
    folder = write("\n".join([line(7), line("a"), line(3, "math", reference="4", split="holdout")]))
    benchmark = load_benchmark(folder)
    assert benchmark.name == "bench"
    assert [item.question_id for item in benchmark.questions] == [7, "a", 3]
    assert benchmark.questions[0] == Question(7, "writing", ("一", "二"))
    assert benchmark.questions[2] == Question(3, "math", ("一", "二"), ("4",), True, "holdout")


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_allowed(write: Write) -> None:
    folder = write(f"\ufeff{line(1)}\r\n\r\n   \n{line(2)}")
    assert [item.question_id for item in load_benchmark(folder).questions] == [1, 2]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{broken", "not a JSON line"),
        ("[1]", "expected a JSON object"),
        ('{"category": "c", "turns": ["t"]}', "'question_id' is missing"),
        ('{"question_id": 9, "turns": ["t"]}', "'category' is missing"),
        ('{"question_id": 9, "category": "c"}', "'turns' is missing"),
        (line(True), "'question_id' must be"),
        (line(1.5), "'question_id' must be"),
        (line(" "), "'question_id' must be"),
        (line(9, " "), "'category' is blank"),
        (line(9, turns="text"), "'turns' must be a list"),
        (line(9, turns=[]), "'turns' is empty"),
        (line(9, turns=["t", 2]), "'turns' must be a text"),
        (line(9, turns=["t", ""]), "turn 2 is blank"),
        ('{"question_id": 9, "category": "c", "turns": ["\\ud800"]}', "half a surrogate pair"),
        (line(9, reference=4), "'reference' must be a list of texts"),
        (line(9, split="train"), "'split' must be"),
        (line(9, split=["search"]), "'split' must be"),
        (line("1"), "already used in line 1"),
        (line(1), "already used in line 1"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(write: Write, bad: str, says: str) -> None:
    folder = write(f"{line(1)}\n\n{bad}\n")
    with pytest.raises(AssetError) as caught:
        load_benchmark(folder)
    assert f"{folder / 'question.jsonl'}:3: " in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_questions_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="contains no questions"):
        load_benchmark(write("\n \n"))
    with pytest.raises(AssetError, match="cannot be read"):
        load_benchmark(tmp_path)


def test_without_settings_a_benchmark_runs_as_fastchat_runs_it(write: Write) -> None:
    settings = load_benchmark(write(line())).settings
    assert settings.temperatures == TEMPERATURES
    assert settings.default_temperature == 0.7
    assert settings.reference_categories == ("math", "reasoning", "coding", "arena-hard-200")


def test_settings_overlay_the_temperatures_and_replace_the_categories(write: Write) -> None:
    text = """
        description = "d"
        reference_categories = ["quiz"]
        japanese_exempt = ["coding"]
        [temperature]
        writing = 1
    """
    benchmark = load_benchmark(
        write(line(1, "math", reference="r") + "\n" + line(2, "quiz", reference="r"), text)
    )
    assert benchmark.settings.description == "d"
    assert benchmark.settings.japanese_exempt == ("coding",)
    assert benchmark.settings.temperatures["writing"] == 1.0
    assert benchmark.settings.temperatures["math"] == 0.0
    assert benchmark.settings.default_temperature == 0.7
    assert [item.needs_reference for item in benchmark.questions] == [False, True]


def test_a_default_temperature_holds_for_every_category_the_file_does_not_name(write: Write) -> None:
    settings = load_benchmark(write(line(), "[temperature]\ndefault = 0\nroleplay = 0.5")).settings
    assert settings.temperatures == {"roleplay": 0.5}
    assert settings.default_temperature == 0.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("descripton = 'd'", "unknown key 'descripton' (did you mean description?); known: description"),
        ("[scale]\nlow = 1", "unknown key 'scale'"),
        ("description =", "not a TOML file"),
        ("description = 1", "'description' must be a text"),
        ("reference_categories = 'math'", "'reference_categories' must be a list"),
        ("japanese_exempt = [1]", "'japanese_exempt' must be a list"),
        ("temperature = 1", "'temperature' must be a table"),
        ("[temperature]\nmath = -0.1", "temperature 'math' must be a number"),
        ("[temperature]\nmath = nan", "temperature 'math' must be a number"),
        ("[temperature]\nmath = true", "temperature 'math' must be a number"),
        ("[temperature]\nmath = '0'", "temperature 'math' must be a number"),
    ],
)
def test_bad_settings_are_named_by_file_and_key(write: Write, text: str, says: str) -> None:
    folder = write(line(), text)
    with pytest.raises(AssetError) as caught:
        load_benchmark(folder)
    assert str(folder / "benchmark.toml") in str(caught.value)
    assert says in str(caught.value)


def test_references_come_from_the_judges_own_file(write: Write) -> None:
    folder = write(
        line(1, "math", reference=["own"]),
        **{"gpt-4": reference_line("1", "four", "two"), "claude": reference_line(1, "c1", "c2")},
    )
    benchmark = load_benchmark(folder)
    assert only(benchmark.for_judge("gpt-4")).reference == ("four", "two")
    assert only(benchmark.for_judge("openai/gpt-4")).reference == ("four", "two")
    assert only(benchmark.for_judge("claude")).reference == ("c1", "c2")
    assert only(benchmark.for_judge("unknown")).reference == ("own",)
    assert only(benchmark.for_judge("claude").for_judge("gpt-4")).reference == ("four", "two")


def test_a_reference_file_can_be_named(write: Write) -> None:
    folder = write(
        line(1, "math"),
        **{"gpt-4": reference_line("1", "four"), "gpt-4o": reference_line(1, "omni")},
    )
    benchmark = load_benchmark(folder)
    assert benchmark.without_reference == (1,)
    assert only(benchmark.for_judge("claude", "gpt-4o")).reference == ("omni",)
    assert only(benchmark.for_judge("gpt-4", "gpt-4o.jsonl")).reference == ("omni",)
    with pytest.raises(AssetError, match=r"--reference gpt-5: .*it has: gpt-4, gpt-4o"):
        benchmark.for_judge("gpt-4", "gpt-5")


def test_grading_criteria_are_shown_whatever_the_category(write: Write) -> None:
    benchmark = load_benchmark(write(line(1, eval_aspect="- 敬語")))
    assert only(benchmark).eval_aspect == "- 敬語"
    assert only(benchmark).needs_reference
    assert benchmark.digest != load_benchmark(write(line(1, eval_aspect="- 常体"))).digest


def test_the_first_turns_alone_may_be_asked(write: Write) -> None:
    benchmark = load_benchmark(write(line(1))).first_turns(1)
    assert only(benchmark).turns == ("一",)
    assert only(benchmark.for_judge("gpt-4")).turns == ("一",)


def test_the_only_reference_file_serves_every_judge(write: Write) -> None:
    folder = write(line(1, "math", reference=["own"]), **{"gpt-4": reference_line(1, "four")})
    assert only(load_benchmark(folder)).reference == ("four",)
    assert only(load_benchmark(folder).for_judge("rules")).reference == ("four",)


def test_a_question_the_reference_file_lacks_falls_back_to_its_own(write: Write) -> None:
    text = reference_line(5, "not asked") + "\n" + reference_line(2, " ")
    folder = write(
        line(1, "math", reference="own") + "\n" + line(2, "math", reference="two"), **{"gpt-4": text}
    )
    assert [item.reference for item in load_benchmark(folder).questions] == [("own",), ("two",)]


def test_questions_without_any_reference_are_listed_and_judged_without(write: Write) -> None:
    folder = write("\n".join([line(1, "math"), line(2, "math", reference=["", ""]), line(3, "writing")]))
    benchmark = load_benchmark(folder)
    assert benchmark.without_reference == (1, 2)
    assert not any(item.needs_reference for item in benchmark.questions)


def test_other_categories_keep_their_reference_for_judges_by_rule(write: Write) -> None:
    folder = write(line(1, "colours", reference=["赤", "青"]), **{"gpt-4": reference_line(1, "x")})
    question = only(load_benchmark(folder))
    assert question.reference == ("赤", "青")
    assert not question.needs_reference


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{broken", "not a JSON line"),
        ('{"question_id": 1}', "'choices' is missing"),
        ('{"question_id": 1, "choices": []}', "'choices' must be"),
        ('{"question_id": 1, "choices": [{}]}', "'turns' must be"),
    ],
)
def test_a_bad_reference_is_named_by_file_and_line(write: Write, text: str, says: str) -> None:
    folder = write(line(1, "math"), **{"gpt-4": text})
    with pytest.raises(AssetError) as caught:
        load_benchmark(folder)
    assert f"{folder / 'reference_answer' / 'gpt-4.jsonl'}:1: " in str(caught.value)
    assert says in str(caught.value)


def test_the_digest_follows_the_content_and_not_its_spelling(write: Write) -> None:
    plain = load_benchmark(write(line(1, "math", reference="r"))).digest
    assert load_benchmark(write("\n" + line(1, "math", reference=["r"]), "description = 'x'")).digest == plain
    assert load_benchmark(write(line(1, "math", reference="s"))).digest != plain
    assert load_benchmark(write(line("1", "math", reference="r"))).digest != plain
    assert load_benchmark(write(line(1, "math", reference="r", split="search"))).digest != plain
    assert load_benchmark(write(line(1, "math", reference="r"), "[temperature]\nmath = 1")).digest != plain


def test_the_digest_covers_only_the_references_the_judge_sees(write: Write) -> None:
    folder = write(line(1, "math"), **{"gpt-4": reference_line(1, "four")})
    before = load_benchmark(folder).for_judge("gpt-4").digest
    write(line(1, "math"), claude=reference_line(1, "c"))
    after = load_benchmark(folder)
    assert after.for_judge("gpt-4").digest == before
    assert after.for_judge("claude").digest != before
