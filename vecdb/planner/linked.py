"""Gathering rows that links lead to from given ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from vecdb.planner.bound import BoundArm
from vecdb.planner.candidates import Candidates
from vecdb.planner.found import Found, PartPlan
from vecdb.planner.gather import Context
from vecdb.planner.paths import PathColumn
from vecdb.planner.walks import graph_for, paths_of, rows_of, ways_of
from vecdb.query.graph import Linked
from vecdb.storage.links.graph import LinkGraph
from vecdb_index.graph.paths import best_paths, walkers
from vecdb_index.graph.walk import NODE_BYTES, Reached

DECAY = 0.5
"""What each link leaves of a path's worth."""
ROOM = 1 << 20
"""The most nodes of a walk, counted again in each step, unless the exact answer is asked for."""


def linked(context: Context, bound: BoundArm, depth: int) -> Found:
    """Return the best `depth` rows of a `Linked` arm."""
    arm, state = bound.arm, context.state
    assert isinstance(arm, Linked)
    graph = graph_for(state, arm.links_where)
    start = graph.numbers(arm.ids)
    start = start[start >= 0]
    reached = _walked(context, bound, arm, graph, start) if len(start) else None
    if reached is None:
        nothing = np.empty(0, np.int64)
        return Found(state.parts, nothing, nothing, np.empty(0, np.float32), (), _plans(context, nothing))
    answer = reached.answer[~np.isin(reached.nodes[reached.answer], start)]
    at, part, row = rows_of(state, graph, reached.nodes[answer], bound.where)
    paths = PathColumn(answer[at], paths_of(graph, reached))
    score = reached.scores[answer[at]].astype(np.float32)
    ranked = Candidates(state.parts, part, row, score, paths=paths).ranked(depth)
    plans = _plans(context, part, reached.links, bool(reached.cut))
    return ranked.found()._replace(plans=plans, paths=ranked.paths)


def _walked(context: Context, bound: BoundArm, arm: Linked, graph: LinkGraph, start: np.ndarray) -> Reached:
    steps: Any = [{step: 1.0} for step in arm.path] or [arm.links] * arm.hops
    ways = [ways_of(context.state, graph, links, arm.direction, arm.through)[0] for links in steps]
    room = (len(ways) + 1) * graph.nodes
    room = room if bound.effort.exact else min(room, ROOM)
    context.state.hold(arm.kind, NODE_BYTES * room)
    if arm.path:
        return walkers(ways, start, np.full(len(start), 1 / len(start)), room=room)
    ones = np.ones(len(start))
    return best_paths(ways[0], start, ones, hops=arm.hops, decay=DECAY, fan_out=max(graph.nodes, 1), room=room)


def _plans(context: Context, part: np.ndarray, links: int = 0, cut: bool = False) -> tuple[PartPlan, ...]:
    """Return how many rows of each part were come to; where room was too small for all, the reason says so."""
    counts = np.bincount(part, minlength=len(context.state.parts)).tolist()
    reason = f"{links} links read" + (", and no room for more" if cut else "")
    return tuple(
        PartPlan(one.uuid, one.told, count, "linked" if count else "skip", 0, reason=reason)
        for one, count in zip(context.state.parts, counts, strict=True)
    )
