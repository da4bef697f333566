"""FastChat's answer and judgment files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmerge.errors import AssetError
from tvmerge.records import WHOLE, Answer, Finish, Judgment, Question, Rating, Unrated
from tvmerge.tasks.fastchat.files import (
    read_answers,
    read_judgments,
    read_references,
    write_answers,
    write_judgments,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
QUESTIONS = (
    Question(1, "writing", ("a", "b")),
    Question("x", "math", ("c", "d")),
    Question(3, "math", ("e",)),
)


def answer_line(question_id: object, *turns: str, **more: Any) -> str:
    return json.dumps({"question_id": question_id, "choices": [{"index": 0, "turns": turns}], **more})


def save(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fastchat_answers(path: Path) -> dict[object, dict[str, Any]]:
    """What FastChat's loader makes of an answer file: the last line of a question, by its id."""
    return {row["question_id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}


def fastchat_means(path: Path) -> dict[tuple[str, int | None], float]:
    """What FastChat's table shows: means by model and turn, and by model (turn None), without the -1."""
    groups: dict[tuple[str, int | None], list[float]] = {}
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        if row["score"] != -1:
            groups.setdefault((row["model"], row["turn"]), []).append(row["score"])
            groups.setdefault((row["model"], None), []).append(row["score"])
    return {key: sum(scores) / len(scores) for key, scores in groups.items()}


@st.composite
def answers(draw: st.DrawFn) -> tuple[Answer, ...]:
    made = []
    for question in QUESTIONS:
        for sample in range(draw(st.integers(0, 3))):
            turns = tuple(draw(st.lists(TEXT, min_size=1, max_size=len(question.turns))))
            ends: st.SearchStrategy[Finish] = st.sampled_from(["stop", "length", "thought"])
            finish = tuple(draw(ends) for _ in turns) if draw(st.booleans()) else ()
            thoughts = tuple(draw(TEXT) for _ in turns) if draw(st.booleans()) else ()
            made.append(Answer(question.question_id, turns, finish, sample, thoughts))
    return tuple(made)


@given(answers().filter(bool))
def test_answers_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[Answer, ...]
) -> None:
    path = tmp_path_factory.mktemp("answers") / "trial-3.jsonl"
    write_answers(path, "trial-3", made, tstamp=1.5)
    assert read_answers(path, QUESTIONS).answers == made
    assert read_answers(path, QUESTIONS).model == "trial-3"


def test_fastchat_reads_the_answers_we_write(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_answers(path, "m", [Answer("x", ("二",), sample=1), Answer("x", ("一", "終"))], tstamp=12.5)
    row = fastchat_answers(path)["x"]
    assert [choice["turns"] for choice in row["choices"]] == [["一", "終"], ["二"]]
    assert [choice["index"] for choice in row["choices"]] == [0, 1]
    assert (row["model_id"], row["tstamp"]) == ("m", 12.5)
    assert len(row["answer_id"]) == 22


def test_an_answer_id_follows_the_content_alone(tmp_path: Path) -> None:
    def answer_id(model: str, text: str, tstamp: float) -> str:
        write_answers(tmp_path / "m.jsonl", model, [Answer(1, (text,))], tstamp)
        return str(fastchat_answers(tmp_path / "m.jsonl")[1]["answer_id"])

    assert answer_id("m", "a", 1.0) == answer_id("m", "a", 2.0)
    assert len({answer_id("m", "a", 1.0), answer_id("m", "b", 1.0), answer_id("n", "a", 1.0)}) == 3


def test_ids_match_as_text_or_number_and_answers_take_the_benchmarks_order(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.v1.jsonl", answer_line("3", "三"), answer_line("x", "二"), answer_line("1", "一")
    )
    found = read_answers(path, QUESTIONS)
    assert found.model == "m.v1"
    assert [(item.question_id, item.turns) for item in found.answers] == [
        (1, ("一",)),
        ("x", ("二",)),
        (3, ("三",)),
    ]


def test_of_two_lines_for_a_question_the_last_one_wins(tmp_path: Path) -> None:
    path = save(tmp_path / "m.jsonl", answer_line(1, "old", "old"), answer_line("1", "new"))
    assert read_answers(path, QUESTIONS).answers == (Answer(1, ("new",)),)


def test_the_first_of_several_answers_is_what_others_are_compared_with(tmp_path: Path) -> None:
    choices = [{"index": index, "turns": [text]} for index, text in enumerate(("一", "二", "三"))]
    path = tmp_path / "model.jsonl"
    path.write_text(json.dumps({"question_id": 1, "choices": choices}), encoding="utf-8")
    (first,) = read_answers(path, [Question(1, "writing", ("数えて。",))]).first.values()
    assert first.turns == ("一",)


def test_choices_without_an_index_are_numbered_by_their_place(tmp_path: Path) -> None:
    row = {"question_id": 1, "choices": [{"turns": ["a"]}, {"turns": ["b"]}]}
    path = save(tmp_path / "m.jsonl", json.dumps(row))
    assert [(item.sample, item.turns) for item in read_answers(path, QUESTIONS).answers] == [
        (0, ("a",)),
        (1, ("b",)),
    ]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{broken", "not a JSON line"),
        ('{"choices": []}', "'question_id' is missing"),
        ('{"question_id": 1}', "'choices' is missing"),
        ('{"question_id": 1, "choices": "t"}', "'choices' must be"),
        ('{"question_id": 1, "choices": ["t"]}', "'choices' must be"),
        (answer_line(1), "'turns' is empty"),
        ('{"question_id": 1, "choices": [{"turns": [null]}]}', "'turns' must be a text"),
        (answer_line(3, "a", "b"), "the answer has 2 turns, its question only 1"),
        ('{"question_id": 1, "choices": [{"index": -1, "turns": ["a"]}]}', "'index' must be"),
        (
            '{"question_id": 1, "choices": [{"index": 0, "turns": ["a"]}, {"index": 0, "turns": ["a"]}]}',
            "two",
        ),
        ('{"question_id": 1, "choices": [{"turns": ["a"], "finish": ["bored"]}]}', "'finish' may hold"),
    ],
)
def test_a_bad_answer_is_named_by_file_and_line(tmp_path: Path, bad: str, says: str) -> None:
    path = save(tmp_path / "m.jsonl", answer_line(1, "fine"), bad)
    with pytest.raises(AssetError) as caught:
        read_answers(path, QUESTIONS)
    assert f"{path}:2: " in str(caught.value)
    assert says in str(caught.value)


def test_answers_to_questions_that_are_not_asked_are_counted_and_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "m.jsonl", answer_line(9, "t"), answer_line(1, "a"), answer_line("9", "u"))
    read = read_answers(path, QUESTIONS)
    assert (read.answers, read.unasked) == ((Answer(1, ("a",)),), 1)


def test_answers_to_another_benchmark_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.jsonl", answer_line(8, "t"), answer_line(9, "t"))
    with pytest.raises(AssetError, match=r"none of its 2 questions \(8, 9, ...\) is in the benchmark"):
        read_answers(path, QUESTIONS)


def test_only_the_first_turns_are_taken_where_no_more_are_judged(tmp_path: Path) -> None:
    choice = {"turns": ["a", "b"], "finish": ["stop", "length"], "thoughts": ["x", "y"]}
    path = save(tmp_path / "m.jsonl", json.dumps({"question_id": 3, "choices": [choice]}))
    assert read_answers(path, QUESTIONS, turns=1).answers == (Answer(3, ("a",), ("stop",), 0, ("x",)),)


def test_an_answer_of_one_text_is_read_as_older_tools_write_it(tmp_path: Path) -> None:
    path = save(tmp_path / "m.jsonl", json.dumps({"question_id": 1, "text": "答え", "metadata": {}}))
    assert read_answers(path, QUESTIONS).answers == (Answer(1, ("答え",)),)


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="contains no answers"):
        read_answers(save(tmp_path / "m.jsonl", ""), QUESTIONS)


@st.composite
def judgments(draw: st.DrawFn) -> list[tuple[str, Judgment]]:
    made: list[tuple[str, Judgment]] = []
    for _ in range(draw(st.integers(0, 4))):
        question_id = draw(st.one_of(st.integers(0, 99), st.sampled_from(["q1", "x"])))
        turn, sample = draw(st.integers(1, 3)), draw(st.integers(0, 2))
        text = (draw(TEXT), draw(TEXT))
        if draw(st.booleans()):
            score = draw(st.floats(0, 10))
            verdict = Rating(question_id, turn, score, "j", "p", *text, sample=sample, note=draw(TEXT))
            made.append((draw(TEXT), verdict))
        else:
            unscored = Unrated(question_id, turn, "j", "p", draw(TEXT), *text, sample=sample)
            made.append((draw(TEXT), unscored))
    return made


@given(judgments())
def test_judgments_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, Judgment]]
) -> None:
    path = tmp_path_factory.mktemp("judgments") / "j_single.jsonl"
    write_judgments(path, made, tstamp=2.0)
    assert read_judgments(path) == made


def test_fastchat_shows_the_means_of_the_judgments_we_write(tmp_path: Path) -> None:
    path = tmp_path / "gpt-4_single.jsonl"
    write_judgments(
        path,
        [
            ("m", Rating(1, 1, 7.0, "gpt-4", "single-v1")),
            ("m", Rating(1, 2, 4.5, "gpt-4", "single-v1-multi-turn")),
            ("m", Unrated(2, 1, "gpt-4", "single-v1", "no rating")),
            ("n", Rating(2, 1, 9.0, "gpt-4", "single-v1")),
        ],
        tstamp=3.0,
    )
    assert fastchat_means(path) == {
        ("m", 1): 7.0,
        ("m", 2): 4.5,
        ("m", None): 5.75,
        ("n", 1): 9.0,
        ("n", None): 9.0,
    }


def test_a_judgment_line_has_fastchats_keys(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    write_judgments(path, [("m", Rating("x", 2, 7.0, "gpt-4", "single-v1", "shown", "said"))], tstamp=3.0)
    assert json.loads(path.read_text("utf-8")) == {
        "question_id": "x",
        "model": "m",
        "judge": ["gpt-4", "single-v1"],
        "user_prompt": "shown",
        "judgment": "said",
        "score": 7,
        "turn": 2,
        "tstamp": 3.0,
    }


def test_a_rating_without_a_score_of_its_own_is_written_without_one(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    write_judgments(path, [("m", Rating("x", 1, math.nan, "lm-eval", "t:f1", reply="said"))], tstamp=3.0)
    assert "NaN" not in path.read_text("utf-8")
    assert read_judgments(path) == [("m", Unrated("x", 1, "lm-eval", "t:f1", WHOLE, reply="said"))]


def test_a_score_of_minus_one_written_by_fastchat_is_no_score(tmp_path: Path) -> None:
    row = {"question_id": 1, "model": "m", "judge": ["j", "p"], "judgment": "$ERROR$", "score": -1, "turn": 2}
    path = save(tmp_path / "j.jsonl", json.dumps(row))
    assert read_judgments(path) == [("m", Unrated(1, 2, "j", "p", "no rating", reply="$ERROR$"))]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"judge": "gpt-4"}, "'judge' must be a list"),
        ({"judge": ["gpt-4"]}, "'judge' must hold"),
        ({"score": None}, "'score' must be a number"),
        ({"score": True}, "'score' must be a number"),
        ({"score": float("nan")}, "'score' must be a number"),
        ({"score": 10**400}, "a number of 401 digits"),
        ({"turn": 0}, "'turn' must be an integer of at least 1"),
        ({"model": 3}, "'model' must be a text"),
    ],
)
def test_a_bad_judgment_is_named_by_file_and_line(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    row = {"question_id": 1, "model": "m", "judge": ["j", "p"], "score": 5, "turn": 1, **change}
    path = save(tmp_path / "j.jsonl", json.dumps(row))
    with pytest.raises(AssetError) as caught:
        read_judgments(path)
    assert f"{path}:1: " in str(caught.value)
    assert says in str(caught.value)


def test_thoughts_of_another_tool_are_told_from_its_answers(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.jsonl",
        answer_line(1, "<think>\n東京?\n</think>\n\n東京です。", "本当です。"),
        answer_line("x", "<think>京都? いや、"),
    )
    assert read_answers(path, QUESTIONS).answers == (
        Answer(1, ("東京です。", "本当です。"), ("stop", "stop"), thoughts=("東京?", "")),
        Answer("x", ("",), ("thought",), thoughts=("京都? いや、",)),
    )


def test_how_an_answer_ended_is_kept_where_its_thought_did(tmp_path: Path) -> None:
    row = {"question_id": 3, "choices": [{"turns": ["<think>a</think>b"], "finish": ["length"]}]}
    path = save(tmp_path / "m.jsonl", json.dumps(row))
    assert read_answers(path, QUESTIONS).answers == (Answer(3, ("b",), ("length",), thoughts=("a",)),)


def test_a_reference_is_the_answer_without_its_thought(tmp_path: Path) -> None:
    path = save(tmp_path / "r.jsonl", answer_line(1, "<think>a</think>b", "c"), answer_line(3, "<think>a"))
    assert read_references(path) == {"1": ("b", "c")}


def test_thoughts_that_are_not_one_a_turn_are_refused(tmp_path: Path) -> None:
    row = {"question_id": 1, "choices": [{"turns": ["a", "b"], "thoughts": ["c"]}]}
    path = save(tmp_path / "m.jsonl", json.dumps(row))
    with pytest.raises(AssetError, match=r"m.jsonl:1: 'thoughts' has 1 texts for 2 turns"):
        read_answers(path, QUESTIONS)
