"""Which device a name means, and what is said of GPUs that are missing or old, as torch would say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tvmerge.engines import devices
from tvmerge.engines.devices import device_remarks, resolve_device
from tvmerge.errors import ConfigError
from tvmerge.judging.local.transformers import placement
from tvmerge.judging.spec import JudgeSpec

TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by "
    "downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)
NONE = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU."


def fails(message: str) -> Callable[[], None]:
    def init() -> None:
        raise RuntimeError(message)

    return init


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a driver for GPUs."""
    monkeypatch.setattr(devices, "DRIVERS", (str(tmp_path),))


def built_for_gpus(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.init", fails(message))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


def cards(monkeypatch: pytest.MonkeyPatch, *capabilities: tuple[int, int]) -> list[str]:
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(capabilities))
    monkeypatch.setattr(
        "torch.cuda.get_device_capability", lambda device: capabilities[int(device.partition(":")[2])]
    )
    return [f"cuda:{number}" for number in range(len(capabilities))]


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch is built for GPUs")
def test_a_gpu_without_a_torch_for_it_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"^no device 'cuda' .*: cpu \(torch \S+ is built for CPUs only"):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (TOO_OLD, r"The NVIDIA driver on your system is too old \(found version 11040\)\)$"),
        (NONE, r"Found no NVIDIA driver on your system\)$"),
    ],
)
def test_a_driver_that_is_missing_or_too_old_is_named(
    message: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_for_gpus(monkeypatch, message)
    with pytest.raises(ConfigError, match=reason):
        resolve_device("cuda:1")
    assert resolve_device("auto") == "cpu"


def test_a_number_beyond_the_gpus_there_are_needs_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, (9, 0))
    with pytest.raises(ConfigError, match=r"'cuda:3' on this machine; available: cpu, cuda:0$"):
        resolve_device("cuda:3")


@pytest.mark.usefixtures("driver")
def test_auto_says_why_it_does_without_a_gpu_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    built_for_gpus(monkeypatch, TOO_OLD)
    found = device_remarks("float32", ["cpu"], asked="auto")
    assert found == ["no GPU is used: The NVIDIA driver on your system is too old (found version 11040)"]
    assert device_remarks("float32", ["cpu"], asked="cpu") == []


def test_a_machine_without_a_driver_needs_no_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVERS", ("/nowhere",))
    assert device_remarks("float32", ["cpu"]) == []


def test_float16_is_named_for_gpus_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = cards(monkeypatch, (7, 5), (8, 0))
    line = "cuda:0 emulates bfloat16, which is slow; --dtype float16 is faster there"
    assert device_remarks("bfloat16", [*gpus, *gpus]) == [line]
    assert device_remarks("float16", gpus) == []
    with pytest.raises(ConfigError, match=r"^cuda:0: no bfloat16 on this GPU; pass --dtype float16$"):
        device_remarks("bfloat16", gpus, emulates=False)
    assert device_remarks("bfloat16", gpus[1:], emulates=False) == []


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float16), ((9, 0), torch.bfloat16)])
def test_a_judge_in_4_bits_multiplies_in_what_the_gpu_has(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards(monkeypatch, capability)
    found = placement(JudgeSpec("judge", "local", model="m", quantization="4bit"))
    assert found["quantization_config"].bnb_4bit_compute_dtype == dtype
