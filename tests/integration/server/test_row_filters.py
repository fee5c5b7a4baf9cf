"""A caller with a filter of rows: whatever it asks, the other rows are not there.

The oracle is another collection that has only the rows that the caller may see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

import vecdb
from integration.server.running import Running, rows, schema
from support.served import Stubs, dialled
from vecdb.wire import filters, queries, reports, results, values
from vecdb.wire import rows as wire_rows
from vecdb_proto.v1 import link_service_pb2 as links
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import search_service_pb2 as search
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots
from vecdb_proto.v1.view_pb2 import View

QUERY = np.ones(8, np.float32)


@pytest.fixture(scope="module")
def few(running: Running) -> vecdb.Collection:
    """The rows that the caller may see, and no others."""
    made = running.server.served.create("oracle", schema(), False)
    made.upsert(rows(20)[:10])
    return made


@pytest.fixture
def caller(running: Running) -> Iterator[Stubs]:
    with dialled(running.target, running.tokens["filtered-docs"]) as stubs:
        yield stubs


@pytest.fixture
def writer(running: Running) -> Iterator[Stubs]:
    with dialled(running.target, running.tokens["filtered-writer-docs"]) as stubs:
        yield stubs


def found(stubs: Stubs, query: vecdb.Query) -> list[dict[str, Any]]:
    """Return what a search finds."""
    request = search.SearchRequest(collection="docs", query=queries.to_message(query))
    return results.from_message(stubs.search.Search(request).result).to_list()


@pytest.mark.parametrize(
    "query",
    [
        vecdb.Query(k=20).near("v", QUERY),
        vecdb.Query(k=20).near("v", QUERY, name="x"),
        vecdb.Query(k=20, exact=True).near("v", QUERY),
        vecdb.Query(k=20).match("text", "row"),
        vecdb.Query(k=20).near("v", QUERY).match("text", "number 12"),
        vecdb.Query(k=20).where("n >= 0 or n < 0 or n is null"),
        vecdb.Query(k=20).near("v", QUERY).where("not n < 5"),
        vecdb.Query(k=20).order_by("n desc"),
        vecdb.Query(k=20).near("v", QUERY).group_by("n", 1),
    ],
)
def test_a_search_finds_what_is_found_where_the_other_rows_never_were(
    caller: Stubs, few: vecdb.Collection, query: vecdb.Query
) -> None:
    assert found(caller, query) == few.run(query).to_list()


def test_rows_like_a_row_that_is_not_there_are_not_found(caller: Stubs) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        found(caller, vecdb.Query(k=3).like("v", "r15"))

    assert caught.value.code() == grpc.StatusCode.NOT_FOUND  # pyright: ignore[reportAttributeAccessIssue]


def test_counts_scans_and_rows_by_id_know_only_those_rows(caller: Stubs) -> None:
    count = caller.records.Count(records.CountRequest(collection="docs")).count
    asked = records.CountRequest(collection="docs", where=filters.to_message(vecdb.col("n") >= 5))
    some = caller.records.Count(asked).count
    scanned = [wire_rows.from_message(one.rows) for one in caller.records.Scan(records.ScanRequest(collection="docs"))]
    ids = values.ids_to_message([f"r{at}" for at in range(8, 12)], "string")
    got = caller.records.Get(records.GetRequest(collection="docs", ids=ids))

    assert (count, some) == (10, 5)
    assert [value for batch in scanned for value in batch.column("n").to_pylist()] == list(range(10))
    assert got.found == b"\1\1\0\0"
    assert wire_rows.from_message(got.rows).column("id").to_pylist() == ["r8", "r9"]


def test_facets_explanations_and_highlights_know_only_those_rows(caller: Stubs, few: vecdb.Collection) -> None:
    asked = search.FacetsRequest(collection="docs", fields=reports.facet_fields_to_message("n"), k=30)
    query = vecdb.Query(k=20).match("text", "row")
    explained = search.ExplainRequest(collection="docs", query=queries.to_message(query), analyze=True)
    ids = values.ids_to_message(["r3", "r15"], "string")
    shown = search.HighlightRequest(collection="docs", query=queries.to_message(query), ids=ids)

    facets = reports.facets_from_message(caller.search.Facets(asked).facets)
    explanation = reports.explanation_from_message(caller.search.Explain(explained).explanation, query)
    highlighted = caller.search.Highlight(shown).rows

    assert facets == few.facets("n", k=30)
    assert explanation.rows == 10
    assert [sorted(row.fields) for row in highlighted] == [["text"], []]


def test_a_snapshot_of_an_unfiltered_caller_is_no_way_round_the_filter(running: Running, caller: Stubs) -> None:
    with dialled(running.target, running.tokens["reader-docs"]) as other:
        token = other.snapshots.OpenSnapshot(snapshots.OpenSnapshotRequest(collection="docs")).snapshot
        asked = records.CountRequest(collection="docs", view=View(snapshot=token))
        assert other.records.Count(asked).count == 20

        with pytest.raises(grpc.RpcError, match="this snapshot is not open"):
            caller.records.Count(asked)

    own = caller.snapshots.OpenSnapshot(snapshots.OpenSnapshotRequest(collection="docs")).snapshot
    assert caller.records.Count(records.CountRequest(collection="docs", view=View(snapshot=own))).count == 10


def test_an_older_version_is_filtered_too(running: Running, caller: Stubs) -> None:
    running.database.collection("docs").tag("before")

    asked = records.CountRequest(collection="docs", view=View(tag="before"))

    assert caller.records.Count(asked).count == 10


def test_a_delete_leaves_the_other_rows_alone(running: Running, writer: Stubs) -> None:
    collection = running.database.collection("docs")
    every = filters.to_message(vecdb.col("n") >= 9)

    by_filter = writer.records.Delete(records.DeleteRequest(collection="docs", where=every)).result.rows
    ids = values.ids_to_message(["r8", "r15"], "string")
    by_id = writer.records.Delete(records.DeleteRequest(collection="docs", ids=ids)).result.rows

    assert (by_filter, by_id, collection.count()) == (1, 1, 18)
    collection.upsert(rows(20))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "new", "n": 10}, "PERMISSION_DENIED"),
        ({"id": "new", "n": None}, "PERMISSION_DENIED"),
        ({"id": "r15", "n": 1}, "PERMISSION_DENIED"),
        ({"id": "new", "n": 9}, "OK"),
    ],
)
def test_a_row_cannot_be_written_outside_the_filter_nor_over_one_that_lies_there(
    running: Running, writer: Stubs, row: dict[str, Any], told: str
) -> None:
    import pyarrow as pa

    batch = pa.RecordBatch.from_pylist([row], pa.schema([("id", pa.string()), ("n", pa.int64())]))
    collection = running.database.collection("docs")
    before = collection.get("r15")

    try:
        writer.records.Upsert(records.UpsertRequest(collection="docs", rows=wire_rows.to_message(batch)))
        code = "OK"
    except grpc.RpcError as error:
        code = error.code().name  # pyright: ignore[reportAttributeAccessIssue]

    assert code == told
    assert (collection.get("new") is not None) is (told == "OK")
    assert str(collection.get("r15")) == str(before)
    collection.delete("new")


def test_a_patch_of_a_row_that_is_not_there_for_the_caller_fails_as_if_it_were_not(writer: Stubs) -> None:
    import pyarrow as pa

    said = []
    for one in ("r15", "none"):
        batch = pa.RecordBatch.from_pylist([{"id": one, "n": 1}], pa.schema([("id", pa.string()), ("n", pa.int64())]))
        with pytest.raises(grpc.RpcError) as caught:
            writer.records.Patch(records.PatchRequest(collection="docs", rows=wire_rows.to_message(batch)))
        error: Any = caught.value
        said.append((error.code().name, error.details().replace(one, "ID")))

    assert said[0] == said[1]
    assert said[0][0] == "NOT_FOUND"


def test_a_bulk_load_past_the_filter_is_refused(writer: Stubs) -> None:
    opening = records.UpsertStreamRequest.Open(collection="docs", mode=records.UPSERT_MODE_BULK)

    with pytest.raises(grpc.RpcError, match="a bulk load replaces rows unseen"):
        list(writer.records.UpsertStream(iter([records.UpsertStreamRequest(open=opening)])))


def test_links_are_seen_and_written_between_those_rows_only(running: Running, writer: Stubs) -> None:
    collection = running.database.collection("docs")
    collection.link([{"src": "r1", "dst": "r2"}, {"src": "r1", "dst": "r15"}, {"src": "r15", "dst": "nobody"}])

    def linked(src: str, dst: str) -> links.LinkRequest:
        batch = pa.RecordBatch.from_pylist([{"src": src, "dst": dst}])
        return links.LinkRequest(collection="docs", links=wire_rows.to_message(batch))

    ids = values.ids_to_message(["r1", "r15"], "string")
    asked = links.NeighboursRequest(collection="docs", ids=ids, direction=links.LINK_DIRECTION_BOTH)
    found = wire_rows.from_message(writer.links.Neighbours(asked).links)
    stats = writer.links.GetLinkStats(links.GetLinkStatsRequest(collection="docs"))
    counts = writer.links.Degrees(links.DegreesRequest(collection="docs", ids=ids))

    assert found.column("neighbour").to_pylist() == ["r2"]
    assert stats.links == 1
    assert np.frombuffer(counts.out, "<i8").tolist() == [1, 0]
    writer.links.Link(linked("r2", "r3"))
    for src, dst in (("r2", "r15"), ("r2", "nobody"), ("r15", "r2")):
        with pytest.raises(grpc.RpcError, match="is not among the rows that may be linked"):
            writer.links.Link(linked(src, dst))
    gone = links.UnlinkRequest.Described(dst=values.ids_to_message(["r15", "r2", "nobody"], "string"))
    assert writer.links.Unlink(links.UnlinkRequest(collection="docs", described=gone)).result.rows == 1
    assert collection.link_stats()["links"] == 3
