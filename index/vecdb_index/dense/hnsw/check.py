"""What must hold of a graph before a kernel may walk it: kernels trust every number."""

import numpy as np

from vecdb_index.dense.hnsw.graph import MOST_ROWS, Graph


def problems(graph: Graph) -> list[str]:
    """Return what is wrong with a graph's arrays, a sentence each; a kernel may only be given a graph without any."""
    codes, links, entries = graph.codes, graph.links, graph.entries
    count = len(codes)
    if not 1 <= count < MOST_ROWS:
        return [f"it has {count} rows"]
    if codes.dtype != np.uint8 or codes.shape != (count, graph.coder.width):
        return [f"codes are {codes.dtype} {codes.shape}, not uint8 {(count, graph.coder.width)}"]
    if links.dtype != np.int32 or links.ndim != 2 or len(links) != count:
        return [f"links are {links.dtype} {links.shape}, not int32 ({count}, m)"]
    found = []
    if links.min(initial=0) < 0 or links.max(initial=0) > count:
        found.append(f"a link leads outside the {count} rows")
    if entries.dtype != np.int32 or entries.ndim != 1 or len(entries) == 0:
        found.append(f"entries are {entries.dtype} {entries.shape}")
    elif entries.min() < 0 or entries.max() >= count:
        found.append(f"an entry lies outside the {count} rows")
    return found
