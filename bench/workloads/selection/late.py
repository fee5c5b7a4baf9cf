"""MaxSim as the last step of a cascade, against MaxSim of all candidates: part of the workload `selection`."""

import time
from collections.abc import Sequence

import numpy as np

from bench import tokens
from bench.context import Context
from bench.workloads import Metrics

CANDIDATES = 1000
MARGIN = 3.5
"""How sure to be: signs are off by more at times than a normal error would be."""
_ROUNDS = 3


def setup(context: Context, name: str) -> None:
    """Load a set with its tokens as float32 and as signs."""
    import vecdb

    found = tokens.load(name, context.data)
    dimension = found.tokens.shape[1]
    schema = vecdb.Schema(
        id=vecdb.Id(),
        embedding=vecdb.Vector(found.held.dimension),
        tokens=vecdb.MultiVector(dimension, dtype="float32", index="flat"),
        signs=vecdb.MultiVector(dimension, dtype="sign", index="flat"),
    )
    rows = found.rows.select(["id", "embedding", "tokens"])
    rows = rows.append_column("signs", rows["tokens"])
    with vecdb.connect(_home(context, name), settings=vecdb.Settings(background=False)) as database:
        documents = database.create_collection("documents", schema)
        with documents.bulk() as load:
            load.add(rows)


def measured(context: Context, names: Sequence[str]) -> Metrics:
    """Return how long either way takes, and how often the answers are the same."""
    import vecdb

    metrics: Metrics = {}
    for name in names:
        found = tokens.load(name, context.data)
        most = context.integer("late_queries")
        gather, whole, cascade, same, scored = [], [], [], [], []
        with vecdb.connect(_home(context, name), read_only=True) as database:
            documents = database.collection("documents")
            for question, asked in zip(found.held.questions[:most], found.questions[:most], strict=True):
                near = vecdb.Query(k=10, fields=()).near("embedding", question.vector, fetch=CANDIDATES).exactly()
                full = near.rescore(vecdb.MaxSim("tokens", asked))
                steps = vecdb.MaxSim("signs", asked), vecdb.MaxSim("tokens", asked)
                by_steps = near.cascade(*steps, margin=MARGIN)
                took: tuple[list[float], ...] = ([], [], [])
                for _ in range(_ROUNDS):
                    for query, times in zip((near, full, by_steps), took, strict=True):
                        begun = time.perf_counter()
                        answer = documents.run(query)
                        answer.ids  # noqa: B018 - asking for them is part of what is timed
                        times.append(1e3 * (time.perf_counter() - begun))
                for each, times in zip((gather, whole, cascade), took, strict=True):
                    each.append(min(times))
                by_cascade = documents.run(by_steps)
                same.append(by_cascade.ids == documents.run(full).ids)
                told = by_cascade.explain["steps"][-1]
                scored.append(told["asked"][-1]["scored"] / told["rows_in"])
        metrics |= {
            f"late {name} full ms": float(np.median(whole)),
            f"late {name} ms": float(np.median(cascade)),
            f"late {name} gather ms": float(np.median(gather)),
            f"late {name} share of scoring": float(
                np.median((np.array(cascade) - gather) / np.maximum(np.array(whole) - gather, 1e-6))
            ),
            f"late {name} same": float(np.mean(same)),
            f"late {name} scored": float(np.mean(scored)),
        }
    return metrics


def _home(context: Context, name: str) -> str:
    return str(context.home / f"late-{name.replace(':', '-')}")
