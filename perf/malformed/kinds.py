"""The kinds of files that tvmerge reads: which command reads each, and how each is damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from perf.malformed import damage

MODELS = ("--base-model=base", "--tuned-model=tuned", "--target-model=target")
OUT = "--output-dir=out"
MERGE = ("merge", *MODELS, "--weight=0.5", OUT)
ADAPTER = ("merge", "--base-model=base", "--tuned-model=adapter", "--target-model=target", "--weight=0.5")
PLAN = ("demo", "--dry-run", "--run-dir=new")
JUDGE = ("judge", "--bench-name=bench", "--judge=rules", "--out=out.jsonl", "--answers=answers.jsonl")

Damage = Callable[[Path, Random], str]

STUDY = {
    "study_user_attributes": ("key", "value_json"),
    "study_system_attributes": ("key", "value_json"),
    "trial_user_attributes": ("key", "value_json"),
    "trial_system_attributes": ("key", "value_json"),
    "trial_params": ("param_name", "param_value", "distribution_json"),
    "trial_values": ("value", "value_type"),
    "trials": ("number", "state", "datetime_complete"),
    "studies": ("study_name",),
    "version_info": ("schema_version",),
}
"""Columns of a study's database."""

CACHE = {"Cache": ("key", "raw", "mode", "filename", "value", "size"), "Settings": ("value",)}
"""Columns of a cache's database."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        path: The file, in the folder that `made` fills.
        commands: The commands that read it, of which one is drawn.
        damages: The ways to damage it besides those of every file.
    """

    path: str
    commands: Sequence[Sequence[str]]
    damages: Sequence[Damage] = ()


JSON, LINES, TOML = (damage.json_file_damage,), (damage.lines_damage,), (damage.toml_damage,)
STATUS, REPORT = ("status", "run"), ("report", "run", "--out=page.html")
OF_RUN = ("merge", "--run-dir=run", "--output-dir=out")

KINDS: dict[str, Kind] = {
    "config.json": Kind("target/config.json", (MERGE,), JSON),
    "tokenizer_config.json": Kind("target/tokenizer_config.json", (MERGE, (*PLAN, *MODELS)), JSON),
    "tokenizer.json": Kind("target/tokenizer.json", (MERGE, (*PLAN, *MODELS)), JSON),
    "generation_config.json": Kind("target/generation_config.json", (MERGE, (*PLAN, *MODELS)), JSON),
    "special_tokens_map.json": Kind("target/special_tokens_map.json", (MERGE,), JSON),
    "safetensors header": Kind("target/model.safetensors", (MERGE,), (damage.header_damage,) * 4),
    "safetensors index": Kind("tuned/model.safetensors.index.json", (MERGE,), JSON),
    "adapter_config.json": Kind("adapter/adapter_config.json", ((*ADAPTER, "--output-dir=out"),), JSON * 3),
    "adapter weights": Kind(
        "adapter/adapter_model.safetensors", ((*ADAPTER, "--output-dir=out"),), (damage.header_damage,) * 3
    ),
    "chat template": Kind(
        "template.jinja", ((*PLAN, "--chat-template=template.jinja"),), (damage.template_damage,) * 5
    ),
    "model's template": Kind("target/chat_template.jinja", (MERGE,), (damage.template_damage,) * 5),
    "marker of a model": Kind("marked/tvmerge.json", ((*MERGE[:-1], "--output-dir=marked"),), JSON),
    "weights": Kind(
        "weights.json", (("merge", *MODELS, "--weights=weights.json", "--output-dir=out"),), JSON
    ),
    "questions": Kind("bench/question.jsonl", ((*PLAN, "--bench-name=bench"), JUDGE), LINES * 3),
    "benchmark.toml": Kind("bench/benchmark.toml", ((*PLAN, "--bench-name=bench"),), TOML * 2),
    "reference answers": Kind("bench/reference_answer/gpt-4.jsonl", ((*PLAN, "--bench-name=bench"),), LINES),
    "run config": Kind(
        "run.toml", (("optimize", "--dry-run", "--target-model=target", "--config=run.toml"),), TOML * 5
    ),
    "judge file": Kind("judge.toml", ((*PLAN, "--judge=judge.toml"),), TOML * 3),
    "judge prompts": Kind(
        "prompts.jsonl", ((*PLAN, "--judge=judge.toml", "--judge-file=prompts.jsonl"),), LINES * 2
    ),
    "answers": Kind("answers.jsonl", (JUDGE,), LINES * 2),
    "table to import": Kind("table.json", (("import", "table.json", "imported"),), JSON),
    "study database": Kind(
        "run/study.db", (STATUS, REPORT, OF_RUN), (partial(damage.cells_damage, columns=STUDY),) * 8
    ),
    "ledger": Kind("run/ledger.jsonl", (STATUS, REPORT), LINES * 2),
    "result.json": Kind(
        "run/result.json",
        (REPORT, ("merge", *MODELS, "--weights=run/result.json", "--output-dir=out")),
        JSON * 3,
    ),
    "trials.jsonl": Kind("run/trials.jsonl", (REPORT,), LINES * 2),
    "run's questions": Kind("run/questions.jsonl", (REPORT,), LINES * 2),
    "mark of a run": Kind("run/.study", (STATUS, REPORT)),
    "stored answers": Kind("run/model_answer/0.jsonl", (REPORT,), LINES * 2),
    "cache": Kind(
        "cache/answers/cache.db",
        (("cache", "verify"), ("cache", "stats"), ("cache", "export", "answers"), ("cache", "prune")),
        (partial(damage.cells_damage, columns=CACHE),) * 5,
    ),
    "digests": Kind("cache/digests/cache.db", (MERGE,), (partial(damage.cells_damage, columns=CACHE),) * 3),
}


def spoiled(kind: Kind, folder: Path, rng: Random) -> tuple[Sequence[str], str]:
    """Damage the file of a kind, and return a command that reads it and what was done."""
    path = folder / kind.path
    ways: list[Damage] = [*kind.damages, damage.text_damage]
    way = damage.replaced if rng.random() < 0.1 else rng.choice(ways)
    return rng.choice(kind.commands), way(path, rng)


def files(root: Path, demo: Path, bundled: Path) -> None:
    """Write one sound file of each kind that a run does not write itself.

    Args:
        root: The folder to fill.
        demo: The folder of the demo's models.
        bundled: The folder with benchmarks, judges and prompts.
    """
    for role in ("base", "tuned", "target"):
        shutil.copytree(demo / role, root / role)
    tokens = {"eos_token": "</s>", "additional_special_tokens": []}
    _write(root / "target/special_tokens_map.json", json.dumps(tokens))
    _index(root / "tuned")
    _adapter(root)
    shutil.copy(root / "target/chat_template.jinja", root / "template.jinja")
    _write(root / "marked/tvmerge.json", '{"owner": "me", "files": ["tvmerge.json", "config.json"]}')
    _write(root / "marked/config.json", "{}")
    rows = (bundled / "benchmarks/demo/question.jsonl").read_text(encoding="utf-8").splitlines()[:6]
    _write(root / "bench/question.jsonl", "\n".join(rows) + "\n")
    _write(
        root / "bench/benchmark.toml",
        'description = "x"\ntemperature = {writing = 0.5}\njapanese_exempt = []\n',
    )
    questions = [json.loads(row) for row in rows]
    answers = [
        {"question_id": row["question_id"], "choices": [{"index": 0, "turns": ["a", "b"]}]}
        for row in questions
    ]
    for name in ("bench/reference_answer/gpt-4.jsonl", "answers.jsonl"):
        _write(root / name, "".join(json.dumps({**row, "model_id": "gpt-4"}) + "\n" for row in answers))
    _write(root / "table.json", json.dumps([{"instruction": "Say a.", "output": "a"}] * 3))
    _write(root / "judge.toml", _JUDGE)
    call = {"judge": "m", "at": 1.0, "input": 100, "output": 20, "seconds": 1.5, "cost": 0.25}
    _write(root / "run/ledger.jsonl", "".join(json.dumps({**call, "at": at}) + "\n" for at in range(3)))
    shutil.copy(bundled / "prompts/judge_prompts.jsonl", root / "prompts.jsonl")
    _write(root / "run.toml", _SETTINGS)


_JUDGE = """\
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:9"
concurrency = 2
description = "x"
"""

_SETTINGS = """\
n_trials = 3
bench_name = ["demo"]
judge = ["rules"]
optuna_sampler = "auto"
weight_min = 0.0
uniform_weights = [0.5]
holdout = 0.3
max_new_tokens = 8
storage = "sqlite:///x.db"
study_name = "s"
run_dir = "new"
stop_token = []
temperature = {default = 0.5}
chat_template_kwargs = {}
sampler = {}
optimize_mode = "regex"
patterns = [{name = "a", pattern = "proj"}]
task_vectors = [{tuned = "tuned", base = "base", weight_max = 1.5}]
density = [0.5]
method = "ties"
freeze = ["norm"]
experts = []
task_kinds = []
max_cost = 1.5
push_to_hub = "owner/name"
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _index(folder: Path) -> None:
    """Make a model one of several files, with an index."""
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    content = (folder / "model-00001-of-00001.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    names = dict.fromkeys(set(header) - {"__metadata__"}, "model-00001-of-00001.safetensors")
    _write(folder / "model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": names}))


def _adapter(root: Path) -> None:
    """Write a LoRA adapter for one matrix of the base."""
    import torch
    from safetensors.torch import load_file, save_file

    name = "model.layers.0.self_attn.q_proj"
    rows, columns = load_file(root / "base/model.safetensors")[f"{name}.weight"].shape
    (root / "adapter").mkdir()
    factors = {"lora_A": torch.ones(2, columns), "lora_B": torch.ones(rows, 2)}
    save_file(
        {f"base_model.model.{name}.{key}.weight": value for key, value in factors.items()},
        root / "adapter/adapter_model.safetensors",
    )
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    more = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {}, "modules_to_save": None, "use_rslora": False}
    _write(
        root / "adapter/adapter_config.json", json.dumps(config | more | {"base_model_name_or_path": "base"})
    )
