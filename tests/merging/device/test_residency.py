"""Which sources stay on the device."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tvmerge.merging.device.residency import choose_resident, offsets, padded

GB = 10**9
LAYER = {"q": 33_554_432, "k": 8_388_608, "v": 8_388_608, "o": 33_554_432, "up": 117_440_512, "norm": 8192}


def seven_billion() -> dict[str, int]:
    """Bytes of three bfloat16 models of Mistral-7B's shape."""
    sizes = {f"{part}.{edge}": 262_144_000 for part in "tub" for edge in ("embed", "head")}
    for part in "tub":
        for layer in range(32):
            sizes |= {f"{part}.{layer}.{name}": size for name, size in LAYER.items()}
            sizes |= {f"{part}.{layer}.{name}": LAYER["up"] for name in ("gate", "down")}
    return sizes


def test_three_models_of_seven_billion_stay_on_a_card_of_80_gb_whole() -> None:
    sizes = seven_billion()
    total = sum(sizes.values())
    assert 43 * GB < total < 44 * GB
    live, answering = total // 3, 4 * GB
    assert len(choose_resident(sizes, 80 * GB - live - answering)) == len(sizes)


def test_on_a_card_of_24_gb_most_of_them_stream() -> None:
    sizes = seven_billion()
    room = 24 * GB - sum(sizes.values()) // 3 - 4 * GB
    resident = sum(sizes[name] for name in choose_resident(sizes, room))
    assert room - 9_000_000 < resident <= room


def test_the_largest_stay_and_of_equal_ones_the_first() -> None:
    sizes = {"a": 512, "b": 2048, "c": 2048, "d": 512}
    assert choose_resident(sizes, 2048) == ("b",)
    assert choose_resident(sizes, 2560) == ("b", "a")
    assert choose_resident(sizes, 5120) == ("b", "c", "a", "d")
    assert choose_resident(sizes, 511) == ()


@given(st.dictionaries(st.integers(), st.integers(0, 5000), max_size=20), st.integers(0, 30_000))
def test_they_fit_beside_each_other_and_nothing_else_would(sizes: dict[int, int], room: int) -> None:
    chosen = choose_resident(sizes, room)
    begin, end = offsets(chosen, sizes)
    assert end <= room
    spans = sorted((begin[key], begin[key] + sizes[key]) for key in chosen)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(start % 512 == 0 for start in begin.values())
    assert all(end + padded(size) > room for key, size in sizes.items() if key not in chosen)
