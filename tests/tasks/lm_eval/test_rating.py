from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.lm_eval.tiny import load, metric, write_task
from tvmerge.tasks.lm_eval.rating import plain

ROWS = [{"text": f"{n} + {n} =", "answer": str(2 * n), "alias": "none"} for n in range(2)]
KEEP = {"name": "number", "filter": [{"function": "regex", "regex_pattern": "([0-9]+)"}]}
CODE = "LIMIT = 1\n\ndef rate(doc, results):\n    return {'exact_match': 1.0}\n"
ELSEWHERE = (
    "import sys, pathlib; from tests.tasks.lm_eval.tiny import load; "
    "print(load(['sums'], pathlib.Path(sys.argv[1]))[0].digest)"
)


def digest(folder: Path, rows: list[dict[str, str]] = ROWS, code: str = CODE, **more: Any) -> str:
    """The digest of a task with a filter, and a function that rates."""
    config = {
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
        "metric_list": [metric("exact_match", ignore_case=True)],
        "filter_list": [KEEP],
        **more,
    }
    name = write_task(folder, "sums", rows, **config)
    (folder / "own.py").write_text(code, encoding="utf-8")
    file = folder / "sums.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[:-1] + ', "process_results": !function own.rate }', encoding="utf-8")
    return load([name], folder)[0].digest


@pytest.mark.parametrize(
    "change",
    [
        {"filter_list": [{**KEEP, "filter": [{"function": "regex", "regex_pattern": "(-?[0-9]+)"}]}]},
        {"filter_list": [{**KEEP, "filter": [*KEEP["filter"], {"function": "take_first"}]}]},
        {"metric_list": [metric("exact_match", ignore_case=False)]},
        {"metric_list": [metric("exact_match", ignore_case=True, regexes_to_ignore=[","])]},
        {"repeats": 2},
        {"code": CODE.replace("1.0", "0.5")},
        {"code": CODE.replace("LIMIT = 1", "LIMIT = 2")},
        {"rows": [ROWS[0], {**ROWS[1], "alias": "two"}]},
    ],
)
def test_another_way_to_rate_is_another_digest(change: dict[str, Any], tmp_path: Path) -> None:
    assert digest(tmp_path) != digest(tmp_path, **change)


def test_the_digest_is_the_same_in_another_folder_and_another_process(tmp_path: Path) -> None:
    here = digest(tmp_path / "here")
    assert digest(tmp_path / "here") == here
    assert digest(tmp_path / "there") == here
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "here")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1] == here


def test_what_has_no_form_in_json_is_written_without_its_place_in_memory() -> None:
    class Odd:
        def __call__(self) -> None: ...

    assert plain({1: {"b", "a"}, "x": (0.5, object())}) == {"1": ["a", "b"], "x": ["0.5", "<object object>"]}
    assert plain(len) == ["len", "<built-in function len>"]
    assert plain(Odd()) == plain(Odd())
    assert plain(partial(digest, code="x"))[2] == {"code": "x"}
