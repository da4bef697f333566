"""The vLLM engine: continuous batching, with the model changed in place by vLLM's workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.remote.entry import Entry
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import pack_recipe
from tvmerge.engines.vllm.answering import VllmAnswering
from tvmerge.engines.vllm.server import VllmServer
from tvmerge.engines.vllm.worker import EXTENSION
from tvmerge.protocols import Engine
from tvmerge.records import Recipe


class VllmEngine(VllmAnswering):
    """Answers questions with vLLM's asynchronous engine, which runs in separate processes.

    It is started at the first `apply`. Its workers open the source checkpoints themselves; only recipes are
    sent.

    Args:
        folder: The target model's folder.
        chat: The target's tokenizer and chat template.
        merger: Opens a `tvmerge.protocols.Merger` in a worker.
        stop_tokens: Ids of the tokens that end an answer.
        dtype: The dtype of computation: `bfloat16`, `float16` or `float32`.
        options: Further arguments of vLLM's `AsyncEngineArgs`: `tensor_parallel_size`, `max_model_len`,
            `gpu_memory_utilization`, ...
        trust_remote_code: Whether the model may run code from its files.
        skeleton: Writes the merged model without its weights into a folder, if it differs from the target in
            more than its weights, as a mixture of experts does; the first `apply` sets the weights.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: This release of vLLM has not been tested.
    """

    def __init__(
        self,
        folder: Path,
        chat: ChatFormat,
        merger: Entry,
        *,
        stop_tokens: Sequence[int],
        dtype: str = "bfloat16",
        options: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
        skeleton: Callable[[Path], None] | None = None,
    ) -> None:
        server = VllmServer(
            folder,
            EXTENSION,
            dtype=dtype,
            options=options or {},
            trust_remote_code=trust_remote_code,
            skeleton=skeleton,
        )
        super().__init__(server, chat, stop_tokens)
        self._merger = merger
        self._remarks: tuple[str, ...] = ()
        self._opened = False

    @property
    def remarks(self) -> Sequence[str]:
        """Where the workers merge, and what that was slower for."""
        return self._remarks

    async def apply(self, recipe: Recipe) -> None:
        """Become the merged model of `recipe`, and clear the prefix cache."""
        server = self._server
        if server.alive is None:
            self._opened = False
            await server.start()
        if not self._opened:
            await server.call("tvmerge_open", self._merger.function, dict(self._merger.settings))
            self._opened = True
        said = await server.call("tvmerge_apply", pack_recipe(recipe))
        self._remarks = tuple(dict.fromkeys(itertools.chain(*said)))
        # Cached keys and values are those of the old weights.
        if not await server.outlived(server.alive.reset_prefix_cache(reset_running_requests=True)):
            raise EngineLostError("vLLM did not reset its prefix cache")

    async def close(self) -> None:
        """Shut down vLLM's processes."""
        await self._server.close()


if TYPE_CHECKING:
    _engine: type[Engine] = VllmEngine
