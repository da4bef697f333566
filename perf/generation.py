"""Measures the engines' speed relative to answering one question at a time, on SmolLM2-135M-Instruct.

    .venv-vllm/bin/python -m perf.generation FOLDER [--engine NAME] [--dtype float32] [--device cpu]

FOLDER contains the checkpoints, which are created if they are missing. Each engine answers 20 one-turn
conversations with 64 new tokens each, greedily, so that all generate the same tokens; the best of four runs
counts. If vLLM is installed, both engines are measured, and `vllm.LLM.chat` on all prompts at once. Then the
time of applying another recipe is measured, as a fraction of a trial on the japanese-chat benchmark (seven
tenths of its questions, two turns, up to 512 new tokens each).

Targets: 4.5 times as fast (transformers), 7 times and 0.9 of `LLM.chat` (vLLM on a CPU), below 5% of a trial.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import torch

from perf.smollm2 import ROLES, make
from tvmerge.config import MergeConfig
from tvmerge.engines.open import EngineSettings
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.merging.checkpoints.eos import read_eos
from tvmerge.protocols import Engine
from tvmerge.records import Question, Recipe, Sampling
from tvmerge.tasks.fastchat.benchmark import load_benchmark

CONVERSATIONS, NEW_TOKENS, CONTEXT, REPEATS = 20, 64, 4096, 4
BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "japanese-chat"
SHORT = Sampling(max_new_tokens=NEW_TOKENS, default_temperature=0.0)
TRIAL = Sampling(max_new_tokens=512, default_temperature=0.7)
TOPICS = ("bread", "rivers", "stars", "trains", "tea", "maps", "clocks", "birds", "glass", "wool")


def conversations() -> tuple[Question, ...]:
    """Return questions whose answers are long."""
    asks = ("Write a long story about {}.", "Explain in detail how {} came to be.")
    texts = [ask.format(topic) for ask in asks for topic in TOPICS]
    return tuple(Question(number, "math", (text,)) for number, text in enumerate(texts))


def settings(folder: Path, engine: str, args: argparse.Namespace) -> EngineSettings:
    """Return the settings of the engine to measure."""
    target, base, tuned = (str(folder.resolve() / role) for role in ROLES)
    merge = MergeConfig(target_model=(target,), base_model=base, tuned_model=tuned)
    return EngineSettings(
        merge=merge,
        stop_tokens=read_eos(Path(target)).generation or (),
        engine=engine,
        device=args.device,
        dtype=args.dtype,
        options=vllm_options(args),
    )


def vllm_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options for both uses of vLLM."""
    small = {"kv_cache_memory_bytes": 2**30} if args.device == "cpu" else {}
    return {"max_model_len": CONTEXT, "enforce_eager": args.eager, **small}


def one_at_a_time(folder: Path, args: argparse.Namespace) -> tuple[float, int]:
    """Return the seconds and tokens of `generate` on one conversation after another."""
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    model = factory.from_pretrained(folder / "target", dtype=getattr(torch, args.dtype)).to(args.device)
    chat, tokens = ChatFormat(folder / "target"), 0
    started = time.perf_counter()
    for question in conversations():
        ids = torch.tensor([chat.encode([{"role": "user", "content": question.turns[0]}])]).to(args.device)
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=NEW_TOKENS)
        tokens += out.shape[1] - ids.shape[1]
    return time.perf_counter() - started, tokens


async def answer(engine: Engine, questions: Sequence[Question], sampling: Sampling) -> float:
    """Return the seconds to answer all questions."""
    started = time.perf_counter()
    async with aclosing(engine.generate(questions, sampling)) as stream:
        async for _ in stream:
            pass
    return time.perf_counter() - started


async def measure(folder: Path, kind: str, args: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of an engine for the conversations (best run), a new recipe and a trial."""
    engine: Engine = settings(folder, kind, args).entry().call()
    names = ["embeddings", *(f"layers.{layer}" for layer in range(30)), "norm"]
    await engine.apply(Recipe(dict.fromkeys(names, 0.0)))
    await answer(engine, conversations()[:2], SHORT)
    found = {"conversations": min([await answer(engine, conversations(), SHORT) for _ in range(REPEATS)])}
    started = time.perf_counter()
    await engine.apply(Recipe(dict.fromkeys(names, 0.4)))
    found["apply"] = time.perf_counter() - started
    if not args.no_trial:
        benchmark = load_benchmark(BENCHMARK)
        found["trial"] = await answer(
            engine, benchmark.questions[: len(benchmark.questions) * 7 // 10], TRIAL
        )
    await engine.close()
    return found


def llm_chat(folder: Path, args: argparse.Namespace) -> float:
    """Return the seconds of `vllm.LLM.chat` on all conversations (best run), in a separate process."""
    argv = [sys.executable, "-m", "perf.llm_chat", str(folder), args.dtype, str(args.eager), args.device]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ})
    return float(done.stdout.split()[-1])


def show(folder: Path, kind: str, plain: float, tokens: int, args: argparse.Namespace) -> None:
    """Measure one engine and print."""
    found = asyncio.run(measure(folder, kind, args))
    ratio = plain / found["conversations"]
    print(f"{kind:24s} {tokens / found['conversations']:8.1f} tokens/s  {ratio:.1f} times as fast")
    if kind == "vllm":
        chat = llm_chat(folder, args)
        share = chat / found["conversations"]
        print(f"  vllm.LLM.chat          {tokens / chat:8.1f} tokens/s  the engine has {share:.2f} of it")
    print(f"  merge and reset        {found['apply']:8.2f} s")
    if "trial" in found:
        share = found["apply"] / (found["apply"] + found["trial"])
        print(f"  share of a trial       {share:8.1%}  of {found['trial']:.0f} s")


def main() -> None:
    """Measure and print."""
    both = ["transformers", "vllm"] if importlib.util.find_spec("vllm") else ["transformers"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", choices=("transformers", "vllm"), help="this one only")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--eager", action="store_true", help="vLLM: do not compile")
    parser.add_argument("--no-trial", action="store_true", help="leave the trial out")
    args = parser.parse_args()
    folder = make(args.folder)
    plain, tokens = one_at_a_time(folder, args)
    print(f"one at a time            {tokens / plain:8.1f} tokens/s")
    for kind in [args.engine] if args.engine else both:
        show(folder, kind, plain, tokens, args)


if __name__ == "__main__":
    main()
