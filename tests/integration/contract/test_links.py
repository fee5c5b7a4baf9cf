"""Links are written and read alike over every way."""

import contextlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import ConflictError, InvalidInputError, RequestMismatchError, UnknownFieldError

EDGES: list[dict[str, Any]] = [
    {"src": "r01", "dst": "r02", "type": "cites", "weight": 0.5},
    {"src": "r01", "dst": "r03", "type": "near", "weight": 2.0},
    {"src": "r02", "dst": "r03", "type": "cites", "weight": 1.0},
    {"src": "elsewhere", "dst": "r01", "type": "cites", "weight": 3.0},
]
FORMS: dict[str, Any] = {
    "list of dicts": lambda: EDGES,
    "dict of lists": lambda: {name: [edge[name] for edge in EDGES] for name in EDGES[0]},
    "arrow table": lambda: pa.Table.from_pylist(EDGES),
    "arrow reader": lambda: pa.Table.from_pylist(EDGES).to_reader(max_chunksize=2),
    "pandas": lambda: pd.DataFrame(EDGES),
}


def ends(batches: Any) -> set[tuple[str, str, str]]:
    return {(row["src"], row["dst"], row["type"]) for batch in batches for row in batch.to_pylist()}


@pytest.fixture
def linked(docs: Any) -> Any:
    """`docs` with some links in a segment and one in memory."""
    docs.add_link_attribute("since", vecdb.Int64())
    docs.link([{**edge, "since": number} for number, edge in enumerate(EDGES[:3])])
    docs.flush()
    docs.link(EDGES[3])
    return docs


@pytest.mark.parametrize("form", FORMS)
def test_links_are_stored_in_every_form(docs: Any, form: str) -> None:
    done = docs.link(FORMS[form]())

    assert (done.rows, done.durable) == (4, True)
    assert ends(docs.links()) == {(edge["src"], edge["dst"], edge["type"]) for edge in EDGES}


def test_neighbours_come_heaviest_first_with_their_attributes(linked: Any) -> None:
    docs = linked

    found = docs.neighbours("r01")

    assert isinstance(found, pa.Table)
    assert found.to_pylist() == [
        {"id": "r01", "neighbour": other, "direction": way, "type": kind, "weight": weight, "since": since}
        for other, way, kind, weight, since in [
            ("elsewhere", "in", "cites", 3.0, None), ("r03", "out", "near", 2.0, 1), ("r02", "out", "cites", 0.5, 0),
        ]
    ]  # fmt: skip


def test_neighbours_are_narrowed_by_type_direction_filter_and_limit(linked: Any) -> None:
    docs = linked
    both = docs.neighbours(["r03", "r01"], limit=1)

    assert both.column("neighbour").to_pylist() == ["r01", "elsewhere"]
    assert docs.neighbours("r01", type="cites", direction="out").column("neighbour").to_pylist() == ["r02"]
    assert docs.neighbours("r01", type=["near", "no such"]).column("neighbour").to_pylist() == ["r03"]
    assert docs.neighbours("r01", where="since >= 1").column("neighbour").to_pylist() == ["r03"]
    nothing = docs.neighbours("nobody")
    assert (nothing.num_rows, nothing.column_names) == (0, both.column_names)


def test_links_are_scanned_by_ends_types_and_filters(linked: Any) -> None:
    docs = linked

    assert ends(docs.links(src="r01")) == {("r01", "r02", "cites"), ("r01", "r03", "near")}
    assert ends(docs.links(src=["r01", "r02"], dst="r03")) == {("r01", "r03", "near"), ("r02", "r03", "cites")}
    assert ends(docs.links(type="cites", where="weight > 0.75", batch_rows=1)) == {
        ("r02", "r03", "cites"), ("elsewhere", "r01", "cites"),
    }  # fmt: skip
    assert list(docs.links(type="no such")) == []


def test_degrees_and_statistics_count_links(linked: Any) -> None:
    docs = linked
    told = docs.link_stats()

    assert docs.degrees(["r01", "nobody"]).to_pylist() == [
        {"id": "r01", "out": 2, "in": 1}, {"id": "nobody", "out": 0, "in": 0},
    ]  # fmt: skip
    assert docs.degrees("r01", type="cites", where="since is not null").to_pylist() == [
        {"id": "r01", "out": 1, "in": 0}
    ]
    assert (told["links"], told["types"], told["nodes"]) == (4, {"cites": 3, "near": 1}, 4)
    assert (told["dangling_ids"], told["dangling_links"]) == (1, 1)
    assert told["out_degree"] == {"mean": 1.0, "p50": 1, "p90": 2, "p99": 2, "max": 2}
    assert docs.stats()["links"] == 4


def test_the_columns_of_links_are_told(linked: Any) -> None:
    docs = linked

    schema = docs.link_schema()

    assert [column.name for column in schema] == ["src", "dst", "type", "weight", "since"]
    assert schema["since"].field == vecdb.Int64()


def test_a_snapshot_keeps_its_links(linked: Any) -> None:
    docs = linked
    docs.tag("then")
    with docs.snapshot() as snapshot:
        docs.unlink(src="r01")

        assert snapshot.degrees("r01").to_pylist() == [{"id": "r01", "out": 2, "in": 1}]
        assert len(ends(snapshot.links())) == 4
        assert snapshot.neighbours("r01", limit=1).column("neighbour").to_pylist() == ["elsewhere"]
        assert snapshot.link_stats()["links"] == 4
        assert len(snapshot.link_schema()) == 5
    assert len(ends(docs.links())) == 2
    with docs.at(tag="then") as snapshot:
        assert len(ends(snapshot.links())) == 4


def test_undirected_links_are_stored_and_deleted_both_ways(docs: Any) -> None:
    assert docs.link({"src": "a", "dst": "b"}, directed=False).rows == 2
    assert docs.unlink({"src": "b", "dst": "a"}, directed=False).rows == 2
    assert list(docs.links()) == []


def test_links_are_deleted_by_list_ends_type_and_filter(linked: Any) -> None:
    docs = linked

    assert docs.unlink(EDGES[0]).rows == 1
    assert docs.unlink({"src": ["r02", "r02"], "dst": ["r03", "r01"]}).rows == 1
    assert docs.unlink(src="r01", dst=["r03"], type="near", where="since = 7").rows == 0
    assert docs.unlink(where="weight > 2").rows == 1
    assert ends(docs.links()) == {("r01", "r03", "near")}


def test_a_cascade_takes_the_links_of_deleted_rows(linked: Any) -> None:
    docs = linked

    docs.delete("r02")
    assert docs.link_stats()["dangling_ids"] == 2
    docs.delete(["r02"], cascade=True)
    docs.delete(where="size = 30", cascade=True)

    assert ends(docs.links()) == {("elsewhere", "r01", "cites")}


def test_a_request_id_names_one_write_of_links(docs: Any) -> None:
    first = docs.link(EDGES, request_id="one")
    docs.unlink(src="r01", request_id="two")

    assert docs.link(EDGES, request_id="one") == first
    assert docs.unlink(src="r01", request_id="two").rows == 2
    assert len(ends(docs.links())) == 2
    with pytest.raises(RequestMismatchError):
        docs.unlink(src="r02", request_id="two")


def test_more_links_than_fit_into_a_message_are_stored(docs: Any) -> None:
    ends_ = np.char.add("n", np.arange(140_000).astype(str))
    table = pa.table({"src": ends_[:-1], "dst": ends_[1:]})

    done = docs.link(table, request_id="many")

    assert done.rows == 139_999
    assert docs.link(table, request_id="many").rows == 139_999
    assert docs.link_stats()["links"] == 139_999


def test_links_that_do_not_fit_are_refused(docs: Any) -> None:
    with pytest.raises(InvalidInputError, match="weight -1"):
        docs.link({"src": "a", "dst": "b", "weight": -1})
    with pytest.raises(UnknownFieldError, match="did you mean 'weight'"):
        docs.link({"src": "a", "dst": "b", "wieght": 1})
    with pytest.raises(UnknownFieldError):
        docs.neighbours("a", where="size > 1")
    with pytest.raises(InvalidInputError, match="direction"):
        docs.neighbours("a", direction="up")
    with pytest.raises(InvalidInputError, match="name the links to delete"):
        docs.unlink()
    with pytest.raises(InvalidInputError):
        docs.add_link_attribute("weight", vecdb.Int64())
    with pytest.raises(InvalidInputError):
        docs.add_link_attribute("body", vecdb.Text())


def test_an_attribute_that_somebody_else_declared_can_be_written(database: Any, docs: Any) -> None:
    docs.link({"src": "a", "dst": "b"})
    database.collection("docs").add_link_attribute("since", vecdb.Int64())

    docs.link({"src": "a", "dst": "c", "since": 3})

    assert docs.neighbours("a", where="since = 3").column("neighbour").to_pylist() == ["c"]


def test_an_attribute_is_declared_once(docs: Any) -> None:
    docs.add_link_attribute("since", vecdb.Int64())

    with pytest.raises((InvalidInputError, ConflictError)):
        docs.add_link_attribute("since", vecdb.Int64())


def test_links_between_rows_that_are_alike_are_made_and_brought_up_to_date(docs: Any) -> None:
    told: list[tuple[int, int]] = []

    first = docs.refresh_similar("embedding", 3, exact=True, progress=lambda done, total: told.append((done, total)))
    idle = docs.refresh_similar("embedding", 3, exact=True)
    vectors = np.stack([row["embedding"] for row in docs.get(["r03"], fields=["embedding"])])
    docs.upsert({"id": ["copy"], "embedding": list(vectors)})
    second = docs.refresh_similar("embedding", 3, exact=True)

    assert first.searched > first.deleted == 0 < first.written
    assert all(0 < done <= total == first.searched for done, total in told)
    assert (idle.searched, idle.written, idle.deleted) == (0, 0, 0)
    assert second.written > 0
    assert "r03" in docs.neighbours("copy", type="similar").column("neighbour").to_pylist()


def test_a_refresh_that_is_stopped_writes_nothing_or_was_over(docs: Any) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError(f"enough after {done} of {total}")

    with contextlib.suppress(RuntimeError):  # a server may be done before anybody hears how far it is
        docs.refresh_similar("embedding", 3, type="near", progress=stop)
    written = docs.link_stats()["types"].get("near", 0)

    docs.refresh_similar("embedding", 3, type="near")
    assert written in (0, docs.link_stats()["types"]["near"])


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("missing",), {}, UnknownFieldError),
        (("body",), {}, InvalidInputError),
        (("embedding", 0), {}, InvalidInputError),
        (("embedding",), {"least": -1.0}, InvalidInputError),
        (("embedding",), {"exact": "yes"}, InvalidInputError),
        (("embedding",), {"type": ""}, InvalidInputError),
        (("embedding",), {"type": 3}, InvalidInputError),
    ],
    ids=str,
)
def test_what_no_refresh_can_mean_is_refused(docs: Any, arguments: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        docs.refresh_similar(*arguments, **options)
