"""Rows of the figures' tables, encoded for COPY."""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sinks import copy

NOTHING = b"\xff\xff\xff\xff" * 4
"""Where a subject counts that counts nowhere."""


def where(count: Any) -> bytes:
    """Where a subject counts: minute, unit, kind and member."""
    member = b"\xff\xff\xff\xff" if count.member is None else copy.uuid(count.member)
    return copy.timestamptz(count.minute_us) + copy.word(count.unit) + copy.word(count.kind) + member


def cells(cells: Mapping[Any, tuple[int, ...]]) -> list[bytes]:
    """Rows of a rollup of two times."""
    count = len(next(iter(cells.values()), ()))
    start, word = struct.Struct("!hiqiq").pack, copy.word
    return [
        start(4 + count, 8, minute - copy.PG_EPOCH_US, 8, known - copy.PG_EPOCH_US) + word(unit) + word(kind) + _numbers(values)
        for (minute, known, unit, kind), values in cells.items()
    ]


_SINCE_2000 = 10_957  # PostgreSQL counts days from 2000-01-01


def days(days: Mapping[tuple[int, str, str], tuple[int, ...]]) -> list[bytes]:
    """Rows of a rollup by day."""
    count = len(next(iter(days.values()), ()))
    start, word = struct.Struct("!hii").pack, copy.word
    return [
        start(3 + count, 4, day - _SINCE_2000) + word(unit) + word(kind) + _numbers(values) for (day, unit, kind), values in days.items()
    ]


def members(members: Mapping[tuple[int, int, str], int]) -> list[bytes]:
    """Rows of members by day."""
    start, end = struct.Struct("!hii").pack, struct.Struct("!iqiq").pack
    return [
        start(4, 4, day - _SINCE_2000) + copy.uuid(member) + end(8, known - copy.PG_EPOCH_US, 8, n)
        for (day, known, member), n in members.items()
    ]


@lru_cache(4096)
def _numbers(values: tuple[int, ...]) -> bytes:
    """Integers of 64 bits. Most cells hold one message and nothing else: their numbers are encoded once."""
    return b"".join(map(copy.bigint, values))


def spreads(spreads: Mapping[Any, int]) -> list[bytes]:
    """Rows of a histogram of two times."""
    start, end, word = struct.Struct("!hiqiq").pack, struct.Struct("!iiiq").pack, copy.word
    return [
        start(6, 8, minute - copy.PG_EPOCH_US, 8, known - copy.PG_EPOCH_US) + word(unit) + word(kind) + end(4, bound, 8, n)
        for ((minute, known, unit, kind), bound), n in spreads.items()
    ]
