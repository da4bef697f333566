"""The folder of a model's GGUF files: what is made, kept and never overwritten."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.llama_cpp import calls, content, write_programs
from tvmerge.errors import CheckpointError
from tvmerge.merging.export.replacement import locked_place
from tvmerge.merging.gguf.folder import GgufFile, GgufFolder
from tvmerge.merging.gguf.tools import GgufTools, open_tools


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    return write_programs(tmp_path / "programs")


@pytest.fixture
def folder(tmp_path: Path) -> GgufFolder:
    model = tmp_path / "best model"
    model.mkdir()
    (model / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (model / "model.safetensors").write_bytes(b"weights")
    return GgufFolder(model, "one", owner="study")


async def tools_for(programs: Path, *types: str) -> GgufTools:
    return await open_tools(types, programs)


async def write(folder: GgufFolder, tools: GgufTools) -> list[str]:
    files = await folder.write(tools, "BF16", lambda text: None)
    assert [file.nbytes for file in files] == [file.path.stat().st_size for file in files]
    return [file.path.name for file in files]


def there(folder: GgufFolder) -> list[str]:
    return sorted(path.name for path in folder.place.iterdir() if path.name != "tvmerge.json")


async def test_each_type_is_quantised_from_one_conversion_which_is_removed(
    folder: GgufFolder, programs: Path
) -> None:
    phases: list[str] = []
    files = await folder.write(await tools_for(programs, "q4_k_m", "q8_0"), "BF16", phases.append)
    assert there(folder) == ["best-model-Q4_K_M.gguf", "best-model-Q8_0.gguf"]
    assert files[0] == GgufFile("Q4_K_M", folder.file("Q4_K_M"), folder.file("Q4_K_M").stat().st_size)
    made = content(files[1].path)
    assert (made["type"], made["of"]) == ("Q8_0", "best-model-BF16.gguf")
    assert phases == [
        "converting the model to GGUF (BF16)",
        "quantising the model to Q4_K_M",
        "quantising the model to Q8_0",
    ]


async def test_an_unquantised_file_stays_if_it_is_wanted(folder: GgufFolder, programs: Path) -> None:
    assert await write(folder, await tools_for(programs, "bf16", "q8_0")) == [
        "best-model-BF16.gguf",
        "best-model-Q8_0.gguf",
    ]
    assert calls(programs) == ["BF16", "Q8_0"]


async def test_other_unquantised_types_are_converted_and_not_quantised(
    folder: GgufFolder, programs: Path
) -> None:
    assert await write(folder, await tools_for(programs, "F16")) == ["best-model-F16.gguf"]
    assert calls(programs) == ["F16"]


async def test_a_second_call_keeps_what_is_complete(folder: GgufFolder, programs: Path) -> None:
    await write(folder, await tools_for(programs, "q4_k_m"))
    await write(folder, await tools_for(programs, "q4_k_m", "q8_0"))
    assert there(folder) == ["best-model-Q4_K_M.gguf", "best-model-Q8_0.gguf"]
    await write(folder, await tools_for(programs, "q4_k_m", "q8_0"))
    assert calls(programs) == ["BF16", "Q4_K_M", "BF16", "Q8_0"]


async def test_a_run_that_was_killed_while_quantising_goes_on_with_that_type(
    folder: GgufFolder, programs: Path
) -> None:
    tools = await tools_for(programs, "q4_k_m", "q8_0")

    def kill(phase: str) -> None:
        if phase == "quantising the model to Q8_0":
            (folder.place / "best-model-Q8_0.gguf.part").write_bytes(b"GGUF half")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await folder.write(tools, "BF16", kill)
    assert calls(programs) == ["BF16", "Q4_K_M"]
    await write(folder, tools)
    assert calls(programs) == ["BF16", "Q4_K_M", "Q8_0"]
    assert there(folder) == ["best-model-Q4_K_M.gguf", "best-model-Q8_0.gguf"]


async def test_a_file_of_another_size_than_was_written_is_made_again(
    folder: GgufFolder, programs: Path
) -> None:
    tools = await tools_for(programs, "q4_k_m")
    await write(folder, tools)
    folder.file("Q4_K_M").write_bytes(b"GGUF cut")
    await write(folder, tools)
    assert content(folder.file("Q4_K_M"))["type"] == "Q4_K_M"


async def test_files_of_another_model_of_the_study_are_replaced(folder: GgufFolder, programs: Path) -> None:
    await write(folder, await tools_for(programs, "q4_k_m"))
    (folder.model / "model.safetensors").write_bytes(b"other")
    await write(replace(folder, source="two"), await tools_for(programs, "q8_0"))
    assert there(folder) == ["best-model-Q8_0.gguf"]


async def test_what_tvmerge_did_not_write_stays(folder: GgufFolder, programs: Path) -> None:
    tools = await tools_for(programs, "q4_k_m")
    folder.place.mkdir()
    mine = folder.place / "mine.gguf"
    mine.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match=r"is not empty; choose another output folder, or pass --over"):
        await folder.write(tools, "BF16", lambda text: None)
    await write(replace(folder, overwrite=True), tools)
    assert mine.read_bytes() == b"mine"


async def test_a_model_in_the_place_of_the_files_stays(folder: GgufFolder, programs: Path) -> None:
    folder.place.mkdir()
    (folder.place / "model.safetensors").write_bytes(b"mine")
    marker = json.dumps({"owner": None, "files": ["model.safetensors"]})
    (folder.place / "tvmerge.json").write_text(marker)
    with pytest.raises(CheckpointError, match="is for GGUF files, but holds a model"):
        await write(replace(folder, overwrite=True), await tools_for(programs, "q8_0"))
    assert (folder.place / "model.safetensors").read_bytes() == b"mine"
    assert (folder.place / "tvmerge.json").read_text() == marker


@pytest.mark.parametrize("odd", [5, None, "text", [1, "x\0y.gguf"], {"a": "b"}])
async def test_a_marker_of_other_types_is_replaced(folder: GgufFolder, programs: Path, odd: object) -> None:
    folder.place.mkdir()
    marker = {"owner": "study", "files": odd, "source": folder.source, "complete": odd}
    (folder.place / "tvmerge.json").write_text(json.dumps(marker))
    await write(folder, await tools_for(programs, "q8_0"))
    assert there(folder) == ["best-model-Q8_0.gguf"]


async def test_a_marker_cannot_have_files_removed_elsewhere(
    folder: GgufFolder, programs: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.gguf"
    outside.write_bytes(b"outside")
    folder.place.mkdir()
    files = ["../outside.gguf", str(outside)]
    marker = {"owner": "study", "files": files, "source": "other", "complete": {}}
    (folder.place / "tvmerge.json").write_text(json.dumps(marker))
    await write(folder, await tools_for(programs, "q8_0"))
    assert outside.read_bytes() == b"outside"


async def test_the_files_of_another_study_are_not_replaced(folder: GgufFolder, programs: Path) -> None:
    await write(folder, await tools_for(programs, "q4_k_m"))
    with pytest.raises(CheckpointError, match="was written by another run"):
        replace(folder, owner="other").check()


async def test_a_program_that_fails_leaves_nothing_half_done(folder: GgufFolder, programs: Path) -> None:
    tools = await tools_for(programs, "q4_k_m")
    (programs / "break").touch()
    expected = f"{folder.file('BF16')}: llama.cpp's convert_hf_to_gguf.py failed: not enough memory"
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        await folder.write(tools, "BF16", lambda text: None)
    assert there(folder) == []


async def test_two_processes_do_not_write_the_same_folder(folder: GgufFolder, programs: Path) -> None:
    tools = await tools_for(programs, "q4_k_m")
    with locked_place(folder.place), pytest.raises(CheckpointError, match="another tvmerge is writing"):
        await folder.write(tools, "BF16", lambda text: None)
