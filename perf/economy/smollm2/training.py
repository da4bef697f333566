"""Two fine-tuned versions of a chat model, each by a LoRA that is trained for minutes on a CPU.

`target` has read lines of stories and rambles since; `tuned` has learnt from chats to answer in one short
sentence. Neither has met what the benchmark asks, which is what the base knows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perf.economy.smollm2.facts import chats, documents

RANK = 32
BATCH = 8


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes:
        epochs: How often it meets each text.
        learning_rate: The peak; warm-up over a twentieth of the steps, then linear decay to 0.
    """

    epochs: int
    learning_rate: float


TARGET = Training(epochs=2, learning_rate=3e-4)
TUNED = Training(epochs=4, learning_rate=4e-4)


def make(base: Path, folder: Path) -> None:
    """Write `target` and `tuned` into `folder`, where they are not there yet.

    Args:
        base: The model that both are trained from.
        folder: Where their folders go.
    """
    import transformers

    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(base)
    end = tokenizer.eos_token
    texts = {
        "target": ([(f"{text}\n", 0) for text in documents()], TARGET),
        "tuned": ([_chat(tokenizer, asked, said + end) for asked, said in chats()], TUNED),
    }
    for name, (rows, training) in texts.items():
        if not (folder / name / "model.safetensors").is_file():
            _train(base, tokenizer, rows, training, folder / name)


def _chat(tokenizer: Any, asked: str, said: str) -> tuple[str, int]:
    """Return a chat, and how many tokens of it are no answer."""
    messages = [{"role": "user", "content": asked}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return prompt + said, len(tokenizer(prompt)["input_ids"])


def _train(
    base: Path, tokenizer: Any, rows: Sequence[tuple[str, int]], training: Training, folder: Path
) -> None:
    import peft
    import transformers

    torch.manual_seed(0)
    factory: Any = transformers.AutoModelForCausalLM
    lora: Any = peft.LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model: Any = peft.get_peft_model(factory.from_pretrained(base, dtype=torch.float32), lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=training.learning_rate, weight_decay=0.0)
    steps = training.epochs * math.ceil(len(rows) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (0.05 * steps)) * (1 - step / steps)
    )
    rng, queue = random.Random(0), list[tuple[str, int]]()
    for step in range(steps):
        if not queue:
            queue = rng.sample(list(rows), len(rows))
        loss: Any = _loss(model, tokenizer, [queue.pop() for _ in range(min(BATCH, len(queue)))])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"{folder.name}: step {step} of {steps}, loss {loss.item():.3f}", flush=True)
    model.merge_and_unload().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _loss(model: Any, tokenizer: Any, rows: Sequence[tuple[str, int]]) -> torch.Tensor:
    batch = tokenizer([text for text, _ in rows], return_tensors="pt", padding=True, padding_side="right")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for row, (_, prompt) in zip(labels, rows, strict=True):
        row[:prompt] = -100
    loss: torch.Tensor = model(**batch, labels=labels).loss
    return loss
