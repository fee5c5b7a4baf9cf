"""All kinds of index behind one face: building one, storing it as named arrays, and making it again from them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from vecdb_index.types import Matrix, Metric, Scores

if TYPE_CHECKING:
    from vecdb_index.dense.hnsw.graph import Graph

Progress = Callable[[int, int], None]

HNSW = "hnsw"

GRAPH_ROWS = 4096
"""Rows from which `auto` builds a graph. Below, a scan takes no longer than what surrounds it."""
LEAST_ROWS = 64
"""Rows from which a graph that the user asked for is built."""


def wanted(spec: Mapping[str, Any], rows: int) -> str | None:
    """Return the kind of index that a segment of so many rows should have, by what the user asked for; None: none.

    Args:
        spec: the kind, under "kind", and its parameters.
        rows: of the segment, deleted ones included.

    """
    kind = spec["kind"]
    if kind == "auto":
        return HNSW if rows >= GRAPH_ROWS else None
    return kind if kind == HNSW and rows >= LEAST_ROWS else None


def build(
    kind: str,
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    spec: Mapping[str, Any],
    parts: Sequence[tuple["Graph | None", NDArray[Any]]] = (),
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> "Graph":
    """Return an index of all rows of a matrix.

    Args:
        kind: one that `wanted` named.
        matrix: (n, d) float32, float16 or int8.
        metric: what near means.
        norms: (n,) float32, the rows' lengths.
        spec: parameters; what is missing or not meant for this kind takes its usual value.
        parts: what the matrix was put together from, part after part: the index of each, or None, and its rows that
            came along, ascending. An index of many of the rows is mended and completed instead of being built anew.
        pool: threads that help.
        progress: called with (rows done, rows) now and then; it may raise to stop.

    """
    if kind != HNSW:
        raise ValueError(f"no index is called {kind!r}")
    from vecdb_index.dense.hnsw.build import build as graph_of
    from vecdb_index.dense.hnsw.calibrate import measured
    from vecdb_index.dense.hnsw.merge import merged

    parameters = {name: spec[name] for name in ("m", "ef_construction") if name in spec}
    if parts:
        graph = merged(parts, matrix, metric, norms, **parameters, pool=pool, progress=progress)
    else:
        graph = graph_of(matrix, metric, norms, **parameters, pool=pool, progress=progress)
    return replace(graph, curve=measured(graph, matrix, metric, norms, pool))


def of(kind: str, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> "Graph":
    """Return the index that had these arrays and settings; not yet checked."""
    if kind != HNSW:
        raise ValueError(f"no index is called {kind!r}")
    from vecdb_index.dense.hnsw.graph import Graph

    return Graph.of(arrays, settings)


def problems(index: "Graph") -> list[str]:
    """Return what is wrong with an index, a sentence each; kernels may only be given one without any."""
    from vecdb_index.dense.hnsw.check import problems as of_graph

    return of_graph(index)
