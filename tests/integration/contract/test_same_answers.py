"""Every read gives, over each way, what the embedded collection with the same rows gives: bit for bit."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from support import contract
from support.ways import opened
from vecdb import Query, col, formula
from vecdb.explanation import Explanation
from vecdb.results import SearchResult

ASKED = contract.vector(777)
MATRIX = np.stack([contract.vector(number) for number in (777, 778, 779)])
CODED = np.random.default_rng(5).standard_normal((3, 6))

Q = Query(k=5)
BOTH = Q.near("embedding", ASKED, fetch=20).match("body", "honey bee", fetch=20)

QUERIES: dict[str, Query] = {
    "near": Q.near("embedding", ASKED),
    "near, with everything": Query(k=3, fields=("body", "embedding")).near(
        "embedding", ASKED, recall=0.9, fetch=10, where="size > 50", name="meaning"
    ),
    "near, by ef": Q.near("embedding", ASKED, ef=32),
    "near, exactly": Q.near("embedding", ASKED).exactly(),
    "int8": Q.near("small", [3, -3]),
    "float16": Q.near("half", [1.0, 0.5]),
    "binary": Q.near("bits", [0, 1] * 8),
    "words": Q.match("body", 'honey +bee -wax "queen drone" pol*'),
    "words, boosted": Q.match({"body": 2.0}, "honey"),
    "terms": Q.terms("terms", {1: 1.0, 7: 2.0, 30: 0.5}),
    "tokens": Q.near("tokens", MATRIX),
    "tokens, weighed and filtered": Q.near("tokens", MATRIX, weights=[1, 0, 0.5], where="size > 50", name="late"),
    "tokens, coded": Q.near("coded", CODED),
    "tokens, coded, exactly": Q.near("coded", CODED).exactly(),
    "tokens and words": Q.near("tokens", MATRIX, fetch=20).match("body", "honey", fetch=20),
    "rescored by tokens": Q.match("body", "honey", fetch=30).rescore(
        vecdb.MaxSim("tokens", MATRIX, weights=[1, 2, 3], top=10)
    ),
    "like": Q.like("embedding", ["r01", "r02"], ["r03"], "best"),
    "nested": Q.gather(Query(k=8).near("embedding", ASKED), name="inner").match("body", "hive"),
    "both": BOTH,
    "rrf": BOTH.fuse(vecdb.Rrf(k=10, weights=(1.0, 2.0))),
    "interleave": BOTH.fuse("interleave"),
    "weighted": BOTH.fuse(vecdb.WeightedSum()),
    "auto": BOTH.fuse("auto"),
    "no arm": Q.where("flag = true"),
    "ordered": Q.where("size > 100").order_by("section desc", "size"),
    "least score": Q.near("embedding", ASKED).min_score(0.2),
    "groups": Query(k=2).near("embedding", ASKED, fetch=40).group_by("section", 2),
    "groups of tags": Query(k=3).match("body", "honey").group_by("flag", 2),
    "collapsed": Q.near("embedding", ASKED).collapse("section"),
    "collapsed by vectors": Q.near("embedding", ASKED, fetch=30).collapse("embedding", 0.8),
    "rescored": Q.match("body", "honey", fetch=30).rescore("embedding", ASKED, 20),
    "ranked": Q.near("embedding", ASKED, fetch=30).rank(formula.score + 0.1 * formula.log1p(formula.value("size")), 20),
    "filtered by a tree": Q.near("embedding", ASKED).where(
        ((col("size") >= 40) & col("section").isin(["animals", "food"])) | ~(col("flag") == True)  # noqa: E712
    ),
    "filtered by json": Q.near("embedding", ASKED).where("extra.deep.word = 'hive' or extra.n between 3 and 30"),
    "filtered by a place": Q.near("embedding", ASKED).where("place within 20 km of (50.2, 13.0)"),
    "filtered by words": Q.near("embedding", ASKED).where("body matches 'honey' and note is not null"),
    "filtered by a moment": Q.near("embedding", ASKED).where(col("added") > "2024-01-20"),
    "selected": Q.near("embedding", ASKED).select(),
    "selected, with everything": Q.near("embedding", ASKED)
    .match("body", "honey")
    .select(
        vecdb.Coverage(0.6, "facility_location", sharpness=3, baseline=0.1),
        field="embedding",
        quotas={"section": {"animals": (1, 2), "food": (0, 2)}, "flag": (0, 4), "size": {40: (0, 1)}},
        grid={"added": 9, "price": [1.0, 5.0]},
        fixed=["r40"],
        forbidden=["r03", "r99"],
        distinct=0.99,
        budget=vecdb.Budget(60, "body", "tokens"),
        min_gain=0.01,
        pool=40,
        universe=45,
    ),
    "selected, for some rows": Q.near("embedding", ASKED).select(
        vecdb.Coverage(form="saturated"), universe=["r01", "r02"], budget=vecdb.Budget(400, "size")
    ),
    "selected, by tokens": Q.near("embedding", ASKED).select(vecdb.Coverage(0.6), field="tokens"),
    "selected by mmr": Q.near("embedding", ASKED).select(vecdb.Mmr(0.6)),
    "selected by dpp": Q.match("body", "honey hive").select("dpp", field="half"),
    "selected by dispersion": Q.near("bits", [0, 1] * 8).select(vecdb.Dispersion(0.2)),
    "nothing matches": Q.near("embedding", ASKED).where("size < 0"),
    "all fields": Query(k=3, fields=tuple(contract.schema().fields)).near("embedding", ASKED),
    "no fields": Query(k=3, fields=()).near("embedding", ASKED),
    "some fields": Query(k=3).near("embedding", ASKED).returning("size", "tags"),
    "a stage as a value": Q.near("embedding", ASKED).then(vecdb.MinScore(0.2)),
    "partial": Q.near("embedding", ASKED).partial(),
    "more than there are": Query(k=100).near("embedding", ASKED),
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "search": lambda reads: reads.search(embedding=ASKED),
    "search by a list": lambda reads: reads.search(embedding=ASKED.tolist(), k=3, where="size > 100", fields=["body"]),
    "search by words": lambda reads: reads.search(body="honey hive", k=4),
    "search by tokens": lambda reads: reads.search(tokens=MATRIX, k=4, where="size > 100", fields=["tokens", "coded"]),
    "search by many tokens": lambda reads: reads.search_batch(
        tokens=[MATRIX, MATRIX[:1]], k=4, where=[None, "size > 9"]
    ),
    "search by both": lambda reads: reads.search(
        embedding=ASKED,
        body="honey",
        k=4,
        fusion="interleave",
        fetch=12,
        where=col("flag") == False,  # noqa: E712
    ),
    "search for a set that covers words": lambda reads: reads.search(
        embedding=ASKED, body="brave chess engine", k=4, select=vecdb.Coverage(0.3, "words")
    ),
    "search for a set": lambda reads: reads.search(embedding=ASKED, k=4, select="coverage"),
    "search that ends where relevance ends": lambda reads: reads.search(embedding=ASKED, k=40, cut="zscore"),
    "search with stages": lambda reads: reads.search(
        embedding=ASKED, k=3, min_score=0.0, group_by="section", per_group=2, fetch=30
    ),
    "search in order": lambda reads: reads.search(k=4, order_by="size desc"),
    "search exactly": lambda reads: reads.search(embedding=ASKED, exact=True, allow_partial=True),
    "search with a plan": lambda reads: reads.search(embedding=ASKED, plan="scan"),
    "search with lists": lambda reads: reads.search(embedding=ASKED, probes=4),
    "search, next page": lambda reads: reads.search(
        embedding=ASKED, k=3, after=reads.search(embedding=ASKED, k=3).cursor
    ),
    "search_batch": lambda reads: reads.search_batch(embedding=MATRIX, k=4),
    "search_batch with filters": lambda reads: reads.search_batch(
        embedding=MATRIX,
        k=4,
        where=["size > 100", None, col("size") > 20],
        fields=["size"],
    ),
    "search_batch of words": lambda reads: reads.search_batch(body=["honey", "wax hive"], k=3),
    "search_batch of terms": lambda reads: reads.search_batch(terms=[{1: 1.0}, {7: 2.0}], k=3),
    "search_batch of none": lambda reads: reads.search_batch(embedding=np.empty((0, 4), np.float32)),
    "run_batch": lambda reads: reads.run_batch([QUERIES["near"], QUERIES["both"], QUERIES["groups"]]),
    "search_iter": lambda reads: list(reads.search_iter(embedding=ASKED, k=20)),
    "search_iter of both": lambda reads: list(reads.search_iter(embedding=ASKED, body="honey", k=7)),
    "run_iter": lambda reads: list(reads.run_iter(QUERIES["both"].take(7))),
    "similar_to": lambda reads: reads.similar_to("r05", field="embedding", k=4, fields=["section"]),
    "similar_to several": lambda reads: reads.similar_to(
        ["r05", "r06"], ["r07"], "sum", field="embedding", where="size > 0", exact=True
    ),
    "get": lambda reads: reads.get("r05"),
    "get what is not there": lambda reads: reads.get("nowhere"),
    "get several": lambda reads: reads.get(["r05", "nowhere", "r40"], fields=["size", "embedding", "extra", "terms"]),
    "get an array": lambda reads: reads.get(pa.array(["r01", "r00"]), fields=[]),
    "get none": lambda reads: reads.get([]),
    "count": lambda reads: reads.count(),
    "count some": lambda reads: reads.count("section = 'food' and size >= 100"),
    "count by a tree": lambda reads: reads.count(col("section").is_null()),
    "len": len,
    "facets": lambda reads: reads.facets("section"),
    "facets of several": lambda reads: reads.facets(["section", "tags", "size", "added", "flag", "price"], k=3),
    "facets of ranges": lambda reads: reads.facets({"size": [0, 100, None], "section": None}, where="flag = true"),
    "facets of moments": lambda reads: reads.facets({"added": ["2024-01-01", "2024-01-15", None]}),
    "facets of a query": lambda reads: reads.facets("section", query=QUERIES["both"]),
    "scan": lambda reads: list(reads.scan()),
    "scan some": lambda reads: list(reads.scan("size > 100", ["size", "extra"], 7)),
    "scan in order": lambda reads: list(reads.scan(order_by=["section", "size desc"], batch_rows=10)),
    "scan nothing": lambda reads: list(reads.scan("size < 0")),
    "explain": lambda reads: reads.explain(QUERIES["both"]),
    "explain, analyzed": lambda reads: reads.explain(QUERIES["rescored"], analyze=True),
    "recall": lambda reads: reads.recall(MATRIX, field="embedding", k=5, where="size >= 0").recall,
    "recall of multi-vectors": lambda reads: reads.recall([MATRIX, MATRIX[:1]], field="tokens", k=5).recall,
    "recall of coded ones": lambda reads: reads.recall(field="coded", sample=7, k=5, where="size > 50").queries,
}
CALLS |= {f"run: {name}": lambda reads, query=query: reads.run(query) for name, query in QUERIES.items()}


def told(value: Any) -> Any:
    """Return all that a value says, in a form that can be compared; times and the names of segments left out."""
    if isinstance(value, SearchResult):
        return result_told(value)
    if isinstance(value, Explanation):
        return plain(value.to_json())
    if isinstance(value, vecdb.Facets):
        return repr(value), plain(value.to_list()), [plain(asdict(facet)) for facet in value.facets]
    if isinstance(value, list):
        return [told(one) for one in value]
    return plain(value)


def result_told(result: SearchResult) -> dict[str, Any]:
    """Return everything that a result can be asked."""
    table = result.to_arrow()
    return {
        "ids": result.ids,
        "scores": result.scores.tobytes(),
        "dtype": result.scores.dtype.str,
        "distances": None if result.distances is None else result.distances.tobytes(),
        "schema": (table.schema.names, [str(kind) for kind in table.schema.types]),
        "table": plain(table.to_pylist()),
        "list": plain(result.to_list()),
        "arms": [{name: tuple(arm) for name, arm in hit.arms.items()} for hit in result],
        "groups": None
        if result.groups is None
        else [(group.value, [hit.id for hit in group.hits]) for group in result.groups],
        "selection": result.selection,
        "picks": [hit.pick for hit in result],
        "highlights": [{name: str(found) for name, found in one.items()} for one in result.highlights()],
        "cursor": result.cursor,
        "missing": result.missing,
        "explain": plain(result.explain),
        "repr": repr(result),
        "length": len(result),
    }


def plain(value: Any) -> Any:
    """Return a value without arrays, with the types of its parts; NaN equals NaN, times and segments are left out."""
    if isinstance(value, Mapping):
        left_out = ("ms", "part", "bytes_read")
        return {name: plain(part) for name, part in value.items() if name not in left_out}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, pa.RecordBatch):
        return [(field.name, str(field.type)) for field in value.schema], plain(value.to_pylist())
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return (type(value).__name__, value)


def same(found: Any, expected: Any) -> bool:
    """Compare what values say. A server answers a search as a query, whose explanation has its steps as well."""
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return all(map(same, found, expected))
    if isinstance(found, dict) and isinstance(expected, dict) and "explain" in expected:
        explain = {name: part for name, part in found["explain"].items() if name in expected["explain"]}
        found = {**found, "explain": explain}
    return found == expected


@pytest.mark.parametrize("call", CALLS)
def test_a_collection_answers_like_the_embedded_one(kept: Any, reference: vecdb.Collection, call: str) -> None:
    assert same(told(CALLS[call](kept)), told(CALLS[call](reference)))


@pytest.mark.parametrize("call", CALLS)
def test_a_snapshot_answers_like_the_embedded_one(kept: Any, reference: vecdb.Collection, call: str) -> None:
    with kept.snapshot() as snapshot:
        assert same(told(CALLS[call](snapshot)), told(CALLS[call](reference.snapshot())))


def test_indexed_rows_answer_like_the_embedded_ones(docs: Any, tmp_path: Path) -> None:
    with opened("embedded", tmp_path / "reference") as database:
        reference = database.create_collection("docs", contract.schema())
        contract.fill(reference)
        more = [{"id": f"x{number}", "embedding": contract.vector(number)} for number in range(200, 400)]
        for collection in (docs, reference):
            collection.upsert(more)
            collection.set_index("embedding", vecdb.Hnsw(m=8))
            collection.compact()
            collection.build_indexes()

        assert told(CALLS["search"](docs))["explain"]["parts"][0]["plan"] != ("str", "scan")
        for call in ("search", "search by both", "scan in order", "facets of several", "count some"):
            assert same(told(CALLS[call](docs)), told(CALLS[call](reference)))
