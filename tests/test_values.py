"""What was written as text means the same when it is read again, and any other text is refused in one line.

Several modules: all that reads a value of a setting, or rows that a run wrote.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report.results import trials
from tvmerge._util.files import safe_name
from tvmerge._util.lists import split
from tvmerge._util.printable import ascii_only, printable
from tvmerge._util.urls import hide_passwords, sqlite_url
from tvmerge.errors import UserError
from tvmerge.judging.client.chat import Usage
from tvmerge.judging.client.ledger import Ledger, read_ledger
from tvmerge.merging.group_rules import GroupRules
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.option import weighted
from tvmerge.records import Question
from tvmerge.report.result_file import read_trials, trial_rows
from tvmerge.study.stop_when import StopWhen
from tvmerge.study.storage_url import read_url, sqlite_file
from tvmerge.tasks.fastchat.question_file import read_questions, write_questions

EXAMPLES = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
AMOUNTS = st.floats(0, 1e6, exclude_min=True, allow_subnormal=False)
LIKELY = st.text(st.sampled_from("0159.eE+-=/:@?#%[](){},\\ nai\0USDsqlitepg\n\ud800日"), max_size=30)

READERS: dict[str, Callable[[str], object]] = {
    "weight": weighted,
    "bound": StopWhen.read,
    "storage": read_url,
    "file": sqlite_file,
    "sqlite": lambda text: sqlite_file(f"sqlite:///{text}"),
    "server": lambda text: read_url(f"postgresql://{text}"),
    "expression": lambda text: GroupRules(freeze=(text,)),
}


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize("name", READERS)
@EXAMPLES
@given(text=TEXTS | LIKELY)
def test_any_text_is_a_value_or_refused_in_one_line(name: str, text: str) -> None:
    said = ""
    try:
        READERS[name](text)
    except UserError as error:
        said = str(error)
    assert "\n" not in said


@given(NAMES, AMOUNTS)
def test_a_weight_behind_a_name_is_read_as_it_was_written(name: str, weight: float) -> None:
    assert weighted(f"{name}={weight!r}") == (name, weight)


@given(AMOUNTS, st.sampled_from(["", "/USD", "/usd"]))
def test_a_bound_is_read_as_it_was_written(bound: float, unit: str) -> None:
    assert StopWhen.read(f" {bound!r}{unit} ") == StopWhen(bound, bool(unit))


@given(st.lists(NAMES, max_size=5))
def test_a_list_is_split_where_it_was_joined(names: list[str]) -> None:
    for kind in ("plain", "paths", "expressions"):
        assert split(",".join(names), kind) == tuple(names)


@given(TEXTS)
def test_no_list_has_an_empty_value(text: str) -> None:
    for kind in ("plain", "paths", "expressions"):
        found = split(text, kind)
        assert all(value.strip() for value in found)
        assert len("".join(found)) <= len(text)


@given(st.lists(NAMES | st.sampled_from(["a b", "%41", "x?y", "#", "{z}", "日本"]), min_size=1, max_size=4))
def test_a_file_is_found_by_its_url(parts: list[str]) -> None:
    path = Path("/", *parts)
    assert sqlite_file(sqlite_url(path)) == path


@given(NAMES, NAMES)
def test_a_password_is_not_shown(user: str, password: str) -> None:
    shown = hide_passwords(f"postgresql://{user}:{password}@host/db?password={password}&x=1")
    assert shown == f"postgresql://{user}:***@host/db?password=***&x=1"


@given(st.text())
def test_no_text_commands_a_terminal_or_names_a_folder(text: str) -> None:
    shown = printable(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
    assert printable(shown) == shown
    assert ascii_only(text).isascii()
    name = safe_name(text)
    assert name not in {"", ".", ".."}
    assert "/" not in name
    assert safe_name(name) == name


@EXAMPLES
@given(
    vectors=st.lists(
        st.tuples(NAMES, NAMES, st.sampled_from([1.0, 0.25, (0.1, 0.5)])), min_size=1, max_size=3
    ),
    patterns=st.dictionaries(NAMES, NAMES, min_size=1, max_size=3),
    targets=st.lists(NAMES, min_size=1, max_size=1),
)
def test_a_merge_is_stored_and_restored(
    vectors: list[tuple[str, str, float | tuple[float, float]]], patterns: dict[str, str], targets: list[str]
) -> None:
    request = MergeRequest(
        targets=tuple(targets),
        vectors=tuple(
            TaskVector(
                tuned=tuned,
                base=base,
                name=f"v{number}",
                method="ties",
                density=density,
                rules=GroupRules(mode="regex", patterns=tuple(patterns.items()), freeze=(base,)),
            )
            for number, (tuned, base, density) in enumerate(vectors)
        ),
    )
    assert MergeRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


@EXAMPLES
@given(
    calls=st.lists(
        st.tuples(
            NAMES, st.integers(0, 10**9), st.integers(0, 10**9), st.none() | st.floats(0, 1e3), st.booleans()
        )
    )
)
def test_a_ledger_counts_the_same_when_it_is_read_again(
    tmp_path: Path, calls: list[tuple[str, int, int, float | None, bool]]
) -> None:
    path = tmp_path / "usage.jsonl"
    path.unlink(missing_ok=True)
    ledger = Ledger(path, wall=lambda: 1.5)
    for judge, sent, replied, cost, failed in calls:
        if failed:
            ledger.failed(judge, 0.5)
        else:
            ledger.record(ledger.line(judge, Usage(sent, replied), cost, 0.25))
    assert read_ledger(path).usage() == ledger.usage()
    assert math.isclose(read_ledger(path).cost, ledger.cost)


@EXAMPLES
@given(
    found=st.lists(
        st.tuples(st.integers() | NAMES, TEXTS, st.lists(TEXTS), st.lists(TEXTS)),
        unique_by=lambda row: str(row[0]),
    )
)
def test_questions_of_a_run_come_back_as_they_were_written(
    tmp_path: Path, found: list[tuple[int | str, str, list[str], list[str]]]
) -> None:
    path = tmp_path / "questions.jsonl"
    questions = [
        Question(key, category, tuple(turns), tuple(reference), split="search")
        for key, category, turns, reference in found
    ]
    write_questions(path, questions, [])
    assert list(read_questions(path)) == questions


@EXAMPLES
@given(st.data())
def test_trials_come_back_as_they_were_written(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "trials.jsonl"
    told = trials(data.draw(st.integers(0, 4)), data.draw(st.integers(0, 99)))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in trial_rows(told)), encoding="utf-8")
    assert read_trials(path) == told
