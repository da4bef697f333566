"""Reading a stream ahead of whoever uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tvmerge._util.prefetch import read_ahead


class Maker:
    """Counts what it has made; fails after the last item where it is told to."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made = 0
        self.closed = False
        self._count = count
        self._error = error

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            while self.made < self._count:
                await asyncio.sleep(0)
                self.made += 1
                yield self.made
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_everything_comes_in_order() -> None:
    assert [item async for item in read_ahead(Maker(9).items())] == list(range(1, 10))


async def test_the_maker_is_ahead_of_its_reader_and_not_far() -> None:
    maker = Maker(9)
    async with aclosing(read_ahead(maker.items())) as stream:
        for item in range(1, 5):
            assert await anext(stream) == item
            await settle()
            assert maker.made == item + 2


async def test_a_reader_that_leaves_ends_the_stream() -> None:
    maker = Maker(9)
    async with aclosing(read_ahead(maker.items())) as stream:
        await anext(stream)
    assert maker.closed


async def test_an_error_comes_after_what_was_made_before_it() -> None:
    stream = read_ahead(Maker(2, ValueError("broken")).items())
    assert [await anext(stream), await anext(stream)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)
