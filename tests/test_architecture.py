"""The house rules that a reader can rely on: imports point down, start-up is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tvmerge"

LEAVES = {
    *(
        "architectures",
        "errors",
        "canonical",
        "encodings",
        "files",
        "outputs",
        "assets",
        "cache",
        "locking",
        "trace",
        "threads",
        "tokenizer",
        "urls",
        "records",
        "harmony",
        "thoughts",
        "protocols",
    ),
    "__init__",
}
STAGES = {"search", "merging", "generation", "judging", "evaluation"}

ALLOWED = {
    "architectures": set(),
    "errors": set(),
    "canonical": set(),
    "locking": {"errors"},
    "urls": set(),
    "encodings": {"errors"},
    "files": {"encodings", "errors"},
    "outputs": {"errors"},
    "assets": {"errors"},
    "cache": {"errors"},
    "trace": {"files"},
    "records": set(),
    "harmony": set(),
    "thoughts": {"harmony"},
    "threads": set(),
    "tokenizer": {"errors", "files"},
    "protocols": {"records"},
    "config": {"assets", "encodings", "errors", "files", "urls"},
    "demo": {"assets"},
    **{stage: LEAVES | {stage} for stage in STAGES},
    "report": LEAVES | {"report"},
    "caches": {"cache", "errors", "outputs"},
    "destinations": {"config", "outputs"},
    "ratings": {"records", "protocols", "trace"},
    "orchestrator": {"records", "protocols", "errors", "ratings", "threads", "trace"},
    "studies": LEAVES | {"config", "search"},
    "trials": LEAVES | {"evaluation", "search", "orchestrator"},
    "confirmation": LEAVES | {"evaluation", "search", "report", "trials"},
    "jury": LEAVES | {"caches", "config", "evaluation", "judging"},
    "exam": LEAVES | {"caches", "config", "evaluation", "judging", "jury"},
    "chat_tasks": LEAVES | {"config", "evaluation", "generation", "jury"},
    "models": LEAVES | {"caches", "config", "merging"},
    "engines": LEAVES | STAGES | {"config", "caches", "models"},
    "placing": LEAVES | {"chats", "config", "engines", "generation", "merging", "models"},
    "chats": LEAVES | {"config", "generation", "merging"},
    "writing": LEAVES | {"merging"},
    "baseline": LEAVES | {"config", "evaluation", "judging", "jury", "search", "studies"},
    "outline": LEAVES
    | {"baseline", "caches", "config", "evaluation", "jury", "placing", "search", "studies"},
    "groundwork": LEAVES
    | STAGES
    | {"baseline", "config", "caches", "chat_tasks", "chats", "jury", "models", "outline"}
    | {"placing", "studies"},
    "build": LEAVES
    | STAGES
    | {
        "config",
        "caches",
        "exam",
        "jury",
        "models",
        "engines",
        "placing",
        "groundwork",
        "orchestrator",
        "studies",
        "trials",
    },
    "prospects": LEAVES | {"confirmation", "evaluation", "groundwork", "search"},
    "rehearsal": LEAVES | {"generation", "judging", "jury"},
    "outlay": LEAVES | {"config", "generation", "judging", "merging", "rehearsal", "report"},
    "plan": LEAVES
    | STAGES
    | {"config", "caches", "destinations", "exam", "jury", "models", "placing", "groundwork", "report"}
    | {"prospects", "rehearsal", "outlay", "studies"},
    "run": LEAVES
    | STAGES
    | {"config", "caches", "destinations", "exam", "jury", "orchestrator", "outline", "trials"}
    | {"build", "confirmation", "writing", "report"},
    "check": LEAVES | STAGES | {"caches", "chats", "config", "models", "placing", "report"},
    "scoring": LEAVES | STAGES | {"config", "caches", "ratings", "jury", "report"},
    "cli": LEAVES
    | STAGES
    | {"chats", "check", "config", "caches", "models", "writing", "run", "plan", "scoring", "report", "demo"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""What each room may import; `cli -> run -> build -> orchestrator -> protocols -> records -> errors`."""

HEAVY = {"torch", "transformers", "optuna", "vllm", "ray", "openai", "anthropic", "cohere", "numpy", "rich"}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = _room(path)
    for module in _imports(path):
        parts = module.split(".")
        if parts[0] == "tvmerge" and len(parts) > 1:
            assert parts[1] in ALLOWED[room] | {room}, f"{path.relative_to(PACKAGE)} imports {module}"


def test_help_and_settings_load_nothing_heavy() -> None:
    script = (
        "import sys, tvmerge, tvmerge.records, tvmerge.protocols, tvmerge.config, tvmerge.cli.app\n"
        "code = tvmerge.cli.app.run(['optimize', '--help'])\n"
        f"print(code, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
