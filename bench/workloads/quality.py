"""How good the answers are on sets with judged answers: by vectors, by words, and by both under each fusion.

Every set of documents is one collection; every figure comes from `Collection.search`, exact for vectors, and is worked
out by ir-measures: `SET METHOD nDCG@10` (linear gains), R@10, R@100, and alpha_nDCG@10 where senses are judged (which
then stands for the set in the means). Queries whose answers are all filtered away count as 0, as in the reference.

`SET METHOD off` is nDCG@10 less the reference score of the set's own README, which another implementation measured
(numpy for vectors, bm25s for words, RRF of the first 1000 of both). It knows no phrases or signs; so those that mean
something to vecdb are taken out of the questions, except for `words as typed`. `mean METHOD` is over the sets;
`FUSION least over the better arm` is the smallest difference over the sets to the better of vectors and words there,
`FUSION least over rrf` the smallest to RRF. `SET METHOD p50_ms` is the median of one call for 10 rows, over the first
200 questions.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench import labelled
from bench.context import Context, Parameter
from bench.labelled import Labelled, Question
from bench.records import Ratio
from bench.workloads import Metrics

SYSTEMS = ("vecdb",)
REPEATS = 1
FULL: Mapping[str, Parameter] = {
    "sets": "scifact-test,scifact-train,hotpot,2wiki,limit_small,debian12k,debian12k-section,debian12k-section-kb,"
    "wordnet24k",
    "fusions": "rrf,interleave,weighted,auto",
    "k": 100,
    "questions": 0,
}
QUICK: Mapping[str, Parameter] = {"sets": "known:300x16"}
HEADLINES = ("mean dense", "mean words", "mean rrf", "mean auto")

DENSE, WORDS, TYPED = "dense", "words", "words as typed"
_SIGNS = re.compile(r'["*]|(?:^|(?<=\s))[+-]+')
_SCORE, _DIVERSE = "nDCG@10", "alpha_nDCG@10"
_TIMED = 10  # rows that a timed call asks for
_TIMED_QUESTIONS = 200
REFERENCE: Mapping[str, tuple[float, float, float]] = {
    "scifact-test": (0.6536, 0.6791, 0.7194),
    "scifact-train": (0.6582, 0.6960, 0.7137),
    "hotpot": (0.7848, 0.7927, 0.8153),
    "2wiki": (0.6595, 0.7120, 0.7133),
    "limit_small": (0.3112, 0.9921, 0.7025),
    "debian12k": (0.6191, 0.7557, 0.7136),
    "debian12k-section": (0.7156, 0.8134, 0.7836),
    "debian12k-section-kb": (0.7641, 0.8415, 0.8132),
}
"""nDCG@10 of vectors, words and RRF."""

Call = Callable[[Question, int], Any]


def prepare(context: Context) -> None:
    """Nothing is shared: the sets are read where they lie."""


def setup(context: Context) -> None:
    """Make one collection of every set of documents."""
    import vecdb

    context.home.mkdir(parents=True)
    for folder in dict.fromkeys(map(labelled.folder_of, context.words("sets"))):
        name = next(each for each in context.words("sets") if labelled.folder_of(each) == folder)
        found = labelled.load(name, context.data)
        schema = vecdb.Schema(
            id=vecdb.Id(),
            text=vecdb.Text(search=True),
            section=vecdb.Keyword(),
            installed_kb=vecdb.Int64(),
            embedding=vecdb.Vector(found.dimension),
        )
        with vecdb.connect(context.home / _file_name(folder)) as database:
            documents = database.create_collection("documents", schema)
            documents.upsert(found.rows)
            documents.flush()
            documents.build_indexes()


def run(context: Context) -> Metrics:
    import vecdb

    metrics: Metrics = {}
    scores: dict[str, dict[str, float]] = {}
    for name in context.words("sets"):
        found = labelled.load(name, context.data, context.integer("questions"))
        with vecdb.connect(context.home / _file_name(labelled.folder_of(name)), create=False) as database:
            documents = database.collection("documents")
            for method, call in _methods(documents, context.words("fusions")).items():
                measured = _measured(found, call, context.integer("k"))
                metrics |= {f"{name} {method} {measure}": value for measure, value in measured.items()}
                scores.setdefault(name, {})[method] = measured.get(_DIVERSE, measured[_SCORE])
        for method, reference in zip((DENSE, WORDS, "rrf"), REFERENCE.get(name, ()), strict=False):
            if method in scores[name] and not context.integer("questions"):
                metrics[f"{name} {method} off"] = scores[name][method] - reference
    return metrics | _over_sets(scores)


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    others = [DENSE, WORDS, *(name for name in str(parameters["fusions"]).split(",") if name and name != "auto")]
    return [Ratio(f"mean: auto / {other}", ("vecdb", "mean auto"), ("vecdb", f"mean {other}")) for other in others]


def _methods(documents: Any, fusions: list[str]) -> dict[str, Call]:
    """Return method -> call(question, k)."""

    def dense(asked: Question, k: int) -> Any:
        return documents.search(embedding=asked.vector, k=k, where=asked.where, exact=True, fields=[])

    def words(asked: Question, k: int) -> Any:
        return documents.search(text=plain(asked.text), k=k, where=asked.where, fields=[])

    def typed(asked: Question, k: int) -> Any:
        return documents.search(text=asked.text, k=k, where=asked.where, fields=[])

    def fused(fusion: str) -> Call:
        return lambda asked, k: documents.search(
            embedding=asked.vector,
            text=plain(asked.text),
            k=k,
            where=asked.where,
            fusion=fusion,
            exact=True,
            fields=[],
        )

    return {DENSE: dense, WORDS: words, TYPED: typed, **{fusion: fused(fusion) for fusion in fusions}}


def plain(text: str) -> str:
    """Return a question without what vecdb reads as phrases, prefixes, and words that must or must not be there."""
    return _SIGNS.sub(" ", text)


def _measured(found: Labelled, call: Call, k: int) -> dict[str, float]:
    import ir_measures
    from ir_measures import R, alpha_nDCG, nDCG

    wanted = [nDCG @ 10, R @ 10, R @ 100, *([alpha_nDCG(alpha=0.5) @ 10] if found.has_aspects else [])]
    judged = [
        ir_measures.Qrel(one.question, one.document, one.relevance, one.aspect or "0") for one in found.judgements
    ]
    answers, seconds = [], []
    for number, asked in enumerate(found.questions):
        ids = call(asked, k).ids
        # Places instead of scores: the measures break ties in their own ways, vecdb has broken them by id.
        answers += [ir_measures.ScoredDoc(asked.id, row, float(len(ids) - place)) for place, row in enumerate(ids)]
        if number < _TIMED_QUESTIONS:
            begun = time.perf_counter()
            call(asked, _TIMED)
            seconds.append(time.perf_counter() - begun)
    told = ir_measures.calc_aggregate(wanted, judged, answers)
    values = {str(measure).replace("(alpha=0.5)", ""): float(value) for measure, value in told.items()}
    return {**values, "p50_ms": float(np.median(seconds)) * 1e3}


def _over_sets(scores: Mapping[str, Mapping[str, float]]) -> Metrics:
    """Return every method's mean, and how far each fusion falls behind where it does worst."""
    methods = list(next(iter(scores.values())))
    metrics: Metrics = {
        f"mean {method}": float(np.mean([each[method] for each in scores.values()])) for method in methods
    }
    for fusion in methods[3:]:
        over_arm = [each[fusion] - max(each[DENSE], each[WORDS]) for each in scores.values()]
        metrics[f"{fusion} least over the better arm"] = min(over_arm)
        if "rrf" in methods and fusion != "rrf":
            metrics[f"{fusion} least over rrf"] = min(each[fusion] - each["rrf"] for each in scores.values())
    return metrics


def _file_name(folder: str) -> str:
    return folder.replace(":", "-")
