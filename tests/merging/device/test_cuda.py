"""What is asked of the CUDA runtime, with a runtime that refuses or allows it."""

from __future__ import annotations

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

        def called(result: int, *given: int) -> Code:
            calls.append(given)
            return Code(result)

        runtime = SimpleNamespace(
            cudaError=Code,
            cudaGetErrorString=lambda code: {801: "operation not supported"}[int(code)],
            cudaHostRegister=partial(called, result),
            cudaHostUnregister=partial(called, 0),
        )
        monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
        monkeypatch.setattr(Gpu, "forget_error", lambda self: cleared.append(str(self.place)))
        return Gpu(torch.device("cuda:0")), calls, cleared

    return with_result


def test_pages_are_registered_for_reading_only(use: Any) -> None:
    gpu, calls, cleared = use(0)
    gpu.register(4096, 8192)
    gpu.unregister(4096)
    assert calls == [(4096, 8192, 8), (4096,)]
    assert cleared == []


def test_a_refusal_says_why_and_leaves_no_error_behind(use: Any) -> None:
    gpu, _, cleared = use(801)
    with pytest.raises(RefusedError, match=r"^operation not supported \(CUDA error 801\)$"):
        gpu.register(4096, 8192)
    assert cleared == ["cuda:0"]


def test_memory_of_the_host_is_on_no_device() -> None:
    assert open_device(torch.device("cpu")) is None
    device = open_device(torch.device("cuda:1"))
    assert device is not None
    assert str(device.place) == "cuda:1"
