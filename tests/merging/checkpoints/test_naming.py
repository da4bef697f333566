"""Names of tensors as training tools leave them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tvmerge.merging.checkpoints.naming import without_leftovers


def _known(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith("layers.")]


def test_parts_of_wrappers_are_removed() -> None:
    names = [f"module.a._orig_mod.layers.{number}" for number in range(3)]
    assert without_leftovers(names, _known) == {name: f"layers.{name[-1]}" for name in names}


def test_names_of_many_common_parts_take_no_time() -> None:
    names = [f"{'a.' * 3000}layers.{number}" for number in range(500)]
    begun = time.process_time()
    assert without_leftovers(names, _known) == {name: name for name in names}
    assert time.process_time() - begun < 5
