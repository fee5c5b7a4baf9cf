"""Questions and judgements are read from the files that users have."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.evaluation import Judgement, Question, read_judgements, read_questions

JUDGED = [Judgement("q1", "d1", 2), Judgement("q1", "d2", 0), Judgement("q2", "d1", 1)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("qrels", "q1 0 d1 2\nq1 0 d2 0\n\nq2 Q0 d1 1\n"),
        ("qrels.txt", "q1\t0\td1\t2\nq1\t0\td2\t0\nq2\t0\td1\t1\n"),
        ("beir.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n"),
        ("headless.tsv", "q1\td1\t2\nq1\td2\t0\nq2\td1\t1\n"),
        ("some.csv", "qid,did,rel\nq1,d1,2.0\nq1,d2,0\nq2,d1,1\n"),
        (
            "some.jsonl",
            '{"query_id":"q1","doc_id":"d1","relevance":2}\n{"query_id":"q1","doc_id":"d2","relevance":0}\n'
            '{"query_id":"q2","doc_id":"d1"}\n',
        ),
    ],
)
def test_judgements_are_the_same_in_every_form(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)

    assert read_judgements(tmp_path / name) == JUDGED


def test_subtopics_are_the_second_column_of_trec_and_a_column_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 2 d1 1\n")
    pq.write_table(pa.table({"qid": ["q1"], "did": ["d1"], "rel": [1], "aspect": ["2"]}), tmp_path / "q.parquet")

    assert read_judgements(tmp_path / "qrels") == [Judgement("q1", "d1", 1, "2")]
    assert read_judgements(tmp_path / "q.parquet") == [Judgement("q1", "d1", 1, "2")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("qrels", "q1 0 d1\n", "line 1: expected `query subtopic document relevance`"),
        ("qrels", "", "holds no judgements"),
        ("qrels", "q1 0 d1 good\n", "'good' is no whole number"),
        ("a.csv", "qid,rel\nq1,1\n", "has no column of documents"),
        ("a.csv", "qid,did,rel\nq1,d1\n", "row 0 has 2 cells, expected 3"),
        ("a.jsonl", "[1]\n", "every line is to be a JSON object"),
        ("a.jsonl", "{\n", "cannot read"),
    ],
)
def test_judgements_that_cannot_be_read_are_named(name: str, content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises(InvalidInputError, match=told):
        read_judgements(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.jsonl", '{"id":1,"text":"bees","v":[1,2],"where":"size > 1"}\n'),
        ("q.csv", 'id,text,v,where\n1,bees,"[1, 2]",size > 1\n'),
    ],
)
def test_questions_have_values_and_a_filter(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)

    assert read_questions(tmp_path / name) == [Question("1", {"text": "bees", "v": [1, 2]}, "size > 1")]


def test_a_tsv_without_a_header_is_id_and_text(tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("7\twhat do bees eat\n")

    assert read_questions(tmp_path / "topics.tsv") == [Question("7", {"text": "what do bees eat"})]


def test_questions_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("1\ta\n1\tb\n")

    with pytest.raises(InvalidInputError, match="two questions with the id '1'"):
        read_questions(tmp_path / "q.tsv")
    with pytest.raises(NotFoundError, match="no such file"):
        read_questions(tmp_path / "none.tsv")
    (tmp_path / "q.xml").write_text("<topic/>")
    with pytest.raises(InvalidInputError, match="cannot tell the format"):
        read_questions(tmp_path / "q.xml")
