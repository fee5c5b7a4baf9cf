"""What links say of candidates to a selection: which community each is of, and how far apart two of them are."""

from __future__ import annotations

import numpy as np

from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.links import graph_of
from vecdb.planner.masks import remembered
from vecdb.storage.links.graph import LinkGraph
from vecdb.storage.snapshot import State
from vecdb_index.graph.communities import communities

AT_ONCE = 4096
"""Common neighbours that are compared at once."""
ONE_LINK, TWO_LINKS = np.float32(0.5), np.float32(0.25)


def communities_of(state: State, graph: LinkGraph) -> np.ndarray:
    """Return the community of each node, (nodes,) int32; it is worked out once for a state of the links."""
    key = "communities", id(graph)
    known = state.routes.get(key)
    if known is None:
        rank = np.empty(graph.nodes, np.int32)
        rank[np.argsort(graph.keys, kind="stable")] = np.arange(graph.nodes, dtype=np.int32)
        found = communities(graph.out, graph.incoming, np.ones(len(graph.types), np.float32), rank)
        # The graph is kept beside it, so that no other graph gets its identity meanwhile.
        known = remembered(state.routes, key, (graph, found))
    return known[1]


def communities_reached(
    context: Context, candidates: Candidates, relevance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which candidates are of which community, (n, u) float32 of 0 and 1, and what each counts, (u,).

    A community counts by how relevant its candidates are together. A candidate without links is one of its own.
    """
    graph, count = graph_of(context.state), len(candidates)
    nodes = graph.numbers(candidates.ids())
    own = -1 - np.arange(count, dtype=np.int64)
    labels = np.where(nodes >= 0, communities_of(context.state, graph)[nodes], own) if graph.nodes else own
    names, of = np.unique(labels, return_inverse=True)
    has = np.zeros((count, len(names)), np.float32)
    has[np.arange(count), of] = 1
    return has, np.bincount(of, relevance, len(names))


def link_similarities(context: Context, candidates: Candidates) -> np.ndarray:
    """Return how near candidates are over links, (n, n) float32: 1 for itself, and half as much for each link.

    Links count in either direction. What is more than two links apart is not alike at all.
    """
    graph, count = graph_of(context.state), len(candidates)
    nodes = graph.numbers(candidates.ids())
    similar = np.zeros((count, count), np.float32)
    rows, others = _neighbours(graph, nodes)
    # Common neighbours are all that makes two links; one that only one candidate has does not count.
    shared, column = np.unique(others, return_inverse=True)
    often = np.flatnonzero(np.bincount(column, minlength=len(shared)) > 1) if len(shared) else np.empty(0, np.int64)
    for first in range(0, len(often), AT_ONCE):
        context.state.check("select")
        some = often[first : first + AT_ONCE]
        place = np.full(len(shared), -1, np.int64)
        place[some] = np.arange(len(some))
        there = place[column] >= 0
        has = np.zeros((count, len(some)), np.float32)
        has[rows[there], place[column[there]]] = 1
        similar[has @ has.T > 0] = TWO_LINKS
    known = np.flatnonzero(nodes >= 0)
    if len(known):
        order = known[np.argsort(nodes[known], kind="stable")]
        spot = np.minimum(np.searchsorted(nodes[order], others), len(order) - 1)
        linked = nodes[order[spot]] == others
        similar[rows[linked], order[spot[linked]]] = similar[order[spot[linked]], rows[linked]] = ONE_LINK
    np.fill_diagonal(similar, 1)
    return similar


def _neighbours(graph: LinkGraph, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return who is linked to whom: places in a list of nodes, and nodes, each pair once."""
    rows, others = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for place, node in enumerate(nodes.tolist()):
        if node < 0:
            continue
        both = np.union1d(graph.out.row(node)[0], graph.incoming.row(node)[0])
        both = both[both != node]
        rows.append(np.full(len(both), place))
        others.append(both)
    return np.concatenate(rows), np.concatenate(others)
