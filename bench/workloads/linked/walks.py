"""What walks cost in synthetic graphs: part of the workload `linked`."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from bench.context import Context
from bench.workloads import Metrics
from bench.workloads.serve import served

_WIDTH, _DEGREE, _SEED = 8, 5, 20_260_101


def setup(context: Context, count: int) -> Metrics:
    """Make a graph of about so many links: destinations as uneven as a cube law makes them, linked vectors alike."""
    import vecdb

    rng, nodes = np.random.default_rng(_SEED), max(count // _DEGREE, 10)
    source = rng.integers(0, nodes, count)
    target = rng.permutation(nodes)[(nodes * rng.random(count) ** 3).astype(np.int64)]
    ends = np.unique(np.stack([source, target], axis=1)[source != target], axis=0)
    vectors = rng.standard_normal((nodes, _WIDTH)).astype(np.float32)
    vectors[ends[:, 0]] += vectors[ends[:, 1]]
    schema = vecdb.Schema(id=vecdb.Id("int64"), size=vecdb.Int64(), embedding=vecdb.Vector(_WIDTH, metric="cosine"))
    table = pa.table(
        {
            "id": np.arange(nodes),
            "size": rng.integers(0, 10, nodes),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), _WIDTH),
        }
    )
    with vecdb.connect(context.home / f"graph-{count}") as database:
        rows = database.create_collection("rows", schema)
        rows.upsert(table.to_reader(max_chunksize=100_000))
        links = pa.table(
            {"src": ends[:, 0], "dst": ends[:, 1], "type": pa.array(["cites"]).take(pa.array(ends[:, 0] * 0))}
        )
        begun = time.perf_counter()
        rows.link(links.to_reader(max_chunksize=1_000_000))
        took = time.perf_counter() - begun
        rows.flush()
        rows.compact()
        rows.build_indexes()
    return {f"{count} links_per_s": len(ends) / took}


def measured(context: Context, count: int) -> Metrics:
    """Measure both ways of walking, here and through a server."""
    import vecdb

    rng, rounds = np.random.default_rng(_SEED + 1), context.integer("rounds")
    asked = rng.standard_normal((rounds, _WIDTH)).astype(np.float32)
    base = vecdb.Query(k=10, fields=())
    ways: dict[str, Callable[[np.ndarray], Any]] = {
        "ppr": lambda vector: base.near("embedding", vector).expand(gate=False),
        "two_hops": lambda vector: (
            base.near("embedding", vector).where("size < 5").expand(hops=2, method="paths", gate=False)
        ),
    }
    store, metrics = context.home / f"graph-{count}", {}
    with served(store) as address, vecdb.connect(store, read_only=True) as here, vecdb.connect(address) as there:
        rows, remote = here["rows"], there["rows"]
        for way, query in ways.items():
            rows.run(query(asked[0]))
            step, whole = [], []
            for vector in asked:
                begun = time.perf_counter()
                found = rows.run(query(vector))
                found.ids  # noqa: B018
                whole.append(time.perf_counter() - begun)
                step.append(found.explain["steps"][-1]["ms"])
            metrics |= {
                f"{count} {way}_ms": float(np.median(step)),
                f"{count} {way} query_ms": float(np.median(whole)) * 1e3,
            }
        apart = []
        remote.run(ways["ppr"](asked[0]))
        for at, vector in enumerate(asked):
            took = {}
            for name, side in (("here", rows), ("there", remote))[:: 1 if at % 2 else -1]:
                begun = time.perf_counter()
                side.run(ways["ppr"](vector)).ids  # noqa: B018
                took[name] = time.perf_counter() - begun
            apart.append(took["there"] - took["here"])
        metrics[f"{count} server_ms"] = float(np.median(apart)) * 1e3
    return metrics
