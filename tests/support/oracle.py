"""Compares everything that can be read with a model: brute force in NumPy, float64, row by row.

Scores of dot and l2 must be exact, because the numbers are small and whole. Cosines are compared within a tolerance;
but whatever the engine's score is, equal vectors must have equal scores, and equal scores must come in id order.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa

from support.model import ID, Model, Row, Where, domain, where_number
from vecdb.results import SearchResult
from vecdb.schema.fields import Vector

EVERYTHING = 1000
_TOLERANCE = 1e-6


class Readable(Protocol):
    """What a collection and a snapshot have in common."""

    def search(self, k: int = 10, where: Any = None, fields: Any = None, **options: Any) -> SearchResult: ...
    def search_batch(
        self, k: int = 10, where: Any = None, fields: Any = None, **options: Any
    ) -> list[SearchResult]: ...
    def search_iter(
        self, k: int = 100, where: Any = None, fields: Any = None, **options: Any
    ) -> Iterator[SearchResult]: ...
    def get(self, ids: Any, fields: Any = None) -> Any: ...
    def count(self, where: Any = None) -> int: ...
    def scan(self, where: Any = None, fields: Any = None, batch_rows: int = 8192) -> Iterator[pa.RecordBatch]: ...


def plain(value: Any) -> Any:
    """Return a value as the model holds it: vectors as tuples of whole numbers."""
    return tuple(value.tolist()) if isinstance(value, np.ndarray) else value


def plain_row(record: dict[str, Any], model: Model) -> Row:
    """Return a record of scan(), where JSON is text, as the model holds it."""
    row = dict(record)
    for name, value in record.items():
        kind = "id" if name == ID else model.columns[name].kind
        if value is not None and kind in ("vector", "json"):
            row[name] = tuple(value) if kind == "vector" else orjson.loads(value)
    return row


def exact_score(vector: Sequence[int], query: Sequence[int], metric: str) -> float:
    """Return the score that the documentation defines, in float64."""
    if metric == "hamming":
        return -float(sum((a ^ b).bit_count() for a, b in zip(vector, query, strict=True)))
    x, q = np.asarray(vector, np.float64), np.asarray(query, np.float64)
    if metric == "l2":
        return -float(((x - q) ** 2).sum())
    return float(x @ q) if metric == "dot" else float(x @ q / np.linalg.norm(x) / np.linalg.norm(q))


def compare(reader: Readable, model: Model, number: int = 0) -> None:
    """Compare all rows, and a search that `number` chooses."""
    compare_rows(reader, model)
    names = model.vectors()
    where = where_number(number // 3, model.columns, model.ids)
    compare_filter(reader, model, where, number)
    if names:
        name = names[number % len(names)]
        queries = [value for value in domain(model.columns[name]) if value is not None]
        query = queries[number * 7 % len(queries)]
        compare_search(reader, model, name, query, where if number % 3 == 0 else None, batch=number % 5 == 0)


def compare_rows(reader: Readable, model: Model) -> None:
    """Compare count, get of every id there may be, and a scan."""
    assert reader.count() == len(model.rows)
    found = reader.get(list(model.ids))
    for value, record in zip(model.ids, found, strict=True):
        read = None if record is None else {name: plain(one) for name, one in record.items()}
        assert read == model.rows.get(value), f"get({value!r})"
    compare_scan(reader, model, None)


def compare_scan(reader: Readable, model: Model, where: Where | None, batch_rows: int = 8192) -> None:
    """Compare the rows of a scan, each once."""
    batches = list(reader.scan(None if where is None else where.text, batch_rows=batch_rows))
    records = [plain_row(record, model) for batch in batches for record in batch.to_pylist()]
    assert all(0 < batch.num_rows <= batch_rows for batch in batches)
    assert len(records) == len({record[ID] for record in records}), "an id is alive twice"
    assert {record[ID]: record for record in records} == {row[ID]: row for row in model.matching(where)}


def compare_filter(reader: Readable, model: Model, where: Where, number: int) -> None:
    """Compare what passes a filter: the count each time, now and then the rows too."""
    assert reader.count(where.text) == len(model.matching(where)), where.text
    if number % 4 == 0:
        compare_scan(reader, model, where, batch_rows=2)


def compare_search(
    reader: Readable, model: Model, name: str, query: tuple[int, ...], where: Where | None, batch: bool
) -> None:
    """Compare a whole ranking with brute force; then a shorter one, pages and a batch with the whole.

    Once exactly and once as usual, through graphs where there are any: of rows that are equally good any may come then.
    """
    text = None if where is None else where.text
    field = model.columns[name]
    assert isinstance(field, Vector)
    whole = reader.search(EVERYTHING, text, exact=True, **{name: query})
    _compare_ranking(whole, model, name, query, where)
    assert ranked(reader.search(3, text, exact=True, **{name: query})) == ranked(whole)[:3]
    usual = reader.search(EVERYTHING, text, **{name: query})
    assert ranked(usual) == ranked(whole)
    few = reader.search(3, text, fields=[], ef=EVERYTHING, **{name: query})
    assert few.scores.tolist() == whole.scores.tolist()[:3]
    assert set(ranked(few)) <= set(ranked(whole))
    assert len(set(few.ids)) == len(few)
    if batch:
        pages = list(reader.search_iter(2, text, fields=[], **{name: query}))
        assert all(len(page) == 2 for page in pages[:-1])
        assert sorted(hit for page in pages for hit in ranked(page)) == sorted(ranked(whole)), "each row once"
        others = (query, *(value for value in domain(model.columns[name])[1:4]))
        asked = np.asarray(others)
        if field.dtype == "binary":  # as bits: the single questions come as bytes
            asked = np.unpackbits(asked.astype(np.uint8), axis=1)
        together = reader.search_batch(5, text, fields=[], **{name: asked})
        # Of one state, in which no index can appear between the questions, batch and single answers are the same.
        frozen: Readable = getattr(reader, "snapshot", lambda: reader)()
        batched = frozen.search_batch(5, text, fields=[], **{name: asked})
        singly = [frozen.search(5, text, fields=[], **{name: other}) for other in others]
        assert [ranked(result) for result in batched] == [ranked(result) for result in singly]
        for other, result in zip(others, together, strict=True):
            alone = reader.search(EVERYTHING, text, fields=[], exact=True, **{name: other})
            assert result.scores.tolist() == alone.scores.tolist()[:5]
            assert set(ranked(result)) <= set(ranked(alone))
            assert len(set(result.ids)) == len(result)


def ranked(result: SearchResult) -> list[tuple[Any, float]]:
    """Return ids and scores, best first; equal lists mean equal bits."""
    return list(zip(result.ids, result.scores.tolist(), strict=True))


def _compare_ranking(
    result: SearchResult, model: Model, name: str, query: tuple[int, ...], where: Where | None
) -> None:
    field = model.columns[name]
    assert isinstance(field, Vector)
    rows = {row[ID]: row for row in model.matching(where) if row[name] is not None}
    hits = ranked(result)
    assert {value for value, _ in hits} == rows.keys()
    assert len(hits) == len(rows), "a row is found twice"
    assert hits == sorted(hits, key=lambda hit: (-hit[1], hit[0])), "best first, equal scores by id"
    scores: dict[tuple[int, ...], float] = {}
    for hit in result:
        row = rows[hit.id]
        expected = exact_score(row[name], query, field.metric)
        assert abs(hit.score - expected) <= (_TOLERANCE if field.metric == "cosine" else 0)
        assert scores.setdefault(row[name], hit.score) == hit.score, "equal vectors have equal scores"
        vectors = model.vectors()
        assert dict(hit.fields) == {key: value for key, value in row.items() if key != ID and key not in vectors}
