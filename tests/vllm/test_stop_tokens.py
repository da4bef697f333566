"""A turn ends where the chat ends, with vLLM as with transformers.

Several modules: the vLLM engine and stop tokens, where vLLM is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_stop_tokens import answers, said
from tests.engines.talkers import FAMILIES, QUESTION, RIGHT, WRONG, make_family
from tests.vllm.test_study import SMALL
from tvmerge.cli.app import run


@pytest.mark.parametrize("name", FAMILIES)
def test_a_search_finds_the_chat_vector_and_what_it_writes_stops_there_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = FAMILIES[name]
    make_family(family, tmp_path)
    monkeypatch.chdir(tmp_path)
    row = {"category": "general", "turns": [QUESTION], "reference": ["東京"]}
    rows = [json.dumps({"question_id": number, **row}) for number in range(4)]
    Path("bench").mkdir()
    Path("bench/question.jsonl").write_text("\n".join(rows), encoding="utf-8")
    Path("bench/benchmark.toml").write_text("[temperature]\ndefault = 0.0\n", encoding="utf-8")
    Path("run.toml").write_text(SMALL, encoding="utf-8")
    template = () if family.own_template else ("--chat-template=template.jinja",)
    models = ("--target-model=target", "--base-model=base", "--tuned-model=tuned", *template)
    asked = ("--bench-name=bench", "--judge=rules", "--max-new-tokens=12", "--n-trials=2")
    more = ("--optimize-mode=uniform", "--uniform-weights=0,1", "--engine=vllm", "--device=cpu")
    files = ("--config=run.toml", "--run-dir=r")
    assert run(["optimize", *models, *asked, *more, *files]) == 0
    found = [(one["turns"], one["finish"]) for trial in (0, 1) for one in answers(trial)[:1]]
    assert found == [([WRONG], ["stop"]), ([RIGHT], ["stop"])]
    assert said("r/model", family) == f"{RIGHT} {family.turn_end}"
