"""Reads side by side, and row groups decoded in threads."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TypeVar

from storage.logs.source_rows import RowGroup

# Threads that decode row groups.
DECODERS = 2

T = TypeVar("T")


async def gathered(reads: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """The results of all, side by side; when one fails none is left running."""
    tasks = [asyncio.create_task(read) for read in reads]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def decoded(groups: list[RowGroup], decode: Callable[[RowGroup], T]) -> list[T]:
    """What `decode` makes of each, in threads."""
    shares = [groups[number::DECODERS] for number in range(min(DECODERS, len(groups)))]
    decoded = await gathered(asyncio.to_thread(_each, decode, share) for share in shares)
    return [each for of_one in decoded for each in of_one]


def _each(decode: Callable[[RowGroup], T], groups: list[RowGroup]) -> list[T]:
    return [decode(group) for group in groups]
