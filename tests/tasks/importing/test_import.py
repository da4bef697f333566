"""`tvmerge import`: question sets as they are published become benchmark folders.

Several modules: all of importing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.servers.openai_server import OpenAIServer, user_prompt
from tvmerge.cli.app import run
from tvmerge.records import Question
from tvmerge.tasks.fastchat.benchmark import Benchmark, load_benchmark

Rows = Sequence[dict[str, Any]]

TASKS = [
    {
        "input": "仕事の熱意を取り戻すためのアイデアを5つ挙げてください。",
        "output": "1. 新しい技能を学ぶ。\n2. 講演を聴く、など。",
        "eval_aspect": "- 5つより多い、少ない場合は1点減点\n- 内容が重複していれば1点減点\n",
    },
    {
        "input": "短編小説を、「クマ」で書いて,ください。",
        "output": "クマは海辺に行った。",
        "eval_aspect": "- 淡白: -1点",
    },
]
FACTS = [
    {"category": "地理", "question_id": "LaSEuuNG54", "text": "四国地方の県名を列挙してください。"},
    {"category": "地理", "question_id": "WFFEvxz8jW", "text": "日本の最北端を答えてください。"},
    {"category": "政治", "question_id": "HPs7uHdZst", "text": "三権分立について説明してください。"},
]


def as_csv(path: Path, rows: Rows, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_lines(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_json(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "benchmarks" / "mine"


def imported(source: Path, folder: Path, *more: str) -> Benchmark:
    assert run(["import", str(source), str(folder), *more]) == 0
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    return load_benchmark(folder)


def asked(benchmark: Benchmark) -> list[tuple[object, str, tuple[str, ...]]]:
    return [(q.question_id, q.category, q.turns) for q in benchmark.questions]


@pytest.mark.parametrize("column", ["答え", "解答", "正解", "模範解答", "回答"])
def test_a_column_of_right_answers_is_known_by_its_name(tmp_path: Path, folder: Path, column: str) -> None:
    source = as_csv(tmp_path / "shiken.csv", [{"問題": "日本の首都は？", column: "東京"}])
    assert imported(source, folder).questions[0].reference == ("東京",)


def check_tasks(benchmark: Benchmark) -> None:
    first = benchmark.questions[0]
    assert asked(benchmark)[0] == (1, "general", (TASKS[0]["input"],))
    assert len(benchmark.questions) == len(TASKS)
    assert first.reference == (TASKS[0]["output"],)
    assert first.eval_aspect == TASKS[0]["eval_aspect"].strip()
    assert first.needs_reference
    assert benchmark.without_reference == ()


def test_a_table_with_references_and_criteria_is_taken_by_the_names_of_its_columns(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_tasks(imported(as_csv(tmp_path / "test.csv", TASKS), folder))
    said = capsys.readouterr().out
    for line in (
        "test.csv: 2 rows",
        "question: column 'input'",
        "reference: column 'output'",
        "eval aspect: column 'eval_aspect'",
        "2 questions; categories: general",
        f"--bench-name={folder}",
    ):
        assert line in said


@pytest.mark.parametrize("name", ["t.tsv", "excel.csv", "t.jsonl", "t.json", "lines.json", "t.parquet"])
def test_every_format_gives_the_same_questions(tmp_path: Path, folder: Path, name: str) -> None:
    path = tmp_path / name
    if name == "t.parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pyarrow.parquet = pytest.importorskip("pyarrow.parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(TASKS), path)
    elif name == "t.json":
        as_json(path, TASKS)
    elif name in {"t.jsonl", "lines.json"}:
        as_lines(path, TASKS)
    else:
        as_csv(path, TASKS, "utf-8-sig", "\t" if name == "t.tsv" else ";")
    check_tasks(imported(path, folder))


@pytest.mark.parametrize(
    "data",
    [
        {"rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(TASKS)]},
        {key: [row[key] for row in TASKS] for key in TASKS[0]},
        {key: {str(n): row[key] for n, row in enumerate(TASKS)} for key in TASKS[0]},
        {"version": "1.0", "data": TASKS},
    ],
    ids=["rows of a server", "lists of columns", "mappings of columns", "under a key"],
)
def test_a_json_document_may_hold_its_rows_in_several_ways(
    tmp_path: Path, folder: Path, data: object
) -> None:
    check_tasks(imported(as_json(tmp_path / "t.json", data), folder))


def test_judged_answers_carry_capitals_and_more_columns(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"Question": t["input"], "output": t["output"], "eval_aspect": "- a", "ModelAnswer": "x", "score": 4}
        for t in TASKS
    ]
    benchmark = imported(as_lines(tmp_path / "model.json", rows), folder)
    assert benchmark.questions[1].turns == (TASKS[1]["input"],)
    assert benchmark.questions[1].reference == (TASKS[1]["output"],)
    assert "passed over: ModelAnswer, score" in capsys.readouterr().out


def test_ids_and_categories_are_kept(tmp_path: Path, folder: Path) -> None:
    benchmark = imported(as_lines(tmp_path / "v1.jsonl", FACTS), folder)
    assert asked(benchmark)[0] == ("LaSEuuNG54", "地理", ("四国地方の県名を列挙してください。",))
    assert {q.category for q in benchmark.questions} == {"地理", "政治"}
    assert not any(q.needs_reference for q in benchmark.questions)
    numbered = [{**row, "question_id": str(n)} for n, row in enumerate(FACTS, start=5)]
    assert (
        asked(imported(as_lines(tmp_path / "v2.jsonl", numbered), folder.parent.parent / "b" / "c"))[0][0]
        == 5
    )


def test_answers_to_ids_are_found_and_judged_at_once(tmp_path: Path, folder: Path) -> None:
    """Import, then judge, with the criteria before the judge's eyes."""
    imported(as_csv(tmp_path / "test.csv", TASKS), folder)
    answers = as_lines(
        tmp_path / "m.jsonl", [{"question_id": 1, "choices": [{"index": 0, "turns": ["答えです。"]}]}]
    )
    with OpenAIServer() as server:
        flags = ["--judge=openai/m", f"--judge-base-url={server.base_url}", f"--answers={answers}"]
        assert run(["judge", f"--bench-name={folder}", *flags]) == 0
        (prompt,) = [user_prompt(r) for r in server.requests if r.method == "POST"]
    assert "5つより多い" in prompt
    assert "新しい技能を学ぶ" in prompt


def test_a_folder_brings_its_reference_answers(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "repository" / "data" / "jp_bench"
    rows = [
        {"question_id": 43, "category": "fermi", "turns": ["落雷は何回？"]},
        {"question_id": 68, "category": "math", "turns": ["f(2)は？", "f(3)は？"]},
        {"question_id": 69, "category": "coding", "turns": ["実装して。"]},
    ]
    as_lines(data / "question.jsonl", rows)
    for judge in ("gpt-4", "gpt-4o"):
        made = [{"question_id": 43, "choices": [{"index": 0, "turns": [judge]}]}]
        as_lines(data / "reference_answer" / f"{judge}.jsonl", made)
    as_lines(data / "model_answer" / "m.jsonl", [])
    benchmark = imported(tmp_path / "repository", folder)
    assert asked(benchmark)[1] == (68, "math", ("f(2)は？", "f(3)は？"))
    seen = benchmark.for_judge("gpt-4o")
    assert seen.questions[0].reference == ("gpt-4o",)
    assert seen.questions[0].needs_reference
    assert seen.without_reference == (68, 69)
    assert capsys.readouterr().out.count("references: ") == 2


def test_questions_that_lack_the_references_they_want_say_so_later(tmp_path: Path, folder: Path) -> None:
    rows = [{"question_id": 68, "category": "math", "turns": ["f(2)は？"]}]
    benchmark = imported(as_lines(tmp_path / "question.jsonl", rows), folder)
    assert benchmark.without_reference == (68,)


def test_what_all_questions_begin_with_is_put_before_each(tmp_path: Path, folder: Path) -> None:
    data = {
        "instruction": "次の問題に答えてください。",
        "output_length": 10,
        "metrics": ["exact_match"],
        "few_shots": [{"input": "例", "output": "例"}],
        "samples": [{"input": "1+1は？", "output": "2"}, {"input": "2+2は？", "output": "4"}],
    }
    benchmark = imported(as_json(tmp_path / "test.json", data), folder)
    assert [(q.turns, q.reference) for q in benchmark.questions] == [
        (("次の問題に答えてください。\n\n1+1は？",), ("2",)),
        (("次の問題に答えてください。\n\n2+2は？",), ("4",)),
    ]


def test_an_instruction_without_input_stands_alone(tmp_path: Path, folder: Path) -> None:
    rows = [{"instruction": "俳句を詠んで。", "input": "", "output": "古池や"}]
    assert imported(as_json(tmp_path / "t.json", rows), folder).questions[0].turns == ("俳句を詠んで。",)


def test_ids_of_text_beside_capitals(tmp_path: Path, folder: Path) -> None:
    rows = [{"ID": "ac-001", "text": "質問です。", "output": "答えです。"}]
    (only,) = imported(as_json(tmp_path / "t.json", rows), folder).questions
    assert only == Question("ac-001", "general", ("質問です。",), ("答えです。",), needs_reference=True)


@pytest.mark.parametrize(
    "row",
    [
        {"question_1": "一", "question_2": "二", "reference_1": "い", "reference_2": "ろ"},
        {"質問1": "一", "質問2": "二", "正解1": "い", "正解2": "ろ"},
        {"turns": '["一", "二"]', "reference": "['い', 'ろ']"},
        {
            "messages": [
                {"role": "user", "content": "一"},
                {"role": "assistant", "content": "い"},
                {"role": "user", "content": "二"},
                {"role": "assistant", "content": "ろ"},
            ]
        },
        {
            "conversations": [
                {"from": who, "value": text}
                for who, text in (("human", "一"), ("gpt", "い"), ("human", "二"), ("gpt", "ろ"))
            ]
        },
    ],
    ids=["numbered", "numbered in Japanese", "written lists", "messages", "conversations"],
)
def test_several_turns_are_found(tmp_path: Path, folder: Path, row: dict[str, Any]) -> None:
    (only,) = imported(as_lines(tmp_path / "t.jsonl", [row]), folder).questions
    assert (only.turns, only.reference) == (("一", "二"), ("い", "ろ"))


def test_columns_can_be_named(tmp_path: Path, folder: Path) -> None:
    rows = [{"a": "一です", "b": "二です", "c": "答え", "kind": "x", "output": "違う"}]
    path = as_csv(tmp_path / "t.csv", rows)
    flags = ("--question-column=a,b", "--reference-column=c", "--category-column=kind")
    (only,) = imported(path, folder, *flags).questions
    assert (only.category, only.turns, only.reference) == ("x", ("一です", "二です"), ("答え",))
    (other,) = imported(
        path, folder.parent.parent / "b" / "c", "--question-column=a", "--reference-column="
    ).questions
    assert other.reference == ()


def test_a_single_column_of_long_texts_is_the_question(tmp_path: Path, folder: Path) -> None:
    rows = [{"お題": f"{n}番目のお題について書いてください。", "点": str(n)} for n in range(3)]
    assert imported(as_csv(tmp_path / "t.csv", rows), folder).questions[2].turns == (rows[2]["お題"],)


@pytest.mark.parametrize(
    ("rows", "flags", "says"),
    [
        (
            [{"甲": "1", "乙": "2"}],
            [],
            "no column looks like a question; say which with --question-column: 甲, 乙",
        ),
        (TASKS, ["--question-column=nope"], "has no column 'nope'; it has: input, output, eval_aspect"),
        ([{"question": " ", "id": "1"}], [], "no row has a question in question"),
        ([{"question": {"a": 1}}], [], "row 1: the question is neither a text nor a list of texts"),
        ([{"question": "\ud800"}], [], "row 1: half a surrogate pair is not a valid character"),
        ([{"turns": ["", "二"]}], [], "turn 1 is blank"),
    ],
)
def test_what_is_not_understood_is_told_and_leaves_nothing(
    folder: Path, rows: Rows, flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_lines(folder.parent.parent / "t.jsonl", rows)
    assert run(["import", str(path), str(folder), *flags]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not folder.parent.exists() or list(folder.parent.iterdir()) == []


def test_rows_that_ask_nothing_and_ids_that_occur_twice_are_told(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": "1", "question": "一"}, {"id": "1", "question": "二"}, {"id": "3", "question": ""}]
    benchmark = imported(as_csv(tmp_path / "t.csv", rows), folder)
    assert [q.question_id for q in benchmark.questions] == [1, 2]
    said = capsys.readouterr().out
    assert "left out, because they have no question: 1 of 3 rows" in said
    assert "numbered by their rows" in said


def test_another_encoding_is_named_and_can_be_given(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_csv(tmp_path / "test.csv", TASKS, "cp932")
    assert run(["import", str(path), str(folder)]) == 2
    said = capsys.readouterr().err
    assert "not UTF-8 but CP932 (Shift_JIS), it seems" in said
    assert "or pass --encoding=CP932" in said
    check_tasks(imported(path, folder, "--encoding=CP932"))


def test_a_folder_that_is_there_is_never_touched(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir(parents=True)
    path = as_csv(tmp_path / "test.csv", TASKS)
    assert run(["import", str(path), str(folder)]) == 2
    assert "exists already; choose a new folder" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_several_files_that_may_be_meant_are_named(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.csv", "b.csv"):
        as_csv(tmp_path / name, TASKS)
    assert run(["import", str(tmp_path), str(folder)]) == 2
    assert "several files may be meant; choose one: a.csv, b.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("question,answer\n一,二,三\n", "t.csv:2: 3 values for 2 columns"),
        ("question,question\n一,二\n", "two columns are called 'question'"),
        ("question\n", "holds no rows"),
        ('question\n"一\n', "not a table"),
    ],
)
def test_a_table_that_is_broken_is_refused(
    tmp_path: Path, folder: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert run(["import", str(tmp_path / "t.csv"), str(folder)]) == 2
    assert says in capsys.readouterr().err


def test_a_title_of_each_question_is_no_category(tmp_path: Path, folder: Path) -> None:
    rows = [{"question": f"問い{n}", "topic": f"題{n}", "genre": "俳句"} for n in range(4)]
    benchmark = imported(as_csv(tmp_path / "t.csv", rows), folder)
    assert {q.category for q in benchmark.questions} == {"俳句"}
