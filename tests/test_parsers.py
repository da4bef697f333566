"""Whatever is wrong in a file, the error is the documented one, of one line; what was written is read again.

Several modules: all that read files of users, models and runs. Replies of judges, headers of checkpoints and
single values have such tests beside their modules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.malformed import as_csv, as_json, as_lines, as_toml, files
from tests.report.results import few, question
from tvmerge.config import load_config
from tvmerge.config.reading import file_settings, load_merge_config
from tvmerge.errors import UserError
from tvmerge.judging.client.ledger import Ledger, read_ledger
from tvmerge.judging.prompts.prompts import check_prompts, load_prompts
from tvmerge.judging.spec import read_spec
from tvmerge.merging.build import merge_request
from tvmerge.merging.checkpoints.contents import stated_in
from tvmerge.merging.checkpoints.layout import read_json
from tvmerge.merging.export.folders import read_marker
from tvmerge.records import Question
from tvmerge.report.result_file import as_json as as_record
from tvmerge.report.result_file import compared_on, read_record, read_trials, trial_rows
from tvmerge.report.terminal.event_log import EventLog
from tvmerge.run.write_model import read_weights
from tvmerge.tasks.fastchat.benchmark import load_benchmark
from tvmerge.tasks.fastchat.benchmark_toml import read_settings
from tvmerge.tasks.fastchat.files import each_judgment, read_answers, read_references, read_turns
from tvmerge.tasks.fastchat.question_file import read_questions
from tvmerge.tasks.importing.convert import convert
from tvmerge.tasks.importing.roles import find_roles
from tvmerge.tasks.importing.tables import read_table

EXAMPLES = settings(max_examples=25, suppress_health_check=list(HealthCheck))

QUESTIONS = [
    {
        "question_id": 1,
        "category": "math",
        "turns": ["1+1?", "2+2?"],
        "reference": ["2", "4"],
        "split": "search",
    },
    {
        "question_id": "二",
        "category": "writing",
        "turns": ["書いて"],
        "split": "holdout",
        "eval_aspect": "簡潔に",
    },
]
ANSWERS = [
    {
        "question_id": 0,
        "model_id": "m",
        "choices": [{"index": 0, "turns": ["a", "b"], "finish": ["stop", "length"]}],
    },
    {"question_id": 1, "choices": [{"index": 0, "turns": ["<think>c</think>d"]}], "tstamp": 1.5},
]
JUDGMENTS = [
    {"question_id": 1, "model": "m", "judge": ["j", "single-v1"], "judgment": "[[7]]", "score": 7, "turn": 1},
    {
        "question_id": 2,
        "model": "m",
        "judge": ["j", "p"],
        "score": -1,
        "turn": 2,
        "reason": "none",
        "sample": 1,
    },
]
PROMPTS = [
    {
        "name": "single-v1",
        "type": "single",
        "system_prompt": "Rate.",
        "output_format": "[[rating]]",
        "prompt_template": "{question} {answer}",
        "description": "",
        "category": "general",
        "scale": [1, 10],
    },
    {
        "name": "single-v1-all-turns",
        "type": "single",
        "system_prompt": "",
        "output_format": "JSON",
        "prompt_template": "{conversation} {turns}",
        "turn_template": "{turn} {question} {answer}",
        "rating_key": "ratings",
    },
]
LEDGER = [
    {"judge": "j", "at": 1.5, "input": 9, "output": 3, "cost": 0.25, "seconds": 1.0},
    {
        "judge": "j",
        "at": 2.5,
        "input": 0,
        "output": 0,
        "cost": None,
        "seconds": 1,
        "failed": True,
        "receipt": "r",
    },
]
JUDGE = {
    "provider": "openai",
    "model": "m",
    "description": "d",
    "aliases": ["a"],
    "api_key_env": "KEY",
    "rpm": 5,
    "base_url": "http://localhost:8000/v1",
    "parameters": {"temperature": 0.5, "stop": ["x"]},
    "samples": 2,
    "price_input": 1.5,
    "price_output": 2,
    "price_date": "2026-01-01",
    "retired": "2027-01-01",
    "timeout": 60,
    "omit_parameters": ["seed"],
    "structured_output": True,
    "max_memory": {"0": "10GiB"},
}
RUN = {
    "target_model": "t",
    "tuned_model": "c",
    "base_model": "b",
    "judge": ["gpt-4o"],
    "n_trials": 5,
    "weight_min": 0.0,
    "weight_max": 1.5,
    "bench_name": ["demo"],
    "holdout": 0.3,
    "optimize_mode": "regex",
    "patterns": [{"name": "a", "pattern": "x.*"}],
    "freeze": ["norm$"],
    "optuna_seed": 3,
    "engine_options": {"vllm": {"max_num_seqs": 8}},
    "chat_template_kwargs": {"enable_thinking": False},
    "stop_when": "0.05",
    "storage": "sqlite:///study.db",
}
MIXTURE = {
    "target_model": ["t", "u"],
    "tuned_model": "c",
    "base_model": "b",
    "gate": "hidden",
    "experts": [{"positive": ["a"], "negative": ["b"]}, {"positive": ["c", "d"]}],
}
VECTORS = {
    "target_model": "t",
    "task_vectors": [
        {"tuned": "x", "base": "y", "name": "n", "weight_max": 2.0},
        {"tuned": "z", "base": "y", "name": "m", "method": "ties", "density": 0.5},
    ],
}
BENCHMARK = {
    "description": "d",
    "reference_categories": ["math"],
    "japanese_exempt": ["coding"],
    "temperature": {"writing": 0.7, "default": 0.1},
}
RESULT = few(6)
RECORD = json.loads(json.dumps(as_record(RESULT)))
TRIALS = list(trial_rows(RESULT.trials[:2]))
MARKER = {"model": "m", "files": ["model.safetensors", "x"], "weights": {"layers.0": 0.5}}
TABLE = [["question", "answer", "category"], ["1+1?", "2", "math"], ["書いて", "はい", "writing"]]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: A file's name.
        sound: The data of a sound file.
        written: Writes data.
        read: Reads the file.
    """

    name: str
    sound: Any
    written: Callable[[Any], str]
    read: Callable[[Path], object]


def imported(path: Path) -> object:
    table = read_table(path)
    return convert(table, find_roles(table, {}))


def asked(path: Path) -> object:
    """Render the prompt for a first turn, once it has passed the check before a run."""
    prompts, asks = load_prompts(path), [Question(1, "writing", ("?",))]
    check_prompts(prompts, asks)
    return prompts["single-v1"].render({"question": "?", "answer": "[[7]]", "eval_aspect": ""})


KINDS = {
    "judge": Kind("judge.toml", JUDGE, as_toml, read_spec),
    "settings": Kind("run.toml", RUN, as_toml, lambda path: merge_request(load_config({}, path))),
    "settings of vectors": Kind(
        "run.toml", VECTORS, as_toml, lambda path: merge_request(load_merge_config({}, path))
    ),
    "settings of a mixture": Kind(
        "run.toml", MIXTURE, as_toml, lambda path: merge_request(load_merge_config({}, path))
    ),
    "settings of models": Kind("run.toml", RUN, as_toml, lambda path: file_settings(path, ["target_model"])),
    "benchmark": Kind("benchmark.toml", BENCHMARK, as_toml, read_settings),
    "questions": Kind("question.jsonl", QUESTIONS, as_lines, lambda path: load_benchmark(path.parent)),
    "questions of a run": Kind("questions.jsonl", QUESTIONS, as_lines, read_questions),
    "answers": Kind(
        "m.jsonl", ANSWERS, as_lines, lambda path: read_answers(path, [question(0), question(1)])
    ),
    "references": Kind("m.jsonl", ANSWERS, as_lines, read_references),
    "turns": Kind("m.jsonl", ANSWERS, as_lines, read_turns),
    "judgments": Kind("j_single.jsonl", JUDGMENTS, as_lines, lambda path: list(each_judgment(path))),
    "prompts": Kind("prompts.jsonl", PROMPTS, as_lines, asked),
    "ledger": Kind("usage.jsonl", LEDGER, as_lines, Ledger),
    "ledger of another run": Kind("usage.jsonl", LEDGER, as_lines, lambda path: read_ledger(path).usage()),
    "weights": Kind("weights.json", {"weights": {"layers.0": 0.5, "head": 1}}, as_json, read_weights),
    "trials": Kind("trials.jsonl", TRIALS, as_lines, read_trials),
    "result": Kind("result.json", {"compared_on": [1, "a"]}, as_json, compared_on),
    "record": Kind("result.json", RECORD, as_json, lambda path: read_record(path, RESULT.trials)),
    "events": Kind("events.jsonl", [{"time": "x", "kind": "y"}], as_lines, EventLog),
    "configuration": Kind("config.json", {"model_type": "llama", "auto_map": {}}, as_json, read_json),
    "companion": Kind("tokenizer_config.json", {"chat_template": "x"}, as_json, stated_in),
    "marker": Kind("tvmerge.json", MARKER, as_json, lambda path: read_marker(path.parent)),
    "table as CSV": Kind("table.csv", TABLE, as_csv, imported),
    "table as JSON": Kind("table.json", [dict(zip(*TABLE[:2], strict=True))], as_json, imported),
    "table as lines": Kind("table.jsonl", [dict(zip(*TABLE[:2], strict=True))], as_lines, imported),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_sound_file_is_read(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    path = tmp_path / kind.name
    path.write_text(kind.written(kind.sound), encoding="utf-8")
    assert kind.read(path)


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize("name", KINDS)
@EXAMPLES
@given(data=st.data())
def test_a_malformed_file_is_read_or_refused_in_one_line(
    name: str, tmp_path: Path, data: st.DataObject
) -> None:
    kind = KINDS[name]
    path = tmp_path / kind.name
    path.write_bytes(data.draw(files(kind.sound, kind.written)))
    said = ""
    try:
        kind.read(path)
    except UserError as error:
        said = str(error)
    assert "\n" not in said
