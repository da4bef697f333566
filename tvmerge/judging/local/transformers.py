"""A chat model of transformers that generates for a batch of conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

from tvmerge._util.bounded import OutOfBoundsError, WorkError, bounded
from tvmerge.errors import CheckpointError, ConfigError, MissingExtraError
from tvmerge.judging.spec import JudgeSpec
from tvmerge.pretrained.bfloat16 import has_bfloat16
from tvmerge.pretrained.context_length import context_length
from tvmerge.pretrained.out_of_memory import free_cached, ran_out

# transformers annotates its models but not its configurations.
_Generation: Any = GenerationConfig
_Quantization: Any = BitsAndBytesConfig

_OWN = frozenset(
    {"model", "dtype", "quantization", "messages", "max_new_tokens", "temperature", "chat_template_kwargs"}
)

SECONDS, _SECONDS_EACH = 10.0, 0.1
"""How long the chat template may take: for a batch, and for each of its conversations."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated reply.

    Attributes:
        text: Its text, without special tokens.
        complete: Whether it ended by itself, not at the limit.
        tokens: Number of generated tokens.
    """

    text: str
    complete: bool
    tokens: int


class TransformersChat:
    """A loaded model with its tokenizer.

    Args:
        spec: The judge: `model` is a folder or `hub-id[@revision]`; `quantization`, `dtype`, `device_map` and
            `max_memory` are as in transformers.

    Raises:
        CheckpointError: The model cannot be loaded or has no chat template.
        MissingExtraError: The model needs a package that is not installed.
    """

    def __init__(self, spec: JudgeSpec) -> None:
        self._name = spec.model
        name, _, revision = spec.model.partition("@")
        revision = revision or "main"
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name, revision=revision, padding_side="left")
            self._refuse_endless()
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                name, revision=revision, **placement(spec)
            )
        except ImportError as error:
            raise MissingExtraError(error.name or "bitsandbytes", "local") from error
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            if ran_out(error):
                raise CheckpointError(
                    f"the judge model {spec.model} does not fit into the free memory; set "
                    "quantization, max_memory or device_map in its judge file, or take a judge elsewhere"
                ) from error
            first_line = str(error).strip().split("\n", maxsplit=1)[0]
            raise CheckpointError(f"the judge model {spec.model} cannot be loaded: {first_line}") from error
        if not self._tokenizer.chat_template:
            raise CheckpointError(f"the judge model {spec.model} has no chat template")
        self._ends = _ends(self._model, self._tokenizer)
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token_id = self._ends[0]

    def _refuse_endless(self) -> None:
        """Check that the chat template ends, before the weights are loaded.

        Raises:
            CheckpointError: It takes too long or too much memory.
        """
        messages = [{"role": role, "content": "Yes?"} for role in ("system", "user")]
        try:
            bounded(lambda: len(self._text({"messages": messages})), SECONDS)
        except OutOfBoundsError as error:
            raise self._endless(error) from error
        except WorkError:
            return  # reported where the judge is asked

    def _endless(self, error: OutOfBoundsError) -> CheckpointError:
        return CheckpointError(f"the chat template of the judge model {self._name} has no end: {error}")

    @property
    def context(self) -> int:
        """Maximum number of tokens that the model can attend to."""
        return context_length(self._model.config) or 1 << 20

    def encode(self, bodies: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        """Return the token ids of each conversation in `messages`, up to where the reply begins.

        Raises:
            CheckpointError: The chat template fails on one of them, or takes too long or too much memory.
        """
        seconds = SECONDS + _SECONDS_EACH * len(bodies)
        try:
            texts = bounded(lambda: [self._text(body) for body in bodies], seconds)
        except OutOfBoundsError as error:
            raise self._endless(error) from error
        except WorkError as error:
            first_line = str(error).strip().split("\n", maxsplit=1)[0]
            raise CheckpointError(
                f"the chat template of the judge model {self._name} fails: {first_line}"
            ) from error
        return [self._tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]

    def _text(self, body: Mapping[str, Any]) -> str:
        messages = body["messages"]
        options = {"add_generation_prompt": True, "tokenize": False, **body.get("chat_template_kwargs", {})}
        try:
            return str(self._tokenizer.apply_chat_template(messages, **options))
        except TemplateError:
            # For templates without a system message, it is put before the user's.
            joined = "\n\n".join(message["content"] for message in messages)
            return str(self._tokenizer.apply_chat_template([{"role": "user", "content": joined}], **options))

    def generate(
        self,
        prompts: Sequence[list[int]],
        body: Mapping[str, Any],
        *,
        seeds: Sequence[int],
        temperatures: Sequence[float],
    ) -> list[Generated]:
        """Generate replies to a batch of prompts; a batch that does not fit into memory is halved.

        Args:
            prompts: Token ids of each prompt.
            body: `max_new_tokens` and other arguments of `GenerationConfig`.
            seeds: A seed for each prompt; used if its temperature is above 0.
            temperatures: A temperature for each prompt; 0 is greedy.

        Raises:
            ConfigError: Not even one prompt fits into memory.
        """
        if not prompts:
            return []
        try:
            return self._generate(prompts, body, seeds, temperatures)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            if len(prompts) == 1:
                raise ConfigError(
                    f"the judge model {self._name} leaves no memory for generation; set max_memory or "
                    "quantization in its judge file"
                ) from error
        free_cached()
        half = len(prompts) // 2
        return [
            *self.generate(prompts[:half], body, seeds=seeds[:half], temperatures=temperatures[:half]),
            *self.generate(prompts[half:], body, seeds=seeds[half:], temperatures=temperatures[half:]),
        ]

    @torch.inference_mode()
    def _generate(
        self,
        prompts: Sequence[list[int]],
        body: Mapping[str, Any],
        seeds: Sequence[int],
        temperatures: Sequence[float],
    ) -> list[Generated]:
        padded = self._tokenizer.pad({"input_ids": list(prompts)}, return_tensors="pt").to(self._model.device)
        width = padded["input_ids"].shape[1]
        # A new configuration, since the checkpoint's may sample, which a judge must not do unless asked to.
        config = _Generation(
            max_new_tokens=body["max_new_tokens"],
            do_sample=False,
            eos_token_id=self._ends,
            pad_token_id=self._tokenizer.pad_token_id,
            **{name: value for name, value in body.items() if name not in _OWN},
        )
        sampling = [_GumbelSampling(temperatures, seeds)] if any(t > 0 for t in temperatures) else []
        output = self._model.generate(
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            generation_config=config,
            logits_processor=LogitsProcessorList(sampling),
        )
        return [self._read(row.tolist()) for row in output[:, width:]]

    def _read(self, ids: list[int]) -> Generated:
        end = next((index for index, token in enumerate(ids) if token in self._ends), None)
        text = self._tokenizer.decode(ids[:end], skip_special_tokens=True)
        return Generated(text, end is not None, len(ids) if end is None else end + 1)


class _GumbelSampling(LogitsProcessor):
    """Turns the greedy choice into a sample: the argmax of logits / T + Gumbel noise follows the softmax.

    Each row draws from its own generator, so a reply does not depend on its batch. A row with temperature 0
    stays greedy. (The Gumbel-max trick; Maddison, Tarlow and Minka, "A* Sampling", 2014.)
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int]) -> None:
        self._temperatures = torch.tensor(temperatures).unsqueeze(1)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores plus noise, of shape (batch, vocabulary)."""
        noise = torch.stack(
            [-torch.empty(scores.shape[1]).exponential_(generator=g).log() for g in self._generators]
        )
        heat = self._temperatures.to(scores)
        return torch.where(heat > 0, scores / heat.clamp(min=1e-6) + noise.to(scores), scores)


def placement(spec: JudgeSpec) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` for the weights' type, quantization and devices."""
    placement: dict[str, Any] = {
        "dtype": "auto" if spec.dtype == "auto" else getattr(torch, spec.dtype),
        "device_map": spec.device_map,
    }
    if spec.max_memory:
        placement["max_memory"] = {
            int(device) if device.isdigit() else device: amount for device, amount in spec.max_memory.items()
        }
    if spec.quantization == "4bit":
        placement["quantization_config"] = _Quantization(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=_compute_dtype()
        )
    if spec.quantization == "8bit":
        placement["quantization_config"] = _Quantization(load_in_8bit=True)
    return placement


def _compute_dtype() -> torch.dtype:
    """Return what weights in 4 bits are multiplied in: bfloat16, or float16 if a GPU only emulates that."""
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return torch.bfloat16 if all(map(has_bfloat16, gpus)) else torch.float16


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end a reply."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        raise CheckpointError("the judge model has no end-of-text token")
    return [ends] if isinstance(ends, int) else list(ends)
