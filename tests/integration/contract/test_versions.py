"""Snapshots and versions stay what they were; upkeep changes no answer."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

import vecdb
from support import contract
from vecdb.errors import ConflictError, InvalidInputError, NotFoundError

ASKED = contract.vector(777)


def test_a_snapshot_does_not_see_later_writes(docs: Any, snapshot: Any) -> None:
    docs.delete(where="size >= 100")
    docs.add_column("stars", vecdb.Float64())

    assert snapshot.count() == len(snapshot) == contract.ROWS
    assert docs.count() == 10
    assert "stars" not in snapshot.schema
    assert snapshot.get("r40")["size"] == 400
    assert len(snapshot.search(embedding=ASKED, k=100)) == contract.ROWS - 1


def test_a_snapshot_knows_its_place(docs: Any, snapshot: Any) -> None:
    before = snapshot.lsn

    docs.upsert({"id": "a"})

    assert snapshot.name == "docs"
    assert snapshot.lsn == before
    assert docs.snapshot().lsn > before
    assert snapshot.version >= 1
    assert snapshot.schema.fields == contract.schema().fields


def test_ids_are_checked_against_the_fields(snapshot: Any) -> None:
    assert snapshot.checked_ids("r01") == (["r01"], True)
    assert snapshot.checked_ids(["r01", "r02"]) == (["r01", "r02"], False)


def test_all_reads_of_a_snapshot_see_one_state(docs: Any, snapshot: Any) -> None:
    pages = snapshot.search_iter(embedding=ASKED, k=20)
    scan = snapshot.scan(batch_rows=10)
    first = next(iter(pages)), next(iter(scan))
    docs.delete(where="size >= 0")

    found = [*first[0].ids, *(one for page in pages for one in page.ids)]
    scanned = [*first[1].column("id").to_pylist(), *(one for batch in scan for one in batch.column("id").to_pylist())]

    assert len(set(found)) == len(found) == contract.ROWS - 1
    assert sorted(scanned) == [one["id"] for one in contract.rows()]


def test_a_scan_tells_where_to_read_on(kept: Any) -> None:
    scan = kept.scan(order_by="size desc", batch_rows=10)
    assert scan.cursor is None
    first = next(iter(scan)).column("id").to_pylist()

    rest = [
        one for batch in kept.scan(order_by="size desc", after=scan.cursor) for one in batch.column("id").to_pylist()
    ]

    assert [*first, *rest] == sorted((one["id"] for one in contract.rows()), reverse=True)
    assert kept.scan().cursor is None


def test_a_version_is_reached_by_number_tag_and_moment(docs: Any) -> None:
    version = docs.tag("full")
    at = datetime.now(UTC)
    docs.delete(where="size >= 100")
    docs.flush()

    assert docs.tags() == {"full": version}
    for found in (
        docs.at(version=version),
        docs.at(tag="full"),
        docs.at(timestamp=at),
        docs.at(timestamp=at.timestamp()),
    ):
        assert found.version == version
        assert found.count() == contract.ROWS
        assert found.get("r40")["size"] == 400
    assert docs.count() == 10


def test_a_version_that_is_not_kept_is_not_found(docs: Any) -> None:
    with pytest.raises(NotFoundError, match="no version 10000 is kept"):
        docs.at(version=10_000)
    with pytest.raises(NotFoundError, match="no version as old as"):
        docs.at(timestamp=datetime(1980, 1, 1, tzinfo=UTC))


def test_a_malformed_tag_is_refused(docs: Any) -> None:
    versions = docs.versions()
    with pytest.raises(InvalidInputError, match="no/slashes"):
        docs.tag("no/slashes")
    assert docs.tags() == {}
    assert docs.versions() == versions


def test_a_tag_that_exists_or_does_not_publishes_no_version(docs: Any) -> None:
    docs.tag("full")
    docs.delete("r01")
    versions = docs.versions()

    with pytest.raises(ConflictError, match="exists"):
        docs.tag("full")
    with pytest.raises(NotFoundError, match="no tag"):
        docs.untag("missing")

    assert docs.versions() == versions


def test_versions_are_listed_oldest_first(docs: Any) -> None:
    version = docs.tag("full")
    docs.delete("r01")
    docs.flush()

    told = docs.versions()

    assert [set(one) for one in told] == [{"version", "committed_at", "rows", "tags"}] * len(told)
    assert [one["version"] for one in told] == sorted(one["version"] for one in told)
    (full,) = (one for one in told if one["version"] == version)
    assert (full["rows"], full["tags"]) == (contract.ROWS, ["full"])
    assert told[-1]["rows"] == contract.ROWS - 1


def test_an_untagged_version_is_forgotten_by_a_purge(docs: Any) -> None:
    version = docs.tag("full")
    docs.delete("r01")
    docs.flush()
    docs.untag("full")

    docs.compact(purge=True)

    assert docs.tags() == {}
    with pytest.raises(NotFoundError):
        docs.at(version=version).count()


def test_a_flush_says_whether_there_was_anything(docs: Any) -> None:
    assert docs.flush() is True
    assert docs.flush() is False
    assert docs.count() == contract.ROWS


def test_repooling_leaves_fewer_vectors_in_rows_that_are_there_and_in_those_that_come(docs: Any) -> None:
    before = {number: docs.get(f"r{number:02}", fields=["tokens"])["tokens"] for number in (4, 9, 44)}

    assert docs.repool("tokens", 2) >= 1

    assert docs.schema["tokens"].field.pool_factor == 2
    for number, tokens in before.items():
        after = docs.get(f"r{number:02}", fields=["tokens"])["tokens"]
        assert (after is None) == (tokens is None)
        if tokens is not None:
            assert len(after) == 1 + max((len(tokens) - 1) // 2, 1)
    docs.upsert([{"id": "new", "tokens": contract.vector(3)[None] + np.eye(4)}])
    assert len(docs.get("new", fields=["tokens"])["tokens"]) == 2
    assert docs.repool("tokens", 2) == 0


def test_a_compaction_tells_what_it_did_and_changes_no_answer(docs: Any) -> None:
    before = docs.search(embedding=ASKED, k=20)
    docs.delete("r01")
    docs.flush()

    done = docs.compact()

    assert set(done) == {"segments_before", "segments_after", "bytes_before", "bytes_after", "seconds"}
    assert (done["segments_before"], done["segments_after"]) == (2, 1)
    assert docs.search(embedding=ASKED, k=19).ids == [one for one in before.ids if one != "r01"][:19]


def test_indexes_are_built_and_tuned(docs: Any) -> None:
    docs.upsert([{"id": f"x{number}", "embedding": contract.vector(number)} for number in range(100)])
    docs.set_index("embedding", vecdb.Hnsw(m=8))
    docs.flush()
    docs.compact()
    heard: list[tuple[int, int]] = []

    assert docs.build_indexes(lambda *step: heard.append(step)) >= 1

    assert heard
    assert all(done <= total for done, total in heard)
    told = docs.stats()["indexes"]["embedding"]
    assert told["pending_rows"] == 0
    assert told["rows"] == {"hnsw": contract.ROWS + 100}
    report = docs.tune(field="embedding", sample=10, k=3)
    assert (report.k, report.queries) == (3, 10)
    assert report.ef_for(0.5) == report.curve[0][0]
    assert docs.tune(field="embedding", reset=True) is None
    measured = docs.recall(field="embedding", sample=8, k=3)
    assert (measured.queries, measured.k, measured.short) == (8, 3, 0)
    assert 0 <= measured.worst <= measured.recall <= 1


def test_statistics_tell_rows_and_fields(docs: Any) -> None:
    told = docs.stats()

    assert told["name"] == "docs"
    assert told["rows"] == contract.ROWS
    assert told["lsn"] == docs.snapshot().lsn


def test_refreshing_a_writer_changes_nothing(docs: Any) -> None:
    assert docs.refresh() is None
    assert docs.count() == contract.ROWS


def test_a_collection_and_a_snapshot_print_their_names(docs: Any) -> None:
    assert "docs" in repr(docs)
