"""Errors that mean that memory ran out."""

from __future__ import annotations

import pytest
import torch

from tvmerge.pretrained.out_of_memory import ran_out


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as no_memory:
        torch.empty(2**62, dtype=torch.int8)
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert ran_out(no_memory.value)
    assert ran_out(MemoryError())
    assert not ran_out(other.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_library_of_a_gpu_is_understood(error: RuntimeError) -> None:
    assert ran_out(error)
    assert not ran_out(ValueError(str(error)))
