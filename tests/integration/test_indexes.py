"""Indexes as a user meets them: asking for them, waiting for them, searching through them, and measuring them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.graphs import index_files, plans_of
from support.supervisor import environment
from support.unsynced import unsynced
from vecdb.arguments import FETCH
from vecdb.errors import InvalidInputError

ROWS, DIMENSION = 300, 16
SETTINGS = vecdb.Settings(background=False, free_bytes=0)
GOLDEN = Path(__file__).parents[1] / "golden"
WIDE = 1000

# Answers each line of its standard input with the plans of a search, and the ids that it found.
READER = """
import json, sys
import vecdb
from support.graphs import plans_of

with vecdb.connect(sys.argv[1], read_only=True, settings=vecdb.Settings(refresh_interval=0)) as database:
    for line in sys.stdin:
        found = database.collection("docs").search(v=[1.0] * 16, k=5, ef=1000)
        print(json.dumps([plans_of(found), found.ids]), flush=True)
"""


@pytest.fixture(autouse=True)
def _unsynced() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def docs(path: Path) -> Iterator[vecdb.Collection]:
    with vecdb.connect(path, settings=SETTINGS) as database:
        yield filled(database)


def filled(database: vecdb.Database, **options: Any) -> vecdb.Collection:
    """Return a collection whose rows all lie in one segment, without its index yet."""
    field = vecdb.Vector(DIMENSION, **{"index": "hnsw", **options})
    docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64(), v=field))
    docs.upsert(records(0, ROWS))
    docs.flush()
    return docs


def records(first: int, count: int) -> dict[str, Any]:
    matrix = np.random.default_rng(first).standard_normal((count, DIMENSION), dtype=np.float32)
    return {"id": np.arange(first, first + count), "n": np.arange(first, first + count) % 10, "v": matrix}


def query(seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, 1]).standard_normal(DIMENSION, dtype=np.float32)


# -- asking for an index -----------------------------------------------------------------------------------------------


def test_a_search_uses_an_index_as_soon_as_it_is_built(docs: vecdb.Collection) -> None:
    exact = docs.search(v=query(), exact=True)
    assert plans_of(docs.search(v=query())) == ["scan"]
    told: list[tuple[int, int]] = []

    assert docs.build_indexes(progress=lambda done, rows: told.append((done, rows))) == 1

    found = docs.search(v=query(), ef=WIDE)
    assert plans_of(found) == ["graph"]
    assert found.ids == exact.ids
    assert found.scores.tolist() == exact.scores.tolist()
    assert told[-1] == (ROWS, ROWS)
    assert docs.stats()["indexes"]["v"]["rows"] == {"hnsw": ROWS}


def test_auto_scans_a_small_segment_whatever_index_it_had(docs: vecdb.Collection) -> None:
    docs.build_indexes()

    docs.set_index("v", "auto")

    (part,) = docs.search(v=query()).explain["parts"]
    assert (part["plan"], part["reason"]) == ("scan", "it has no index")
    assert docs.stats()["indexes"]["v"]["rows"] == {"flat": ROWS}
    assert docs.build_indexes() == 0


def test_stats_count_live_rows(docs: vecdb.Collection) -> None:
    docs.delete(list(range(50)))

    waiting = docs.stats()["indexes"]["v"]
    docs.build_indexes()

    assert (waiting["rows"], waiting["pending_rows"]) == ({"flat": ROWS - 50}, ROWS - 50)
    assert docs.stats()["indexes"]["v"]["rows"] == {"hnsw": ROWS - 50}


def test_rows_behind_the_index_are_found_too(docs: vecdb.Collection) -> None:
    docs.build_indexes()
    docs.upsert({"id": 1000, "n": 1, "v": query()})

    found = docs.search(v=query(), k=3)

    assert found.ids[0] == 1000
    assert plans_of(found) == ["graph", "scan"]
    assert found.ids == docs.search(v=query(), k=3, exact=True).ids


def test_an_index_is_built_in_the_background_by_itself(path: Path) -> None:
    with vecdb.connect(path, settings=vecdb.Settings(free_bytes=0)) as database:
        docs = filled(database)
        worker = docs._index_worker
        assert worker is not None

        worker.wait(lambda: docs.stats()["indexes"]["v"]["pending_rows"] == 0)

        assert plans_of(docs.search(v=query())) == ["graph"]


def test_set_index_takes_effect_without_rewriting_rows(docs: vecdb.Collection, path: Path) -> None:
    docs.build_indexes()

    docs.set_index("v", "flat")
    assert plans_of(docs.search(v=query())) == ["scan"]
    assert docs.stats()["indexes"]["v"]["rows"] == {"flat": ROWS}
    docs.set_index("v", vecdb.Hnsw())
    assert plans_of(docs.search(v=query())) == ["graph"]
    assert docs.schema["v"].field.spec == vecdb.Hnsw()
    docs.compact()
    assert len(index_files(path)) == 1


@pytest.mark.parametrize("index", ["annoy", "HNSW", 3, None, vecdb.Hnsw, {"kind": "hnsw", "links": 3}, {"kind": 1}])
def test_an_index_that_nobody_knows_is_refused(docs: vecdb.Collection, index: Any) -> None:
    with pytest.raises(InvalidInputError):
        docs.set_index("v", index)
    with pytest.raises(InvalidInputError):
        vecdb.Vector(DIMENSION, index=index)


@pytest.mark.parametrize("options", [{"m": 3}, {"m": 129}, {"m": True}, {"m": 1.5}, {"ef_construction": 7}])
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="expected a whole number from"):
        vecdb.Hnsw(**options)


def test_only_vector_fields_have_an_index(docs: vecdb.Collection) -> None:
    with pytest.raises(InvalidInputError):
        docs.set_index("n", "hnsw")
    with pytest.raises(InvalidInputError):
        docs.set_index("stranger", "hnsw")


def test_an_index_survives_a_rename_and_goes_with_its_field(path: Path) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database)
        docs.build_indexes()
        docs.rename_column("v", "w")
        assert plans_of(docs.search(w=query())) == ["graph"]
        docs.add_column("v", vecdb.Vector(DIMENSION, index="hnsw"))
        docs.drop_column("w")
        assert docs.search(v=query()).ids == []
        docs.compact(purge=True)
        assert database.check().ok


# -- how hard to look --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recall": 1}, "exact=True finds all"),
        ({"recall": 1.0}, "exact=True finds all"),
        ({"recall": 0}, "above 0 and below 1"),
        ({"recall": -0.5}, "above 0 and below 1"),
        ({"recall": 2}, "above 0 and below 1"),
        ({"recall": float("nan")}, "above 0 and below 1"),
        ({"recall": float("inf")}, "above 0 and below 1"),
        ({"recall": True}, "above 0 and below 1"),
        ({"recall": False}, "above 0 and below 1"),
        ({"recall": "0.9"}, "above 0 and below 1"),
        ({"recall": 0.9, "ef": 100}, "only one of"),
        ({"ef": 0}, "at least 1"),
        ({"ef": -1}, "at least 1"),
        ({"ef": 1.5}, "at least 1"),
        ({"ef": True}, "at least 1"),
        ({"ef": "100"}, "at least 1"),
        ({"ef": 10_001}, "at most 10000"),
        ({"plan": "tree"}, "is not one of"),
        ({"plan": True}, "is not one of"),
        ({"plan": ""}, "is not one of"),
    ],
)
def test_wrong_search_options_are_refused_with_or_without_an_index(
    docs: vecdb.Collection, options: dict[str, Any], said: str
) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInputError, match=said):
            docs.search(v=query(), **options)
        with pytest.raises(InvalidInputError, match=said):
            docs.search_batch(v=query()[None], **options)
        with pytest.raises(InvalidInputError, match=said):
            docs.recall(**options)
        docs.build_indexes()


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.float16(0.5), 0.5])
def test_recall_takes_any_real_number(docs: vecdb.Collection, number: Any) -> None:
    docs.build_indexes()

    assert len(docs.search(v=query(), recall=number)) == 10


@pytest.mark.parametrize("k", [1, 7, ROWS - 1, ROWS, ROWS + 1, 10**6, FETCH])
@pytest.mark.parametrize("where", [None, "n < 3", "n = 4 and id < 100", "n > 10"])
def test_as_many_rows_come_as_match_whatever_k_is(docs: vecdb.Collection, k: int, where: str | None) -> None:
    docs.build_indexes()
    docs.delete(list(range(0, ROWS, 7)))

    for plan in (None, "scan", "codes", "graph", "wide", "two_hops"):
        found = docs.search(k, where, v=query(), plan=plan)

        assert len(found) == len(set(found.ids)) == min(k, docs.count(where)), plan


def test_no_queries_have_no_answers(docs: vecdb.Collection) -> None:
    nothing = np.empty((0, DIMENSION), np.float32)
    assert docs.search_batch(v=nothing) == []
    docs.build_indexes()
    assert docs.search_batch(v=nothing) == []
    assert docs.search_batch(v=nothing, where="n = 1") == []


@pytest.mark.parametrize("where", [None, "n < 5", "n = 3"])
def test_a_batch_answers_what_its_queries_answer_alone(docs: vecdb.Collection, where: str | None) -> None:
    docs.build_indexes()
    queries = np.stack([query(seed) for seed in range(20)])

    together = docs.search_batch(5, where, v=queries)

    for one, asked in zip(together, queries, strict=True):
        alone = docs.search(5, where, v=asked)
        assert one.ids == alone.ids
        assert one.scores.tolist() == alone.scores.tolist()


@pytest.mark.parametrize("where", [None, "n < 5", "n = 3", "n > 50"])
@pytest.mark.parametrize("k", [1, 9, 1000])
def test_pages_hold_every_row_once_and_end(docs: vecdb.Collection, where: str | None, k: int) -> None:
    docs.build_indexes()
    docs.delete([0, 5])
    docs.upsert(records(1000, 20))
    expected = docs.count(where)

    pages = [page.ids for page in docs.search_iter(k, where, fields=[], v=query())]

    found = [value for page in pages for value in page]
    assert len(found) == len(set(found)) == expected
    assert all(len(page) == k for page in pages[:-1])
    exact = [value for page in docs.search_iter(k, where, fields=[], exact=True, v=query()) for value in page.ids]
    assert set(found) == set(exact)


# -- measuring ---------------------------------------------------------------------------------------------------------


def test_recall_measures_and_tune_remembers_until_it_is_reset(docs: vecdb.Collection, path: Path) -> None:
    docs.build_indexes()
    usual = docs.search(v=query()).explain["parts"][0]["ef"]

    measured = docs.recall(sample=20, ef=WIDE)
    report = docs.tune(np.stack([query(seed) for seed in range(30)]))

    assert (measured.recall, measured.short, measured.plans) == (1.0, 0, {"graph": 20})
    assert report is not None
    assert (report.k, report.queries) == (10, 30)
    assert [width for width, _ in report.curve] == sorted(width for width, _ in report.curve)
    kept = docs.snapshot()._state.located.manifest.tuning
    assert list(kept.values()) == [[[float(width), reached] for width, reached in report.curve]]
    assert docs.tune(reset=True) is None
    assert docs.snapshot()._state.located.manifest.tuning == {}
    assert docs.search(v=query()).explain["parts"][0]["ef"] == usual


def test_a_tune_that_tells_little_says_so_and_one_that_tells_nothing_is_refused(docs: vecdb.Collection) -> None:
    docs.build_indexes()

    one, many = docs.tune(query()[None]), docs.tune(sample=100)

    assert one is not None
    assert many is not None
    assert one.warnings[0].startswith("only 1 query asked: the recall of others may be quite another")
    assert many.warnings == ()
    with pytest.raises(InvalidInputError, match=f"k is {ROWS + 1}, but only {ROWS} rows have a vector"):
        docs.tune(k=ROWS + 1)


def test_what_was_tuned_is_there_after_reopening(path: Path) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database)
        docs.build_indexes()
        docs.tune(sample=20)
        kept = docs.snapshot()._state.located.manifest.tuning
    with vecdb.connect(path, settings=SETTINGS) as database:
        again = database.collection("docs").snapshot()._state.located.manifest.tuning

    assert again == kept != {}


def test_nothing_can_be_measured_without_rows_or_queries(path: Path) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        empty = database.create_collection("empty", vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(DIMENSION)))
        for measure in (empty.recall, empty.tune):
            with pytest.raises(InvalidInputError, match="nothing to ask"):
                measure()
            with pytest.raises(InvalidInputError, match="empty"):
                measure(np.empty((0, DIMENSION)))
            with pytest.raises(InvalidInputError):
                measure(field="stranger")


# -- other processes, older versions, copies ---------------------------------------------------------------------------


def test_another_process_sees_an_index_when_it_is_published(docs: vecdb.Collection, path: Path) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert reader.stdin is not None
    assert reader.stdout is not None

    def ask() -> list[Any]:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
        return json.loads(reader.stdout.readline())

    with reader:
        expected = docs.search(v=[1.0] * DIMENSION, k=5, exact=True).ids
        assert ask() == [["scan"], expected]
        docs.build_indexes()
        assert ask() == [["graph"], expected]
        docs.delete(expected[0])
        plans, ids = ask()
        assert plans != ["scan"]
        assert ids[:4] == expected[1:]
        docs.compact()
        assert ask() == [["graph"], ids], "a merged segment has its index at once"
        reader.stdin.close()


def test_an_older_version_is_searched_exactly_as_it_was(docs: vecdb.Collection) -> None:
    version = docs.snapshot().version
    expected = docs.search(v=query(), k=20, exact=True).ids
    docs.build_indexes()
    docs.delete(expected[:5])
    docs.flush()

    with docs.at(version=version) as before:
        assert before.search(v=query(), k=20, ef=WIDE).ids == expected
        assert before.search(v=query(), k=20, exact=True).ids == expected


def _damage(path: Path) -> None:
    for file in index_files(path):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        file.unlink()
        file.write_bytes(content)


def test_a_backup_takes_indexes_along_and_leaves_damaged_ones_out(path: Path, tmp_path: Path) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database)
        docs.build_indexes()
        expected = docs.search(v=query(), ef=WIDE).ids
        database.backup(tmp_path / "whole")
    _damage(path)
    with vecdb.connect(path, settings=SETTINGS) as database:
        database.backup(tmp_path / "damaged")

    for name, plan in (("whole", "graph"), ("damaged", "scan")):
        assert vecdb.restore(tmp_path / name, tmp_path / f"{name} again").ok
        with vecdb.connect(tmp_path / f"{name} again", settings=SETTINGS) as database:
            docs = database.collection("docs")
            found = docs.search(v=query(), ef=WIDE)
            assert (plans_of(found), found.ids) == ([plan], expected)
            assert docs.build_indexes() == (plan == "scan")


def test_a_backup_whose_indexes_were_damaged_is_restored_without_them(path: Path, tmp_path: Path) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database)
        docs.build_indexes()
        expected = docs.search(v=query(), ef=WIDE).ids
        database.backup(tmp_path / "backup")
    _damage(tmp_path / "backup")

    assert vecdb.restore(tmp_path / "backup", tmp_path / "restored").ok

    with vecdb.connect(tmp_path / "restored", settings=SETTINGS) as database:
        docs = database.collection("docs")
        assert docs.search(v=query(), ef=WIDE).ids == expected
        assert docs.build_indexes() == 1


@pytest.mark.parametrize("way", ["flip", "missing"])
def test_a_damaged_index_is_told_and_harms_nobody(path: Path, way: str) -> None:
    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = filled(database)
        docs.build_indexes()
        expected = docs.search(v=query(), ef=WIDE).ids
    if way == "flip":
        _damage(path)
    else:
        index_files(path)[0].unlink()

    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.collection("docs")
        found = docs.search(v=query(), ef=WIDE)
        assert (plans_of(found), found.ids) == (["scan"], expected)
        assert found.explain["parts"][0]["problem"]
        assert len(docs.stats()["indexes"]["v"]["problems"]) == 1
        assert [problem.severity for problem in database.check().problems] == ["derived"]
        assert docs.build_indexes() == 1
        assert plans_of(docs.search(v=query(), ef=WIDE)) == ["graph"]
        assert database.check().ok
        assert docs.stats()["indexes"]["v"]["problems"] == []


def test_a_database_of_before_there_were_indexes_gets_them(tmp_path: Path) -> None:
    path = Path(shutil.copytree(GOLDEN / "format-1", tmp_path / "golden"))
    with vecdb.connect(path, create=False, settings=SETTINGS) as database:
        rows = database.collection("rows")
        expected = rows.search(wide=np.arange(33, 39), k=5).ids
        assert rows.build_indexes() == 0, "a few rows need none"

        rows.set_index("wide", "hnsw")
        rows.upsert([{"id": f"more-{number}", "wide": np.arange(number, number + 6)} for number in range(500, 600)])
        assert rows.build_indexes() == 1
        assert rows.search(wide=np.arange(33, 39), k=5, ef=WIDE).ids == expected
        assert database.check().ok
    with vecdb.connect(path, create=False, settings=SETTINGS) as database:
        assert database.collection("rows").search(wide=np.arange(33, 39), k=5, ef=WIDE).ids == expected


def test_what_was_tuned_is_forgotten_with_the_kind_of_index() -> None:
    rows = np.random.default_rng(3).standard_normal((3000, 16)).astype(np.float32)
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(16, index="hnsw")))
        docs.upsert({"id": np.arange(3000), "v": rows})
        docs.build_indexes()
        docs.tune(rows[:60])
        docs.set_index("v", "binary")
        docs.build_indexes()

        assert docs.recall(rows[:50] + 0.1).recall >= 0.95


def test_an_index_that_finds_little_is_not_used_and_says_so() -> None:
    rows = np.random.default_rng(3).standard_normal((3000, 16)).astype(np.float32)
    rows[7] *= 10_000  # the step of the codes follows from the largest number
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(16, metric="l2", index="hnsw"))
        docs = database.create_collection("docs", schema)
        docs.upsert({"id": np.arange(3000), "v": rows})
        docs.build_indexes()

        (part,) = docs.search(v=rows[0]).explain["parts"]
        assert part["plan"] == "scan"
        assert "of the nearest rows" in part["reason"]
        assert docs.search(v=rows[0], ef=50).explain["parts"][0]["plan"] == "graph"
