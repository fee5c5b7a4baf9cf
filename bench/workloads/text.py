"""Full-text search: questions a second beside other engines, cost of the index, and quality on labelled sets.

Texts are those of `dataset`; each has a random group of 0 to 99, so that `filtered` asks among 1 % of them. Questions
are one-line descriptions of Debian packages, of the set `questions`, the same for all; without a data folder both are
made up. Build: from texts in memory to an index on disk, with the engine's own analysis (`build rows_per_cpu_s`). Each
round opens it in a fresh process and asks every question in `passes` passes on one thread, each with its best;
what is timed ends when the caller has ids. An engine that has no filters leaves these cells empty.

Quality (vecdb only, `sets`): nDCG@10 by ir-measures over title and text, with the analysis of the reference figures
(Snowball stems, English stop words, words of two letters or more); `section` and `both` are the filters
that debian12k's questions come with. The signs + - * " are taken out of questions: they would mean something.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bench import curves, machine, measure, pagecache, texts
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "tantivy", "bm25s")
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "rows": 60_000,
    "questions": "debian12k",
    "count": 300,
    "passes": 4,
    "budget_s": 5.0,
    "sets": "scifact/test,scifact/train,hotpot,2wiki,limit_small,debian12k,debian12k/section,debian12k/both",
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "made",
    "rows": 2000,
    "count": 20,
    "passes": 1,
    "budget_s": 0.5,
    "sets": "",
}
HEADLINES = ("plain p50_ms", "filtered p50_ms", "build rows_per_cpu_s")
K = 10
GROUPS = 100
GROUP = 7
_SIGNS = re.compile(r'["+*-]')
_WARM = 10


def prepare(context: Context) -> None:
    """Nothing is shared: texts are read, or made, by each job."""


def setup(context: Context) -> Metrics:
    """Build the index once; the figures stand in each run's metrics."""
    rows, _ = _texts(context)
    groups = np.random.default_rng(0).integers(0, GROUPS, len(rows))
    engine = texts.make(context.system)
    _warm(context, rows[:500], groups[:500])
    shutil.rmtree(context.home, ignore_errors=True)
    context.home.mkdir(parents=True)
    with measure.Timer() as timer:
        engine.build(rows, groups, context.home)
    metrics: Metrics = {
        "build wall_s": timer.wall_s,
        "build cpu_s": timer.cpu_s,
        "build rows_per_cpu_s": len(rows) / timer.cpu_s,
        "disk bytes_per_row": pagecache.allocated_bytes(context.home) / len(rows),
    }
    (context.home / "build.json").write_text(json.dumps(metrics))
    return metrics


def run(context: Context) -> Metrics:
    _, questions = _texts(context)
    engine = texts.make(context.system)
    engine.open(context.home)
    metrics: Metrics = dict(json.loads((context.home / "build.json").read_text()))
    for name, call in {
        "plain": lambda question: engine.search(question, K),
        "filtered": lambda question: engine.filtered(question, K, GROUP),
    }.items():
        if any(call(question) is None for question in questions[:_WARM]):
            continue
        done = curves.passes(call, np.array(questions, object), context.integer("passes"), context.number("budget_s"))
        told = measure.percentiles(done.best_s)
        metrics |= {f"{name} p50_ms": told["p50_ms"], f"{name} p95_ms": told["p95_ms"]}
        metrics[f"{name} cpu_ms"] = done.cpu_s * 1e3
    metrics["private_bytes"] = machine.memory("RssAnon")
    if context.system == "vecdb":
        for name in context.words("sets"):
            metrics[f"{name} ndcg10"] = _quality(context, name)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in SYSTEMS[1:]:
        for metric in ("plain p50_ms", "filtered p50_ms"):
            found.append(Ratio(f"{metric}: vecdb / {other}", ("vecdb", metric), (other, metric)))
        metric = "build rows_per_cpu_s"
        found.append(Ratio(f"{metric}: vecdb / {other}", ("vecdb", metric), (other, metric)))
    return found


def _warm(context: Context, rows: list[str], groups: np.ndarray) -> None:
    """Build and search a small index, so that code is loaded and compiled before anything is measured."""
    shutil.rmtree(context.home, ignore_errors=True)
    context.home.mkdir(parents=True)
    engine = texts.make(context.system)
    engine.build(rows, groups, context.home)
    engine.open(context.home)
    engine.search(rows[0][:60], K)


def _texts(context: Context) -> tuple[list[str], list[str]]:
    """Return the texts and the questions."""
    count = context.integer("count")
    if context.text("dataset") == "made":
        made = list(_made(context.integer("rows") + count))
        return made[count:], [" ".join(text.split()[:6]) for text in made[:count]]
    held = _table(context, context.text("dataset"), "docs")
    known = set(held.get("summary", []))
    asked = _table(context, context.text("questions"), "queries")["text"]
    fresh = [text for text in asked if text not in known]
    return held["text"][: context.integer("rows")], [plain(text) for text in (*fresh, *asked)][:count]


def _made(count: int) -> Iterator[str]:
    rng = np.random.default_rng(5)
    for length in rng.integers(5, 80, count).tolist():
        yield " ".join(f"word{number}" for number in np.minimum(rng.zipf(1.3, length), 20_000).tolist())


def plain(question: str) -> str:
    """Return a question without the signs that mean something to an engine."""
    return _SIGNS.sub(" ", question)


def _table(context: Context, folder: str, name: str) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(context.folder(folder) / f"{name}.parquet").to_pydict()


def _quality(context: Context, name: str) -> float:
    """Return nDCG@10 of a labelled set."""
    import ir_measures  # pyright: ignore[reportMissingImports]

    folder, _, variant = name.partition("/")
    part = f"_{variant}" if variant in ("test", "train") else ""
    held, asked, labels = (_table(context, folder, file) for file in ("docs", f"queries{part}", f"qrels{part}"))
    found = dict(_found(held, asked, variant))
    relevant: dict[str, dict[str, int]] = {}
    for question, row, degree in zip(labels["qid"], labels["did"], labels["rel"], strict=True):
        relevant.setdefault(str(question), {})[str(row)] = int(degree)
    measured = ir_measures.nDCG @ K
    return float(ir_measures.calc_aggregate([measured], relevant, found)[measured])


def _found(
    held: dict[str, list[Any]], asked: dict[str, list[Any]], variant: str
) -> Iterator[tuple[str, dict[str, float]]]:
    import vecdb

    spec = vecdb.FullText(shortest=2)
    schema = vecdb.Schema(
        id=vecdb.Id(), text=vecdb.Text(search=spec), section=vecdb.Keyword(), installed_kb=vecdb.Int64()
    )
    size = len(held["id"])
    titles = held.get("title", [""] * size)
    rows = {
        "id": [str(one) for one in held["id"]],
        "text": [f"{title or ''} {text}" for title, text in zip(titles, held["text"], strict=True)],
        "section": held.get("section", [None] * size),
        "installed_kb": held.get("installed_kb", [None] * size),
    }
    with vecdb.connect(":memory:") as database:
        docs = database.create_collection("docs", schema)
        docs.upsert(rows)
        for at, question in enumerate(asked["text"]):
            where = None
            if variant in ("section", "both"):
                where = vecdb.col("section") == asked["f_section"][at]
            if variant == "both":
                where = where & (vecdb.col("installed_kb") <= asked["f_max_installed_kb"][at])
            result = docs.search(text=plain(question), k=K, where=where, fields=[])
            yield str(asked["id"][at]), dict(zip(map(str, result.ids), result.scores.tolist(), strict=True))
