"""Going on from the best candidates over links: personalised PageRank, or best paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vecdb.planner.ageing import aged_graph
from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import ArmColumn, Candidates
from vecdb.planner.gather import Context
from vecdb.planner.paths import PathColumn
from vecdb.planner.usefulness import judged
from vecdb.planner.walks import graph_for, keys_of_rows, paths_of, rows_of, ways_of
from vecdb.query.graph import Expand
from vecdb.storage.links.graph import LinkGraph
from vecdb_index.graph.pagerank import personalised_pagerank
from vecdb_index.graph.paths import best_paths
from vecdb_index.graph.walk import NODE_BYTES, ROOM, Reached, Ways

EXACT_EPSILON = 1e-9
"""How much mass a row may keep back for each of its links where the answer is to be exact."""


def expand(context: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the candidates and what links lead to from the best of them, by the score that walkers give."""
    stage, state = bound.stage, context.state
    assert isinstance(stage, Expand)
    scale = 1.0
    if stage.aged_by is None or stage.half_life is None:
        graph = graph_for(state, stage.links_where)
    else:
        graph, scale = aged_graph(state, stage.links_where, stage.aged_by, stage.half_life)
    assert isinstance(stage.links, Mapping)
    ways, unknown = ways_of(state, graph, stage.links, stage.direction, stage.through)
    if stage.method == "paths":  # walkers ask for the relation of weights only
        ways = ways._replace(ahead=ways.ahead * np.float32(scale), behind=ways.behind * np.float32(scale))
    told: dict[str, Any] = {"links": graph.out.links}
    if unknown:
        told["unknown_types"] = unknown
    if stage.gate and bound.columns and len(candidates):
        ways, about = _gated(context, bound, graph, ways)
        told |= about
    values = _values(bound, candidates)
    best = np.argsort(-values, kind="stable")[: stage.seeds]
    nodes = graph.numbers(candidates.some(best).ids()) if len(best) else np.empty(0, np.int32)
    walked = bool(ways.ahead.any() or ways.behind.any()) and bool((nodes >= 0).any())
    if not walked:
        return replace(candidates, told=told | {"walked": False})
    state.hold(stage.kind, NODE_BYTES * (max(ROOM, graph.nodes) if bound.exact else ROOM))
    reached, own = _reached(stage, bound.exact, graph, ways, nodes, values, best)
    told |= {"walked": True, "seeds": int((nodes >= 0).sum()), "links_read": reached.links}
    told |= {"reached": len(reached.answer)}
    if stage.method == "pagerank":
        told["unknown_mass"] = reached.unknown
    if reached.cut:
        told["cut"] = True
    return replace(_together(context, bound, candidates, graph, reached, own), told=told)


def _values(bound: BoundStage, candidates: Candidates) -> np.ndarray:
    """Return what each candidate counts, 0 to 1, (n,) float64.

    Ranks say little of how good the best are, so where they were fused, what counts is the sum of what arms say.
    """
    if bound.arms and len(candidates.arms) > 1:
        scores = [_scaled(arm.scores.astype(np.float64)) for arm in candidates.arms]
        return np.sum(scores, axis=0) / len(scores)
    return _scaled(candidates.score.astype(np.float64))


def _scaled(scores: np.ndarray) -> np.ndarray:
    """Return scores as 0 to 1, those that are no number as 0; all the same: all 1."""
    known = np.isfinite(scores)
    if not known.any():
        return np.zeros(len(scores))
    low, high = scores[known].min(), scores[known].max()
    scaled = np.ones(len(scores)) if low == high else (scores - low) / (high - low)
    return np.where(known, scaled, 0.0)


def _reached(
    stage: Expand,
    exact: bool,
    graph: LinkGraph,
    ways: Ways,
    nodes: np.ndarray,
    values: np.ndarray,
    best: np.ndarray,
) -> tuple[Reached, np.ndarray]:
    """Return what is come to, and what each candidate scores by itself."""
    known = nodes >= 0
    seed, value = nodes[known], values[best][known]
    room = max(ROOM, graph.nodes) if exact else ROOM
    if stage.method == "paths":
        assert stage.hops is not None
        value = np.maximum(value, 1e-12)
        most = max(graph.nodes, 1) if exact else stage.fan_out
        room = room * (stage.hops + 1) if exact else room
        return best_paths(ways, seed, value, hops=stage.hops, decay=stage.damping, fan_out=most, room=room), values
    epsilon = EXACT_EPSILON if exact else stage.epsilon
    mass = _mass(values[best])
    reached = personalised_pagerank(
        ways,
        seed,
        mass[known],
        damping=stage.damping,
        epsilon=epsilon,
        hub=stage.hub,
        balanced=stage.balanced,
        hops=stage.hops,
        room=room,
    )
    own = np.zeros(len(values))
    own[best] = np.where(known, 0.0, (1 - stage.damping) * mass)  # a seed without links keeps what stays with it
    # What no link leads to comes behind, in its own order.
    return reached, own + 1e-9 * values


def _mass(values: np.ndarray) -> np.ndarray:
    """Return what seeds start with, of sum 1: what they are above the least, squared."""
    above = (values - values.min()) ** 2
    if not above.any():
        above = np.ones(len(values))
    return above / above.sum()


def _together(
    context: Context, bound: BoundStage, candidates: Candidates, graph: LinkGraph, reached: Reached, own: np.ndarray
) -> Candidates:
    """Return candidates and rows that were come to as one ranking."""
    stage = bound.stage
    assert isinstance(stage, Expand)
    answer = reached.answer
    at, part, row = rows_of(context.state, graph, reached.nodes[answer], bound.where)
    answer = answer[at]
    keys, came = candidates.keys, keys_of_rows(candidates, part, row)
    order = np.argsort(keys, kind="stable")
    spot = np.minimum(np.searchsorted(keys, came, sorter=order), max(len(keys) - 1, 0))
    known = keys[order[spot]] == came if len(keys) else np.zeros(len(came), bool)
    old, fresh = order[spot[known]], np.flatnonzero(~known)
    score, places = own.astype(np.float64), np.full(len(keys), -1, np.int64)
    given = reached.scores[answer[known]]
    score[old] = np.maximum(score[old], given) if stage.method == "paths" else score[old] + given
    places[old] = answer[known]
    arms = tuple(
        ArmColumn(
            arm.name,
            np.concatenate([arm.ranks, np.zeros(len(fresh), arm.ranks.dtype)]),
            np.concatenate([arm.scores, np.full(len(fresh), np.nan, arm.scores.dtype)]),
        )
        for arm in candidates.arms
    )
    together = Candidates(
        candidates.parts,
        np.concatenate([candidates.part, part[fresh]]),
        np.concatenate([candidates.row, row[fresh]]),
        np.concatenate([score, reached.scores[answer[fresh]]]),
        arms,
        paths=PathColumn(np.concatenate([places, answer[fresh]]), paths_of(graph, reached)),
    )
    return together.ranked()


def _gated(context: Context, bound: BoundStage, graph: LinkGraph, ways: Ways) -> tuple[Ways, Mapping[str, Any]]:
    """Return the ways without useless types of links, and what there is to say of them."""
    found = judged(context.state, graph, bound.columns[0])
    useless = [code for code, one in found.items() if one.useless and (ways.ahead[code] or ways.behind[code])]
    if not useless:
        return ways, {}
    ahead, behind = ways.ahead.copy(), ways.behind.copy()
    ahead[useless] = behind[useless] = 0
    told = [
        f"links of type {graph.types[code]!r} are left out: linked rows are as alike as rows taken at random in "
        f"{bound.columns[0].name!r} ({found[code].linked:.3f} and {found[code].dealt:.3f}); gate=False keeps them"
        for code in useless
    ]
    return ways._replace(ahead=ahead, behind=behind), {"gate": told}
