"""A turn ends where the chat ends: in a search, in `tvmerge merge`, and in what they write.

Several modules: engines, merging and both commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.engines.talkers import AGAIN, FAMILIES, QUESTION, RIGHT, WRONG, Family, make_family
from tvmerge.cli.app import run

MODELS = ("--target-model=target", "--base-model=base", "--tuned-model=tuned")
SEARCH = (
    *(
        "--bench-name=bench",
        "--judge=rules",
        "--n-trials=2",
        "--max-new-tokens=12",
        "--optimize-mode=uniform",
        "--uniform-weights=0,1",
    ),
    *("--study-name=s", "--run-dir=r"),
)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def here(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the models of a family and a benchmark of one question, asked four times."""
    make_family(family, tmp_path)
    question = {"category": "general", "turns": [QUESTION], "reference": ["東京"]}
    rows = [json.dumps({"question_id": number, **question}) for number in range(4)]
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "question.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "bench" / "benchmark.toml").write_text("[temperature]\ndefault = 0.0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def template(family: Family) -> tuple[str, ...]:
    """What says in which template the bases are asked, where they have none."""
    return () if family.own_template else ("--chat-template=template.jinja",)


def optimize(family: Family, *more: str) -> int:
    return run(["optimize", *MODELS, *template(family), *SEARCH, *more])


def answers(trial: int) -> list[dict[str, Any]]:
    """What a trial answered, and why each turn ended."""
    lines = Path(f"r/model_answer/{trial}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["choices"][0] for line in lines]


def said(folder: str, family: Family) -> str:
    """What a written model answers by its own files alone, special tokens included."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    out = model.generate(ids, attention_mask=ids.new_ones(ids.shape), max_new_tokens=12, do_sample=False)
    return str(tokenizer.decode(out[0, ids.shape[1] :]))


def written(folder: str, file: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(folder, file).read_text(encoding="utf-8"))
    return data


def test_a_search_finds_the_chat_vector_and_what_it_writes_stops_there_too(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    assert optimize(family) == 0
    line = f"stop tokens: {family.turn_end} (chat template, tuned), {family.text_end} (target, tuned)"
    assert line in capsys.readouterr().err.splitlines()
    assert [(one["turns"], one["finish"]) for one in answers(0)[:1]] == [([WRONG], ["stop"])]
    assert [(one["turns"], one["finish"]) for one in answers(1)[:1]] == [([RIGHT], ["stop"])]
    result = json.loads(Path("r/result.json").read_text(encoding="utf-8"))
    assert set(result["weights"].values()) == {1.0}
    assert said("r/model", family) == f"{RIGHT} {family.turn_end}"
    assert set(written("r/model", "generation_config.json")["eos_token_id"]) == {0, 1}
    assert written("r/model", "tokenizer_config.json")["eos_token"] == family.turn_end
    card = Path("r/model/README.md").read_text(encoding="utf-8")
    assert f"An answer ends at `{family.turn_end}` (chat template, tuned)" in card


def test_any_trial_is_written_with_the_stop_tokens_it_was_scored_with(here: Path, family: Family) -> None:
    assert optimize(family) == 0
    study = ("--storage=sqlite:///r/study.db", "--study-name=s")
    for trial, answer in (("1", f"{RIGHT} {family.turn_end}"), ("0", f"{WRONG} {family.text_end}")):
        assert run(["merge", *study, f"--trial={trial}", f"--output-dir=trial{trial}"]) == 0
        assert said(f"trial{trial}", family) == answer


def test_a_merge_without_a_search_finds_the_same(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["merge", *MODELS, *template(family), "--weight=1", "--output-dir=out"]) == 0
    assert f"stop tokens: {family.turn_end} (chat template, tuned)" in capsys.readouterr().err
    assert said("out", family) == f"{RIGHT} {family.turn_end}"
    # And again from what is beside it.
    names = [*MODELS, *template(family), "--config=out/tvmerge.toml", "--weights=out/tvmerge.json"]
    assert run(["merge", *names, "--output-dir=again"]) == 0
    for file in ("generation_config.json", "tokenizer_config.json"):
        assert written("again", file) == written("out", file)


@pytest.mark.parametrize("family", [FAMILIES["llama"]], ids=["llama"])
def test_a_base_whose_tokenizer_alone_names_the_end_of_turns_is_heard(here: Path, family: Family) -> None:
    path = here / "target" / "tokenizer_config.json"
    path.write_text(
        json.dumps(written("target", path.name) | {"eos_token": family.turn_end}), encoding="utf-8"
    )
    for name in ("tuned", "base"):  # which know of no end of turns
        (here / name / "generation_config.json").unlink()
    plain = "{% for m in messages %} <|head|> {{ m.role }} <|/head|> {{ m.content }}{% endfor %}"
    (here / "template.jinja").write_text(plain + " <|head|> assistant <|/head|>", encoding="utf-8")
    assert optimize(family) == 0
    assert answers(1)[0]["turns"] == [RIGHT]
    assert said("r/model", family) == f"{RIGHT} {family.turn_end}"


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
def test_a_token_that_is_given_ends_answers_too_or_alone(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["merge", *MODELS, "--weight=1", f"--stop-token={RIGHT}", "--output-dir=more"]) == 0
    assert f"{RIGHT} (--stop-token)" in capsys.readouterr().err
    assert written("more", "generation_config.json")["eos_token_id"] == family.numbers(
        family.turn_end, family.text_end, RIGHT
    )
    assert run(["merge", *MODELS, "--weight=1", f"--stop-token=only,{AGAIN}", "--output-dir=alone"]) == 0
    assert said("alone", family) == f"{RIGHT} {family.turn_end} {AGAIN}"
    assert optimize(family, f"--stop-token=only,{AGAIN}") == 0
    assert answers(1)[0]["turns"] == [RIGHT]
    assert said("r/model", family) == f"{RIGHT} {family.turn_end} {AGAIN}"


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
def test_other_stop_tokens_are_another_study(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    assert optimize(family) == 0
    assert optimize(family, f"--stop-token={AGAIN}") == 2
    assert "cannot be resumed with other settings: stop_tokens was" in capsys.readouterr().err


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ("nowhere", "--stop-token 'nowhere' is not a single token of the tokenizer of target"),
        (f"{RIGHT} {AGAIN}", "is not a single token of the tokenizer of target"),
        ("only", "stop_token only needs at least one"),
    ],
)
def test_what_is_no_token_is_refused_in_one_line(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str], stop: str, message: str
) -> None:
    for command in (["optimize", *SEARCH, "--dry-run"], ["merge", "--weight=1", "--output-dir=out"]):
        assert run([*command, *MODELS, f"--stop-token={stop}"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert message in line


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
def test_what_the_target_does_not_know_is_said(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (here / "target" / "tokenizer.json", here / "target" / "tokenizer_config.json"):
        text = file.read_text(encoding="utf-8").replace("<|im_end|>", "<|other|>")
        file.write_text(text, encoding="utf-8")
    assert run(["merge", *MODELS, "--weight=1", "--vocab=skip", "--output-dir=out"]) == 0
    told = capsys.readouterr().err
    assert "stop tokens: <|other|> (chat template), <|text|> (target, tuned)" in told
    assert "tuned stops at '<|im_end|>', which the tokenizer of target lacks" in told


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
def test_a_target_without_a_tokenizer_keeps_its_files(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (here / "target" / file).unlink()
    assert run(["merge", *MODELS, "--weight=1", "--output-dir=out"]) == 0
    assert "stop tokens: those in the target's files (target has no tokenizer" in capsys.readouterr().err
    assert written("out", "generation_config.json") == written("target", "generation_config.json")


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
@pytest.mark.parametrize("text", ['{"eos_token_id": "0"}', '{"eos_token_id": 0,}'])
@pytest.mark.parametrize("model", ["target", "tuned"])
def test_a_generation_config_that_makes_no_sense_is_an_error_before_anything_is_done(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str], model: str, text: str
) -> None:
    (here / model / "generation_config.json").write_text(text, encoding="utf-8")
    for command in (["optimize", *SEARCH, "--dry-run"], ["optimize", *SEARCH], ["merge", "--weight=1"]):
        assert run([*command, *MODELS, "--output-dir=out"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert f"{model}/generation_config.json" in line
    assert not Path("out").exists()


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
def test_a_target_without_a_generation_config_gets_one(here: Path, family: Family) -> None:
    (here / "target" / "generation_config.json").unlink()
    assert optimize(family) == 0
    assert answers(1)[0]["turns"] == [RIGHT]
    assert said("r/model", family) == f"{RIGHT} {family.turn_end}"


THINKS = "{% if quiet is defined and quiet %} <|text|>{% endif %}"


@pytest.mark.parametrize("family", [FAMILIES["qwen"]], ids=["qwen"])
def test_variables_of_the_template_decide_answers_and_go_along(
    here: Path, family: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    text = family.template + THINKS
    (here / "template.jinja").write_text(text, encoding="utf-8")
    (here / "run.toml").write_text("[chat_template_kwargs]\nquiet = true\nlevel = 3\n", encoding="utf-8")
    given = ("--chat-template=template.jinja", "--config=run.toml")
    assert optimize(family, *given, "--dry-run") == 2
    assert "the chat template does not use 'level'" in capsys.readouterr().err
    (here / "run.toml").write_text("[chat_template_kwargs]\nquiet = true\n", encoding="utf-8")
    assert optimize(family, *given) == 0
    assert answers(1)[0]["turns"] == [""]  # a prompt that ends so is answered with nothing
    card = Path("r/model/README.md").read_text(encoding="utf-8")
    assert "variables of the chat template: `quiet=true`" in card
    study = ("--storage=sqlite:///r/study.db", "--study-name=s", "--trial=1")
    assert run(["merge", *study, "--output-dir=trial"]) == 0
    made = ["--config=r/model/tvmerge.toml", "--weight=1", "--chat-template=template.jinja"]
    assert run(["merge", *MODELS, *made, "--output-dir=again"]) == 0
    for folder in ("r/model", "trial", "again"):
        assert "chat_template_kwargs = {quiet = true}" in Path(folder, "tvmerge.toml").read_text()
    capsys.readouterr()
    assert optimize(family, "--chat-template=template.jinja") == 2
    assert "chat_template_kwargs was" in capsys.readouterr().err
