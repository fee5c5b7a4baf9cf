"""Whether answers end where relevance ends, and how much work a cascade saves.

**Mixed questions.** Of half of a set's questions the answers are taken out of the collection, so that nothing answers
them although rows about their subject are there. Half of all questions are judged for `calibrate`, the others are
asked. `SET METHOD auc` is how often a question with an answer has a better best hit than one without (by `adapter`: a
better chance of an answer, which it tells beside), `auc gain` that less the same by the raw cosine of the best hit. For
what is kept: `recall` of the relevant rows that exist, `recall of found` of those among the candidates, which is what a
calibrator is told to keep, `kept` rows a question, and `fewer`, the share of rows saved against one bar on the cosine,
set with hindsight so that it keeps as many relevant rows. `empty` and `empty wrongly` are the shares of answers without
rows among questions that nothing answers, and among the others. `adapter` judges vectors alone, `adapter both` words
beside them. "TRAIN>TEST" learns from the questions of one set and asks those of another over the same documents. `mean`
is over the sets.

Which questions lose their answers, and which are judged, is chance, and of a small set it moves the figures by more
than methods differ. So each set is mixed anew until so many questions were asked (`asked`), at least `mixes` times.
Each figure is the mean (`fewer` follows from the means of both numbers of rows); `error` behind it is its standard
error, from the standard deviation among mixes. (Mixes share questions: for other questions of the kind it is larger.)

**Cascade.** 200 candidates by signs, 8-bit numbers and full vectors, each a field of its own: `same` is the share of
questions with the same ten hits in the same order as with the last step alone, `full` the share of the candidates that
the last step was asked about, `work` the share of its work when a step counts as many bytes as it reads.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bench import labelled
from bench.context import Context, Parameter
from bench.datasets import stored_vectors
from bench.labelled import Labelled, Question
from bench.records import Ratio
from bench.workloads import Metrics
from bench.workloads.quality import plain

SYSTEMS = ("vecdb",)
REPEATS = 1
FULL: Mapping[str, Parameter] = {
    "sets": "scifact-test,scifact-train,scifact-train>scifact-test,hotpot,2wiki,debian12k",
    "seed": 1,
    "mixes": 4,
    "asked": 500,
    "cascade": "debian60k",
    "cascade_rows": 60_000,
    "cascade_queries": 500,
}
QUICK: Mapping[str, Parameter] = {"sets": "known:400x16", "mixes": 2, "asked": 0, "cascade": "", "cascade_queries": 50}
HEADLINES = ("mean adapter both auc gain", "mean adapter both fewer", "cascade same", "cascade work")

DEPTH = 200
_EVT, _ADAPTER, _BOTH = "evt", "adapter", "adapter both"
_BYTES = {"signs": 1 / 32, "small": 1 / 4, "embedding": 1.0}


class Mix(NamedTuple):
    """Questions of which some have no answer left.

    Attributes:
        learned: with the ids of the rows that answer them.
        asked: the same for those that are asked.
        gone: ids of rows that are taken out.

    """

    learned: list[tuple[Question, set[str]]]
    asked: list[tuple[Question, set[str]]]
    gone: set[str]


def prepare(context: Context) -> None:
    """Nothing is shared: the sets are read where they lie."""


def setup(context: Context) -> None:
    """Nothing is kept: each set's collection lives as long as it is asked."""


def run(context: Context) -> Metrics:
    import vecdb

    metrics: Metrics = {}
    for name in context.words("sets"):
        train, _, test = name.partition(">")
        sets = [labelled.load(one, context.data) for one in (train, test) if one]
        rows, dimension = sets[0].rows.select(["id", "text", "embedding"]), sets[0].dimension
        told: list[Metrics] = []
        while len(told) < context.integer("mixes") or _questions(told) < context.integer("asked"):
            mix = _mixed(sets, context.integer("seed") + len(told))
            with vecdb.connect(":memory:", settings=vecdb.Settings(background=False)) as database:
                schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), embedding=vecdb.Vector(dimension))
                documents = database.create_collection("documents", schema)
                documents.upsert(rows.filter(np.array([one not in mix.gone for one in rows.column("id").to_pylist()])))
                told.append(_asked(documents, mix))
        metrics |= {f"{name} {what}": value for what, value in _over(told).items()}
    for what in ("auc gain", "fewer", "recall"):
        for method in (_EVT, _ADAPTER, _BOTH):
            values = [value for key, value in metrics.items() if key.endswith(f" {method} {what}")]
            metrics[f"mean {method} {what}"] = float(np.mean([value for value in values if value is not None]))
    if context.words("cascade"):
        metrics |= {f"cascade {what}": value for what, value in _cascade(context).items()}
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    return []


def _questions(told: list[Metrics]) -> float:
    return sum(one["questions"] or 0 for one in told)


def _over(told: list[Metrics]) -> Metrics:
    """Return the means over mixes, the standard errors of what is compared, and the numbers of mixes and questions."""
    columns = {what: np.array([one[what] for one in told], np.float64) for what in told[0]}
    found: Metrics = {what: float(values.mean()) for what, values in columns.items()}
    off = {what: values for what, values in columns.items() if what.endswith((" gain", " of found"))}
    for what, by_cosine in columns.items():
        if what.endswith(" kept by cosine"):
            method = what.removesuffix(" kept by cosine")
            kept, all_by_cosine = columns[f"{method} kept"], by_cosine.mean()
            found[f"{method} fewer"] = float(1 - kept.mean() / all_by_cosine)
            # Of a quotient of means: each mix's distance from the line through both.
            off[f"{method} fewer"] = (kept - by_cosine * kept.mean() / all_by_cosine) / all_by_cosine
    for what, values in off.items():
        found[f"{what} error"] = float(values.std(ddof=1) / np.sqrt(len(told))) if len(told) > 1 else None
    return found | {"mixes": float(len(told)), "questions": _questions(told)}


def _mixed(sets: list[Labelled], seed: int) -> Mix:
    """Return which questions of a set, or of one and another, are learned from, asked, and left without an answer."""
    rng = np.random.default_rng(seed)
    halves: list[list[tuple[Question, set[str]]]] = []
    gone: set[str] = set()
    for one in sets:
        answers: dict[str, set[str]] = {}
        for judgement in one.judgements:
            answers.setdefault(judgement.question, set()).add(judgement.document)
        questions = [question for question in one.questions if answers.get(question.id)]
        order = rng.permutation(len(questions))
        for at in order[: len(order) // 2].tolist():
            gone |= answers[questions[at].id]
        shuffled = rng.permutation(len(questions)).tolist()
        parts = [shuffled] if len(sets) > 1 else [shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]]
        halves += [[(questions[at], answers[questions[at].id]) for at in part] for part in parts]
    learned, asked = ([(question, ids - gone) for question, ids in half] for half in halves)
    return Mix(learned, asked, gone)


def _asked(documents: Any, mix: Mix) -> Metrics:
    dense = [_Answer.of(documents, _near(question), ids) for question, ids in mix.asked]
    answerable = np.array([bool(ids) for _, ids in mix.asked])
    metrics: Metrics = {"cosine auc": _auc(np.array([one.raw for one in dense]), answerable)}
    metrics |= {"unanswerable": float(1 - answerable.mean()), "questions": float(len(mix.asked))}
    cuts: dict[str, list[_Answer]] = {
        method: [_Answer.of(documents, _near(question).cut(method), ids) for question, ids in mix.asked]
        for method in (_EVT, "zscore", "higher_criticism", "gap")
    }
    found = dict.fromkeys((*cuts, _ADAPTER), sum(one.good for one in dense))
    for method, make in ((_ADAPTER, _near), (_BOTH, _both)):
        if make is not _near:
            found[method] = sum(_Answer.of(documents, make(question), ids).good for question, ids in mix.asked)
        documents.calibrate([(make(question), sorted(ids)) for question, ids in mix.learned], "bench")
        cuts[method] = [
            _Answer.of(documents, make(question).cut("adapter", calibrator="bench"), ids) for question, ids in mix.asked
        ]
    for method, answers in cuts.items():
        auc = _auc(np.array([one.best for one in answers]), answerable)
        recall = float(sum(one.good for one in answers) / sum(len(ids) for _, ids in mix.asked))
        kept = float(np.mean([one.rows for one in answers]))
        empty = np.array([one.rows == 0 for one in answers])
        metrics |= {
            f"{method} auc": auc,
            f"{method} auc gain": auc - (metrics["cosine auc"] or 0),
            f"{method} recall": recall,
            f"{method} recall of found": float(sum(one.good for one in answers) / found[method]),
            f"{method} kept": kept,
            f"{method} kept by cosine": _kept_by_cosine(dense, recall * sum(len(ids) for _, ids in mix.asked)),
            f"{method} empty": float(empty[~answerable].mean()),
            f"{method} empty wrongly": float(empty[answerable].mean()),
        }
    return metrics


def _near(question: Question) -> Any:
    import vecdb

    return vecdb.Query(k=DEPTH, fields=()).near("embedding", question.vector).exactly()


def _both(question: Question) -> Any:
    return _near(question).match("text", plain(question.text))


class _Answer(NamedTuple):
    """One answer: its rows, how many are relevant, how good the best is, and the scores of all and of those."""

    rows: int
    good: int
    best: float
    raw: float
    scores: np.ndarray
    relevant: np.ndarray

    @classmethod
    def of(cls, documents: Any, query: Any, ids: set[str]) -> "_Answer":
        found = documents.run(query)
        step = found.explain["steps"][-1]
        relevant = np.array([one in ids for one in found.ids], bool)
        raw = float(found.scores[0]) if len(found) else -1.0
        best = raw
        if "expected_false_at_best" in step:
            best = -step["expected_false_at_best"]
        elif step["step"] == "cut":
            best = next(step[name] for name in ("criticism", "gap", "answer", "best") if name in step)
        return cls(len(found), int(relevant.sum()), best, raw, found.scores, relevant)


def _kept_by_cosine(answers: list[_Answer], relevant: float) -> float:
    """Return the rows a question above the highest bar on the cosine that keeps so many relevant rows."""
    scores = np.concatenate([one.scores for one in answers])
    good = np.sort(np.concatenate([one.scores[one.relevant] for one in answers]))[::-1]
    wanted = max(1, round(relevant))
    bar = good[wanted - 1] if wanted <= len(good) else -np.inf
    return float((scores >= bar).sum() / len(answers))


def _auc(best: np.ndarray, answerable: np.ndarray) -> float:
    from vecdb_index.relevance.calibrator import auc

    return auc(best[answerable], best[~answerable])


def _cascade(context: Context) -> Metrics:
    import vecdb
    from vecdb.query.value import numbers

    (name,) = context.words("cascade")
    folder = context.folder(name)
    rows = stored_vectors(folder / "docs_dense.parquet")[: context.integer("cascade_rows")]
    asked = stored_vectors(folder / "queries_dense.parquet")[: context.integer("cascade_queries")]
    dimension, mean, scale = rows.shape[1], rows.mean(axis=0), 127 / np.abs(rows).max()
    schema = vecdb.Schema(
        id=vecdb.Id(type="int64"),
        signs=vecdb.Vector(dimension, dtype="binary", metric="hamming"),
        small=vecdb.Vector(dimension, dtype="int8", metric="dot"),
        embedding=vecdb.Vector(dimension),
    )
    same, full, work = [], [], []
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False)) as database:
        documents = database.create_collection("documents", schema)
        for first in range(0, len(rows), 10_000):
            some = rows[first : first + 10_000]
            documents.upsert(
                {
                    "id": np.arange(first, first + len(some)),
                    "signs": np.packbits(some > mean, axis=1),
                    "small": np.round(some * scale).astype(np.int8),
                    "embedding": some,
                }
            )
        for vector in asked:
            steps = (
                vecdb.Rescore("signs", numbers("signs", np.packbits(vector > mean))),
                vecdb.Rescore("small", numbers("small", np.round(vector * scale).clip(-127, 127).astype(np.int8))),
                vecdb.Rescore("embedding", numbers("embedding", vector)),
            )
            query = vecdb.Query(k=10, fields=()).near("embedding", vector, fetch=DEPTH).exactly()
            found = documents.run(query.cascade(*steps))
            same.append(found.ids == documents.run(query.cascade(*steps, exact=True)).ids)
            told = found.explain["steps"][-1]
            scored = [one["scored"] / told["rows_in"] for one in told["asked"]]
            full.append(scored[-1])
            work.append(sum(share * cost for share, cost in zip(scored, _BYTES.values(), strict=True)))
    return {"same": float(np.mean(same)), "full": float(np.mean(full)), "work": float(np.mean(work))}
