"""vLLM's asynchronous engine: its start, its requests, and that its death is noticed."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tvmerge._util.files import folder_name
from tvmerge._util.tasks import stop
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.engines.remote.messages import unpack_error
from tvmerge.engines.vllm.options import float_options
from tvmerge.engines.vllm.version import check_version
from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.pretrained.context_length import model_context

T = TypeVar("T")

HEARTBEAT = 1.0
"""Seconds between two checks that vLLM's engine is alive."""


class VllmServer:
    """A model in vLLM's processes.

    Args:
        folder: The model's folder.
        extension: The class that vLLM mixes into its workers, as `package.module.Class`.
        dtype: The dtype of computation: `bfloat16`, `float16` or `float32`.
        options: Further arguments of vLLM's `AsyncEngineArgs`.
        trust_remote_code: Whether the model may run code from its files.
        skeleton: Writes a model without weights into a folder, from which vLLM starts instead; None for the
            model itself.
        instead: How the error of a start that failed ends.

    Attributes:
        version: vLLM's release.
        dtype: The dtype of computation.
        context: The model's context length in tokens.
        alive: The engine; None if it is not running.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: This release of vLLM has not been tested.
    """

    def __init__(
        self,
        folder: Path,
        extension: str,
        *,
        dtype: str,
        options: Mapping[str, Any],
        trust_remote_code: bool,
        skeleton: Callable[[Path], None] | None = None,
        instead: str = "use --engine transformers",
    ) -> None:
        self.version = check_version()
        self._folder = folder
        self._extension = extension
        self.dtype = dtype
        self._options = dict(options)
        self._trust_remote_code = trust_remote_code
        self._skeleton = skeleton
        self._instead = instead
        self._temporary: TemporaryDirectory[str] | None = None
        self.context = _context(folder, self._options, trust_remote_code=trust_remote_code)
        self._numbers = itertools.count()
        self.alive: Any = None

    async def start(self) -> None:
        """Start vLLM's processes.

        Raises:
            ConfigError: vLLM refuses the model or the options.
        """
        self.alive = await asyncio.to_thread(self._start)

    async def close(self) -> None:
        """Shut down vLLM's processes, if they run."""
        if self.alive is not None:
            await asyncio.to_thread(self.alive.shutdown)
            self.alive = None
            gc.collect()  # it is in a reference cycle, and raises if it is collected at exit
        self._clear()

    async def call(self, method: str, *args: object) -> list[Any]:
        """Call a method of the extension in every worker; return what each of them replies."""
        replies = await self.outlived(self.alive.collective_rpc(method, args=args))
        for reply in replies:
            if "error" in reply:
                raise unpack_error(reply)
        return [reply["end"] for reply in replies]

    async def request(self, ids: Sequence[int], adapter: Any = None, **sampling: Any) -> Any:
        """Return vLLM's final output for a prompt; abort it if the caller is cancelled.

        Args:
            ids: The prompt.
            adapter: A `LoRARequest`; None for the model as it is.
            sampling: Arguments of vLLM's `SamplingParams`.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **sampling)
        prompt, number = {"prompt_token_ids": list(ids)}, str(next(self._numbers))
        stream = self.alive.generate(prompt, params, number, lora_request=adapter)
        return await self.outlived(anext(stream))

    async def outlived(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, watching the engine meanwhile, since a killed one never replies.

        Raises:
            EngineLostError: vLLM's engine died.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=HEARTBEAT)
                if self.alive.errored and not task.done():
                    raise EngineLostError("vLLM's engine died")
            return task.result()
        except EngineDeadError as error:
            raise EngineLostError("vLLM's engine died") from error
        finally:
            # A request is aborted before its adapter is removed.
            await stop([task])

    def _start(self) -> Any:
        # Read when vLLM is imported: no logs between the lines of progress, no usage statistics.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = {
            "model": str(self._folder),
            "dtype": self.dtype,
            "max_model_len": self.context,
            "worker_extension_cls": self._extension,
            "enable_prefix_caching": True,
            "trust_remote_code": self._trust_remote_code,
            "disable_log_stats": True,
            **self._options,
            **float_options(self._folder, self._options),
        }
        if self._skeleton is not None:
            self._temporary = TemporaryDirectory(prefix="tvmerge-")
            self._skeleton(Path(self._temporary.name))
            arguments |= {"model": self._temporary.name, "load_format": "dummy"}
        try:
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        except (ValueError, RuntimeError, TypeError) as error:
            self._clear()
            raise ConfigError(
                f"vLLM does not start with {folder_name(self._folder)}: {reason(error)}; "
                f"fix the table [vllm], or {self._instead}"
            ) from error

    def _clear(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None


def reason(error: Exception) -> str:
    """Return the first telling line of an error; pydantic's first line only counts its errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if " validation error" not in line]
    return next(iter([*telling, *lines]), type(error).__name__).partition(" [type=")[0]


def _context(folder: Path, options: Mapping[str, Any], *, trust_remote_code: bool) -> int:
    """Return the model's context length in tokens, or `max_model_len` if given."""
    if "max_model_len" in options:
        return int(options["max_model_len"])
    found = model_context(folder, trust_remote_code=trust_remote_code)
    if found is None:
        raise CheckpointError(
            f"{folder.name}: config.json does not say how long the context is; give max_model_len in the "
            "table [vllm] of the config file"
        )
    return found
