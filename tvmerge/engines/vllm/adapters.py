"""Candidates as LoRA adapters of one model in vLLM, which answer in one batch."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.vllm.answering import VllmAnswering
from tvmerge.engines.vllm.low_rank import INSTEAD, Factors, LowRankMerge
from tvmerge.engines.vllm.server import VllmServer, reason
from tvmerge.engines.vllm.worker import ADAPTER_EXTENSION
from tvmerge.errors import ConfigError, TvmergeError
from tvmerge.protocols import Engine
from tvmerge.records import Recipe

if TYPE_CHECKING:
    from tvmerge.merging.merge import Merge

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The largest ranks for which vLLM can be started."""


def rank_for(rank: int, name: str = "the adapter") -> int:
    """Return the largest rank that vLLM is started with, for adapters of a rank.

    Args:
        rank: The rank of what is added to a matrix, by all task vectors together.
        name: What is added, for the message.

    Raises:
        ConfigError: It is too large.
    """
    found = next((largest for largest in RANKS if rank <= largest), None)
    if found is None:
        raise ConfigError(
            f"--vllm-adapters: {name} has rank {rank}, and vLLM's adapters have at most {RANKS[-1]}; "
            f"{INSTEAD}"
        )
    return found


def check_adapters(models: Merge, dtype: str | None = None) -> LowRankMerge:
    """Return what candidates add, as adapters.

    Args:
        models: The opened merge.
        dtype: The dtype of computation on GPUs; None on a CPU.

    Raises:
        ConfigError: vLLM cannot add it to the target as it computes.
    """
    if dtype == "float32":
        raise ConfigError("--vllm-adapters: vLLM's adapters need 16 bits on GPUs; pass --dtype bfloat16")
    found = LowRankMerge(models)
    names = [source.name for part, source in models.sources.items() if part.endswith("tuned")]
    rank_for(found.rank, " with ".join(names))
    return found


class AdapterModel:
    """A target in vLLM that candidates share, each as an adapter.

    It is started when the first candidate is applied.

    Args:
        models: The opened merge.
        count: Maximum number of candidates at once.
        dtype: The dtype of computation.
        options: Further arguments of vLLM's `AsyncEngineArgs`.
        trust_remote_code: Whether the model may run code from its files.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: vLLM cannot hold the adapters, or its release has not been tested.
    """

    def __init__(
        self,
        models: Merge,
        count: int,
        *,
        dtype: str,
        options: Mapping[str, Any],
        trust_remote_code: bool,
    ) -> None:
        self.low_rank = check_adapters(models)
        self.server = VllmServer(
            models.target.folder,
            ADAPTER_EXTENSION,
            dtype=dtype,
            options={
                **options,
                "enable_lora": True,
                "max_loras": count,
                "max_lora_rank": rank_for(self.low_rank.rank),
                # vLLM computes with adapters in these modules only, not in its embeddings and head.
                "lora_target_modules": sorted({m.rpartition(".")[2] for m in self.low_rank.modules}),
            },
            trust_remote_code=trust_remote_code,
            instead=INSTEAD,
        )
        self._lock = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._users = 0

    async def start(self) -> None:
        """Start vLLM, unless it runs."""
        async with self._lock:
            if self.server.alive is None:
                await self.server.start()

    def enter(self) -> None:
        """Count one more engine that uses it."""
        self._users += 1

    async def leave(self) -> None:
        """Count one less; shut down vLLM after the last."""
        self._users -= 1
        if not self._users:
            await self.server.close()

    async def add(self, folder: Path) -> Any:
        """Have vLLM load the adapter in a folder; return the request for it.

        Raises:
            ConfigError: vLLM left out some of its modules.
        """
        from vllm.lora.request import LoRARequest

        number = next(self._numbers)
        # vLLM's prefix cache tells adapters apart by name and path, which are never used again.
        request = LoRARequest(f"candidate-{number}", number, str(folder))
        try:
            await self.server.outlived(self.server.alive.add_lora(request))
        except TvmergeError:
            raise
        except Exception as error:  # vLLM passes on only the text of a worker's error
            raise ConfigError(f"vLLM does not take the adapters: {reason(error)}; {INSTEAD}") from error
        left_out = sorted(set(itertools.chain(*await self.server.call("tvmerge_left_out", number))))
        if left_out:
            raise ConfigError(
                f"vLLM holds no adapter for {left_out[0]}"
                + (f" and {len(left_out) - 1} more" if len(left_out) > 1 else "")
                + f"; {INSTEAD}"
            )
        return request

    async def remove(self, request: Any) -> None:
        """Have vLLM forget an adapter."""
        await self.server.outlived(self.server.alive.remove_lora(request.lora_int_id))


class AdapterEngine(VllmAnswering):
    """One of several candidates that answer in the same batches.

    Args:
        model: The model they share.
        chat: The target's tokenizer and chat template.
        stop_tokens: Ids of the tokens that end an answer.
    """

    def __init__(self, model: AdapterModel, chat: ChatFormat, stop_tokens: Sequence[int]) -> None:
        super().__init__(model.server, chat, stop_tokens)
        self._model = model
        model.enter()
        self._folder: TemporaryDirectory[str] | None = None

    async def apply(self, recipe: Recipe) -> None:
        """Answer as the target with what `recipe` adds."""
        self._model.low_rank.check(recipe)
        await self._model.start()
        await self._forget()
        folder = TemporaryDirectory(prefix="tvmerge-")
        try:
            await asyncio.to_thread(self._write, recipe, Path(folder.name))
            self._adapter = await self._model.add(Path(folder.name))
        except BaseException:
            folder.cleanup()
            raise
        # vLLM reads it again if it has given up the adapter's memory meanwhile.
        self._folder = folder

    async def close(self) -> None:
        """Leave the model, which is shut down after the last candidate."""
        await self._model.leave()
        self._clear()

    async def _forget(self) -> None:
        """Give up the last candidate's adapter."""
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            await self._model.remove(adapter)
        self._clear()

    def _clear(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _write(self, recipe: Recipe, folder: Path) -> None:
        write_adapter(dict(self._model.low_rank.factors(recipe, getattr(torch, self._server.dtype))), folder)


def write_adapter(factors: Mapping[str, Factors], folder: Path) -> None:
    """Write an adapter in peft's format, with all factors of scale 1.

    Args:
        factors: What is added to each module.
        folder: An existing folder.
    """
    ranks = {module: len(found.a) for module, found in factors.items()}
    largest = max(ranks.values())
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": largest,
        "lora_alpha": largest,
        "rank_pattern": {module: rank for module, rank in ranks.items() if rank != largest},
        "alpha_pattern": {module: rank for module, rank in ranks.items() if rank != largest},
        "target_modules": list(factors),
    }
    tensors = {
        f"base_model.model.{module}.lora_{name}.weight": tensor.contiguous()
        for module, found in factors.items()
        for name, tensor in (("A", found.a), ("B", found.b))
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


if TYPE_CHECKING:
    _engine: type[Engine] = AdapterEngine
