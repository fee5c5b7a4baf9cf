"""How to answer a query under a filter: which way through a segment costs the least.

    graph     all rows are allowed: walk
    wide      walk over all rows with a longer list, and keep what is allowed
    two_hops  walk over the allowed rows only, stepping across the others
    codes     look at the codes of all allowed rows
    lists     read the nearest lists of an inverted file
    scan      score all allowed rows exactly

The unit of cost is a code read in order: `width` bytes that the processor could ask for in time. A pure function of
counts, so that `explain` can show it and a test can compare it with what was measured.
"""

from typing import Literal, NamedTuple, get_args

Kind = Literal["graph", "wide", "two_hops", "codes", "lists", "scan"]
KINDS: tuple[Kind, ...] = get_args(Kind)

STEP = 2.6
"""A code that a walk reads costs as much as so many in order: it lies anywhere, and the walk keeps books of it."""
VISITS = 13.0
"""Codes that a walk reads per candidate kept, at 2^16 rows; a doubling of the rows adds VISITS_PER_DOUBLING."""
VISITS_PER_DOUBLING = 0.6
START = 150.0
"""Codes that a walk reads before it is near."""
HOP = 2.0
"""What a walk over few allowed rows pays more for each of them: it reads the lists and marks of those between."""
WIDER = 1.2
"""Candidates beyond those that a share of allowed rows calls for, when the walk is over all rows."""
SMALLEST_SHARE, LARGEST_SHARE = 0.02, 0.2
"""Below the one two hops lose their way, above the other the walk over all rows is faster and finds more."""
FEW = 4
"""Up to so many allowed rows per row asked for are scored at once, without codes, by indexes that are not a graph. A
graph looks at their codes and scores them in the same call, in half the time."""


class Plan(NamedTuple):
    """The way chosen, how wide it is (candidates that are kept; 0 where that says nothing), and its supposed cost."""

    kind: Kind
    ef: int
    cost: float


def choose(rows: int, allowed: int | None, k: int, ef: int) -> Plan:
    """Return the cheapest plan; allowed None: all rows, else at least 1."""
    if allowed is None:
        return Plan("graph", ef, walk(rows, ef))
    plans = [Plan("codes", 0, float(allowed))]
    share = allowed / rows
    longer = widened(rows, allowed, ef)
    plans.append(Plan("wide", longer, walk(rows, longer)))
    if SMALLEST_SHARE <= share <= LARGEST_SHARE:
        plans.append(Plan("two_hops", ef, HOP * walk(allowed, ef) * (1 + 0.1 / share)))
    return min(plans, key=lambda plan: plan.cost)


def forced(kind: Kind, rows: int, allowed: int | None, k: int, ef: int) -> Plan:
    """Return the plan that somebody insists on; without a filter there is only to walk and to look at all."""
    if kind == "lists":
        kind = "graph"
    if kind in ("codes", "scan"):
        return Plan(kind, 0, 0.0)
    if allowed is None:
        return Plan("graph", ef, 0.0)
    if kind == "graph":
        kind = "wide"
    return Plan(kind, widened(rows, allowed, ef) if kind == "wide" else ef, 0.0)


def widened(rows: int, allowed: int, ef: int) -> int:
    """Return how many candidates to keep among all rows so that ef of them are allowed."""
    return min(rows, int(min(ef, allowed) * WIDER * rows / allowed))


def walk(rows: int, ef: int) -> float:
    """Return the cost of a walk that keeps ef candidates."""
    per_candidate = VISITS + VISITS_PER_DOUBLING * (rows.bit_length() - 16)
    return STEP * min(float(rows), START + max(1.0, per_candidate) * ef)
