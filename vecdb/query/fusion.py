"""How the rankings of several arms become one: the kinds of fusion.

An arm is one way of finding rows, such as the nearest vectors or the best matches of some words. Weights go by the
order of the arms in the query; an arm of weight 0 finds nothing, and its ranks and scores are still told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown
from vecdb.schema.given import choice
from vecdb.schema.kinds import kind_from, whole

K = 0, 100_000
"""The least and the greatest constant of RRF."""
ARMS = 32
"""The most arms that one fusion takes."""
LARGEST_WEIGHT = 1e6
NORMALISE = "minmax", "zscore", "calibrated", "none"


@dataclass(frozen=True)
class Fusion:
    """Base of all kinds. `kind` is the stable name under which queries are written down."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the kind and its parameters, in a form that `fusion_from` reads back."""
        said = {part.name: getattr(self, part.name) for part in fields(self)}
        return {"kind": self.kind} | {name: list(it) if isinstance(it, tuple) else it for name, it in said.items()}

    def check(self, arms: int) -> None:
        """Raise InvalidInputError where the parameters do not go with so many arms."""
        weights = getattr(self, "weights", None)
        if arms > ARMS:
            raise InvalidInputError(f"a query fuses at most {ARMS} arms, not {arms}", field="fusion", value=arms)
        if weights is not None and len(weights) != arms:
            raise InvalidInputError(
                f"fusion {self.kind!r} has {len(weights)} weights, the query has {arms} arms",
                field="weights",
                value=weights,
            )


@dataclass(frozen=True)
class Rrf(Fusion):
    """Reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009): the sum of weight / (k + rank).

    Attributes:
        k: how little the first ranks stand out; 60 is the usual number.
        weights: what each arm counts; None: all the same.

    """

    kind: ClassVar[str] = "rrf"
    k: int = 60
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no whole number or out of range."""
        whole("fusion", self, "k", *K)
        _weights(self)


@dataclass(frozen=True)
class Interleave(Fusion):
    """The arms take turns, each with its best row that is not yet taken; the row in place p scores 1 / p.

    The first of each arm is among the first rows, which RRF does not promise.

    Attributes:
        weights: how many turns each arm gets beside the others; None: one each. The heavier arm begins, of equal ones
            the earlier.

    """

    kind: ClassVar[str] = "interleave"
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse weights out of range."""
        _weights(self)


@dataclass(frozen=True)
class WeightedSum(Fusion):
    """The sum of weight x score, the scores of each arm's list made comparable.

    Attributes:
        weights: what each arm counts; None: all the same.
        normalise: "minmax": from 0 for the last row of the list to 1 for its first; "zscore": standard deviations
            above the list's mean; "calibrated": how many powers of e rarer than the last row, if scores behind the
            tenth fall off exponentially; "none": as they are, for arms whose scores are comparable already.

    A row that an arm does not list counts there as its last one; with "none", as 0 where the arm listed all that match.

    """

    kind: ClassVar[str] = "weighted"
    weights: tuple[float, ...] | None = None
    normalise: str = "minmax"

    def __post_init__(self) -> None:
        """Refuse weights out of range and normalisations that do not exist."""
        _weights(self)
        choice("normalise", self.normalise, NORMALISE)


@dataclass(frozen=True)
class AutoFusion(Fusion):
    """A sum of scores in which, query by query, an arm counts for as much as its best row stands out of its list.

    Nothing is trained and nothing is remembered from query to query. See docs/fusion.md.
    """

    kind: ClassVar[str] = "auto"


FUSIONS: dict[str, type[Fusion]] = {cls.kind: cls for cls in (Rrf, Interleave, WeightedSum, AutoFusion)}


def fusion_from(value: Fusion | str | Mapping[str, Any]) -> Fusion:
    """Return the kind of fusion that a user named, or that `to_json` described.

    Raises:
        InvalidInputError: there is no such kind, or a parameter is unknown or out of range.

    """
    return kind_from("fusion", value, Fusion, FUSIONS)


def _weights(fusion: Fusion) -> None:
    """Check the weights and keep them as floats, so that equal fusions compare equal."""
    value = getattr(fusion, "weights", None)
    if value is None:
        return
    try:
        numbers = () if isinstance(value, str | bytes | Mapping) else tuple(map(float, value))
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    # Adding 0.0 turns a negative zero into the other.
    numbers = tuple(number + 0.0 for number in numbers)
    fine = all(math.isfinite(number) and 0 <= number <= LARGEST_WEIGHT for number in numbers)
    if not (0 < len(numbers) <= ARMS and fine and any(numbers)):
        raise InvalidInputError(
            f"weights of fusion {fusion.kind!r} are {shown(value)}, expected a list of 1 to {ARMS} numbers "
            f"from 0 to {LARGEST_WEIGHT:g}, in the order of the query's arms, not all of them 0",
            field="weights",
            value=value,
        )
    object.__setattr__(fusion, "weights", numbers)
