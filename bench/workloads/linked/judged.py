"""Sets with links and judged answers: part of the workload `linked`."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import labelled
from bench.context import Context
from bench.labelled import Labelled, Question
from bench.workloads import Metrics
from bench.workloads.quality import plain

_SEED = 20_260_101


def setup(context: Context, name: str) -> None:
    """Make a collection of a set with its links, and one whose links have destinations dealt anew."""
    import vecdb

    found = labelled.load(name, context.data)
    edges = pq.read_table(context.folder(name) / "edges.parquet").rename_columns({"rel": "type"})
    for shuffled in (False, True):
        with vecdb.connect(context.home / _store(name, shuffled)) as database:
            rows = database.create_collection(
                "rows",
                vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), embedding=vecdb.Vector(found.dimension)),
            )
            rows.upsert(found.rows.select(["id", "text", "embedding"]))
            rows.link(_shuffled(edges) if shuffled else edges)
            rows.flush()
            rows.build_indexes()


def share(found: list[Any], wanted: set[Any]) -> float:
    """Return the share of what is wanted that was found."""
    return len(wanted.intersection(found)) / len(wanted)


def _shuffled(edges: pa.Table) -> pa.Table:
    """Return the links with their destinations dealt anew."""
    order = np.random.default_rng(_SEED).permutation(edges.num_rows)
    return edges.set_column(edges.schema.get_field_index("dst"), "dst", edges.column("dst").take(pa.array(order)))


def _store(name: str, shuffled: bool) -> str:
    return f"{name}-shuffled" if shuffled else name


def _dense(asked: Question) -> Any:
    import vecdb

    return vecdb.Query(k=10).near("embedding", asked.vector).returning()


def _hybrid(asked: Question) -> Any:
    return _dense(asked).match("text", plain(asked.text))


def several_hops(context: Context, name: str) -> Metrics:
    """Measure how much of what several hops lead to is found, with the links of a set and with links dealt anew."""
    import vecdb

    found = labelled.load(name, context.data)
    wanted: dict[str, set[str]] = {}
    for judged in found.judgements:
        wanted.setdefault(judged.question, set()).add(judged.document)
    metrics: Metrics = {}
    with vecdb.connect(context.home / _store(name, False), read_only=True) as database:
        rows = database["rows"]
        ways: dict[str, Callable[[Question], Any]] = {
            "dense": _dense,
            "hybrid": _hybrid,
            "expand": lambda asked: _hybrid(asked).expand(),
            "expand paths": lambda asked: _hybrid(asked).expand(method="paths"),
        }
        for way, query in ways.items():
            metrics |= _measured(f"{name} {way}", rows, found, wanted, query)
    with vecdb.connect(context.home / _store(name, True), read_only=True) as database:
        shuffled = _measured("shuffled", database["rows"], found, wanted, lambda asked: _hybrid(asked).expand())
    for measure in ("recall@5", "recall@10"):
        apart = float(shuffled[f"shuffled {measure}"] or 0) - float(metrics[f"{name} hybrid {measure}"] or 0)
        metrics[f"{name} expand shuffled off {measure}"] = apart
    return metrics


def _measured(
    label: str, rows: Any, found: Labelled, wanted: Mapping[str, set[str]], query: Callable[[Question], Any]
) -> Metrics:
    shares, took = [], []
    for asked in found.questions:
        begun = time.perf_counter()
        ids = rows.run(query(asked)).ids
        took.append(time.perf_counter() - begun)
        right = wanted[asked.id]
        shares.append([share(ids[:5], right), share(ids, right), float(right <= set(ids))])
    at_5, at_10, all_10 = np.mean(shares, axis=0).tolist()
    return {
        f"{label} recall@5": at_5,
        f"{label} recall@10": at_10,
        f"{label} all@10": all_10,
        f"{label} p50_ms": float(np.median(took)) * 1e3,
    }


def packages(context: Context, name: str) -> Metrics:
    """Measure how much of a package and what it depends on its synopsis finds."""
    import vecdb

    found = labelled.load(name, context.data)
    needs: dict[str, set[str]] = {}
    for edge in pq.read_table(context.folder(name) / "edges.parquet").to_pylist():
        if edge["rel"] == "depends":
            needs.setdefault(edge["src"], set()).add(edge["dst"])
    meant = {judged.question: judged.document for judged in found.judgements if judged.relevance == 2}
    wanted = {question: {row, *needs[row]} for question, row in meant.items() if row in needs}
    asked = [question for question in found.questions if question.id in wanted]
    some = Labelled(found.name, found.rows, found.dimension, asked, found.judgements)
    with vecdb.connect(context.home / _store(name, False), read_only=True) as database:
        rows = database["rows"]
        metrics = _measured("packages dense", rows, some, wanted, _dense)
        metrics |= _measured("packages hybrid", rows, some, wanted, _hybrid)
        metrics |= _measured("packages expand", rows, some, wanted, lambda asked: _hybrid(asked).expand(">depends"))
    gain = float(metrics["packages expand recall@10"] or 0) / float(metrics["packages dense recall@10"] or 1)
    return metrics | {"packages gain": gain}
