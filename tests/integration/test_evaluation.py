"""An evaluation says of real answers what can be counted by hand; embedded and through a server."""

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import vecdb
from integration.cli.program import environment
from support.ways import served
from vecdb import evaluation
from vecdb.errors import InvalidInputError, MissingExtraError
from vecdb.evaluation import Judgement, Question

SCHEMA = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), size=vecdb.Int64(), v=vecdb.Vector(2, metric="dot"))
ROWS = [
    {"id": "a", "text": "honey bee", "size": 1, "v": [4.0, 0.0]},
    {"id": "b", "text": "honey bear", "size": 2, "v": [3.0, 0.0]},
    {"id": "c", "text": "oak tree", "size": 3, "v": [0.0, 4.0]},
    {"id": "d", "text": "honey pot", "size": 4, "v": [0.0, 3.0]},
]
QUESTIONS = [
    Question("q1", {"v": [1.0, 0.1], "text": "bee"}),
    Question("q2", {"v": [0.1, 1.0], "text": "bear"}),
    Question("q3", {"v": [1.0, 1.0], "text": "pot"}),
]
JUDGED = [Judgement("q1", "a", 1, "1"), Judgement("q1", "d", 1, "2"), Judgement("q2", "b", 1, "1")]
NEAREST = vecdb.Query(k=2).near("v", "$v")
WORDS = vecdb.Query(k=2).match("text", "$text")


@pytest.fixture(params=["embedded", "served"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with one collection, in a folder or behind a server."""
    path = str(tmp_path / "database")
    with vecdb.connect(path) as database:
        database.create_collection("docs", SCHEMA).upsert(ROWS)
    if request.param == "embedded":
        yield path
    else:
        with served(Path(path)) as address:
            yield address


def test_measures_are_those_that_can_be_counted_by_hand(target: str) -> None:
    with vecdb.connect(target, read_only=True) as database:
        docs = database.collection("docs")
        report = evaluation.evaluate(docs, QUESTIONS, {"nearest": NEAREST, "words": WORDS}, JUDGED)

    assert report.questions == ("q1", "q2")
    assert report.unjudged == 1
    nearest, words = report.outcomes
    assert nearest.found == (("a", "b"), ("c", "d"))
    assert words.found == (("a",), ("b",))
    assert nearest.values["recall of exact"] == (1.0, 1.0)
    assert nearest.values["RR@10"] == (1.0, 0.0)
    assert words.values["RR@10"] == (1.0, 1.0)
    assert words.values["R@100"] == (0.5, 1.0)
    assert words.values["nDCG@10"] == pytest.approx((1 / (1 + 1 / math.log2(3)), 1.0))
    assert words.values["StRecall@10"] == (0.5, 1.0)
    recip = next(one for one in report.comparisons if one.measure == "RR@10")
    assert (recip.difference, recip.better, recip.worse, recip.equal) == (0.5, 1, 0, 1)
    assert len(nearest.milliseconds) == 2
    assert min(nearest.milliseconds) > 0


def test_a_filter_of_a_question_holds_in_every_configuration(target: str) -> None:
    question = Question("q1", {"v": [1.0, 0.1]}, where="size >= 2")

    with vecdb.connect(target, read_only=True) as database:
        report = evaluation.evaluate(database.collection("docs"), [question], {"nearest": NEAREST.where("size < 4")})

    assert report.outcomes[0].found == (("b", "c"),)


def test_recall_against_exact_counts_what_a_narrow_search_misses(tmp_path: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(3)
    schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(24, index=vecdb.Hnsw(m=4, ef_construction=8)))
    with vecdb.connect(tmp_path / "database") as database:
        docs = database.create_collection("docs", schema)
        docs.upsert({"id": np.arange(4000), "v": rng.standard_normal((4000, 24)).astype(np.float32)})
        docs.flush()
        docs.build_indexes()
        asked = [Question(str(at), {"v": one}) for at, one in enumerate(rng.standard_normal((20, 24)).tolist())]
        narrow = vecdb.Query(k=10).near("v", "$v", ef=10, plan="graph")
        report = evaluation.evaluate(docs, asked, {"narrow": narrow, "exact": narrow.exactly()})
        true = [set(docs.search(v=one.values["v"], k=10, exact=True).ids) for one in asked]

    shares = [
        len({int(row) for row in mine} & all_) / 10 for mine, all_ in zip(report.outcomes[0].found, true, strict=True)
    ]
    assert report.outcomes[0].values["recall of exact"] == pytest.approx(shares)
    assert report.outcomes[0].mean("recall of exact") < report.outcomes[1].mean("recall of exact") == 1.0


@pytest.mark.parametrize(
    ("configuration", "measures", "told"),
    [
        (vecdb.Query().near("v", [1.0, 0.0]), None, "asks the same for every question"),
        (vecdb.Query().near("v", "$w"), None, "question 'q1' has no 'w'"),
        ({"k": 2, "arms": [{"kind": "near", "field": "v"}], "filter": "$v"}, None, "lacks 'vector'"),
        ("{", None, "is not JSON"),
        (NEAREST, ["foo@10"], "'foo@10' is no measure"),
    ],
)
def test_what_cannot_be_asked_is_refused(configuration: Any, measures: Any, told: str, tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "database") as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(ROWS)

        with pytest.raises(InvalidInputError, match=told):
            evaluation.evaluate(docs, QUESTIONS, {"one": configuration}, JUDGED, measures)


def test_subtopic_measures_need_subtopics_and_all_need_judgements(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "database") as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(ROWS)
        with pytest.raises(InvalidInputError, match="needs judgements of subtopics"):
            evaluation.evaluate(docs, QUESTIONS, {"one": NEAREST}, [Judgement("q1", "a")], ["alpha_nDCG@10"])
        with pytest.raises(InvalidInputError, match="'nDCG@10' needs judgements"):
            evaluation.evaluate(docs, QUESTIONS, {"one": NEAREST}, measures=["nDCG@10"])
        with pytest.raises(InvalidInputError, match="are their ids the same"):
            evaluation.evaluate(docs, QUESTIONS, {"one": NEAREST}, [Judgement("other", "a")])


def test_a_library_that_is_missing_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ir_measures", "plotly", "plotly.graph_objects", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, None)
    with vecdb.connect(tmp_path / "database") as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(ROWS)
        with pytest.raises(MissingExtraError, match=r"judged measure needs ir_measures, and the extra 'evaluate'"):
            evaluation.evaluate(docs, QUESTIONS, {"one": NEAREST}, JUDGED)
        with pytest.raises(MissingExtraError, match="paired test needs scipy"):
            evaluation.evaluate(docs, QUESTIONS, {"one": NEAREST, "two": WORDS})
        report = evaluation.evaluate(docs, QUESTIONS, {"one": NEAREST})
    with pytest.raises(MissingExtraError, match="page with plots needs plotly"):
        evaluation.write_page(report, tmp_path / "page.html")


def test_the_page_is_whole_without_a_network_and_shows_texts_as_they_are(tmp_path: Path) -> None:
    asked = [Question("q1", {"text": "bee <script>alert(1)</script>"}), *QUESTIONS[1:]]
    with vecdb.connect(tmp_path / "database") as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(ROWS)
        report = evaluation.evaluate(docs, asked, {"a": WORDS, "b": WORDS.take(1)}, JUDGED)
    evaluation.write_page(report, tmp_path / "page.html")

    page = (tmp_path / "page.html").read_text("utf-8")
    assert "nDCG@10" in page
    assert "Plotly" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert re.search(r"<(script|link)[^>]+(src|href)=", page) is None


def test_the_program_measures_and_compares(target: str, tmp_path: Path) -> None:
    questions = "".join(orjson.dumps({"id": q.id, **q.values}).decode() + "\n" for q in QUESTIONS)
    (tmp_path / "questions.jsonl").write_text(questions)
    (tmp_path / "qrels.txt").write_text("".join(f"{j.question} {j.subtopic} {j.document} 1\n" for j in JUDGED))
    for name, query in (("nearest", NEAREST), ("words", WORDS)):
        (tmp_path / f"{name}.json").write_bytes(orjson.dumps(query.to_json()))
    line = ["eval", target, "docs", "--queries", "questions.jsonl", "--judgements", "qrels.txt"]
    line += ["--config", "nearest.json", "--config", "words.json", "--report", "report.html"]

    def run(*more: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "vecdb_client.cli", *line, *more]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=False)

    table, json = run(), run("--output", "json", "--test", "t")

    assert table.returncode == 0, table.stderr
    assert b"RR@10" in table.stdout
    assert b"+0.5000" in table.stdout
    assert b"1 questions have no judgement" in table.stderr
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
    told = orjson.loads(json.stdout)
    assert told["outcomes"][1]["means"]["RR@10"] == 1.0
    assert told["comparisons"][0]["test"] == "t"
