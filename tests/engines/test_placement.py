"""Which engines a run gets, on which devices, and what is refused before anything is loaded."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.vllm.test_version import install
from tvmerge._util.caches import Caches
from tvmerge.config import RunConfig
from tvmerge.engines.open import visible
from tvmerge.engines.place import place
from tvmerge.engines.placement import Placement
from tvmerge.engines.prompting.open import ChatRecord
from tvmerge.engines.prompting.stop_tokens import StopToken, StopTokens
from tvmerge.engines.transformers.memory import MemoryEstimate, MemoryNeeds
from tvmerge.errors import CheckpointError, ConfigError, MissingExtraError
from tvmerge.merging.build import open_models, resolved

RECORD = ChatRecord(
    StopTokens((StopToken(2, "</s>", ("target",)),)),
    arguments={"enable_thinking": False},
    day=date(2026, 3, 14),
)


def config(folder: Path | str = "models", **more: Any) -> RunConfig:
    target, base, tuned = (f"{folder}/{role}" for role in ("target", "base", "tuned"))
    return RunConfig(target_model=(target,), base_model=base, tuned_model=tuned, bench_name=("demo",), **more)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were four GPUs; nothing is put on them."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that calls itself a tested vLLM."""
    install(tmp_path, "__version__ = '0.32.0'", monkeypatch)


@pytest.mark.usefixtures("vllm")
def test_auto_takes_transformers_on_a_cpu() -> None:
    placed = place(config(device="cpu"))
    assert (placed.kind, placed.devices) == ("transformers", (("cpu",),))
    assert place(config(device="cpu", engine="vllm")).kind == "vllm"


@pytest.mark.usefixtures("gpus", "vllm")
def test_auto_takes_vllm_on_gpus() -> None:
    placed = place(config())
    assert (placed.kind, placed.devices) == ("vllm", (("cuda:0",),))
    assert place(config(engine="transformers")).kind == "transformers"


@pytest.mark.usefixtures("gpus", "vllm")
def test_a_mixture_runs_on_vllm_where_that_is_asked_for() -> None:
    mixture = replace(config(), target_model=("one", "two"))
    assert place(mixture).kind == "transformers"
    assert place(replace(mixture, engine="vllm")).kind == "vllm"


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("text", ["__version__ = '0.1'", "raise RuntimeError('no CUDA here')"])
def test_auto_takes_transformers_where_vllm_is_not_usable(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, text, monkeypatch)
    assert place(config()).kind == "transformers"


def test_a_vllm_that_is_not_installed_is_named_before_any_model_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"tvmerge\[vllm\]"):
        place(config(engine="vllm"))


@pytest.mark.usefixtures("gpus", "vllm")
@pytest.mark.parametrize(
    ("settings", "devices"),
    [
        ({"tensor_parallel": 2}, (("cuda:0", "cuda:1"),)),
        ({"tensor_parallel": 2, "engines": 2}, (("cuda:0", "cuda:1"), ("cuda:2", "cuda:3"))),
        ({"tensor_parallel": 2, "devices": ("cuda:3", "cuda:1")}, (("cuda:3", "cuda:1"),)),
        ({"engines": 2}, (("cuda:0",), ("cuda:0",))),
        ({"devices": ("cuda:2", "cuda:1")}, (("cuda:2",), ("cuda:1",))),
    ],
)
def test_devices_are_dealt_to_engines(settings: dict[str, Any], devices: tuple[tuple[str, ...], ...]) -> None:
    assert place(config(**settings)).devices == devices


@pytest.mark.usefixtures("gpus", "vllm")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tensor_parallel": 8}, "no device 'cuda:4' on this machine"),
        ({"tensor_parallel": 2, "devices": ("cuda:0",)}, "1 devices cannot be divided among engines of 2"),
        ({"tensor_parallel": 2, "engine": "transformers"}, "--tensor-parallel is for --engine vllm"),
        ({"vllm": {"max_model_len": 9}, "engine": "transformers"}, "the table vllm is for --engine vllm"),
        ({"engine_options": {"n": 1}}, "the table engine_options is for engines of installed packages"),
        ({"vllm": {"tensor_parallel_size": 2}}, "'tensor_parallel_size' is set .* --tensor-parallel"),
        ({"vllm": {"enable_prefix_caching": False}}, "'enable_prefix_caching' is set .* leave it out"),
    ],
)
def test_engines_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        place(config(**settings))


def test_gpus_are_counted_as_this_process_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible(["cuda:1", "cuda:3"]) == {"CUDA_VISIBLE_DEVICES": "1,3"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-7a,2")
    assert visible(["cuda:2", "cuda:1"]) == {"CUDA_VISIBLE_DEVICES": "2,GPU-7a"}


def test_what_changes_an_answer_is_part_of_its_identity_and_speed_is_not() -> None:
    def identity(**settings: Any) -> dict[str, str]:
        return Placement("vllm", (("cuda:0",),), config(**settings)).identity

    fast = {"gpu_memory_utilization": 0.5, "max_num_seqs": 8}
    assert identity(vllm=fast) == identity() == {"engine": "vllm"}
    other = identity(vllm={**fast, "quantization": "fp8", "max_model_len": 512})
    assert other == {"engine": "vllm", "vllm": '{"max_model_len": 512, "quantization": "fp8"}'}


def test_arguments_of_vllm_reach_its_engines(demo_models: Path) -> None:
    run = config(demo_models, tensor_parallel=2, vllm={"max_model_len": 512})
    placed = Placement("vllm", (("cuda:2", "cuda:3"),), run)
    with closing(Caches()) as caches:
        models = open_models(run.merge, caches)
        settings = placed.engine_settings(models, resolved(run.merge, models), RECORD)
    assert settings.options == {"max_model_len": 512, "tensor_parallel_size": 2}
    assert (settings.engine, settings.dtype) == ("vllm", "bfloat16")
    assert (settings.stop_tokens, settings.day) == ((2,), "2026-03-14")
    assert settings.chat_template_kwargs == {"enable_thinking": False}


def test_what_a_run_puts_on_a_device_is_counted(demo_models: Path) -> None:
    run = config(demo_models, engines=3, device="cpu")
    with closing(Caches()) as caches:
        models = open_models(run.merge, caches)
    [load] = place(run).memory_estimates(models, {"cpu": 2**20})
    weights = sum(spec.numel for spec in models.merger.specs.values()) * 4
    assert load.total == 3 * weights + 2**20
    assert str(load).startswith(
        f"memory of cpu: 3 models of {weights / 2**20:.1f} MiB in float32 and a judge"
    )


async def test_what_does_not_fit_is_refused_before_it_is_loaded(demo_models: Path) -> None:
    run = config(demo_models, device="cpu")
    with closing(Caches()) as caches:
        models = open_models(run.merge, caches)
    large = MemoryEstimate("target", torch.float32, "cpu", free=2**30, needed=MemoryNeeds(2**31, 1))
    merge = resolved(run.merge, models)
    [start] = place(run).engine_factories(models, merge, RECORD, [large]).values()
    with pytest.raises(CheckpointError, match=r"target needs about 2\.0 GiB on cpu"):
        await start()


@pytest.mark.usefixtures("gpus", "vllm")
def test_candidates_in_flight_share_the_models_as_adapters() -> None:
    shared = place(config(vllm_adapters=True, engines=2, devices=("cuda:0", "cuda:1")), in_flight=5)
    merged = place(config(engines=2, devices=("cuda:0", "cuda:1")), in_flight=5)
    assert (shared.adapters, merged.adapters, shared.merged.adapters) == (3, 0, 0)
    assert shared.identity == {**merged.identity, "candidates": "adapters"}
    assert shared.merged.identity == merged.identity
    assert (shared.batch_size(100), merged.batch_size(100)) == (256 // 3, 256)


@pytest.mark.usefixtures("gpus", "vllm")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "transformers"}, "--vllm-adapters is for --engine vllm, and this run uses transformers"),
        ({"device": "cpu"}, "--vllm-adapters is for --engine vllm, and this run uses transformers"),
        ({"engine": "vllm", "pool": "ray"}, "--vllm-adapters needs --pool local"),
        ({"engine": "vllm", "target_model": ("a", "b")}, "not to a mixture of experts"),
        ({"engine": "vllm", "vllm": {"enable_lora": True}}, "give --vllm-adapters instead"),
        ({"engine": "vllm", "vllm": {"max_loras": 4}}, "give --vllm-adapters and --trials-in-flight instead"),
    ],
)
def test_adapters_where_there_are_none_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        place(replace(config(), vllm_adapters=True, **settings))


@pytest.mark.usefixtures("vllm")
def test_a_run_that_cannot_add_as_adapters_is_refused_before_anything_is_loaded(demo_models: Path) -> None:
    run = config(demo_models, device="cpu", engine="vllm", vllm_adapters=True)
    with closing(Caches()) as caches:
        models = open_models(run.merge, caches)
    with pytest.raises(ConfigError, match="LoRA adapters, and tuned is a whole model; leave out --vllm-adap"):
        place(run).check_models(models)
