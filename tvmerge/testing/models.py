"""The demo's models, prepared for engines, and a plain reference implementation of generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tvmerge._util.assets import bundled_demo_models, find
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import Merge, open_merge
from tvmerge.protocols import Engine
from tvmerge.records import Answer, Question, QuestionId, Recipe, Sampling
from tvmerge.tasks.fastchat.benchmark import load_benchmark

ROLES = ("target", "base", "tuned")
Answers = dict[tuple[QuestionId, int], Answer]


def open_models(folder: Path | None = None) -> Merge:
    """Open the three models in `folder`, by default the demo's, with one weight per layer."""
    folder = bundled_demo_models() if folder is None else folder
    target, base, tuned = (str(folder / role) for role in ROLES)
    return open_merge(target, base, tuned, "layer")


def demo_questions(count: int = 24) -> tuple[Question, ...]:
    """Return the first questions of the demo benchmark, each with two turns."""
    return load_benchmark(find("benchmarks", "demo")).questions[:count]


def stop_ids(folder: Path) -> list[int]:
    """Return the tokens at which transformers ends the model's answers."""
    settings: Any = GenerationConfig
    found = settings.from_pretrained(folder).eos_token_id
    return [found] if isinstance(found, int) else list(found)


def uniform(merge: Merge, weight: float) -> Recipe:
    """Return a recipe with the same weight for all groups."""
    return Recipe(dict.fromkeys(merge.group_names, weight))


def uneven(merge: Merge, first: float = 0.3) -> Recipe:
    """Return a recipe with a different weight for each group."""
    return Recipe({name: first + 0.2 * i for i, name in enumerate(merge.group_names)})


async def answers_of(
    engine: Engine, recipe: Recipe, questions: Sequence[Question], sampling: Sampling
) -> Answers:
    """Return all answers of the engine, by question and sample."""
    await engine.apply(recipe)
    found: list[Answer] = []
    async with aclosing(engine.generate(questions, sampling)) as stream:
        async for batch in stream:
            found += batch
    by_key = {(answer.question_id, answer.sample): answer for answer in found}
    assert len(by_key) == len(found)
    return by_key


def plain_answer(
    folder: Path, weights: Mapping[str, torch.Tensor] | None, question: Question, max_new_tokens: int = 24
) -> tuple[str, ...]:
    """Return what `PlainModel` answers with the model in `folder`, or with `weights` loaded into it."""
    return PlainModel(folder, weights).answer(question, max_new_tokens)


class PlainModel:
    """Runs a merged model on one conversation at a time, with `generate` and without padding.

    Args:
        folder: The model.
        weights: What to load into it instead of its own weights.
    """

    def __init__(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)  # nosec B615  # a folder, so nothing is downloaded
        self.model: Any = AutoModelForCausalLM.from_pretrained(  # nosec B615  # a folder, so nothing is downloaded
            folder, dtype=torch.float32
        )
        if weights is not None:
            self.model.load_state_dict(weights)

    @classmethod
    def merged(cls, merge: Merge, recipe: Recipe) -> PlainModel:
        """Return the merged model of `recipe`; a mixture of experts is written and read back first."""
        if merge.config is None:
            return cls(merge.target.folder, dict(merge.merger.merge(recipe)))
        with TemporaryDirectory() as folder:
            write_merge(merge, Path(folder) / "model", recipe)
            return cls(Path(folder) / "model")

    @torch.no_grad()
    def answer(self, question: Question, max_new_tokens: int) -> tuple[str, ...]:
        """Answer all turns with greedy decoding."""
        messages: list[dict[str, str]] = []
        for turn in question.turns:
            messages.append({"role": "user", "content": turn})
            text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
            mask = torch.ones_like(ids)
            out = self.model.generate(
                ids, attention_mask=mask, do_sample=False, max_new_tokens=max_new_tokens
            )
            answer = self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
            messages.append({"role": "assistant", "content": answer})
        return tuple(m["content"] for m in messages if m["role"] == "assistant")

    @torch.no_grad()
    def go_on(self, text: str, max_new_tokens: int) -> str:
        """Continue a text with greedy decoding; a long text loses its start so that the new tokens fit."""
        room = self.model.config.max_position_embeddings - max_new_tokens
        ids = self.tokenizer(text, return_tensors="pt")["input_ids"][:, -room:]
        out = self.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=max_new_tokens
        )
        return str(self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))

    @torch.no_grad()
    def logprobs(self, context: Sequence[int], tokens: Sequence[int]) -> list[tuple[float, bool]]:
        """Return each token's log-probability and whether it is the likeliest, from one full forward pass."""
        logits = self.model(torch.tensor([[*context, *tokens]])).logits[0].double().log_softmax(dim=-1)
        rows = logits[len(context) - 1 : -1]
        return [(float(row[t]), int(row.argmax()) == t) for row, t in zip(rows, tokens, strict=True)]
