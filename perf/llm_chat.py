"""`vllm.LLM.chat` on the conversations of `perf.generation`, all at once: prints the seconds it takes."""

from __future__ import annotations

import argparse
import sys
import time

from perf.generation import NEW_TOKENS, REPEATS, conversations, vllm_options


def main() -> None:
    """Answer several times, print the best."""
    from vllm import LLM, SamplingParams

    folder, dtype, eager, device = sys.argv[1:]
    options = vllm_options(argparse.Namespace(eager=eager == "True", device=device))
    llm = LLM(f"{folder}/target", dtype=dtype, **options)
    prompts = [[{"role": "user", "content": q.turns[0]}] for q in conversations()]
    params = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS)
    llm.chat(prompts[:2], params, use_tqdm=False)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        llm.chat(prompts, params, use_tqdm=False)
        seconds.append(time.perf_counter() - started)
    print(min(seconds))


if __name__ == "__main__":
    main()
