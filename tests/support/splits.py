"""Ten ways to write the same rows, after which they lie differently over segments, indexes and memory."""

from collections.abc import Callable
from typing import Any

from vecdb import Collection

Rows = list[dict[str, Any]]
Fields = dict[str, Any]
Ask = Callable[[Collection], Any]
Way = Callable[[Collection, Rows, Fields, Ask], None]
"""Writes rows with whole numbers as ids; `other` are values that some have for a while, `ask` searches between."""


def all_in_memory(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    docs.upsert(rows)


def one_by_one_in_memory_and_asked_between(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    for row in rows:
        docs.upsert(row)
        ask(docs)


def one_segment(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    docs.upsert(rows)
    docs.flush()


def one_segment_with_its_index(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    one_segment(docs, rows, other, ask)
    assert docs.build_indexes() > 0


def many_segments(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    for start in range(0, len(rows), 37):
        docs.upsert(rows[start : start + 37])
        docs.flush()


def segments_and_memory(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    many_segments(docs, rows[: len(rows) // 2], other, ask)
    docs.build_indexes()
    docs.upsert(rows[len(rows) // 2 :])


def backwards_in_bulk(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    with docs.bulk(rows_per_segment=50) as load:
        load.add(rows[::-1])


def with_others_that_were_deleted(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    others = [{**row, **other, "id": row["id"] + 10_000} for row in rows[::3]]
    docs.upsert([*others, *rows[::2]])
    docs.flush()
    docs.build_indexes()
    docs.upsert(rows[1::2])
    docs.delete([row["id"] for row in others])


def replaced_again_and_again(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    docs.upsert([{**row, **other} for row in rows])
    docs.flush()
    docs.build_indexes()
    docs.upsert([{**row, **dict.fromkeys(other)} for row in rows[::2]])
    ask(docs)
    docs.upsert(rows)
    docs.delete([row["id"] for row in rows[:20]])
    docs.upsert(rows[:20])


def merged_from_indexes(docs: Collection, rows: Rows, other: Fields, ask: Ask) -> None:
    half = len(rows) // 2
    for part in (rows[:half], rows[half:]):
        docs.upsert([{**row, **other} for row in part[:10]])
        docs.upsert(part)
        docs.flush()
        docs.build_indexes()
    docs.upsert(rows[:5])
    docs.compact()


WAYS: list[Way] = [
    all_in_memory,
    one_by_one_in_memory_and_asked_between,
    one_segment,
    one_segment_with_its_index,
    many_segments,
    segments_and_memory,
    backwards_in_bulk,
    with_others_that_were_deleted,
    replaced_again_and_again,
    merged_from_indexes,
]
