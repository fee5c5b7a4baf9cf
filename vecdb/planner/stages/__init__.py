"""What each stage of a query does to the candidates: one file, one stage, all of one form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.stages.cascade import cascade
from vecdb.planner.stages.collapse import collapse
from vecdb.planner.stages.cut import cut
from vecdb.planner.stages.expand import expand
from vecdb.planner.stages.formula import rank
from vecdb.planner.stages.group_by import group_by
from vecdb.planner.stages.max_sim import max_sim
from vecdb.planner.stages.min_score import min_score
from vecdb.planner.stages.order_by import order_by
from vecdb.planner.stages.path_pooling import path_pooling
from vecdb.planner.stages.rescore import rescore
from vecdb.planner.stages.scorer import scorer
from vecdb.planner.stages.select import select
from vecdb.query.cascade import Cascade
from vecdb.query.graph import Expand, PathPooling
from vecdb.query.relevance import Relevance
from vecdb.query.scorer import Scorer
from vecdb.query.selection import Select
from vecdb.query.stages import Collapse, GroupBy, MaxSim, MinScore, OrderBy, Rank, Rescore, Stage

Apply = Callable[[Context, BoundStage, Candidates], Candidates]

APPLY: dict[type[Stage], Callable[[Context, Any, Candidates], Candidates]] = {
    Cascade: cascade,
    Collapse: collapse,
    Expand: expand,
    GroupBy: group_by,
    MaxSim: max_sim,
    MinScore: min_score,
    OrderBy: order_by,
    PathPooling: path_pooling,
    Rank: rank,
    Relevance: cut,
    Rescore: rescore,
    Scorer: scorer,
    Select: select,
}
