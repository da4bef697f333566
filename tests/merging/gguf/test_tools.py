"""The programs that write GGUF files, and whether they know a model."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import pytest

from tests.llama_cpp import calls, content, write_programs
from tvmerge.errors import ConfigError
from tvmerge.merging.gguf.folder import GgufFolder
from tvmerge.merging.gguf.tools import is_gguf, open_tools, unquantised_type
from tvmerge.merging.merge import Merge
from tvmerge.testing.models import open_models


@pytest.fixture
def models(llama_folders: tuple[Path, Path, Path]) -> Merge:
    return open_models(llama_folders[0].parent)


async def test_only_quantised_types_need_the_quantizer(tmp_path: Path) -> None:
    programs = write_programs(tmp_path)
    (programs / "llama-quantize").unlink()
    assert (await open_tools(["f16", "BF16"], programs)).types == ("F16", "BF16")
    with pytest.raises(ConfigError, match="llama-quantize, which is not installed"):
        await open_tools(["f16", "q8_0"], programs)


async def test_a_model_is_checked_by_converting_its_tokenizer(tmp_path: Path, models: Merge) -> None:
    programs = write_programs(tmp_path)
    await (await open_tools(["q8_0"], programs)).check(models)
    assert calls(programs) == ["vocabulary"]


async def test_a_model_that_the_converter_does_not_know_is_refused(
    tmp_path: Path, llama_folders: tuple[Path, Path, Path]
) -> None:
    for folder in llama_folders:
        copied = shutil.copytree(folder, tmp_path / folder.name)
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps(config | {"architectures": ["UnknownForCausalLM"]}))
    tools = await open_tools(["q8_0"], write_programs(tmp_path / "programs"))
    models = open_models(tmp_path)
    expected = "does not convert target, so --quantise cannot be used with it: Model UnknownFor.* supported"
    with pytest.raises(ConfigError, match=expected):
        await tools.check(models)


async def test_a_converter_that_lacks_a_package_says_so_and_not_that_the_model_is_unknown(
    tmp_path: Path, models: Merge
) -> None:
    programs = write_programs(tmp_path)
    (programs / "convert_hf_to_gguf.py").write_text("import no_such_package.part")
    tools = await open_tools(["f16"], programs)
    with pytest.raises(ConfigError, match="needs the Python package no_such_package, which is not installed"):
        await tools.check(models)


async def test_sizes_follow_from_the_bits_per_weight(tmp_path: Path, models: Merge) -> None:
    tools = await open_tools(["iq2_xxs", "mxfp4_moe"], write_programs(tmp_path))
    numbers = sum(math.prod(spec.shape) for spec in models.merger.specs.values())
    sizes = tools.sizes(models)
    assert sizes == {"BF16": 2 * numbers, "IQ2_XXS": round(numbers * 2.06 / 8), "MXFP4_MOE": 2 * numbers}
    assert unquantised_type(models) == "BF16"


def test_a_gguf_file_is_known_by_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"GGUF\x03\x00")
    (tmp_path / "b").write_bytes(b"PK")
    assert [is_gguf(tmp_path / name) for name in "abc"] == [True, False, False]


@pytest.mark.skipif("TVMERGE_LLAMA_CPP" not in os.environ, reason="TVMERGE_LLAMA_CPP names no llama.cpp")
async def test_the_real_programs_write_the_demo_model(tmp_path: Path, convertible_demo: Path) -> None:
    tools = await open_tools(["q8_0", "bf16"], Path(os.environ["TVMERGE_LLAMA_CPP"]))
    models = open_models(convertible_demo)
    await tools.check(models)
    model = shutil.copytree(convertible_demo / "target", tmp_path / "model")
    files = await GgufFolder(model).write(tools, unquantised_type(models), lambda text: None)
    sizes = tools.sizes(models)
    for file in files:
        assert file.nbytes == pytest.approx(sizes[file.type], rel=0.05)


async def test_the_programs_get_the_model_and_not_its_folder_alone(tmp_path: Path, models: Merge) -> None:
    programs = write_programs(tmp_path / "programs")
    model = shutil.copytree(models.donor.folder, tmp_path / "model")
    tools = await open_tools(["q8_0"], programs)
    [file] = await GgufFolder(model).write(tools, "BF16", lambda text: None)
    assert content(file.path)["architecture"] == "LlamaForCausalLM"
