"""Cutting answers where they stop being relevant, and scoring in steps, however the rows are spread."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import vecdb
from support.queried import RECORDS, ROWS, A, B, ranking, score, stored
from support.spread import WAYS
from vecdb import Collection, Query, Relevance, Rescore
from vecdb.errors import InvalidInputError, NotFoundError, SpaceMismatchError
from vecdb.planner.depth import first
from vecdb.planner.evidence import FIRST, FORM, SECOND, Evidence, gathered, judged_arm
from vecdb.planner.gather import NOT_READY, Context
from vecdb.planner.run import staged
from vecdb_index.relevance.calibrator import auc

NEAR = Query(k=ROWS).near("a", A, fetch=ROWS)


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from stored(tmp_path_factory.mktemp("relevance"), request.param)


def told(docs: Collection, query: Query) -> dict:
    return docs.run(query).explain["steps"][-1]


def scores(names: list[str]) -> np.ndarray:
    return np.array([score(RECORDS[name], "a", A) for name in names], np.float64)


def test_zscore_is_the_normal_tail_over_all_rows(docs: Collection):
    names = [name for _, name in ranking("a", A)]
    everything = scores(names)

    found = docs.run(NEAR.cut("zscore", expect_false=20))

    chances = stats.norm.sf(everything, everything.mean(), everything.std(ddof=1))
    assert found.ids == [name for name, chance in zip(names, chances, strict=True) if chance * ROWS <= 20]
    assert 0 < len(found) < ROWS


def test_a_narrow_filter_has_a_sample_of_its_own(docs: Collection):
    where = "size < 60"
    passing = [name for name, record in RECORDS.items() if record["size"] is not None and record["size"] < 60]
    names = [name for _, name in ranking("a", A, passing)]
    everything = scores(names)

    step = told(docs, NEAR.where(where).cut("zscore"))

    assert (step["matching"], step["sample"], step["sampled"]) == (len(names), len(names), "rows that pass the filter")
    bar = stats.norm.isf(1 / len(names), everything.mean(), everything.std(ddof=1))
    assert step["bar"] == pytest.approx(bar, abs=1e-6)


def test_where_few_rows_pass_the_sample_is_of_all_rows(docs: Collection):
    step = told(docs, NEAR.where("section = 's3'").cut("evt"))

    assert step["sample"] == ROWS
    assert step["sampled"] == "all rows"
    assert step["matching"] == sum(record["section"] == "s3" for record in RECORDS.values())


@pytest.mark.parametrize("method", ["zscore", "evt", "higher_criticism", "gap"])
def test_a_cut_keeps_the_best_in_their_order(docs: Collection, method: str):
    found, everything = docs.run(NEAR.cut(method)), docs.run(NEAR)  # pyright: ignore[reportArgumentType]

    assert found.ids == everything.ids[: len(found)]


def test_an_answer_without_anything_relevant_is_empty_and_says_why(docs: Collection):
    query = NEAR.cut("evt", expect_false=1e-9)

    step = told(docs, query)

    assert docs.run(query).ids == []
    assert step["best"] < step["bar"]
    assert step["why"].endswith("so none is relevant")
    assert "so none is relevant" in str(docs.explain(query, analyze=True))


def test_at_least_so_many_are_kept_whatever_they_score(docs: Collection):
    assert docs.run(NEAR.cut("evt", expect_false=1e-9, at_least=3)).ids == docs.run(NEAR).ids[:3]


def test_the_gap_is_the_largest_between_neighbours(docs: Collection):
    values = docs.run(NEAR).scores.astype(np.float64)

    found = docs.run(NEAR.cut("gap", skip=2, extra=1))

    half = (ROWS + 1) // 2
    assert len(found) == 2 + int(np.argmax((values[:-1] - values[1:])[2:half])) + 1 + 1


def test_several_arms_are_judged_by_one_of_them(docs: Collection):
    both = Query(k=ROWS).near("a", A, fetch=30).near("b", B, fetch=30, name="other")

    first, second = told(docs, both.cut("zscore")), told(docs, both.cut("zscore", arm="other"))

    assert first["arm"] == "a"
    assert second["arm"] == "other"
    assert first["best"] == pytest.approx(max(score(RECORDS[name], "a", A) or 0.0 for name in RECORDS), abs=1e-6)


def test_the_sample_of_many_rows_is_some_of_them_and_always_the_same(docs: Collection):
    steps = [told(docs, NEAR.cut("evt", sample=100)) for _ in range(2)]

    assert steps[0]["sample"] == 100
    assert steps[0]["bar"] == steps[1]["bar"]


def test_the_sample_does_not_depend_on_how_rows_are_spread(tmp_path: Path):
    bars = []
    for way in WAYS:
        for made in stored(tmp_path / way.replace(" ", "-"), way):
            bars.append(told(made, NEAR.cut("evt", sample=100))["bar"])

    assert len(set(bars)) == 1


def test_too_few_rows_leave_the_answer_as_it_is(tmp_path: Path):
    with vecdb.connect(tmp_path / "few", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("few", vecdb.Schema(id=vecdb.Id(), a=vecdb.Vector(2)))
        docs.upsert([{"id": f"{at}", "a": [1.0, at]} for at in range(20)])

        step = told(docs, Query(k=20).near("a", [1.0, 0.0]).cut("evt"))

    assert step["rows_out"] == 20
    assert step["why"].startswith("only 20 rows have a vector")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query().where("size > 1").cut("evt"), "needs an arm that looks for a vector"),
        (NEAR.cut("adapter", arm="b"), "which the query does not have"),
        (NEAR.cut("adapter", calibrator="none"), "no calibrator 'none'"),
    ],
)
def test_what_cannot_be_judged_is_refused(docs: Collection, query: Query, message: str):
    with pytest.raises((InvalidInputError, NotFoundError), match=message):
        docs.run(query)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"method": "best"}, "no method 'best'"),
        ({"expect_false": 0}, "expect_false is 0"),
        ({"threshold": 1.5}, "a chance between 0 and 1"),
        ({"method": "gap", "threshold": 0.5}, "gap has no threshold"),
        ({"recall": 0.3}, "expected 0.5 to 0.99"),
        ({"arm": ""}, "expected a name"),
        ({"sample": 10}, "sample is 10"),
        ({"at_least": -1}, "at_least is -1"),
    ],
)
def test_relevance_refuses_wrong_attributes(attributes: dict, message: str):
    with pytest.raises(InvalidInputError, match=message):
        Relevance(**attributes)


# -- calibrators -------------------------------------------------------------------------------------------------------

TOPICS, PER_TOPIC = 60, 6
SCHEMA = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(24, space=vecdb.Space("m", 24)))


def topics() -> tuple[list[dict], list[tuple[Query, list[str]]]]:
    """Return rows about topics, each with its own word, and queries about topics, of which half have no rows."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((2 * TOPICS, 24))
    rows = [
        {
            "id": f"t{topic}-{at}",
            "text": f"word{topic} common filler{at}",
            "v": centres[topic] + 0.5 * rng.standard_normal(24),
        }
        for topic in range(TOPICS)
        for at in range(PER_TOPIC)
    ]
    judged = [
        (
            Query(k=20).near("v", centres[topic] + 1.1 * rng.standard_normal(24)).match("text", f"word{topic} common"),
            [f"t{topic}-{at}" for at in range(PER_TOPIC)] if topic < TOPICS else [],
        )
        for topic in range(2 * TOPICS)
    ]
    return rows, judged


def test_a_calibrator_is_kept_with_the_collection_and_bound_to_its_arms_and_space(tmp_path: Path):
    rows, judged = topics()
    settings = vecdb.Settings(background=False)
    with vecdb.connect(tmp_path / "kept", settings=settings) as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(rows)
        report = docs.calibrate(judged[::2], "mine")
        before = docs.run(judged[1][0].cut("adapter", calibrator="mine"))

    assert report is not None
    assert report.queries == TOPICS
    assert report.auc > report.auc_raw
    assert report.kept < report.kept_raw
    with vecdb.connect(tmp_path / "kept", settings=settings) as database:
        docs = database.collection("docs")
        answered = [docs.run(query.cut("adapter", calibrator="mine", threshold=0.5)) for query, _ in judged[1::2]]
        again = docs.run(judged[1][0].cut("adapter", calibrator="mine"))
        told = [bool(len(one)) == bool(ids) for one, (_, ids) in zip(answered, judged[1::2], strict=True)]
        assert np.mean(told) > 0.9
        assert again.ids == before.ids
        with pytest.raises(InvalidInputError, match="was made for queries with near and match"):
            docs.run(Query().near("v", np.ones(24)).cut("adapter", calibrator="mine"))
        docs.rename_column("v", "renamed")
        near, match = judged[1][0].arms
        assert isinstance(near, vecdb.Near)
        assert not isinstance(near.vector, str)
        assert isinstance(match, vecdb.Match)
        renamed = Query(k=20).near("renamed", near.vector.array).match("text", match.text)
        assert docs.run(renamed.cut("adapter", calibrator="mine")).ids == before.ids
        assert docs.calibrate(name="mine", reset=True) is None
        with pytest.raises(NotFoundError, match="no calibrator 'mine'"):
            docs.run(renamed.cut("adapter", calibrator="mine"))


def evidence_of(docs: Collection, query: Query, form: int) -> Evidence:
    with docs.snapshot() as now:
        bound = now._bound_query(query)
        context = Context(now._state, None, False, NOT_READY)
        candidates = staged(context, bound, first(bound)).candidates
        judged = judged_arm(bound.arms, None)
        assert judged is not None
        return gathered(context, bound.arms, judged, candidates, form)


def test_evidence_tells_which_words_hits_have_and_what_their_vectors_leave_of_the_query(tmp_path: Path):
    rows = [
        {"id": "both", "text": "bee honey", "v": [1, 0, 0, 0]},
        {"id": "bee", "text": "bee hive bee", "v": [1, 1, 0, 0]},
        {"id": "none", "text": "something else", "v": [0, 1, 0, 0]},
    ]
    idf = {count: np.log(1 + (3 - count + 0.5) / (count + 0.5)) for count in range(3)}
    with vecdb.connect(tmp_path / "words", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection(
            "docs", vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(4))
        )
        docs.upsert(rows)

        query = Query(k=3).near("v", [4.0, 0, 3.0, 0]).match("text", "bee honey the zebra bee")
        found, second, of_scores = (evidence_of(docs, query, form) for form in (FORM, SECOND, FIRST))

    whole = idf[2] + idf[1] + idf[0]  # bee, honey, zebra; "the" is not searched
    shares = [(idf[2] + idf[1]) / whole, idf[2] / whole, 0.0]
    np.testing.assert_allclose(found.scores[:, 2], shares, rtol=1e-6)
    np.testing.assert_allclose(found.context[-4:], [idf[0] / whole, shares[0], shares[0], 0.6], rtol=1e-6)
    # The three best leave a length of 0.6; "none" has nothing of what "both", the best one, leaves, and "bee" neither.
    np.testing.assert_allclose(found.about, [-0.6, 0.0, -idf[0] / whole, shares[0]], atol=1e-6)
    # What was learned by an older vecdb is asked with what that knew.
    np.testing.assert_array_equal(second.scores, found.scores)
    np.testing.assert_array_equal(second.context, found.context)
    np.testing.assert_array_equal(second.about, found.context)
    np.testing.assert_array_equal(of_scores.scores, found.scores[:, [0, 1, 3]])
    np.testing.assert_array_equal(of_scores.context, found.context[:4])


def test_evidence_tells_what_few_hits_have_of_a_query_together(tmp_path: Path):
    texts = {"first": "bee", "second": "honey", "third": "hive", "fourth": "wax"}
    turned = {"first": [1, 0, 0, 0, 0], "second": [1, 1, 0, 0, 0], "third": [0, 0, 1, 0, 0], "fourth": [0, 0, 0, 1, 0]}
    with vecdb.connect(tmp_path / "few", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection(
            "docs", vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(5))
        )
        docs.upsert([{"id": one, "text": text, "v": turned[one]} for one, text in texts.items()])
        query = Query(k=4).near("v", [8.0, 4, 3, 2, 1]).match("text", "bee honey hive wax")
        left, complement, unknown, few = evidence_of(docs, query, FORM).about
        alone = (
            Query(k=1).near("v", [8.0, 4, 3, 2, 1], where="id = 'third'").match("text", "hive", where="id = 'third'")
        )
        single = evidence_of(docs, alone, FORM).about

    length = np.sqrt(8**2 + 4**2 + 3**2 + 2**2 + 1)
    assert left == pytest.approx(-np.sqrt(2**2 + 1) / length)
    rest = np.array([2.0, -2, 3, 2, 1])  # "second" is best, and leaves this; each other one has a part of it
    assert complement == pytest.approx(3 / np.linalg.norm(rest))
    assert unknown == 0
    assert few == pytest.approx(3 / 4)  # of four words that are equally rare
    np.testing.assert_allclose(single, [-np.sqrt(1 - (3 / length) ** 2), 0, 0, 1], rtol=1e-6)


def test_a_cut_by_a_calibrator_tells_the_chance_of_an_answer(tmp_path: Path):
    rows, judged = topics()
    with vecdb.connect(tmp_path / "chance", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(rows)
        docs.calibrate(judged[::2])
        chances = [told(docs, query.cut("adapter"))["answer"] for query, _ in judged[1::2]]
        docs.calibrate(judged[:TOPICS:2], "answered")

        assert auc(np.array(chances[: TOPICS // 2]), np.array(chances[TOPICS // 2 :])) > 0.95
        assert "answer" not in told(docs, judged[0][0].cut("adapter", calibrator="answered"))


def test_a_calibrator_of_another_space_is_refused(tmp_path: Path):
    rows, judged = topics()
    plain = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), v=vecdb.Vector(24))
    with vecdb.connect(tmp_path / "space", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", plain)
        docs.upsert(rows)
        docs.calibrate(judged)
        docs.set_encoder("v", vecdb.Encoder(lambda texts: np.ones((len(texts), 24)), "m"))

        with pytest.raises(SpaceMismatchError, match="was made for vectors of another space"):
            docs.run(judged[0][0].cut("adapter"))


def test_calibrate_refuses_what_teaches_nothing(tmp_path: Path):
    rows, judged = topics()
    with vecdb.connect(tmp_path / "little", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", SCHEMA)
        docs.upsert(rows)
        for given, message in (
            ([], "too few"),
            ([(Query().match("text", "common"), [])], "no arm that looks for a vector"),
            ([judged[0], (Query().near("v", np.ones(24)), [])], "other arms than the first"),
            ([(judged[0][0].cut("gap"), [])], "cuts its answer already"),
            ([judged[0][0]], "expected a vecdb.Query and ids"),
        ):
            with pytest.raises(InvalidInputError, match=message):
                docs.calibrate(given)  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidInputError, match="cannot name a calibrator"):
            docs.calibrate(judged, "a b")


# -- cascades ----------------------------------------------------------------------------------------------------------


def test_a_cascade_finds_what_its_last_step_finds(docs: Collection):
    coarse = np.round(A, 1)
    steps = Rescore("a", coarse), Rescore("a", A)
    query = Query(k=10).near("b", B, fetch=ROWS)

    found = docs.run(query.cascade(*steps, keep=10))

    assert found.to_list() == docs.run(query.cascade(*steps, keep=10, exact=True)).to_list()
    assert found.ids == docs.run(query.rescore("a", A)).ids
    assert found.distances is not None


def test_a_cascade_asks_its_last_step_about_few(docs: Collection):
    query = Query(k=5).near("b", B, fetch=ROWS).cascade(Rescore("a", A * 0.99), Rescore("a", A), keep=5)

    step = told(docs, query)

    assert step["asked"][-1]["scored"] <= 20
    assert step["why"] == f"rescore scored {step['asked'][-1]['scored']} of {step['rows_in']}"


def test_the_steps_of_a_cascade_may_be_functions(docs: Collection):
    asked: list[str] = []

    def size(records: list[dict]) -> list[float]:
        asked.extend(record["id"] for record in records)
        return [float(record["size"] or 0) for record in records]

    query = Query(k=3).near("a", A, fetch=100)
    cascade = vecdb.Cascade((vecdb.Rank(vecdb.formula.value("size", 0)), vecdb.Scorer(size, ("size",))), keep=3)

    found = docs.run(query.then(cascade))

    best = [name for _, name in ranking("a", A)][:100]
    assert found.ids == sorted(best, key=lambda name: (-(RECORDS[name]["size"] or 0), name))[:3]
    assert len(asked) == len(set(asked)) < 60
    assert not cascade.portable


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        ((), {}, "a cascade has 0 steps"),
        ((vecdb.MinScore(1),), {}, "is no step of a cascade"),
        ((Rescore("a", A),), {"keep": 0}, "keep is 0"),
        ((Rescore("a", A),), {"margin": -1}, "margin is -1"),
    ],
)
def test_a_cascade_refuses_wrong_attributes(steps: tuple, options: dict, message: str):
    with pytest.raises(InvalidInputError, match=message):
        vecdb.Cascade(steps, **options)
