"""The kernel for GPUs, element by element in Triton's interpreter, where Triton is installed."""

from __future__ import annotations

import importlib

import pytest
import torch

pytest.importorskip("triton", reason="needs triton, which comes with torch for CUDA and with vLLM")


@pytest.mark.parametrize("out", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("weight", [0.37, -1.6])
def test_the_kernel_evaluates_the_formula_in_float32_and_rounds_once(
    weight: float, out: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not bfloat16: the interpreter cuts off where a GPU rounds, and there the kernel has to prove itself.
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    merge_elements = importlib.import_module("tvmerge.merging.kernels.triton").merge_elements
    drawn = torch.randn(3, 5001, generator=torch.Generator().manual_seed(0))
    target, tuned, base = drawn.bfloat16().unbind()
    made = torch.empty(5001, dtype=out)
    merge_elements((target, tuned, base), weight, made)
    expected = (target.float() + weight * (tuned.float() - base.float())).to(out)
    assert torch.equal(made, expected)
