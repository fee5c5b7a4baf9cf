"""How hard to look."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vecdb_index.dense.plan import Kind

RECALL = 0.99
"""The share of the true best rows that a search finds, unless told otherwise, as the index measured it."""


class Effort(NamedTuple):
    """What a search may leave out.

    Attributes:
        exact: scan every row that matches.
        width: candidates that a walk keeps, lists that are read, or rows that codes leave to be scored; None: what the
            recall calls for.
        recall: the share of the true k best rows to find, on average, without a filter.
        plan: insist on one way through parts with an index, for tests and measurements.

    """

    exact: bool = False
    width: int | None = None
    recall: float = RECALL
    plan: "Kind | None" = None


USUAL = Effort()
