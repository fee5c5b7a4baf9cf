"""How a graph is searched: over which codes, and whether its walks end early. Decided by what was measured on it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from vecdb_index.dense.calibrate import Measured, as_good, reads_for
from vecdb_index.dense.hnsw.graph import Graph

SLACK = 0.06
"""What walks are tried with: those of 64 candidates keep rows up to 1.04 times as far as the last that is scored."""
RECALL = 0.99
"""The recall at which walks that end early have to read less."""


def tuned(
    graph: Graph,
    given: Mapping[str, Any],
    measured: Callable[[Graph], Measured] | None,
    pool: ThreadPoolExecutor | None = None,
) -> Graph:
    """Return a graph over 8-bit codes as it is best searched, with its curve.

    Args:
        graph: just made.
        given: `codes`, "8bit" or "4bit", and `slack`, where the user chose them.
        measured: tells the curve of a graph; None: no question can be asked, so only what was given is done.
        pool: threads that help.

    """
    codes, slack = given.get("codes"), given.get("slack")
    packed = None if codes == "8bit" else graph.packed(pool)
    if measured is None:
        graph = packed if packed is not None and codes == "4bit" else graph
        return replace(graph, slack=slack or 0.0)
    if packed is not None and codes == "4bit":
        graph, packed = packed, None
    told = measured(graph)
    if packed is not None:
        other = measured(packed)
        if as_good(other.curve, told.curve):
            graph, told = packed, other
    trial = SLACK if slack is None else slack
    if trial and graph.coder.metric != "dot":
        early = replace(graph, slack=trial)
        other = measured(early)
        recall = min(RECALL, float(other.curve[-1, 1]), float(told.curve[-1, 1]))
        if slack is not None or reads_for(other, recall) < reads_for(told, recall):
            graph, told = early, other
    return replace(graph, curve=told.curve)
