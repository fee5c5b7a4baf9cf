"""The arms of a query: ways to gather candidates, each with its own filter and its own number of rows.

Near      rows whose vector is near a vector
Match     rows whose texts have the words
Terms     rows whose sparse vectors have the terms
Tokens    rows whose vectors are near those of a question, by MaxSim
Like      rows near some rows, and not near others
Nested    what another query finds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from vecdb.arguments import FETCH, effort_of
from vecdb.errors import InvalidInputError
from vecdb.query.matrix import question, weights_of_tokens
from vecdb.query.value import Numbers, QueryPart, field_name, filter_of, ids_given, shown
from vecdb.query.value import numbers as numbers_of
from vecdb.query.weights import Weights, weights_of
from vecdb.schema.given import choice, finite, whole_number

if TYPE_CHECKING:
    from vecdb.filters import Expression
    from vecdb.query.query import Query

TEXT = 65_536
"""The most characters of a text that is searched for."""
LEAST_BOOST, MOST_BOOST = 1e-6, 1e6
"""What a field's score may be multiplied by; float32 would lose a score beside one that is so many times larger."""

Strategy = Literal["average", "best", "sum"]


@dataclass(frozen=True, repr=False)
class Arm(QueryPart):
    """Base of all arms.

    Attributes:
        fetch: how many candidates to gather, at least `k`, and more where too few are left by stages; None: what the
            query needs.
        where: a filter of this arm alone, beside the query's.
        name: what the arm is called in results; None: its field's name.

    """

    fetch: int | None = field(default=None, kw_only=True)
    where: Expression | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check what all arms have."""
        if self.fetch is not None:
            object.__setattr__(self, "fetch", whole_number("fetch", self.fetch, most=FETCH))
        object.__setattr__(self, "where", filter_of(self.where))
        if self.name is not None and not (isinstance(self.name, str) and self.name):
            raise InvalidInputError(f"name is {shown(self.name)}, expected a text", field="name", value=self.name)

    @property
    def label(self) -> str:
        """What the arm is called in results, if no other has the same name."""
        return self.name or self.kind


@dataclass(frozen=True, repr=False)
class Near(Arm):
    """Rows whose vector is near this one, nearest first.

    Attributes:
        field: a vector field.
        vector: (dimension,) numbers; or a text, where the field has an encoder.
        recall: as in `search`, and so are ef, probes and plan.

    """

    kind: ClassVar[str] = "near"
    field: str
    vector: Numbers | str
    recall: float | None = None
    ef: int | None = None
    probes: int | None = None
    plan: str | None = None

    def __post_init__(self) -> None:
        """Keep a copy of the vector, and check the rest."""
        super().__post_init__()
        field_name(self.field)
        if isinstance(self.vector, str):
            _text(f"the query for {shown(self.field)}", self.vector)
        else:
            object.__setattr__(self, "vector", numbers_of(f"the query for {shown(self.field)}", self.vector))
        effort_of(False, self.recall, self.ef, self.plan, self.probes)

    @property
    def label(self) -> str:
        """The field's name, unless the arm has its own."""
        return self.name or self.field


@dataclass(frozen=True, repr=False)
class Match(Arm):
    """Rows whose texts have the words, by BM25, best first.

    Attributes:
        field: a searchable text field; or a dict of fields and boosts, whose scores are added up.
        text: words; "a phrase" in double quotes, +must, -not, prefix*.

    """

    kind: ClassVar[str] = "match"
    field: str | Mapping[str, float]
    text: str

    def __post_init__(self) -> None:
        """Check the fields, the boosts and the text."""
        super().__post_init__()
        if isinstance(self.field, Mapping):
            if not self.field:
                raise InvalidInputError("match names no field", field="field", value=self.field)
            boosts = {field_name(name): _boost(name, boost) for name, boost in self.field.items()}
            object.__setattr__(self, "field", _Boosts(boosts))
        else:
            field_name(self.field)
        _text(f"the query for {shown(self.label)}", self.text)

    @property
    def fields(self) -> dict[str, float]:
        """The fields and their boosts."""
        return dict(self.field) if isinstance(self.field, Mapping) else {self.field: 1.0}

    @property
    def label(self) -> str:
        """The fields' names, unless the arm has its own."""
        return self.name or "+".join(self.fields)


@dataclass(frozen=True, repr=False)
class Terms(Arm):
    """Rows whose sparse vectors have the terms, by the dot product, largest first.

    Attributes:
        field: a field of sparse vectors.
        terms: term -> weight, as a dict or a pair (indices, values); or a text, where the field has an encoder.

    """

    kind: ClassVar[str] = "terms"
    field: str
    terms: Weights | str

    def __post_init__(self) -> None:
        """Keep a copy of the terms, checked."""
        super().__post_init__()
        field_name(self.field)
        if isinstance(self.terms, str):
            _text(f"the query for {shown(self.field)}", self.terms)
        else:
            object.__setattr__(self, "terms", weights_of(self.field, self.terms))

    @property
    def label(self) -> str:
        """The field's name, unless the arm has its own."""
        return self.name or self.field


@dataclass(frozen=True, repr=False)
class Tokens(Arm):
    """Rows whose vectors are near those of a question, by MaxSim: each of these counts its product with the nearest.

    Attributes:
        field: a field of multi-vectors.
        tokens: (tokens, dimension) numbers; or a text, where the field has an encoder.
        weights: how much each of the question's vectors counts, from 0; None: all the same.
        recall: the share of the true best rows to find where an index is searched; None: the usual one.
        ef: instead of recall: how many rows an index leaves to be compared exactly.

    """

    kind: ClassVar[str] = "tokens"
    field: str
    tokens: Any
    weights: Any = None
    recall: float | None = None
    ef: int | None = None

    def __post_init__(self) -> None:
        """Keep a copy of the vectors, and check the weights."""
        super().__post_init__()
        field_name(self.field)
        object.__setattr__(self, "tokens", question(self.field, self.tokens))
        if isinstance(self.tokens, str):
            _text(f"the query for {shown(self.field)}", self.tokens)
        count = None if isinstance(self.tokens, str) else len(self.tokens)
        object.__setattr__(self, "weights", weights_of_tokens(self.weights, count))
        effort = effort_of(False, self.recall, self.ef, None)
        object.__setattr__(self, "recall", None if self.recall is None else effort.recall)
        object.__setattr__(self, "ef", effort.width)

    @property
    def label(self) -> str:
        """The field's name, unless the arm has its own."""
        return self.name or self.field


@dataclass(frozen=True, repr=False)
class Like(Arm):
    """Rows near some rows of the collection, and not near others; those rows themselves are left out.

    Attributes:
        field: a vector field.
        like: ids of rows to be near to.
        unlike: ids of rows not to be near to.
        strategy: "average": near the mean of `like`, moved away from the mean of `unlike` (Rocchio); "best": by the
            nearest row of `like`, less by how much nearer one of `unlike` is; "sum": by the mean of the scores to
            `like` less that to `unlike`.
        recall: as in `search`.

    """

    kind: ClassVar[str] = "like"
    field: str
    like: tuple[str | int, ...]
    unlike: tuple[str | int, ...] = ()
    strategy: Strategy = "average"
    recall: float | None = None

    def __post_init__(self) -> None:
        """Check the ids and the strategy."""
        super().__post_init__()
        field_name(self.field)
        for name in ("like", "unlike"):
            object.__setattr__(self, name, ids_given(name, getattr(self, name)))
        if not self.like:
            raise InvalidInputError("like names no id", field="like", value=self.like)
        choice("strategy", self.strategy, get_args(Strategy))
        effort_of(False, self.recall, None, None)

    @property
    def label(self) -> str:
        """The field's name, unless the arm has its own."""
        return self.name or self.field


@dataclass(frozen=True, repr=False)
class Nested(Arm):
    """What another query finds, in its order: its own arms, fusion and stages. Its `k` is what it contributes."""

    kind: ClassVar[str] = "nested"
    query: Query

    def __post_init__(self) -> None:
        """Read a query that comes as JSON."""
        from vecdb.query.query import Query

        super().__post_init__()
        if isinstance(self.query, Mapping):
            object.__setattr__(self, "query", Query.from_json(self.query))
        if not isinstance(self.query, Query):
            raise InvalidInputError(f"a nested query is a vecdb.Query, found {shown(self.query)}", field="query")
        if self.query.cursor is not None:
            raise InvalidInputError("a nested query has no pages: leave after() out", field="query")


def refuse_effort(name: str, effort: tuple[Any, Any, Any, Any]) -> None:
    """Refuse recall, ef, probes and plan, as a search takes them, where the field holds multi-vectors.

    Raises:
        InvalidInputError: one of them is given.

    """
    if effort != (None, None, None, None):
        told = (
            f"recall, ef, probes and plan do not go with {name!r}, a field of multi-vectors: vecdb.Tokens takes recall"
            " and ef"
        )
        raise InvalidInputError(told, field=name)


class _Boosts(dict[str, float]):
    """Fields and boosts that have a hash, because queries are values."""

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(frozenset(self.items()))


ARMS: dict[str, type[Arm]] = {cls.kind: cls for cls in (Near, Match, Terms, Tokens, Like, Nested)}


def _boost(name: str, boost: Any) -> float:
    number = finite(f"the boost of {name!r}", boost, field=name)
    if not LEAST_BOOST <= number <= MOST_BOOST:
        told = f"the boost of {name!r} is {number!r}, expected a number from {LEAST_BOOST:g} to {MOST_BOOST:g}"
        raise InvalidInputError(told, field=name, value=boost)
    return number


def _text(what: str, text: Any) -> None:
    if not isinstance(text, str):
        raise InvalidInputError(f"{what} is {shown(text)}, not a text", field="text", value=text)
    if len(text) > TEXT:
        raise InvalidInputError(f"{what} has {len(text)} characters, at most {TEXT}", field="text")
