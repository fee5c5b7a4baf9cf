"""What must hold of a graph before a kernel may walk it: kernels trust every number."""

from collections.abc import Iterator

import numpy as np

from vecdb_index.dense import calibrate
from vecdb_index.dense.hnsw.graph import MOST_ROWS, Graph
from vecdb_index.types import METRIC_CODES


def problems(graph: Graph) -> list[str]:
    """Return what is wrong with a graph's arrays, a sentence each; a kernel may only be given a graph without any."""
    codes, links = graph.codes, graph.links
    count = len(codes)
    if not 1 <= count < MOST_ROWS:
        return [f"it has {count} rows"]
    coder = graph.coder
    if coder.metric not in METRIC_CODES or coder.dimension < 1 or not np.isfinite(coder.scale):
        return [f"its codes are of metric {coder.metric!r}, dimension {coder.dimension}, scale {coder.scale}"]
    if not 0 <= coder.noise < np.inf:
        return [f"the noise of its codes is {coder.noise}"]
    if not 0 <= graph.slack < np.inf or (graph.slack and coder.metric == "dot"):
        return [f"its slack is {graph.slack}, with metric {coder.metric!r}"]
    if coder.centre.dtype != np.float32 or coder.centre.shape != (coder.dimension,):
        return [f"the centre is {coder.centre.dtype} {coder.centre.shape}, not float32 ({coder.dimension},)"]
    if codes.dtype != np.uint8 or codes.shape != (count, graph.coder.width):
        return [f"codes are {codes.dtype} {codes.shape}, not uint8 {(count, graph.coder.width)}"]
    if links.dtype != np.int32 or links.ndim != 2 or len(links) != count:
        return [f"links are {links.dtype} {links.shape}, not int32 ({count}, m)"]
    return [*_links(graph), *_entries(graph), *calibrate.problems(graph.curve)]


def _links(graph: Graph) -> Iterator[str]:
    if graph.links.min(initial=0) < 0 or graph.links.max(initial=0) > len(graph):
        yield f"a link leads outside the {len(graph)} rows"


def _entries(graph: Graph) -> Iterator[str]:
    entries = graph.entries
    if entries.dtype != np.int32 or entries.ndim != 1 or len(entries) == 0:
        yield f"entries are {entries.dtype} {entries.shape}"
    elif entries.min() < 0 or entries.max() >= len(graph):
        yield f"an entry lies outside the {len(graph)} rows"
