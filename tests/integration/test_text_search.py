"""Search by words through the public methods of a collection."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.graphs import index_files, plans_of
from support.unsynced import unsynced
from support.words import Texts, agree, sentence
from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.planner.terms import terms_of
from vecdb.storage import memtable_index, text_index
from vecdb_index.inverted import analysis
from vecdb_index.inverted.analysis import Analyzer, TokenReader

SETTINGS = vecdb.Settings(background=False, free_bytes=0, retain_versions=3)
TEXTS = ["a chess engine", "the chess board", None, "an engine of chess, and chess", "quiet rooms", ""]


@pytest.fixture(autouse=True)
def _without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def create(path: Path, search: Any = True, rows: int = 0, **more: Any) -> tuple[vecdb.Database, vecdb.Collection]:
    database = vecdb.connect(path, settings=SETTINGS)
    schema = vecdb.Schema(id=vecdb.Id("int64"), body=vecdb.Text(search=search), n=vecdb.Int64(), **more)
    docs = database.create_collection("docs", schema)
    docs.upsert([{"id": number, "body": text, "n": number} for number, text in enumerate(TEXTS)])
    if rows:
        rng = np.random.default_rng(1)
        docs.upsert([{"id": 100 + number, "body": sentence(rng), "n": number} for number in range(rows)])
    return database, docs


def test_words_find_rows_best_first_with_scores_fields_and_highlights(path: Path) -> None:
    database, docs = create(path)
    with database:
        found = docs.search(body="chess engines", k=10)

        assert found.ids == [0, 3, 1]
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        assert found[0].fields == {"body": TEXTS[0], "n": 0}
        assert found[0].distance is None
        assert str(found.highlights()[0]["body"]) == "a **chess** **engine**"
        assert docs.search(body="zebra").ids == []
        assert docs.search(body="").ids == []
        assert docs.search(body="the").ids == []


def test_a_filter_leaves_rows_out_and_changes_no_score(path: Path) -> None:
    database, docs = create(path, rows=300)
    with database:
        every = dict(zip(*(lambda r: (r.ids, r.scores.tolist()))(docs.search(body="chess board", k=500)), strict=True))

        found = docs.search(body="chess board", k=500, where="n < 40")

        assert 0 < len(found) < len(every)
        assert {key: every[key] for key in found.ids} == dict(zip(found.ids, found.scores.tolist(), strict=True))
        assert len([key for key in every if docs.get(key)["n"] < 40]) == len(found)  # pyright: ignore


@pytest.mark.parametrize("rows", [0, 300])
@pytest.mark.parametrize("where", [None, "n < 40"])
@pytest.mark.parametrize("words", ["chess", "chess -engine", "nothing here", "", "+engine board"])
def test_one_question_is_what_the_query_of_it_is(path: Path, rows: int, where: str | None, words: str) -> None:
    _, docs = create(path, rows=rows)
    docs.build_indexes()
    query = vecdb.Query(k=3).match("body", words)

    short = docs.search(body=words, k=3, where=where)
    long = docs.run(query if where is None else query.where(where))

    assert short.ids == long.ids
    assert np.array_equal(short.scores, long.scores)
    assert short.cursor == long.cursor
    assert short.to_list() == long.to_list()
    assert short.highlights() == long.highlights()
    assert short.distances is None
    told, also = short.explain, long.explain
    for one in (*told["steps"], *also["steps"]):
        assert one.pop("ms") > 0
    assert told == also
    if short.cursor:
        after = docs.search(body=words, k=3, where=where, after=short.cursor)
        assert after.ids == docs.search(body=words, k=6, where=where).ids[3:]


def test_each_write_shows_at_once(path: Path) -> None:
    database, docs = create(path)
    with database:
        assert docs.search(body="zebra").ids == []
        docs.upsert({"id": 50, "body": "a zebra", "n": 0})
        assert docs.search(body="zebra").ids == [50]
        docs.patch({"id": 50, "body": "a horse"})
        assert docs.search(body="zebra").ids == []
        docs.flush()
        assert docs.search(body="horse").ids == [50]
        docs.delete(50)
        assert docs.search(body="horse").ids == []


def test_a_snapshot_and_an_older_version_answer_as_they_were(path: Path) -> None:
    database, docs = create(path, rows=100)
    with database:
        docs.tag("before")
        snapshot = docs.snapshot()
        before = snapshot.search(body="chess", k=50)

        docs.delete(where="n >= 50")
        docs.upsert([{"id": number, "body": "chess", "n": 0} for number in range(500, 600)])
        docs.compact()

        for reader in (snapshot, docs.at(tag="before")):
            after = reader.search(body="chess", k=50)
            assert (after.ids, after.scores.tobytes()) == (before.ids, before.scores.tobytes())
        assert docs.search(body="chess", k=50).ids != before.ids


def test_until_an_index_is_built_one_in_memory_is_asked_and_the_answer_is_the_same(path: Path) -> None:
    database, docs = create(path, rows=200)
    with database:
        docs.flush()
        docs.upsert({"id": 99, "body": "chess", "n": 1})
        before = docs.search(body="chess engine", k=30)
        waiting = docs.stats()["indexes"]["body"]

        built = docs.build_indexes()
        after = docs.search(body="chess engine", k=30)

        assert plans_of(before) == ["words in memory", "words in memory"]
        assert (waiting["rows"], waiting["pending_rows"]) == ({"memory": 207}, 206)
        assert built == 1
        assert sorted(plans_of(after)) == ["words", "words in memory"]  # a segment of one row needs no file
        assert (after.ids, after.scores.tobytes()) == (before.ids, before.scores.tobytes())
        assert docs.stats()["indexes"]["body"]["rows"] == {"text": 206, "memory": 1}
    with vecdb.connect(path, read_only=True) as database:
        again = database.collection("docs").search(body="chess engine", k=30)
        assert plans_of(again).count("words") == 1
        assert (again.ids, again.scores.tobytes()) == (before.ids, before.scores.tobytes())


@contextmanager
def older_analysis() -> Iterator[None]:
    """Have words cut to four letters, as if an older version did, and indexes say so."""
    caches = text_index.origin_of, text_index.analyzer_of, terms_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "LONGEST", 4)
        for cache in caches:
            cache.cache_clear()
        yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("way", ["build", "compact", "background"])
def test_an_index_of_an_older_analysis_is_not_asked_and_built_again(path: Path, way: str) -> None:
    spec = vecdb.FullText(language=None)
    with older_analysis():
        database, docs = create(path, spec, rows=200)
        with database:
            docs.upsert({"id": 99, "body": "chessboards", "n": 1})
            docs.flush()
            docs.build_indexes()
            old = docs.search(body="chessmen")
            assert (plans_of(old), 99 in old.ids) == (["words"], True), "the older version knows four letters"
    (file,) = index_files(path)

    with vecdb.connect(path, read_only=True) as database:
        read = database.collection("docs")
        asked = {words: read.search(body=words, k=50) for words in ("chessboards", "chess engine")}
        assert [plans_of(found) for found in asked.values()] == [["words in memory"]] * 2
        assert (asked["chessboards"].ids, read.search(body="chessmen").ids) == ([99], [])
        assert read.stats()["indexes"]["body"]["pending_rows"] == 207
        assert read.stats()["indexes"]["body"]["problems"] == []

    with vecdb.connect(path, settings=replace(SETTINGS, background=way == "background")) as database:
        docs = database.collection("docs")
        if way == "build":
            assert docs.build_indexes() == 1
        elif way == "compact":
            docs.delete(0)
            docs.upsert({"id": 0, "body": TEXTS[0], "n": 0})
            docs.compact()
            docs.build_indexes()
        else:
            worker = docs._index_worker
            assert worker is not None
            worker.wait(lambda: docs.stats()["indexes"]["body"]["pending_rows"] == 0)
        for words, before in asked.items():
            found = docs.search(body=words, k=50)
            assert plans_of(found) == ["words"]
            assert (found.ids, found.scores.tobytes()) == (before.ids, before.scores.tobytes())
    with vecdb.connect(path, read_only=True) as database:
        assert plans_of(database.collection("docs").search(body="chess")) == ["words"]
    assert index_files(path) != [file]


def test_how_another_version_made_terms_is_refused() -> None:
    said = Analyzer().to_json()

    assert Analyzer.of(said) == Analyzer()
    for change in ({"analyzer": "words-0"}, {"longest": 4}, {"stems": "0.1"}):
        with pytest.raises(ValueError, match="not known to this version"):
            Analyzer.of(said | change)
    assert Analyzer.of(Analyzer(None).to_json()) == Analyzer(None)


def test_what_was_read_in_memory_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, docs = create(path, rows=200)
    read: list[str | None] = []
    add = TokenReader.add
    monkeypatch.setattr(TokenReader, "add", lambda self, text: (read.append(text), add(self, text))[1])
    with database:
        docs.search(body="chess")
        once = len(read)
        docs.upsert({"id": 999, "body": "one more", "n": 0})
        docs.search(body="chess")
        again = len(read)

        docs.flush()
        docs.search(body="chess")
        docs.build_indexes()
        docs.upsert({"id": 1000, "body": "the last", "n": 0})
        docs.flush()
        docs.search(body="last")
        docs.compact()

        assert (once, again) == (206, 207)
        assert read[207:] == ["the last"]
        assert plans_of(docs.search(body="chess")) == ["words"]


@pytest.mark.parametrize("way", ["search", "search_batch", "search_iter"])
def test_a_text_that_is_not_searched_is_refused_and_says_what_to_do(path: Path, way: str) -> None:
    database, docs = create(path, search=False)
    with database:
        with pytest.raises(InvalidInputError, match=r"not searched by words.*set_index\('body'") as refused:
            getattr(docs, way)(body="chess")
        with pytest.raises(UnknownFieldError, match="did you mean 'body'"):
            docs.search(bodi="chess")

        assert refused.value.field == "body"


@pytest.mark.parametrize("query", [None, 7, b"chess", ["chess"]])
def test_what_is_no_text_is_refused(path: Path, query: Any) -> None:
    database, docs = create(path)
    with database, pytest.raises(InvalidInputError, match="not a text"):
        docs.search(body=query)


def test_phrases_without_positions_are_refused_and_words_are_found(path: Path) -> None:
    database, docs = create(path, search=vecdb.FullText(positions=False))
    with database:
        assert sorted(docs.search(body='"chess"').ids) == [0, 1, 3]
        with pytest.raises(InvalidInputError, match="without positions"):
            docs.search(body='"chess engine"')


LONG = "chess" * 40  # 200 letters, as a hash or a word of genetics may have
LONGER = "engine" * 50


@pytest.mark.parametrize("flushed", [False, True], ids=["in memory", "flushed"])
def test_long_words_are_found_shown_and_stand_in_phrases(path: Path, flushed: bool) -> None:
    database, docs = create(path)
    with database:
        docs.upsert([{"id": 50, "body": f"a {LONG} board"}, {"id": 51, "body": f"{LONGER} {LONG}x"}])
        docs.upsert([{"id": 100 + at, "body": "a board"} for at in range(80)])
        if flushed:
            docs.flush()
            docs.build_indexes()

        assert docs.search(body=LONG).ids == [50]
        assert docs.search(body=LONGER).ids == [51]
        assert docs.search(body=f'"{LONG} board"').ids == [50]
        assert docs.search(body=f'"board {LONG}"').ids == []
        assert set(docs.search(body=f"+board -{LONG}", k=100).ids) == {1, *range(100, 180)}
        assert docs.search(body=f"{LONG[:70]}*").ids == [50, 51]
        assert docs.search(body=f"{LONGER[:290]}*").ids == [51]
        (found,) = docs.search(body=LONG).highlights(300)
        assert str(found["body"]) == f"a **{LONG}** board"
        assert docs.search(body=LONGER).highlights(1000)[0]["body"].spans == ((0, len(LONGER)),)
        where = "body matches '{}'".format
        assert docs.search(body="board", where=where(LONG)).ids == [50]
        assert docs.count(where(f'"{LONG} board"')) == 1
        assert docs.count(where(f"{LONGER[:290]}*")) == 1
        assert docs.count(where(f"board -{LONG}")) == 81


def test_search_is_turned_on_changed_and_off_without_rewriting_rows(path: Path) -> None:
    database, docs = create(path, search=False, rows=100)
    with database:
        docs.flush()
        files = set(path.rglob("*.arrow"))

        docs.set_index("body", True)
        on = docs.search(body="games", k=100)
        docs.build_indexes()
        docs.set_index("body", vecdb.FullText(language=None, stop_words=False))
        plain = docs.search(body="games", k=100)
        the = docs.search(body="the", k=100)
        plans = plans_of(plain)
        docs.build_indexes()
        indexed = docs.search(body="games", k=100)
        docs.set_index("body", vecdb.FullText(language=None, stop_words=False, k1=0))
        flat = docs.search(body="games", k=100)

        assert len(on) > len(plain) > 0
        assert len(the) > 0
        assert (plans, plans_of(indexed), plans_of(flat)) == (["words in memory"], ["words"], ["words"])
        assert (indexed.ids, indexed.scores.tobytes()) == (plain.ids, plain.scores.tobytes())
        assert len(set(flat.scores.tolist())) == 1
        assert files <= set(path.rglob("*.arrow"))

        docs.set_index("body", False)
        assert "body" not in docs.stats()["indexes"]
        with pytest.raises(InvalidInputError, match="not searched"):
            docs.search(body="games")


def test_a_column_that_comes_later_is_searched_and_one_that_was_renamed(path: Path) -> None:
    database, docs = create(path, rows=100)
    with database:
        docs.flush()
        docs.build_indexes()
        docs.add_column("title", vecdb.Text(search=True))
        docs.upsert({"id": 1000, "title": "chess titles", "body": "none", "n": 1})
        docs.rename_column("body", "text")

        assert docs.search(title="title").ids == [1000]
        assert plans_of(docs.search(text="chess"))[0] == "words"
        docs.compact()
        docs.build_indexes()
        assert docs.search(title="title").ids == [1000]
        docs.drop_column("title")
        docs.compact()
        assert docs.search(text="none").ids == [1000]


def test_pages_come_in_the_order_of_one_search_and_a_batch_is_one_by_one(path: Path) -> None:
    database, docs = create(path, rows=300)
    with database:
        docs.flush()
        every = docs.search(body="chess engine", k=1000)

        pages = list(docs.search_iter(body="chess engine", k=7))
        batch = docs.search_batch(body=["chess engine", "board", ""], k=20, where="n > 3")

        assert [key for page in pages for key in page.ids] == every.ids
        assert all(len(page) == 7 for page in pages[:-1])
        assert "**" in str(pages[0].highlights()[0]["body"])
        for question, found in zip(["chess engine", "board", ""], batch, strict=True):
            alone = docs.search(body=question, k=20, where="n > 3")
            assert (found.ids, found.scores.tobytes()) == (alone.ids, alone.scores.tobytes())
        with pytest.raises(InvalidInputError, match="a list of texts"):
            docs.search_batch(body="chess")


def test_vectors_and_words_live_beside_each_other(path: Path) -> None:
    database, docs = create(path, v=vecdb.Vector(2))
    with database:
        docs.upsert({"id": 7, "body": "chess", "n": 1, "v": [1.0, 0.0]})

        assert docs.search(v=[1.0, 0.0]).ids == [7]
        assert docs.search(v=[1.0, 0.0]).highlights() == [{}]
        assert 7 in docs.search(body="chess").ids
        both = docs.search(body="chess", v=[1.0, 0.0], k=1)
        assert (both.ids, set(both[0].arms)) == ([7], {"body", "v"})
        assert both.highlights()[0]["body"].spans == ((0, 5),)


def test_an_index_file_is_dropped_with_its_segment_and_left_out_of_backups(path: Path, tmp_path: Path) -> None:
    database, docs = create(path, rows=100)
    with database:
        docs.flush()
        docs.build_indexes()
        (first,) = index_files(path)
        database.backup(tmp_path / "copy")
        docs.upsert([{"id": 5000 + number, "body": "x", "n": 1} for number in range(100)])
        docs.compact(purge=True)

        assert not first.exists()
        assert len(index_files(path)) == 1
    with vecdb.connect(tmp_path / "copy", settings=SETTINGS) as database:
        copied = database.collection("docs")
        assert len(copied.search(body="chess", k=500)) > 0


def test_memtables_freeze_and_merge_what_they_know(path: Path) -> None:
    rng = np.random.default_rng(8)
    rows: dict[int, dict[str, str | None]] = {}
    database = vecdb.connect(path, settings=SETTINGS)
    schema = vecdb.Schema(id=vecdb.Id("int64"), body=vecdb.Text(search=True))
    docs = database.create_collection("docs", schema)
    with database:
        for start in range(0, 1200, 30):
            batch = {int(key): {"body": sentence(rng)} for key in rng.integers(0, 900, 30)}
            docs.upsert([{"id": key, **row} for key, row in batch.items()])
            rows |= batch
            if start % 90 == 0:
                true = Texts(rows, vecdb.FullText()).scores({"body": 1.0}, "knight pawn")
                agree(docs.search(body="knight pawn", k=9), true, 9)
        (words,) = docs._writable().state.memtables[0].memtable.words.values()
        sizes = [len(piece.inverted) for piece in words._frozen]

        assert len(sizes) <= 8
        assert all(one > two for one, two in pairwise(sizes))
        assert min(sizes) >= memtable_index.FREEZE
