"""The stages of a query: what happens to the candidates that were gathered and fused, in the order given.

MinScore   leaves out what scores too low
Collapse   keeps the best of rows that are nearly the same
GroupBy    keeps the best rows of each value of a field
OrderBy    orders by fields instead of by score
Rescore    scores the best candidates anew, by another vector field
MaxSim     scores them by a field of multi-vectors
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from vecdb.arguments import rows_asked
from vecdb.errors import InvalidInputError
from vecdb.query.formula import Formula, formula_of
from vecdb.query.matrix import question, weights_of_tokens
from vecdb.query.value import QueryPart, field_name, shown
from vecdb.query.value import numbers as numbers_of
from vecdb.schema.given import finite, listed, whole_number

KEYS = 16
"""The most fields to order by."""
PER_GROUP = 10_000
"""The most rows of a group."""


class Stage(QueryPart):
    """Base of all stages. `portable` says whether it can be written as JSON, and so be asked elsewhere, or by pages."""

    portable: ClassVar[bool] = True


@dataclass(frozen=True, repr=False)
class MinScore(Stage):
    """Leaves out candidates whose score is below `score`, or is no number."""

    kind: ClassVar[str] = "min_score"
    score: float

    def __post_init__(self) -> None:
        """Refuse what is no finite number."""
        object.__setattr__(self, "score", finite("min_score", self.score))


@dataclass(frozen=True, repr=False)
class Collapse(Stage):
    """Keeps the best of rows that are nearly the same, and leaves out the others.

    Attributes:
        field: a field: rows with equal values are the same, rows without a value are not; or a vector field: rows are
            the same when the cosine of their vectors is at least `similarity` (of bits, 1 less twice the share that
            differs).
        similarity: above 0, up to 1.

    """

    kind: ClassVar[str] = "collapse"
    field: str
    similarity: float = 0.95

    def __post_init__(self) -> None:
        """Check the similarity."""
        field_name(self.field)
        similarity = finite("similarity", self.similarity)
        if not 0 < similarity <= 1:
            raise InvalidInputError(
                f"similarity is {self.similarity!r}, expected a number above 0 and up to 1", field="similarity"
            )
        object.__setattr__(self, "similarity", similarity)


@dataclass(frozen=True, repr=False)
class GroupBy(Stage):
    """Keeps the best `per_group` rows of each value of a field; the query's `k` counts groups then.

    Groups come in the order of their best rows. Rows without a value are left out; of a field that holds lists, a row
    is in the group of each of its values.
    """

    kind: ClassVar[str] = "group_by"
    field: str
    per_group: int = 1

    def __post_init__(self) -> None:
        """Check the number."""
        field_name(self.field)
        object.__setattr__(self, "per_group", whole_number("per_group", self.per_group, most=PER_GROUP))


@dataclass(frozen=True, repr=False)
class OrderBy(Stage):
    """Orders the candidates by fields: `("size desc", "name")`. Rows without a value come last, equal ones by id.

    `score` is the score. Candidates are those that were gathered: with an arm, its `fetch` best; without one, all rows
    that pass the filter.
    """

    kind: ClassVar[str] = "order_by"
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        """Read the keys."""
        keys = (self.keys,) if isinstance(self.keys, str) else listed("order_by", self.keys, "fields")
        object.__setattr__(self, "keys", tuple(" ".join(part) for part in map(_key, keys)))
        if not 1 <= len(keys) <= KEYS:
            raise InvalidInputError(f"order_by names {len(keys)} fields, expected 1 to {KEYS}", field="order_by")

    @property
    def parts(self) -> list[tuple[str, bool]]:
        """Each field's name, and whether it descends."""
        return [(name, direction == "desc") for name, direction in map(str.split, self.keys)]


@dataclass(frozen=True, repr=False)
class Rescore(Stage):
    """Scores the best `top` candidates exactly by a vector field; the others, and those without one, are left out.

    Attributes:
        field: a vector field.
        vector: (dimension,) numbers; or a text, where the field has an encoder.
        top: how many; None: all.

    """

    kind: ClassVar[str] = "rescore"
    field: str
    vector: Any
    top: int | None = None

    def __post_init__(self) -> None:
        """Keep a copy of the vector."""
        field_name(self.field)
        if not isinstance(self.vector, str):
            object.__setattr__(self, "vector", numbers_of(f"the query for {self.field!r}", self.vector))
        object.__setattr__(self, "top", top_of(self.top))


@dataclass(frozen=True, repr=False)
class MaxSim(Stage):
    """Scores the best `top` candidates by MaxSim; the others, and those without tokens, are left out.

    Attributes:
        field: a field of multi-vectors.
        tokens: (tokens, dimension) numbers; or a text, where the field has an encoder.
        weights: how much each of the question's vectors counts, from 0; None: all the same.
        top: how many; None: all.
        prune: leave out candidates whose score is worse than that of the query's k-th by more than this share of it:
            a larger share leaves out fewer. None: leave out none. Without effect where the score does not order them.
        patience: score them in their order, and stop after so many in a row that are no better than the k-th best so
            far; None: score all.

    Of a query with `exact=True` nothing is pruned, and all are scored.

    """

    kind: ClassVar[str] = "max_sim"
    field: str
    tokens: Any
    weights: Any = None
    top: int | None = None
    prune: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        """Keep a copy of the vectors, and check the rest."""
        field_name(self.field)
        object.__setattr__(self, "tokens", question(self.field, self.tokens))
        count = None if isinstance(self.tokens, str) else len(self.tokens)
        object.__setattr__(self, "weights", weights_of_tokens(self.weights, count))
        object.__setattr__(self, "top", top_of(self.top))
        if self.prune is not None:
            share = finite("prune", self.prune)
            if share < 0:
                raise InvalidInputError(f"prune is {shown(self.prune)}, expected a share from 0", field="prune")
            object.__setattr__(self, "prune", share)
        if self.patience is not None:
            object.__setattr__(self, "patience", rows_asked(self.patience, "patience"))


@dataclass(frozen=True, repr=False)
class Rank(Stage):
    """Scores the best `top` candidates by a formula over their score and fields; see `vecdb.query.formula`.

    Candidates behind them, and those for which the formula gives no finite number, are left out.
    """

    kind: ClassVar[str] = "rank"
    formula: Formula
    top: int | None = None

    def __post_init__(self) -> None:
        """Read a formula that comes as nested lists."""
        object.__setattr__(self, "formula", formula_of(self.formula))
        object.__setattr__(self, "top", top_of(self.top))


STAGES: dict[str, type[Stage]] = {
    cls.kind: cls for cls in (MinScore, Collapse, GroupBy, OrderBy, Rank, Rescore, MaxSim)
}


def top_of(top: Any) -> int | None:
    """Return how many candidates a stage looks at, checked."""
    return None if top is None else rows_asked(top, "top")


def _key(key: Any) -> tuple[str, str]:
    words = key.split() if isinstance(key, str) else []
    if len(words) == 1:
        words.append("desc" if words[0] == "score" else "asc")
    if len(words) != 2 or words[1].lower() not in ("asc", "desc"):
        raise InvalidInputError(
            f"{shown(key)} is nothing to order by: write a field's name, and asc or desc behind it", field="order_by"
        )
    return words[0], words[1].lower()
