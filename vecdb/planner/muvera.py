"""Which way a search by multi-vectors goes through one part: by the codes of its index, or MaxSim of all rows."""

from __future__ import annotations

from typing import NamedTuple

from vecdb.planner.found import PartPlan
from vecdb.query.effort import Effort
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb.storage import index_kinds
from vecdb.storage.snapshot import Part, SegmentView
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import width_for
from vecdb_index.dense.plan import Plan
from vecdb_index.multivector.stored import Tokens
from vecdb_index.muvera.search import MuveraSearcher

SKIP, SCAN, CODES = "skip", "maxsim", "muvera"
"""What `explain` says of a part: no row can be found; all rows that may be found were compared; those were that the
codes of their encodings put first."""


class Way(NamedTuple):
    """What `explain` says of a part, and how to search it; without a searcher: compare all."""

    told: PartPlan
    searcher: MuveraSearcher | None = None
    plan: Plan | None = None


def way(
    part: Part,
    column: Column[MultiVector],
    tokens: Tokens,
    length: int,
    k: int,
    allowed: Allowed | None,
    effort: Effort,
) -> Way:
    """Return how to search a part for the k best rows, by a question of `length` tokens."""
    matching = part.rows if allowed is None else allowed.count
    row_bytes = max(1, len(tokens.values) * tokens.token_bytes // max(1, len(tokens)))
    told = PartPlan(part.uuid, part.told, matching, SCAN if matching else SKIP, 0, row_bytes=row_bytes)
    if matching == 0:
        return Way(told._replace(reason="no row may be found"))
    if effort.exact:
        return Way(told._replace(reason="asked to be exact"))
    searcher = _searcher(part, column, tokens)
    if searcher is None:
        return Way(told._replace(problem=part.index_problem(column), reason="it has no index"))
    width = effort.width
    if width is None:
        width = searcher.wider(width_for(searcher.curve, effort.recall), k)
    considered = searcher.considered(None if allowed is None else matching, k, max(width, k), length)
    plan = considered[0]
    found = "all rows may be found" if matching == part.rows else f"{matching / part.rows:.2%} of its rows may be found"
    other = "".join(f"; instead of {_name(one)} at {one.cost:,.0f}" for one in considered[1:])
    told = told._replace(cost=plan.cost, reason=found + other)
    if plan.kind == "scan":
        return Way(told)
    told = told._replace(plan=CODES, ef=plan.ef, codes=plan.reads, code_bytes=searcher.code_bytes)
    return Way(told, searcher, plan)


def _name(plan: Plan) -> str:
    return SCAN if plan.kind == "scan" else CODES


def _searcher(part: Part, column: Column[MultiVector], tokens: Tokens) -> MuveraSearcher | None:
    # An index that the segment should not have any more may still be there.
    if not isinstance(part, SegmentView) or index_kinds.wanted(column, part.rows) is None:
        return None
    try:
        return part.targets[column.id]
    except KeyError:
        index = part.segment.muvera_of(column.id)
        found = None if index is None else MuveraSearcher(index, tokens)
        part.targets[column.id] = found
        return found
