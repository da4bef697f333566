"""Trains the three demo models from scratch on one CPU core.

    python -m examples.demo.train --force      # writes examples/demo/models/{base,tuned,target}

Deterministic on one kind of CPU: one thread, everything seeded. The committed models came from it; other
processors round differently and give models that differ in detail and behave alike.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.texts import base_texts, base_texts_with_chats, target_texts, tuned_texts
from examples.demo.tokenizer import train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import MistralForCausalLM, PreTrainedTokenizerFast

MODELS = Path(__file__).resolve().parent / "models"
NAMES = ("base", "tuned", "target")


@dataclass(frozen=True, slots=True)
class Stage:
    """One model's training.

    Attributes:
        texts: Makes `count` texts from a seed.
        steps: Optimizer steps.
        learning_rate: Its peak; linear warm-up over a twentieth of the steps, then cosine decay to a tenth.
        seed: Of texts and their order.
    """

    texts: Callable[[int, int], Iterator[str]]
    steps: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How the three models are made.

    Attributes:
        base: Training from random weights.
        chats: Further training of `base`, a few chats mixed in; the rest start from its result.
        tuned: Fine-tuning of `base`.
        target: Further training of `base`.
        layers: Transformer layers.
        hidden: Width of the residual stream.
        rows: Sequences a step.
        length: Tokens a sequence.
        vocabulary: The most tokens the tokenizer may have.
        pool: Texts a stage draws its sequences from.
        seed: Of the initial weights.
    """

    base: Stage = Stage(base_texts, 1400, 4e-3, 1)
    chats: Stage = Stage(base_texts_with_chats, 80, 1e-3, 4)
    tuned: Stage = Stage(tuned_texts, 100, 1e-3, 2)
    target: Stage = Stage(target_texts, 150, 1e-3, 3)
    layers: int = 5
    hidden: int = 128
    rows: int = 24
    length: int = 64
    vocabulary: int = 700
    pool: int = 12_000
    seed: int = 0


def train_models(plan: Plan, folder: Path, *, force: bool = False) -> None:
    """Train and write `folder`/base, `folder`/tuned and `folder`/target.

    Raises:
        FileExistsError: One of the three is there already and `force` is False.
    """
    import torch

    existing = [folder / name for name in NAMES if (folder / name).exists()]
    if existing and not force:
        raise FileExistsError(f"{existing[0]} exists; --force replaces it")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tokenizer = train_tokenizer(plan.base.texts(plan.pool, plan.base.seed), plan.vocabulary)
        model = new_model(plan, tokenizer)
        run_stage(model, tokenizer, plan, plan.base)
        run_stage(model, tokenizer, plan, plan.chats)
        save(model, tokenizer, folder / "base")
        for name, stage in (("tuned", plan.tuned), ("target", plan.target)):
            model = load_for_training(folder / "base")
            run_stage(model, tokenizer, plan, stage)
            save(model, tokenizer, folder / name)
    finally:
        torch.set_num_threads(threads)


def new_model(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> MistralForCausalLM:
    """A Mistral of the plan's shape with seeded random weights, in float32."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(plan.seed)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden,
        intermediate_size=plan.hidden * 2,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.hidden // 32,
        num_key_value_heads=plan.hidden // 64,
        head_dim=32,
        max_position_embeddings=256,
        sliding_window=None,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return MistralForCausalLM(config)


def load_for_training(folder: Path) -> MistralForCausalLM:
    """The model in `folder`, in float32."""
    import torch
    from transformers import MistralForCausalLM

    model: MistralForCausalLM = MistralForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model


def run_stage(
    model: MistralForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: Plan, stage: Stage
) -> list[float]:
    """Train `model` in place to predict the next token of the stage's texts.

    Returns:
        The loss of each step, in nats a token.
    """
    import torch

    rows = token_rows(tokenizer, plan, stage)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=stage.learning_rate, betas=(0.9, 0.95), weight_decay=0.05
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, stage.steps))
    order = torch.Generator().manual_seed(stage.seed)
    model.train()
    losses = []
    for _ in range(stage.steps):
        batch = rows[torch.randint(len(rows), (plan.rows,), generator=order)]
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.train(False)
    return losses


def token_rows(tokenizer: PreTrainedTokenizerFast, plan: Plan, stage: Stage) -> torch.Tensor:
    """The stage's texts as token ids, laid end to end and cut: [rows, plan.length], int64."""
    import torch

    texts = list(stage.texts(plan.pool, stage.seed))
    random.Random(stage.seed).shuffle(texts)
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    stream = torch.tensor([token for text in encoded for token in text], dtype=torch.int64)
    whole = len(stream) // plan.length
    return stream[: whole * plan.length].view(whole, plan.length)


def save(model: MistralForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights in bfloat16, configuration and tokenizer into an emptied `folder`."""
    from transformers import GenerationConfig

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    defaults = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "do_sample": False,
        "max_new_tokens": 16,
    }
    model.generation_config = GenerationConfig.from_dict(defaults)
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)


def _rate(step: int, steps: int) -> float:
    warm = (step + 1) / max(1.0, steps / 20)
    cosine = 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps))
    return min(warm, 1.0) * cosine


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train the demo models base, tuned and target.")
    parser.add_argument("--folder", type=Path, default=MODELS, help="where the three folders go")
    parser.add_argument("--force", action="store_true", help="replace models that are there already")
    arguments = parser.parse_args()
    try:
        train_models(Plan(), arguments.folder, force=arguments.force)
    except FileExistsError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
