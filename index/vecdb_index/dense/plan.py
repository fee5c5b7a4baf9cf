"""How to answer a query under a filter: which way through a segment costs the least.

    graph     all rows are allowed: walk
    wide      walk over all rows with a longer list, and keep what is allowed
    two_hops  walk over the allowed rows only, stepping across the others: never chosen, see ADR 5
    codes     look at the codes of all allowed rows: also where so many rows are asked for that a walk reads as many
    lists     read the nearest lists of an inverted file
    scan      score all allowed rows exactly

The unit of cost is a code read in order: `width` bytes that the processor could ask for in time. A pure function of
counts and of what this machine charges for a walk, so that `explain` can show it and a test can compare it with what
was measured. Every way that could be gone is considered, and the cheapest is taken.

Counts do not tell whether the allowed rows lie near the query, far from it or anywhere, and a walk over all rows costs
half as much or several times as much accordingly. A short walk finds out, and the codes are looked at when they cost
less; a long one ends when it met enough (`fewest` and `enough` of a plan).
"""

from math import ceil, inf
from typing import Literal, NamedTuple, get_args

Kind = Literal["graph", "wide", "two_hops", "codes", "lists", "scan"]
KINDS: tuple[Kind, ...] = get_args(Kind)

STEP = 2.6
"""A code that a walk reads costs as much as so many in order: it lies anywhere, and the walk keeps books of it. This is
for the walks that a filter makes long; short ones cost less."""
VISITS = 13.0
"""Codes that a walk reads per candidate kept, at 2^16 rows; a doubling of the rows adds VISITS_PER_DOUBLING."""
VISITS_PER_DOUBLING = 0.6
START = 150.0
"""Codes that a walk reads before it is near."""
WIDER = 1.2
"""Candidates beyond those that a share of allowed rows calls for, when the walk is over all rows."""
PROBE = 24
"""Candidates that tell how many of the rows near the query are allowed."""
PROBE_PAYS = 5.0
"""Where a look at the codes costs so many times what these candidates cost, it is worth asking whether a walk is
enough: half the time where the rows near the query are allowed, a sixth more where it has to be given up. So asking is
counted as the candidates and all codes but one in so many."""
MANY = 200
"""Where more rows are asked for than this, to keep them in order counts, and a scan is considered too."""
KEPT_CODES, KEPT_WALK = 1000.0, 200.0
"""Each of these costs as much as so many codes, by a look at the codes and by a walk. Of 60,000 texts, 1,000, 3,000 and
10,000 rows took codes 21, 71 and 227 ms more than ten did, and a walk 5, 13 and 70 ms; ten took codes 1.3 ms."""
FEW = 4
"""Up to so many allowed rows per row asked for are scored at once, without codes, by indexes that are not a graph. A
graph looks at their codes and scores them in the same call, in half the time."""


class Costs(NamedTuple):
    """What a machine charges.

    Attributes:
        step: a code that a walk reads, in codes read in order.

    """

    step: float = STEP


USUAL = Costs()


class Plan(NamedTuple):
    """The way chosen.

    Attributes:
        kind: see above.
        ef: how wide it is: candidates that are kept; 0 where that says nothing.
        cost: what it is supposed to cost.
        enough: a walk over all rows ends early when it met so many candidates that are allowed.
        fewest: PROBE candidates are looked for first; the codes of all allowed rows are looked at instead when fewer
            of them are allowed.
        reads: how many codes it is supposed to compare.

    """

    kind: Kind
    ef: int
    cost: float
    enough: int = 0
    fewest: int = 0
    reads: int = 0


def choose(rows: int, allowed: int | None, k: int, ef: int, costs: Costs = USUAL) -> Plan:
    """Return the cheapest plan; allowed None: all rows, else at least 1."""
    return considered(rows, allowed, k, ef, costs)[0]


def considered(
    rows: int, allowed: int | None, k: int, ef: int, costs: Costs = USUAL, row: float = inf
) -> tuple[Plan, ...]:
    """Return the plans that would do, the cheapest first; allowed None: all rows, else at least 1.

    `row` is what a row that is scored in order costs, in codes.
    """
    total = rows if allowed is None else allowed
    codes = Plan("codes", 0, float(total), reads=total)
    if allowed is None:
        walking = Plan("graph", ef, walk(rows, ef, costs), reads=visits(rows, ef))
    else:
        walking = _wide(rows, allowed, ef, costs)
    if k > MANY:
        codes = codes._replace(cost=codes.cost + KEPT_CODES * (k - MANY))
        walking = walking._replace(cost=walking.cost + KEPT_WALK * (k - MANY))
        return tuple(sorted((walking, codes, Plan("scan", 0, row * total)), key=lambda plan: plan.cost))
    if allowed is None:
        return (walking,)
    return (codes, walking) if codes.cost <= walking.cost else (walking, codes)


def _wide(rows: int, allowed: int, ef: int, costs: Costs) -> Plan:
    """Return the walk over all rows: as long as chance calls for, or a shorter one that may be given up for codes."""
    longer = widened(rows, allowed, ef)
    # With allowed rows anywhere it has met enough of them before the candidates that are too many.
    reads = visits(rows, int(longer / WIDER))
    whole = costs.step * reads
    # The share among the rows near the query at which a walk costs as much as all codes.
    even = walk(rows, ef, costs) / allowed
    if even >= 1:
        return Plan("wide", longer, whole, ef, reads=reads)
    fewest, probe = ceil(even * PROBE), walk(rows, PROBE, costs)
    asking = allowed * (1 - 1 / PROBE_PAYS)
    if whole <= asking:
        return Plan("wide", longer, probe + whole, ef, fewest, visits(rows, PROBE) + reads)
    shorter = min(longer, int(WIDER * ef / even))
    return Plan("wide", shorter, probe + asking, ef, fewest, visits(rows, PROBE) + allowed)


def forced(kind: Kind, rows: int, allowed: int | None, k: int, ef: int) -> Plan:
    """Return the plan that somebody insists on; without a filter there is only to walk and to look at all."""
    if kind == "lists":
        kind = "graph"
    if kind in ("codes", "scan"):
        return Plan(kind, 0, 0.0)
    if allowed is None:
        return Plan("graph", ef, 0.0)
    if kind == "two_hops":
        return Plan(kind, ef, 0.0)
    return Plan("wide", widened(rows, allowed, ef), 0.0, ef)


def widened(rows: int, allowed: int, ef: int) -> int:
    """Return how many candidates to keep among all rows so that ef of them are allowed."""
    return min(rows, int(min(ef, allowed) * WIDER * rows / allowed))


def visits(rows: int, ef: int) -> int:
    """Return how many codes a walk reads that keeps ef candidates."""
    per_candidate = VISITS + VISITS_PER_DOUBLING * (rows.bit_length() - 16)
    return int(min(float(rows), START + max(1.0, per_candidate) * ef))


def walk(rows: int, ef: int, costs: Costs = USUAL) -> float:
    """Return the cost of a walk that keeps ef candidates."""
    return costs.step * visits(rows, ef)
