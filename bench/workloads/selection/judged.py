"""Answers to judged queries, and what a balance does to them: part of the workload `selection`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.context import Context
from bench.workloads import Metrics
from bench.workloads.quality import plain
from bench.workloads.selection import sets

K = 10
_BALANCES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)


def store(context: Context, name: str) -> Path:
    """Return the folder of a set's database."""
    return context.home / name.replace(":", "-")


def methods() -> dict[str, Any]:
    """Return the ways to select, by name; None selects nothing."""
    import vecdb

    return {
        "plain": None,
        "coverage": vecdb.Coverage(),
        "facility": vecdb.Coverage(0.5, "facility_location"),
        "saturated": vecdb.Coverage(0.5, "saturated"),
        "words": vecdb.Coverage(0.2, "words"),
        "mmr": vecdb.Mmr(),
        "dpp": vecdb.Dpp(),
        "dispersion": vecdb.Dispersion(),
    }


def quality(context: Context) -> Metrics:
    """Return how good the answers to judged queries are, by every way to select."""
    import vecdb

    metrics: Metrics = {}
    asked_sets = [(name, False) for name in context.words("sets")] + [(name, True) for name in context.words("fused")]
    for name, fused in asked_sets:
        judged = sets.load(name, context.data)
        with vecdb.connect(store(context, name), read_only=True) as database:
            for method, value in methods().items():
                if method == "words" and not fused:
                    continue
                measured: dict[str, list[float]] = {measure: [] for measure in judged.measures}
                copies: list[float] = []
                for asked in judged.questions:
                    query = vecdb.Query(k=K, fields=()).near("embedding", asked.vector)
                    if fused:
                        query = query.match("text", plain(asked.text))
                    query = (query if value is None else query.select(value)).exactly()
                    ids = database.collection("documents").run(query).ids
                    for measure, of in judged.measures.items():
                        measured[measure].append(of(asked, ids))
                    if not fused:
                        found = database.collection("copies").run(query).ids
                        copies.append(float(len({one.rpartition("#")[0] for one in found})))
                metrics |= {f"{name} {method} {measure}@10": sets.mean(each) for measure, each in measured.items()}
                if copies:
                    metrics[f"{name} x5 {method} distinct@10"] = sets.mean(copies)
    return metrics


def curves(context: Context) -> Metrics:
    """Return relevance and coverage of the answers for every balance of every way that has one."""
    import vecdb

    judged = sets.load(context.text("curve"), context.data)
    units = np.stack(judged.found.rows.column("embedding").to_numpy(zero_copy_only=False)).astype(np.float32)
    place = {id_: at for at, id_ in enumerate(judged.found.rows.column("id").to_pylist())}
    kinds: dict[str, Callable[[float], Any]] = {
        "coverage": vecdb.Coverage,
        "facility": lambda balance: vecdb.Coverage(balance, "facility_location"),
        "saturated": lambda balance: vecdb.Coverage(balance, "saturated"),
        "mmr": vecdb.Mmr,
        "dpp": vecdb.Dpp,
        "dispersion": vecdb.Dispersion,
    }
    metrics: Metrics = {}
    with vecdb.connect(store(context, context.text("curve")), read_only=True) as database:
        documents = database.collection("documents")
        nearest = [np.argsort(-(units @ one.vector), kind="stable")[:100] for one in judged.questions]
        for kind, make in kinds.items():
            for balance in _BALANCES:
                relevance, covered = [], []
                for asked, near in zip(judged.questions, nearest, strict=True):
                    query = vecdb.Query(k=K, fields=()).near("embedding", asked.vector).select(make(balance), pool=100)
                    found = documents.run(query)
                    relevance.append(float(found.scores.mean()))
                    chosen = units[[place[id_] for id_ in found.ids]]
                    covered.append(float((units[near] @ chosen.T).max(axis=1).mean()))
                metrics[f"curve {kind} {balance} relevance"] = sets.mean(relevance)
                metrics[f"curve {kind} {balance} coverage"] = sets.mean(covered)
    return metrics
