"""What `explain` expects of arms of words and of terms, against counts by hand."""

from collections.abc import Iterator

import pytest

import vecdb
from vecdb import Collection, Query

ROWS = 600
WORDS = {"often": 2, "seldom": 5, "rarely": 50}
"""A text has a word if its number can be divided by that of the word."""


@pytest.fixture(scope="module")
def docs() -> Iterator[Collection]:
    schema = vecdb.Schema(id=vecdb.Id("int64"), body=vecdb.Text(search=True), terms=vecdb.Sparse(), size=vecdb.Int64())
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", schema)
        docs.upsert([_row(at) for at in range(ROWS)])
        docs.compact()
        docs.build_indexes()
        yield docs


def _row(at: int) -> dict[str, object]:
    words = [word for word, every in WORDS.items() if at % every == 0]
    return {
        "id": at,
        "body": " ".join(["all", *words]),
        "terms": {every: 1.0 for every in WORDS.values() if at % every == 0},
        "size": at,
    }


def _part(docs: Collection, query: Query, analyze: bool = False) -> dict[str, int]:
    (part,) = docs.explain(query, analyze).to_json()["steps"][0]["parts"]
    return {name: part[name] for name in ("matching", "matches", "postings", "blocks")}


@pytest.mark.parametrize("analyze", [False, True])
@pytest.mark.parametrize(("word", "every"), WORDS.items())
def test_one_word_is_expected_in_the_rows_that_have_it(docs: Collection, word: str, every: int, analyze: bool) -> None:
    count = ROWS // every

    by_words = _part(docs, Query(k=ROWS).match("body", word), analyze)
    by_terms = _part(docs, Query(k=ROWS).terms("terms", {every: 1.0}), analyze)

    assert len(docs.search(body=word, k=ROWS)) == count
    for told in (by_words, by_terms):
        assert (told["matching"], told["matches"], told["postings"]) == (ROWS, count, count)
        assert -(-count // 128) <= told["blocks"] <= -(-count // 128) + 1


def test_several_words_are_expected_as_if_they_did_not_care_for_each_other(docs: Collection) -> None:
    told = _part(docs, Query(k=ROWS).match("body", "often seldom").where("size < 300"))

    assert told["matching"] == 300
    assert told["matches"] == round(300 * (1 - (1 - 1 / 2) * (1 - 1 / 5)))
    assert told["postings"] == ROWS // 2 + ROWS // 5


def test_where_a_word_must_be_there_the_rows_are_counted(docs: Collection) -> None:
    query = Query(k=ROWS).match("body", "+often -seldom")

    told = _part(docs, query)

    assert told["matches"] == told["matching"] == len(docs.run(query)) == ROWS // 2 - ROWS // 10


def test_a_word_that_no_row_has_is_looked_for_nowhere(docs: Collection) -> None:
    explained = docs.explain(Query(k=5).match("body", "never"))

    assert [step.rows_out for step in explained.steps] == [0]
    assert explained.to_json()["steps"][0]["parts"][0]["plan"] == "skip"


def test_exact_arms_of_terms_expect_to_look_at_every_row(docs: Collection) -> None:
    told = _part(docs, Query(k=ROWS).terms("terms", {2: 1.0}).where("size < 100").exactly())

    assert told == {"matching": 100, "matches": 100, "postings": 0, "blocks": 0}


def test_estimates_of_nested_queries_stand_beside_what_was_done(docs: Collection) -> None:
    query = Query(k=5).gather(Query(k=50).match("body", "often").terms("terms", {5: 1.0}), name="both")

    (outer,) = docs.explain(query, analyze=True).steps

    words, terms, fused = outer.steps
    assert [step.told["parts"][0]["matches"] for step in (words, terms)] == [ROWS // 2, ROWS // 5]
    assert fused.rows_out <= 100
