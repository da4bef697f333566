"""The kernel for GPUs: compiled to machine code without one, and its numbers in Triton's interpreter."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tvmerge.merging.kernels.vector_sum import VectorSum

triton: Any = pytest.importorskip("triton", reason="needs triton, which is there for Linux alone")

Formats = tuple[torch.dtype, ...]
TYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
NAMED = tuple(TYPES)
ARRANGEMENTS: list[Formats] = [
    tuple(NAMED[number % 3] for number in (a, b, a + b, a + 2 * b, 2 * a + b))
    for a, b in itertools.product(range(3), repeat=2)
]
"""Formats of target, tuned and base, of what is rounded to and what is written: each one in each place."""


def compiled(formats: Formats, vectors: int, capability: int) -> Any:
    """The kernel as a GPU of this compute capability would run it."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from tvmerge.merging.kernels.triton import BLOCK, FORMATS, OPTIONS, kernel

    target, tuned, base, rounded, out = formats
    pairs = ((f"*{TYPES[tuned]}", f"*{TYPES[base]}"),) * vectors
    signature = {
        "sources": (f"*{TYPES[target]}", pairs),
        "weights": ("fp32",) * vectors,
        "into": (f"*{TYPES[out]}", "*i32", "i64"),
        "rounded": "constexpr",
        "block": "constexpr",
    }
    return triton.compile(
        ASTSource(kernel, signature, {(3,): FORMATS[rounded], (4,): BLOCK}),
        target=GPUTarget("cuda", capability, 32),
        options=OPTIONS,
    )


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("formats", ARRANGEMENTS, ids=lambda found: "-".join(map(TYPES.__getitem__, found)))
def test_the_kernel_compiles_to_machine_code_that_rounds_each_step(
    formats: Formats, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    found = compiled(formats, 1 + ARRANGEMENTS.index(formats) % 3, capability)
    assert found.asm["cubin"][:4] == b"\x7fELF"
    lines = [line.replace("@", "").split() for line in found.asm["ptx"].splitlines() if line.startswith("\t")]
    steps = [name for words in lines for name in words if ".f32" in name]
    assert {"mul", "sub"} <= {name.partition(".")[0] for name in steps}
    assert not [name for name in steps if name.startswith(("fma", "mad"))]
    assert not [name for name in steps if ".ftz" in name]  # the smallest numbers stay what they are
    narrowed = [name for name in steps if name.startswith(("cvt.bf16", "cvt.f16", "cvt.rn"))]
    assert all(name.startswith("cvt.rn.") for name in narrowed)
    assert bool(narrowed) == (torch.float32 not in formats[3:] or len(set(formats[3:])) > 1)


INTERPRETED = """
import sys, torch
from tvmerge.merging.kernels.triton import add_vectors
from tvmerge.merging.kernels.vector_sum import VectorSum
for target, pairs, weights, held, rounded in torch.load(sys.argv[1]):
    out, flag = torch.empty(len(target), dtype=held), torch.zeros(1, dtype=torch.int32)
    add_vectors(VectorSum(target, pairs, weights, out, rounded, flag))
    print(out.float().numpy().tobytes().hex(), int(flag))
"""


def in_interpreter(sums: list[Any], folder: Path) -> list[tuple[str, bool]]:
    """The bits of sums, and whether their flags were raised."""
    torch.save(sums, folder / "sums")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED, str(folder / "sums")],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [(bits, flag == "1") for bits, flag in (line.split() for line in done.stdout.splitlines())]


def bits_of(numbers: torch.Tensor) -> str:
    return numbers.float().numpy().tobytes().hex()


def cut(numbers: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Numbers in another format: to bfloat16 the interpreter cuts off where a GPU rounds to even."""
    if dtype == torch.bfloat16 and numbers.dtype != dtype:
        upper: torch.Tensor = (numbers.float().view(torch.int32) >> 16).to(torch.int16)
        return upper.view(torch.bfloat16)
    return numbers.to(dtype)


def test_the_interpreter_gives_the_numbers_of_the_cpu(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    sums: list[Any] = []
    expected: list[tuple[str, bool]] = []
    for number, (target, tuned, base, rounded, held) in enumerate(ARRANGEMENTS):
        rows = [(torch.randn(3001, generator=generator) * 100).to(d) for d in (target, *(tuned, base) * 3)]
        pairs = list(zip(rows[1::2], rows[2::2], strict=True))[: 1 + number % 3]
        weights = [0.37, -1.6, 2.0**-126][: len(pairs)]
        exact, flag = torch.empty(3001), torch.zeros(1, dtype=torch.int32)
        VectorSum(rows[0], pairs, weights, exact, torch.float32, flag).evaluate()
        sums.append((rows[0], pairs, weights, held, rounded))
        expected.append((bits_of(cut(cut(exact, rounded), held)), False))
    assert in_interpreter(sums, tmp_path) == expected


def test_the_kernel_raises_the_flag_for_what_float16_cannot_hold(tmp_path: Path) -> None:
    large = torch.tensor([6.0e4, 1.0, -6.0e4])
    pair = (torch.tensor([1e4, 1.0, 0.0]), torch.zeros(3))
    sums = [(large, [pair], [weight], torch.float32, torch.float16) for weight in (0.5, 1.0)]
    assert [flag for _, flag in in_interpreter(sums, tmp_path)] == [False, True]
