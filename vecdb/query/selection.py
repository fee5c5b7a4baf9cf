"""Choosing the answer as a set: k candidates that together say the most, and not the k best one by one.

    query.select(vecdb.Coverage(balance=0.5), quotas={"section": (0, 3)}, budget=vecdb.Budget(4000, "text"))

How a set is judged is a value of its own; `balance` goes from 0, the k best, to 1, where relevance does not count.

Coverage     relevance, less repetition (the default); or plus how well the set represents all that was found
Mmr          relevance, less the similarity to the closest row that is chosen already
Dpp          the determinant of the similarities, weighted by relevance
Dispersion   relevance, plus the distances between the chosen rows
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

from vecdb.errors import InvalidInputError
from vecdb.query.stages import STAGES, Stage
from vecdb.query.value import QueryPart, ids_given, shown
from vecdb.schema.given import choice, finite, listed, whole_number

Form = Literal["graph_cut", "facility_location", "saturated", "words", "communities"]
Unit = Literal["tokens", "bytes", "value"]
FORMS = "graph_cut", "facility_location", "saturated", "words", "communities"
UNITS = "tokens", "bytes", "value"

SHARPEST = 16
"""The greatest power of similarities."""
MOST = 1_000_000
"""The most rows that there may be to choose from, and the most that a quota may ask for."""
LINKS = "links"
"""What `similarity` is called where links tell it."""
PROBES = 65_536
"""The most cells of a universe."""
BOUNDS = 1024
"""The most quotas, cells of an axis, and ids."""


def _balance(method: Any) -> None:
    object.__setattr__(method, "balance", _between("balance", method.balance, 0, 1))


def _between(name: str, given: Any, least: int, most: int, *, above: bool = False, below: bool = False) -> float:
    """Return a number between two others, themselves allowed unless told otherwise."""
    number = finite(name, given)
    if not least <= number <= most or (above and number == least) or (below and number == most):
        span = f"{'above ' if above else ''}{least} {'and below' if below else 'to'} {most}"
        raise InvalidInputError(f"{name} is {given!r}, expected a number from {span}", field=name, value=given)
    return number


def _name(what: str, given: Any, field: str) -> None:
    """Refuse what is no field's name; `field` is the argument in which it was given."""
    if not isinstance(given, str) or not given:
        raise InvalidInputError(f"{what} is {shown(given)}, expected a field's name", field=field, value=given)


class Method(QueryPart):
    """Base of the ways to judge a set. `balance`: from 0, the k best, to 1."""

    balance: float


@dataclass(frozen=True, repr=False)
class Coverage(Method):
    """Relevance and coverage.

    Attributes:
        balance: what coverage counts, from 0, where the answer is the k best, to 1, where relevance counts nothing.
        form: "graph_cut": a row counts less the more it repeats rows that are chosen: for answers without repetition.
            From a balance of one third on, copies of chosen rows (a cosine of 0.999) come after all others.
            "facility_location": the set counts by how well it represents all candidates, by their relevance: for a
            summary of what was found. "saturated": the same, but a candidate is well represented by several rows that
            are somewhat like it. "words": the set counts by how many words of the question one of its rows has, rare
            ones more: for questions that need several rows. The query has to look for words; vectors tell only whom
            each row represents. "communities": the set counts by how many communities of links one of its rows is of,
            those of more relevant candidates more: for answers from all sides.
        sharpness: the power that similarities are raised to, from 1 to 16: the greater, the more alike two rows have
            to be to count as the same. None: 6 for "graph_cut", 2 for the others.
        baseline: the similarity, from 0 and below 1, that counts as none. None: the pool's median; for "graph_cut" 0,
            unless half of the pool's pairs are more than two thirds similar, as some models' vectors are.

    """

    kind: ClassVar[str] = "coverage"
    balance: float = 0.5
    form: Form = "graph_cut"
    sharpness: int | None = None
    baseline: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        _balance(self)
        choice("form", self.form, FORMS)
        if self.sharpness is not None:
            object.__setattr__(self, "sharpness", whole_number("sharpness", self.sharpness, most=SHARPEST))
        if self.baseline is not None:
            object.__setattr__(self, "baseline", _between("baseline", self.baseline, 0, 1, below=True))

    @property
    def represents(self) -> bool:
        """Whether a set is judged by how well it represents other rows."""
        return self.form in ("facility_location", "saturated")


@dataclass(frozen=True, repr=False)
class Mmr(Method):
    """Maximal marginal relevance: (1 - balance) * relevance - balance * the greatest similarity to a chosen row.

    Relevance is the score where that is the cosine of the same field, else the score between the worst (0) and the
    best (1) of the candidates.
    """

    kind: ClassVar[str] = "mmr"
    balance: float = 0.3

    def __post_init__(self) -> None:
        """Check the balance."""
        _balance(self)


@dataclass(frozen=True, repr=False)
class Dpp(Method):
    """The most probable set of a determinantal point process, found greedily.

    A row's quality is exp(theta * its score in standard deviations of the candidates' scores), with theta
    (1 - balance) / (2 balance).
    """

    kind: ClassVar[str] = "dpp"
    balance: float = 0.5

    def __post_init__(self) -> None:
        """Check the balance."""
        _balance(self)


@dataclass(frozen=True, repr=False)
class Dispersion(Method):
    """Relevance, and the mean distance of each row from the others. There is no promise how near to the best it comes.

    The distance of two rows is sqrt((1 - cosine) / 2), from 0 to 1.
    """

    kind: ClassVar[str] = "dispersion"
    balance: float = 0.5

    def __post_init__(self) -> None:
        """Check the balance."""
        _balance(self)


METHODS: dict[str, type[Method]] = {cls.kind: cls for cls in (Coverage, Mmr, Dpp, Dispersion)}


@dataclass(frozen=True, repr=False)
class Quota(QueryPart):
    """How many rows of the answer may have a value of a field, and how many have to.

    Rows without a value are in no group, and never limited.

    Attributes:
        field: a field of single values.
        low: the least number; above 0 only for a value that is named.
        high: the greatest number; None: any.
        value: the value; None: each.

    """

    kind: ClassVar[str] = "quota"
    field: str
    low: int = 0
    high: int | None = None
    value: str | bool | int | float | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        _name("the field of a quota", self.field, "quotas")
        for name in ("low", "high"):
            given = getattr(self, name)
            if name == "low" or given is not None:
                number = whole_number(f"{name} of the quota of {self.field!r}", given, 0, MOST, "quotas")
                object.__setattr__(self, name, number)
        if self.high is not None and self.high < self.low:
            told = f"the quota of {self.field!r} asks for at least {self.low} and at most {self.high} rows"
            raise InvalidInputError(told, field="quotas", value=(self.low, self.high))
        if self.value is not None and not isinstance(self.value, str | bool | int | float):
            told = f"the quota of {self.field!r} names {shown(self.value)}, which is no text, number or truth value"
            raise InvalidInputError(told, field="quotas", value=self.value)
        if self.value is None and self.low:
            told = f"the quota of {self.field!r} asks for at least {self.low} rows of each value: name the values"
            raise InvalidInputError(told, field="quotas", value=self.low)


@dataclass(frozen=True, repr=False)
class Axis(QueryPart):
    """One axis of a grid, of whose cells each gives at most one row.

    Attributes:
        field: a field of single values.
        bins: how many parts of equal width between the least and the greatest value of the candidates; None: each value
            is a part of its own, or `edges` say where parts end.
        edges: ascending numbers: values below the first are one part, those from the last on another.

    """

    kind: ClassVar[str] = "axis"
    field: str
    bins: int | None = None
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the parts."""
        _name("the field of a grid", self.field, "grid")
        if self.bins is not None:
            bins = whole_number(f"bins of the axis {self.field!r}", self.bins, most=BOUNDS, field="grid")
            object.__setattr__(self, "bins", bins)
        given = None
        if not isinstance(self.edges, str | bytes | Mapping):
            with suppress(TypeError):
                given = tuple(self.edges)
        if given is None:
            told = f"the axis {self.field!r} is {shown(self.edges)}, expected a number of bins or a list of edges"
            raise InvalidInputError(told, field="grid", value=self.edges)
        edges = tuple(finite(f"an edge of the axis {self.field!r}", edge, "grid") for edge in given)
        object.__setattr__(self, "edges", edges)
        if len(edges) > BOUNDS or any(one >= other for one, other in pairwise(edges)):
            raise InvalidInputError(
                f"edges of {self.field!r} are {shown(edges)}, expected ascending numbers", field="grid"
            )
        if edges and self.bins is not None:
            raise InvalidInputError(f"the axis {self.field!r} has bins and edges: give one of them", field="grid")


@dataclass(frozen=True, repr=False)
class Budget(QueryPart):
    """What the rows of the answer may cost together.

    Attributes:
        limit: above 0.
        field: a text field, or one of numbers.
        unit: of a text, "tokens", four bytes of UTF-8 each, about what language models read as one, or "bytes"; of a
            number, "value": the number is the cost. None: "tokens" of texts, "value" of numbers.

    """

    kind: ClassVar[str] = "budget"
    limit: float
    field: str
    unit: Unit | None = None

    def __post_init__(self) -> None:
        """Check the limit."""
        _name("the field of a budget", self.field, "budget")
        limit = finite("budget", self.limit)
        if limit <= 0:
            raise InvalidInputError(f"budget is {self.limit!r}, expected a number above 0", field="budget")
        object.__setattr__(self, "limit", limit)
        if self.unit is not None:
            choice("unit", self.unit, UNITS)


@dataclass(frozen=True, repr=False)
class Cells(QueryPart):
    """A region of an index: all rows in the cells of inverted lists that are nearest to the query.

    Attributes:
        probes: how many cells, of each segment.

    """

    kind: ClassVar[str] = "cells"
    probes: int = 4

    def __post_init__(self) -> None:
        """Check the number."""
        object.__setattr__(self, "probes", whole_number("probes", self.probes, most=PROBES))


@dataclass(frozen=True, repr=False)
class Select(Stage):
    """Chooses the answer as a set. Hits come in the order in which they were chosen, and tell what each added.

    Attributes:
        method: how a set is judged: a `Coverage`, `Mmr`, `Dpp` or `Dispersion`, or the name of one.
        field: the vector field whose cosines tell how similar rows are; None: that of the query's first arm that has
            one, or the only one. Or a field of multi-vectors, whose rows are compared by MaxSim in both directions: the
            mean over the tokens of either of the cosine with the nearest token of the other, averaged, which is 1 for
            equal rows. Rows without a vector are like no other.
        quotas: how many rows may have a value, and have to: `{"section": (0, 3)}` for each value, or for named ones
            `{"section": {"games": (1, 3), "math": (0, 2)}}`; or `Quota`s.
        grid: at most one row of each cell: `{"year": 10, "section": None}`; or `Axis` values.
        fixed: ids of rows that are chosen first, whether or not they are among the candidates or pass the filter.
        forbidden: ids of rows that are never chosen.
        distinct: the similarity, above 0 and up to 1, from which on rows count as the same: one of them is chosen.
        budget: what the rows may cost together.
        min_gain: no row is chosen that adds less than this share of what the first one did, from 0 to 1, once all
            quotas are met: the answer may be shorter. Not with `Dpp`.
        pool: how many of the best candidates to choose from; None: by k and balance, 15 k with a balance of 0.5.
        universe: what a set of "facility_location" or "saturated" represents: None, the pool; a number, so many of the
            best candidates; a list of ids; or `Cells`, all rows in the nearest cells of an index of inverted lists.
        similarity: in place of a vector field "links": rows that are linked are similar by a half, those with a common
            neighbour by a quarter, others not at all. Or a function of a list of records, each a dict of the id and
            `fields`, that returns their (n, n) similarities, symmetric, up to 1.
        fields: those that the records have.

    """

    kind: ClassVar[str] = "select"
    method: Method = Coverage()
    field: str | None = None
    quotas: tuple[Quota, ...] = ()
    grid: tuple[Axis, ...] = ()
    fixed: tuple[str | int, ...] = ()
    forbidden: tuple[str | int, ...] = ()
    distinct: float | None = None
    budget: Budget | None = None
    min_gain: float = 0.0
    pool: int | None = None
    universe: int | tuple[str | int, ...] | Cells | None = None
    similarity: Callable[[list[dict[str, Any]]], Any] | Literal["links"] | None = None
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check everything that does not need the schema."""
        set_ = object.__setattr__
        set_(self, "method", method_of(self.method))
        if self.field is not None:
            _name("field", self.field, "field")
        set_(self, "quotas", _quotas(self.quotas))
        set_(self, "grid", _axes(self.grid))
        for name in ("fixed", "forbidden"):
            set_(self, name, ids_given(name, getattr(self, name)))
        if self.distinct is not None:
            set_(self, "distinct", _between("distinct", self.distinct, 0, 1, above=True))
        if isinstance(self.budget, Mapping):
            set_(self, "budget", Budget.from_json(self.budget))
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise InvalidInputError(f"budget is {shown(self.budget)}, expected a vecdb.Budget", field="budget")
        set_(self, "min_gain", _between("min_gain", self.min_gain, 0, 1))
        if self.pool is not None:
            set_(self, "pool", whole_number("pool", self.pool, most=MOST))
        if self.universe is not None:
            set_(self, "universe", _universe(self.universe))
        named = (self.fields,) if isinstance(self.fields, str) else listed("fields", self.fields, "names")
        for name in named:
            _name("one of fields", name, "fields")
        set_(self, "fields", named)
        self._check_company()

    def _check_company(self) -> None:
        named = isinstance(self.similarity, str) and self.similarity == LINKS
        if not (self.similarity is None or named or callable(self.similarity)):
            told = f'similarity is {shown(self.similarity)}, expected a function or "{LINKS}"'
            raise InvalidInputError(told, field="similarity", value=self.similarity)
        if self.similarity is not None and (self.field is not None or isinstance(self.universe, tuple | Cells)):
            other = "field" if self.field is not None else "universe"
            raise InvalidInputError(f"similarity is given: {other} says nothing then", field=other)
        if self.fields and not callable(self.similarity):
            raise InvalidInputError("fields are what a similarity function reads: there is none", field="fields")
        represents = isinstance(self.method, Coverage) and self.method.represents
        if self.universe is not None and not represents:
            raise InvalidInputError(
                'only a Coverage with form="facility_location" or "saturated" represents a universe', field="universe"
            )
        if self.min_gain and isinstance(self.method, Dpp):
            told = "min_gain does not go with dpp, whose gains are logarithms: choose another way, or distinct"
            raise InvalidInputError(told, field="min_gain", value=self.min_gain)
        both = set(self.fixed) & set(self.forbidden)
        if both:
            raise InvalidInputError(f"{shown(min(both, key=str))} is both fixed and forbidden", field="forbidden")

    @property
    def portable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it can be written as JSON."""
        return not callable(self.similarity)

    @property
    def limited(self) -> bool:
        """Whether limits may leave out more candidates than a pool of the usual size has to spare."""
        return bool(self.quotas or self.grid or self.forbidden or self.budget) or self.distinct is not None

    def to_json(self) -> dict[str, Any]:
        """Return the stage as JSON knows it.

        Raises:
            InvalidInputError: similarities come from a Python function.

        """
        if callable(self.similarity):
            raise InvalidInputError("a query with a Python function cannot be written as JSON", field="similarity")
        return super().to_json()


def method_of(given: Any) -> Method:
    """Return a method given as one, by its name or as JSON.

    Raises:
        InvalidInputError: it is none.

    """
    if isinstance(given, Method):
        return given
    name = given.get("kind") if isinstance(given, Mapping) else given
    if not isinstance(name, str) or name not in METHODS:
        known = ", ".join(METHODS)
        told = given if name is None else name
        raise InvalidInputError(f"{shown(told)} is no way to select: there are {known}", field="select", value=given)
    return METHODS[name].from_json(given) if isinstance(given, Mapping) else METHODS[name]()


def _quotas(given: Any) -> tuple[Quota, ...]:
    """Return quotas given as such, as JSON, or by fields."""
    if isinstance(given, Mapping):
        found = [quota for field, bounds in given.items() for quota in _quotas_of(field, bounds)]
    else:
        found = [_part(Quota, one, "quotas") for one in listed("quotas", given, "quotas")]
    if len(found) > BOUNDS:
        raise InvalidInputError(f"there are {len(found)} quotas, at most {BOUNDS}", field="quotas")
    named = [(one.field, type(one.value), one.value) for one in found]
    for one in named:
        if named.count(one) > 1:
            told = "each value" if one[2] is None else shown(one[2])
            raise InvalidInputError(f"there are two quotas for {told} of {one[0]!r}", field="quotas")
    return tuple(found)


def _quotas_of(field: str, bounds: Any) -> list[Quota]:
    if isinstance(bounds, Mapping):
        return [Quota(field, *_bounds(field, each), value) for value, each in bounds.items()]
    return [Quota(field, *_bounds(field, bounds))]


def _bounds(field: str, given: Any) -> tuple[int, int | None]:
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
        return given[0], given[1]
    raise InvalidInputError(
        f"the quota of {field!r} is {shown(given)}, expected two numbers: at least and at most", field="quotas"
    )


def _axes(given: Any) -> tuple[Axis, ...]:
    """Return axes given as such, as JSON, or by fields."""
    if isinstance(given, Mapping):
        return tuple(
            Axis(field, parts) if parts is None or isinstance(parts, int) else Axis(field, None, parts)
            for field, parts in given.items()
        )
    return tuple(_part(Axis, one, "grid") for one in listed("grid", given, "axes"))


def _part(kind: type[Any], given: Any, name: str) -> Any:
    if isinstance(given, Mapping):
        return kind.from_json(given)
    if not isinstance(given, kind):
        raise InvalidInputError(f"{name} holds {shown(given)}, which is no vecdb.{kind.__name__}", field=name)
    return given


def _universe(given: Any) -> int | tuple[str | int, ...] | Cells:
    if isinstance(given, Cells):
        return given
    if isinstance(given, Mapping):
        if given.get("kind") != Cells.kind:
            raise InvalidInputError(f"universe is {shown(given)}, expected cells", field="universe", value=given)
        return Cells.from_json(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return whole_number("universe", given, most=MOST)
    ids = ids_given("universe", given)
    if not ids:
        raise InvalidInputError("universe is an empty list: there is nothing to represent", field="universe")
    return ids


STAGES[Select.kind] = Select
