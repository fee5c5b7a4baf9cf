"""Links through the public classes: what is stored, what is refused, and who sees which."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import (
    ConflictError,
    FilterSyntaxError,
    InvalidInputError,
    PermissionDeniedError,
    RequestMismatchError,
    UnknownFieldError,
)

QUIET: dict[str, Any] = {"background": False, "free_bytes": 0}


@pytest.fixture
def database(tmp_path: Path):
    with vecdb.connect(tmp_path / "db", settings=vecdb.Settings(**QUIET)) as found:
        yield found


@pytest.fixture
def docs(database: vecdb.Database) -> vecdb.Collection:
    made = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), team=vecdb.Keyword()))
    made.upsert([{"id": name, "team": "red" if name < "c" else "blue"} for name in "abcd"])
    return made


def pairs(docs: Any, **asked: Any) -> set[tuple[str, str, str]]:
    batches = list(docs.links(**asked))
    return {(row["src"], row["dst"], row["type"]) for batch in batches for row in batch.to_pylist()}


def test_type_and_weight_have_defaults_and_an_upsert_replaces_weight_and_attributes(docs: vecdb.Collection) -> None:
    docs.add_link_attribute("since", vecdb.Int64())
    docs.link({"src": "a", "dst": "b"})
    docs.link({"src": "a", "dst": "b", "type": "link", "weight": 0.1, "since": 3})

    (row,) = docs.neighbours("a").to_pylist()

    assert row == {
        "id": "a", "neighbour": "b", "direction": "out", "type": "link", "weight": float(np.float32(0.1)), "since": 3,
    }  # fmt: skip


@pytest.mark.parametrize("flushed", [False, True])
def test_neighbours_of_several_ids_come_in_the_order_of_the_ids(docs: vecdb.Collection, flushed: bool) -> None:
    docs.link({"src": ["b", "a", "c"], "dst": ["x", "x", "x"], "weight": [1, 2, 3]})
    if flushed:
        docs.flush()

    found = docs.neighbours(["c", "b", "a"], direction="out").to_pylist()

    assert [(row["id"], row["weight"]) for row in found] == [("c", 3.0), ("b", 1.0), ("a", 2.0)]
    assert docs.neighbours("x", limit=2).column("neighbour").to_pylist() == ["c", "a"]


def test_links_that_were_written_before_an_attribute_have_no_value_in_it(docs: vecdb.Collection) -> None:
    docs.link({"src": "a", "dst": "b"})
    docs.add_link_attribute("since", vecdb.Timestamp())
    docs.link({"src": "a", "dst": "c", "since": "2024-05-01T00:00:00Z"})

    assert [row["neighbour"] for row in docs.neighbours("a", where="since > '2024-01-01'").to_pylist()] == ["c"]
    docs.flush()
    docs.compact()
    assert pairs(docs, where="since is null") == {("a", "b", "link")}


def test_a_merge_keeps_attributes_beside_their_links(docs: vecdb.Collection) -> None:
    docs.add_link_attribute("n", vecdb.Int64())
    rng = np.random.default_rng(5)
    expected = {}
    for _ in range(3):
        ends = rng.integers(0, 40, (200, 2))
        rows = [{"src": f"n{a}", "dst": f"n{b}", "n": int(rng.integers(1000))} for a, b in ends]
        docs.link(rows)
        docs.flush()
        expected |= {(row["src"], row["dst"]): row["n"] for row in rows}

    assert docs.compact()["segments_after"] == 1

    found = {(row["src"], row["dst"]): row["n"] for batch in docs.links() for row in batch.to_pylist()}
    assert found == expected
    assert docs.stats()["link_segments"] == 1


def test_many_links_at_once_go_past_the_log_and_replace_older_ones(docs: vecdb.Collection) -> None:
    docs.link({"src": "n1", "dst": "n2", "weight": 5})
    docs.flush()
    docs.link({"src": "n3", "dst": "n4", "weight": 6})
    rng = np.random.default_rng(1)
    ends = np.char.add("n", rng.integers(0, 2000, (2, 300_000)).astype(str))
    table = pa.table({"src": ends[0], "dst": ends[1], "weight": rng.random(300_000)})
    before = docs.stats()["wal_bytes"]

    done = docs.link(table)

    assert docs.stats()["wal_bytes"] - before < 10_000
    expected = {("n1", "n2"): 5.0, ("n3", "n4"): 6.0}
    weights = table.column("weight").to_numpy().astype(np.float32).astype(float)
    given = dict(zip(zip(ends[0].tolist(), ends[1].tolist(), strict=True), weights.tolist(), strict=True))
    assert done.rows == len(given)
    expected |= given
    found = {(row["src"], row["dst"]): row["weight"] for batch in docs.links() for row in batch.to_pylist()}
    assert found == expected


@pytest.mark.parametrize(
    ("edges", "error", "told"),
    [
        ({"src": "a"}, InvalidInputError, "no field 'dst'"),
        ({"src": "a", "dst": None}, InvalidInputError, "field 'dst', row 1: the id is null"),
        ({"src": "a", "dst": ""}, InvalidInputError, "0 bytes"),
        ({"src": "a", "dst": 7}, InvalidInputError, "field 'dst'"),
        ({"src": "a", "dst": "b", "type": ""}, InvalidInputError, "the type '' does not have 1 to 256 bytes"),
        ({"src": "a", "dst": "b", "weight": -1}, InvalidInputError, "the weight -1.0 is not a float32 of 0 or more"),
        ({"src": "a", "dst": "b", "weight": 1e39}, InvalidInputError, "is not a float32"),
        ({"src": "a", "dst": "b", "wieght": 1}, UnknownFieldError, "did you mean 'weight'"),
    ],
)
def test_links_that_do_not_fit_are_refused_whole(docs: vecdb.Collection, edges: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        docs.link([{"src": "a", "dst": "c"}, edges] if set(edges) > {"src"} else edges)

    assert pairs(docs) == set()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda docs: docs.neighbours("a", direction="up"), InvalidInputError),
        (lambda docs: docs.neighbours(7), InvalidInputError),
        (lambda docs: docs.neighbours("a", limit=0), InvalidInputError),
        (lambda docs: docs.neighbours("a", type=3), InvalidInputError),
        (lambda docs: docs.neighbours("a", where="size > 3"), UnknownFieldError),
        (lambda docs: docs.neighbours("a", where="weight >"), FilterSyntaxError),
        (lambda docs: docs.unlink(), InvalidInputError),
        (lambda docs: docs.unlink({"src": "a", "dst": "b"}, type="x"), InvalidInputError),
        (lambda docs: docs.add_link_attribute("weight", vecdb.Int64()), InvalidInputError),
        (lambda docs: docs.add_link_attribute("body", vecdb.Text()), InvalidInputError),
    ],
)
def test_wrong_arguments_are_refused(docs: vecdb.Collection, call: Any, error: Any) -> None:
    with pytest.raises(error):
        call(docs)


def test_a_request_that_comes_again_changes_nothing(docs: vecdb.Collection) -> None:
    first = docs.link({"src": "a", "dst": "b"}, request_id="one")
    docs.unlink(src="a", request_id="two")

    assert docs.link({"src": "a", "dst": "b"}, request_id="one") == first
    assert docs.unlink(src="a", request_id="two").rows == 1
    assert pairs(docs) == set()
    with pytest.raises(RequestMismatchError):
        docs.link({"src": "a", "dst": "c"}, request_id="one")


def test_a_cascade_takes_rows_and_links_in_one_step(docs: vecdb.Collection) -> None:
    docs.link([{"src": "a", "dst": "b"}, {"src": "c", "dst": "d"}, {"src": "z", "dst": "b"}])
    before = docs.snapshot()

    done = docs.delete(where="team = 'red'", cascade=True)

    assert (done.rows, done.lsn) == (2, before.lsn + 1)
    assert pairs(docs) == {("c", "d", "link")}
    assert pairs(before) == {("a", "b", "link"), ("c", "d", "link"), ("z", "b", "link")}
    docs.delete("c")
    assert docs.link_stats()["dangling_ids"] == 1


def test_a_view_shows_links_between_its_rows_only_and_takes_no_others(docs: vecdb.Collection) -> None:
    docs.link([{"src": "a", "dst": "b"}, {"src": "b", "dst": "c"}, {"src": "a", "dst": "z"}, {"src": "c", "dst": "d"}])
    red = docs.restricted("team = 'red'")

    assert pairs(red) == {("a", "b", "link")}
    assert red.neighbours("b").column("neighbour").to_pylist() == ["a"]
    assert red.degrees(["a", "c"]).to_pylist() == [{"id": "a", "out": 1, "in": 0}, {"id": "c", "out": 0, "in": 0}]
    assert red.link_stats()["links"] == 1
    assert red.unlink(dst=["b", "c", "z"]).rows == 1
    assert len(pairs(docs)) == 3
    red.link({"src": "b", "dst": "a"})
    for far in ("c", "nobody"):
        with pytest.raises(PermissionDeniedError, match="not among the rows that may be linked"):
            red.link([{"src": "b", "dst": "a"}, {"src": "a", "dst": far}])


def test_an_older_version_has_the_links_of_its_time(docs: vecdb.Collection) -> None:
    docs.link({"src": "a", "dst": "b"})
    docs.tag("then")
    docs.link({"src": "a", "dst": "c"})
    docs.unlink(dst="b")
    docs.flush()
    docs.compact()

    assert pairs(docs.at(tag="then")) == {("a", "b", "link")}
    assert pairs(docs) == {("a", "c", "link")}


def test_a_backup_has_the_links_and_a_second_one_takes_over_what_did_not_change(
    database: vecdb.Database, docs: vecdb.Collection, tmp_path: Path
) -> None:
    docs.link({"src": "a", "dst": "b"})
    first = database.backup(tmp_path / "copy")
    docs.link({"src": "b", "dst": "c"})
    second = database.backup(tmp_path / "copy")

    report = vecdb.restore(tmp_path / "copy", tmp_path / "again")

    assert report.problems == ()
    assert first["files"] > 0
    assert second["linked"] >= 3
    with vecdb.connect(tmp_path / "again", settings=vecdb.Settings(**QUIET)) as again:
        assert pairs(again["docs"]) == {("a", "b", "link"), ("b", "c", "link")}


def test_a_database_that_is_read_only_takes_no_links(database: vecdb.Database, docs: vecdb.Collection) -> None:
    docs.link({"src": "a", "dst": "b"})
    with vecdb.connect(database.path, read_only=True) as reading:
        assert pairs(reading["docs"]) == {("a", "b", "link")}
        with pytest.raises(ConflictError):
            reading["docs"].link({"src": "a", "dst": "c"})


def test_statistics_count_links(docs: vecdb.Collection) -> None:
    docs.link([{"src": "a", "dst": "b"}, {"src": "a", "dst": "z"}])
    docs.flush()
    docs.link({"src": "c", "dst": "d"})
    docs.unlink(dst="z")

    told = docs.stats()

    assert told["links"] == 2
    assert told["link_segments"] == 1
    assert told["memtable_links"] == 1


def test_a_few_deletions_in_a_large_segment_show_in_lookups_and_in_the_graph(docs: vecdb.Collection) -> None:
    rng = np.random.default_rng(7)
    ends = np.unique(rng.integers(0, 300, (6000, 2)), axis=0)
    names = np.char.add("n", ends.astype(str))
    docs.link({"src": names[:, 0], "dst": names[:, 1]})
    docs.flush()
    whole = docs.snapshot()._state.links.graph
    _ = whole.out, whole.incoming  # made now, so that what follows is a patch

    gone = {(str(src), str(dst)) for src, dst in names[[5, 4000, 17]]}
    docs.unlink([{"src": src, "dst": dst} for src, dst in gone])
    docs.link({"src": "n0", "dst": "new", "weight": 3})

    left = {(str(src), str(dst)) for src, dst in names} - gone | {("n0", "new")}
    graph = docs.snapshot()._state.links.graph
    ids = graph.ids(np.arange(graph.nodes))
    for adjacency, turned in ((graph.out, False), (graph.incoming, True)):
        walked = [(value, other) for node, value in enumerate(ids) for other in graph.ids(adjacency.row(node)[0])]
        assert {(b, a) if turned else (a, b) for a, b in walked} == left
        assert len(walked) == len(left)
        assert 0 < len(adjacency.patched) < 10
    for src, _ in gone:
        found = docs.neighbours(src, direction="out").column("neighbour").to_pylist()
        assert sorted(found) == sorted(other for near, other in left if near == src)
    docs.unlink([{"src": src, "dst": dst} for src, dst in gone])
    assert {tuple(row.values())[:2] for batch in docs.links() for row in batch.to_pylist()} == left
