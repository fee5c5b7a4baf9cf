"""What `Collection.calibrate` learns, and says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb.schema.given import listed
from vecdb_index.relevance.calibrator import Judged, RelevanceCalibrator

if TYPE_CHECKING:
    from vecdb.query.query import Query
    from vecdb.reads import Snapshot

__all__ = ["CalibrationReport", "Judged", "RelevanceCalibrator"]

QUERIES = 100_000
"""The most judged queries."""


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """How well relevance was learned, measured on queries that were left out while it was learned.

    Attributes:
        queries: how many were judged.
        answerable: how many of them have an answer.
        relevant: hits that are one.
        auc: how often a query with an answer has a better best hit than one without: 0.5 is chance, 1 is always; NaN
            where all queries, or none, have an answer.
        auc_raw: the same by the best score of the vector alone.
        kept: hits a query that are kept where 95 % of the relevant hits are.
        kept_raw: the same with one bar on the score of the vector.
        directions: directions of the query's vector that are used.

    """

    queries: int
    answerable: int
    relevant: int
    auc: float
    auc_raw: float
    kept: float
    kept_raw: float
    directions: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CalibrationReport:
        """Read what `to_json` wrote."""
        given: dict[str, Any] = {name: float("nan") if value is None else value for name, value in data.items()}
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON knows it: None for NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def calibrated(snapshot: Snapshot, judged: Any) -> tuple[dict[str, Any], CalibrationReport]:
    """Learn from judged queries; return what a collection keeps, and the report."""
    kept = snapshot._learned(checked(judged))
    return kept.to_json(), CalibrationReport(**kept.calibrator.report)  # pyright: ignore[reportArgumentType]


def checked(judged: Any) -> list[tuple[Query, tuple[Any, ...]]]:
    """Return judged queries as pairs of a query and ids.

    Raises:
        InvalidInputError: they are none.

    """
    from vecdb.query.query import Query

    pairs = []
    for one in listed("judged", judged, "pairs of a query and ids"):
        if not (isinstance(one, tuple | list) and len(one) == 2 and isinstance(one[0], Query)):
            raise InvalidInputError(f"judged holds {one!r:.200}, expected a vecdb.Query and ids", field="judged")
        query, ids = one
        pairs.append((query, listed("the ids of an answer", ids, "ids")))
    if len(pairs) > QUERIES:
        raise InvalidInputError(f"judged has {len(pairs)} queries, at most {QUERIES}", field="judged")
    return pairs
