"""What is asked of the CUDA runtime, with a runtime that refuses or allows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tvmerge.merging.device.cuda import Gpu, open_device
from tvmerge.merging.device.hardware import RefusedError


class Code:
    """A result of the runtime as torch gives it: it is a number when asked, and equals none."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __int__(self) -> int:
        return self._number


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a GPU whose runtime returns a result, what it was asked, and how often errors were cleared."""

    def with_result(result: int) -> tuple[Gpu, list[tuple[object, ...]], list[str]]:
        calls: list[tuple[object, ...]] = []
        cleared: list[str] = []
        chosen: list[torch.device] = []

        def called(result: int, *given: int) -> Code:
            calls.append((*map(str, chosen), *given))
            return Code(result)

        @contextmanager
        def device(place: torch.device) -> Iterator[None]:
            chosen.append(place)
            yield
            chosen.remove(place)

        runtime = SimpleNamespace(
            cudaError=Code,
            cudaGetErrorString=lambda code: {801: "operation not supported"}[int(code)],
            cudaHostRegister=partial(called, result),
            cudaHostUnregister=partial(called, 0),
        )
        monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
        monkeypatch.setattr(torch.cuda, "device", device)
        monkeypatch.setattr(Gpu, "forget_error", lambda self: cleared.append(str(self.place)))
        return Gpu(torch.device("cuda:1")), calls, cleared

    return with_result


def test_pages_are_registered_for_reading_only_and_for_the_gpu_of_the_model(use: Any) -> None:
    gpu, calls, cleared = use(0)
    gpu.register(4096, 8192)
    gpu.unregister(4096)
    assert calls == [("cuda:1", 4096, 8192, 8), ("cuda:1", 4096)]
    assert cleared == []


def test_a_refusal_says_why_and_leaves_no_error_behind(use: Any) -> None:
    gpu, _, cleared = use(801)
    with pytest.raises(RefusedError, match=r"^operation not supported \(CUDA error 801\)$"):
        gpu.register(4096, 8192)
    assert cleared == ["cuda:1"]


def test_memory_of_the_host_is_on_no_device() -> None:
    assert open_device(torch.device("cpu")) is None
    device = open_device(torch.device("cuda:1"))
    assert device is not None
    assert str(device.place) == "cuda:1"
