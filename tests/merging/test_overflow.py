"""A number that float16 cannot hold is refused: the target's before a search, a merged one as it is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tvmerge._util.cache import ContentCache
from tvmerge.engines.remote.messages import pack_error, unpack_error
from tvmerge.errors import CandidateError, CheckpointError
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.merger import RecipeMerger
from tvmerge.merging.open import open_merge
from tvmerge.records import Recipe

NAME = "model.layers.0.mlp.up_proj.weight"
Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(llama_folders: Folders, tmp_path: Path) -> Folders:
    target, base, tuned = (Path(shutil.copytree(f, tmp_path / "models" / f.name)) for f in llama_folders)
    return target, base, tuned


def _set(folder: Path, number: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[NAME][3, 2] = number
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _merger(folders: Folders, dtype: torch.dtype | None, cache: ContentCache | None = None) -> RecipeMerger:
    target, base, tuned = map(str, folders)
    return open_merge(target, base, tuned, "all", dtype=dtype, digest_cache=cache).merger


def _merged(merger: RecipeMerger, weight: float) -> dict[str, torch.Tensor]:
    return dict(merger.merge(Recipe(dict.fromkeys(merger.group_names, weight))))


@pytest.mark.parametrize("number", [80000.0, -80000.0, 3e38])
def test_a_target_beyond_float16_is_refused_on_opening_by_tensor(
    folders: Folders, number: float, tmp_path: Path
) -> None:
    _set(folders[0], number)
    cache = ContentCache(tmp_path / "cache")
    for dtype in (torch.bfloat16, torch.float32, None):
        assert _merger(folders, dtype, cache)
    with pytest.raises(CheckpointError, match=rf"^target: tensor '{NAME}' holds .*; pass --dtype bfloat16"):
        _merger(folders, torch.float16, cache)


@pytest.mark.parametrize("resident_limit", [0, 2**30])
def test_weights_that_lead_beyond_float16_make_no_candidate(folders: Folders, resident_limit: int) -> None:
    for folder, number in zip(folders, (60000.0, 0.0, 40000.0), strict=True):
        _set(folder, number)
    merger = RecipeMerger(_merger(folders, torch.float16).plan, torch.float16, resident_limit=resident_limit)
    assert 63000 < _merged(merger, 0.1)[NAME][3, 2] < 65000
    for weight in (0.2, -4.0):
        with pytest.raises(CandidateError, match=rf"^with these weights '{NAME}' would hold infinities"):
            _merged(merger, weight)


def test_a_difference_between_equal_large_numbers_is_none(folders: Folders) -> None:
    for folder in folders[1:]:
        _set(folder, 80000.0)
    assert all(t.isfinite().all() for t in _merged(_merger(folders, torch.float16), 1.0).values())


def test_what_float16_rounds_down_to_its_last_number_is_fine(folders: Folders) -> None:
    for folder in folders:
        weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        _set(folder, 65519.0)
    assert _merged(_merger(folders, torch.float16), 0.5)[NAME][3, 2] == 65504
    _set(folders[0], 65520.0)
    with pytest.raises(CheckpointError, match="an infinity in float16"):
        _merger(folders, torch.float16)


def test_a_model_with_infinities_leaves_no_folder(folders: Folders, tmp_path: Path) -> None:
    _set(folders[0], 60000.0)
    _set(folders[2], 60000.0)
    target, base, tuned = map(str, folders)
    merge = open_merge(target, base, tuned, "all", dtype=torch.float16)
    with pytest.raises(CandidateError):
        write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 1.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_the_error_of_a_candidate_is_the_same_from_another_process() -> None:
    error = unpack_error(pack_error(CandidateError("too large")))
    assert type(error) is CandidateError
    assert str(error) == "too large"
