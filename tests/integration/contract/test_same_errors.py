"""Every mistake gives, over each way, the error of the embedded collection: class, sentence, code and attributes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from support import contract
from vecdb import Query, col
from vecdb.arguments import AT_ONCE
from vecdb.errors import (
    DimensionMismatchError,
    DuplicateIdError,
    FilterSyntaxError,
    InvalidInputError,
    NotFoundError,
    UnknownFieldError,
    VecdbError,
)

ASKED = contract.vector(777)
ATTRIBUTES = "field", "row", "value", "position", "path"

READS: dict[str, Callable[[Any], Any]] = {
    "filter: syntax": lambda reads: reads.count("size >"),
    "filter: syntax in the middle": lambda reads: reads.search(embedding=ASKED, where="size > 1 andd flag"),
    "filter: unknown field": lambda reads: reads.count("sizee > 3"),
    "filter: wrong type": lambda reads: reads.count("size = 'x'"),
    "filter: by a tree": lambda reads: reads.count(col("nothing") == 1),
    "filter: no filter": lambda reads: reads.count(3),
    "filters: too few": lambda reads: reads.search_batch(embedding=np.ones((2, 4)), where=["flag = true"]),
    "dimension": lambda reads: reads.search(embedding=[1, 2, 3]),
    "dimension of a batch": lambda reads: reads.search_batch(embedding=np.ones((2, 3))),
    "shape": lambda reads: reads.search(embedding=np.ones((2, 4))),
    "shape of a batch": lambda reads: reads.search_batch(embedding=ASKED),
    "not a number": lambda reads: reads.search(embedding=[1, float("nan"), 2, 3]),
    "zeros": lambda reads: reads.search(embedding=[0, 0, 0, 0]),
    "no numbers": lambda reads: reads.search(embedding=["a", "b", "c", "d"]),
    "int8 fraction": lambda reads: reads.search(small=[0.5, 1]),
    "bits": lambda reads: reads.search(bits=[0, 1, 2]),
    "text without an encoder": lambda reads: reads.search(embedding="a question"),
    "terms": lambda reads: reads.search(terms={"a": 1.0}),
    "unknown arm": lambda reads: reads.search(embeding=ASKED),
    "arm that is filtered": lambda reads: reads.search(size=3),
    "arm that is not searched": lambda reads: reads.search(note="x"),
    "no arm": lambda reads: reads.search(),
    "k: zero": lambda reads: reads.search(embedding=ASKED, k=0),
    "k: fraction": lambda reads: reads.search(embedding=ASKED, k=1.5),
    "k: too many": lambda reads: reads.search(embedding=ASKED, body="x", k=10**8),
    "k: beyond what any may find": lambda reads: reads.search(embedding=ASKED, k=10**30),
    "k: of a batch": lambda reads: reads.search_batch(embedding=ASKED[None], k=10**8),
    "k: of words": lambda reads: reads.search_batch(body=["x"], k=10**30),
    "k: of facets": lambda reads: reads.facets("size", k=10**30),
    "k: of recall": lambda reads: reads.recall(field="embedding", k=10**30),
    "partial": lambda reads: reads.search(embedding=ASKED, allow_partial=np.ones(2)),
    "partial: of a batch": lambda reads: reads.search_batch(embedding=ASKED[None], allow_partial="no"),
    "exact: of words": lambda reads: reads.search_batch(body=["x"], exact=1),
    "recall: one": lambda reads: reads.search(embedding=ASKED, recall=1),
    "recall in a batch of tokens": lambda reads: reads.search_batch(tokens=[np.ones((2, 4))], recall=0.9),
    "ef in a batch of tokens": lambda reads: reads.search_batch(tokens=[np.ones((2, 4))], ef=10),
    "recall and ef": lambda reads: reads.search(embedding=ASKED, recall=0.9, ef=10),
    "ef: too wide": lambda reads: reads.search(embedding=ASKED, ef=10**6),
    "plan": lambda reads: reads.search(embedding=ASKED, plan="guess"),
    "fusion": lambda reads: reads.search(embedding=ASKED, body="x", fusion="mix"),
    "fields: a string": lambda reads: reads.search(embedding=ASKED, fields="body"),
    "fields: unknown": lambda reads: reads.search(embedding=ASKED, fields=["bodi"]),
    "fields: a number": lambda reads: reads.get("r01", fields=3),
    "cut: no such method": lambda reads: reads.search(embedding=ASKED, cut="best"),
    "select: no such way": lambda reads: reads.search(embedding=ASKED, select="best"),
    "select: quotas nobody can meet": lambda reads: reads.run(
        Query(k=5).near("embedding", ASKED).select(quotas={"section": {"nowhere": (2, 3)}})
    ),
    "select: a list": lambda reads: reads.run(Query().near("embedding", ASKED).select(quotas={"tags": (0, 1)})),
    "select: more than k": lambda reads: reads.run(
        Query(k=1).near("embedding", ASKED).select(quotas={"section": {"food": (2, 3)}})
    ),
    "select: no budget": lambda reads: reads.run(
        Query().near("embedding", ASKED).select(budget=vecdb.Budget(3, "extra"))
    ),
    "select: nobody": lambda reads: reads.run(Query().near("embedding", ASKED).select(fixed=["nobody"])),
    "select: pages": lambda reads: reads.run(
        Query(k=5).near("embedding", ASKED).select().after(reads.search(embedding=ASKED, k=5).cursor)
    ),
    "cursor": lambda reads: reads.search(embedding=ASKED, after="nonsense"),
    "cursor of another query": lambda reads: reads.search(
        embedding=ASKED, k=3, where="size > 1", after=reads.search(embedding=ASKED, k=3).cursor
    ),
    "order": lambda reads: reads.search(k=3, order_by="tags"),
    "groups": lambda reads: reads.search(embedding=ASKED, group_by="nothing"),
    "words: a number": lambda reads: reads.search(body=3),
    "query: none": lambda reads: reads.run("honey"),
    "query: unknown field": lambda reads: reads.run(Query().near("nothing", ASKED)),
    "query: weights": lambda reads: reads.run(
        Query().near("embedding", ASKED).match("body", "x").fuse(vecdb.Rrf(weights=(1.0, 2.0, 3.0)))
    ),
    "query: in a batch": lambda reads: reads.run_batch([Query().match("body", "a"), Query().match("note", "b")]),
    "query: no list": lambda reads: reads.run_batch(3),
    "query: analysed": lambda reads: reads.explain(Query().match("body", "x"), "yes"),
    "query: pages": lambda reads: next(iter(reads.run_iter(Query().match("note", "b")))),
    "query: explained": lambda reads: reads.explain(Query().order_by("tags")),
    "pages": lambda reads: next(iter(reads.search_iter(embedding=ASKED, k=0))),
    "id: wrong type": lambda reads: reads.get(3),
    "ids: wrong type": lambda reads: reads.get(["r01", 3.5]),
    "id: not unicode": lambda reads: reads.get("\ud800"),
    "similar: unknown id": lambda reads: reads.similar_to("nowhere", field="embedding"),
    "similar: no vector": lambda reads: reads.similar_to("r13", field="embedding"),
    "similar: which field": lambda reads: reads.similar_to("r01"),
    "similar: strategy": lambda reads: reads.similar_to("r01", strategy="worst", field="embedding"),
    "facets: not counted": lambda reads: reads.facets("embedding"),
    "facets: none": lambda reads: reads.facets([]),
    "facets: too many": lambda reads: reads.facets("section", k=10**8),
    "facets: more than a message holds": lambda reads: reads.facets("section", k=2**40),
    "scan: more rows a batch": lambda reads: list(reads.scan(batch_rows=2**40)),
    "neighbours: types": lambda reads: reads.neighbours("r01", type=np.array(3)),
    "neighbours: more of each": lambda reads: reads.neighbours("r01", limit=2**40),
    "links: more a batch": lambda reads: list(reads.links(batch_rows=2**40)),
    "recall: a text for multi-vectors": lambda reads: reads.recall("honey", field="tokens"),
    "recall: texts for multi-vectors": lambda reads: reads.recall(["honey"], field="tokens"),
    "recall: no multi-vectors": lambda reads: reads.recall([], field="tokens"),
    "recall: multi-vectors of another length": lambda reads: reads.recall([np.ones((2, 3))], field="tokens"),
    "recall: more questions": lambda reads: reads.recall(field="embedding", sample=2**40),
    "facets: edges": lambda reads: reads.facets({"size": [3, 1]}),
    "facets: edges of words": lambda reads: reads.facets({"section": ["a", "b"]}),
    "facets: no query": lambda reads: reads.facets("size", query="honey"),
    "facets: a query with a cursor": lambda reads: reads.facets("size", query=Query().match("body", "x").after("x")),
    "scan: batch": lambda reads: list(reads.scan(batch_rows=0)),
    "scan: after alone": lambda reads: list(reads.scan(after="x")),
    "scan: cursor": lambda reads: list(reads.scan(order_by="id", after="x")),
    "scan: by score": lambda reads: list(reads.scan(order_by="score")),
    "scan: filter": lambda reads: list(reads.scan("nothing = 1")),
    "recall: queries": lambda reads: reads.recall(np.empty((0, 4)), field="embedding"),
    "recall: field": lambda reads: reads.recall(field="body"),
    "recall: sample": lambda reads: reads.recall(field="embedding", sample=0),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "upsert: unknown field": lambda docs: docs.upsert({"id": "a", "sectoin": "x"}),
    "upsert: type": lambda docs: docs.upsert([{"id": "a"}, {"id": "b", "size": "three"}]),
    "upsert: dimension": lambda docs: docs.upsert([{"id": "a"}, {"id": "b", "embedding": [1, 2]}]),
    "upsert: zeros": lambda docs: docs.upsert({"id": "a", "embedding": [0, 0, 0, 0]}),
    "upsert: twice": lambda docs: docs.upsert([{"id": "a"}, {"id": "b"}, {"id": "a"}]),
    "upsert: no id": lambda docs: docs.upsert({"size": 3}),
    "upsert: null id": lambda docs: docs.upsert([{"id": "a"}, {"id": None}]),
    "upsert: no records": lambda docs: docs.upsert(3),
    "upsert: json": lambda docs: docs.upsert({"id": "a", "extra": "{"}),
    "upsert: arrow": lambda docs: docs.upsert(pa.table({"id": ["a", "b"], "size": ["1", "x"]})),
    "upsert: reader": lambda docs: docs.upsert(
        pa.RecordBatchReader.from_batches(
            pa.schema([("id", pa.string()), ("size", pa.int64()), ("other", pa.int64())]),
            [pa.record_batch({"id": ["a"], "size": [1], "other": [3]})],
        )
    ),
    "patch: unknown id": lambda docs: docs.patch([{"id": "r01", "size": 1}, {"id": "nowhere", "size": 1}]),
    "patch: type": lambda docs: docs.patch({"id": "r01", "size": "x"}),
    "delete: nothing named": lambda docs: docs.delete(),
    "delete: both": lambda docs: docs.delete(ids=["a"], where="size > 1"),
    "delete: type": lambda docs: docs.delete(3),
    "delete: filter": lambda docs: docs.delete(where="size >"),
    "bulk: type": lambda docs: docs.bulk().add([{"id": "a", "size": "x"}]),
    "bulk: rows": lambda docs: docs.bulk(rows_per_segment=0),
    "add_column: taken": lambda docs: docs.add_column("size", vecdb.Int64()),
    "add_column: reserved": lambda docs: docs.add_column("where", vecdb.Int64()),
    "add_column: no field": lambda docs: docs.add_column("new", 3),
    "add_column: an id": lambda docs: docs.add_column("new", vecdb.Id()),
    "drop_column: unknown": lambda docs: docs.drop_column("nothing"),
    "drop_column: id": lambda docs: docs.drop_column("id"),
    "rename_column: unknown": lambda docs: docs.rename_column("nothing", "x"),
    "rename_column: taken": lambda docs: docs.rename_column("size", "price"),
    "repool: unknown": lambda docs: docs.repool("nothing", 2),
    "repool: kind": lambda docs: docs.repool("embedding", 2),
    "repool: less": lambda docs: docs.repool("coded", 1),
    "repool: no factor": lambda docs: docs.repool("tokens", 0),
    "set_index: unknown": lambda docs: docs.set_index("nothing", "flat"),
    "set_index: kind": lambda docs: docs.set_index("embedding", "tree"),
    "set_index: field": lambda docs: docs.set_index("size", "flat"),
    "at: nothing named": lambda docs: docs.at(),
    "at: two": lambda docs: docs.at(version=1, tag="x"),
    "at: no version": lambda docs: docs.at(version="one"),
    "at: tag": lambda docs: docs.at(tag="nothing"),
    "at: no moment": lambda docs: docs.at(timestamp="yesterday"),
    "at: a truth value": lambda docs: docs.at(timestamp=True),
    "at: tag of another kind": lambda docs: docs.at(tag=5),
    "untag: unknown": lambda docs: docs.untag("nothing"),
    "at: no tag": lambda docs: docs.at(tag=3),
    "tag: no name": lambda docs: docs.tag(3),
    "tag: no name of a tag": lambda docs: docs.tag("a b"),
    "untag: no name": lambda docs: docs.untag(None),
    "compact: purge": lambda docs: docs.compact("yes"),
    "tune: k": lambda docs: docs.tune(field="embedding", k=10**30),
    "tune: reset": lambda docs: docs.tune(field="embedding", reset="yes"),
    "tune: no index": lambda docs: docs.tune(field="embedding"),
    "tune: field": lambda docs: docs.tune(field="size"),
}


def caught(call: Callable[[Any], Any], target: Any) -> VecdbError:
    """Return the error of a call."""
    with pytest.raises(VecdbError) as raised:
        call(target)
    return raised.value


def described(error: VecdbError) -> dict[str, Any]:
    """Return all that an error says; of its value only what is a scalar, because no other is sent."""
    told = {name: getattr(error, name, None) for name in ATTRIBUTES}
    value = told["value"]
    told["value"] = value if isinstance(value, str | int | float | bool) else None
    notes = getattr(error, "__notes__", [])
    return {"class": type(error), "text": str(error), "code": error.code, "notes": notes, **told}


@pytest.mark.parametrize("call", READS)
def test_a_wrong_read_fails_like_the_embedded_one(kept: Any, reference: vecdb.Collection, call: str) -> None:
    assert described(caught(READS[call], kept)) == described(caught(READS[call], reference))


@pytest.mark.parametrize("call", READS)
def test_a_wrong_read_of_a_snapshot_fails_like_the_embedded_one(
    kept: Any, reference: vecdb.Collection, call: str
) -> None:
    with kept.snapshot() as snapshot:
        assert described(caught(READS[call], snapshot)) == described(caught(READS[call], reference.snapshot()))


@pytest.mark.parametrize("call", WRITES)
def test_a_wrong_write_fails_like_the_embedded_one_and_changes_nothing(
    kept: Any, reference: vecdb.Collection, call: str
) -> None:
    assert described(caught(WRITES[call], kept)) == described(caught(WRITES[call], reference))
    assert kept.count() == reference.count() == contract.ROWS
    assert kept.schema.fields == reference.schema.fields


def test_the_errors_of_wrong_arguments_have_classes_of_their_own(kept: Any) -> None:
    assert type(caught(READS["filter: syntax"], kept)) is FilterSyntaxError
    assert type(caught(READS["filter: unknown field"], kept)) is UnknownFieldError
    assert type(caught(READS["dimension"], kept)) is DimensionMismatchError
    assert type(caught(WRITES["upsert: twice"], kept)) is DuplicateIdError


@pytest.mark.parametrize("data", [None, 3, "x", b"x", [1], [None], ["x"], {}, {"size": 1}], ids=repr)
@pytest.mark.parametrize("write", ["upsert", "patch", "bulk"])
def test_what_holds_no_records_is_refused_alike(kept: Any, reference: vecdb.Collection, write: str, data: Any) -> None:
    def call(docs: Any) -> Any:
        return (docs.bulk().add if write == "bulk" else getattr(docs, write))(data)

    error = caught(call, kept)

    assert isinstance(error, InvalidInputError)
    assert described(error) == described(caught(call, reference))


def test_counts_end_where_no_machine_holds_so_many_rows(kept: Any) -> None:
    calls: list[tuple[str, Callable[[int], Any]]] = [
        ("batch_rows", lambda most: [batch.num_rows for batch in kept.scan(batch_rows=most)]),
        ("batch_rows", lambda most: list(kept.links(batch_rows=most))),
        ("limit", lambda most: kept.neighbours("r01", limit=most)),
        ("rows_per_segment", kept.bulk),
    ]
    for name, call in calls:
        call(AT_ONCE)
        for much in (AT_ONCE + 1, 10**30):
            with pytest.raises(InvalidInputError) as told:
                call(much)
            assert told.value.field == name
    assert all(kept.search(body="honey").highlights(10**30))  # no count of rows


@pytest.mark.parametrize("name", ["tag", "untag"])
def test_half_a_character_is_in_no_name(kept: Any, name: str) -> None:
    with pytest.raises((InvalidInputError, NotFoundError)):
        getattr(kept, name)("\ud800")
