"""What a query does with links: candidates that are linked to given ids, or to what was gathered before.

Linked        gathers rows that are so many links away from some ids, or at the end of a pattern of links
Expand        a stage that goes on from the best candidates over links, and ranks what it comes to
PathPooling   a stage over rows that are facts: their scores smoothed along the paths that join them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from vecdb.errors import InvalidInputError
from vecdb.query.arms import ARMS, Arm
from vecdb.query.stages import STAGES, Stage
from vecdb.query.value import field_name, filter_of, ids_given, shown
from vecdb.schema.given import choice, finite, flag, listed, whole_number

if TYPE_CHECKING:
    from vecdb.filters import Expression

Direction = Literal["both", "out", "in"]
Method = Literal["pagerank", "paths"]
ANY = "*"
"""Links of every type."""
HOPS = 16
"""The most links of a path."""
SEEDS = 10_000
"""The most candidates that an expansion starts from, and the most links of a node that it follows."""
KINDS = 1024
"""The most types of links that a query may name."""


class LinkWeights(dict[str, float]):
    """Types of links and what each counts, with a hash, because queries are values."""

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(frozenset(self.items()))


@dataclass(frozen=True, repr=False)
class Linked(Arm):
    """Rows that links lead to from some ids, nearest first: at most `hops` links away, or at the end of a `path`.

    Attributes:
        ids: where to start; an id needs no row. They are not found themselves.
        links: which types of links to follow, and what each counts: "cites", ["cites", "reviews"], {"cites": 2.0};
            ">cites" only as they point, "<cites" only against it; "*": all. A row's score is the greatest product, over
            paths, of 0.5 and the link's weight for each link; weights above 1 count as 1.
        hops: the most links of a path.
        path: instead of links and hops, the type of each link of a path, one after the other: ("<directed by",
            "release year"). The score is the share of walkers that come there who choose among the links of each node,
            the kind first.
        direction: how to follow links without a sign of their own.
        links_where: only links that pass a filter over their type, weight and attributes.
        through: only over rows that pass a filter.

    """

    kind: ClassVar[str] = "linked"
    ids: tuple[str | int, ...]
    links: Mapping[str, float] | Sequence[str] | str = ANY
    hops: int = 1
    path: tuple[str, ...] = ()
    direction: Direction = "both"
    links_where: Expression | None = None
    through: Expression | None = None

    def __post_init__(self) -> None:
        """Check everything."""
        super().__post_init__()
        set_ = object.__setattr__
        set_(self, "ids", ids_given("ids", self.ids))
        if not self.ids:
            raise InvalidInputError("linked names no id to start from", field="ids")
        set_(self, "links", link_weights(self.links))
        set_(self, "hops", whole_number("hops", self.hops, most=HOPS))
        path = (self.path,) if isinstance(self.path, str) else listed("path", self.path, "types of links")
        if len(path) > HOPS:
            raise InvalidInputError(f"a path of {len(path)} links is longer than {HOPS}", field="path")
        set_(self, "path", tuple(_type(step) for step in path))
        choice("direction", self.direction, get_args(Direction))
        set_(self, "links_where", filter_of(self.links_where))
        set_(self, "through", filter_of(self.through))


@dataclass(frozen=True, repr=False)
class Expand(Stage):
    """Goes on from the best candidates over links, and ranks what it comes to together with the candidates.

    The scores of the `seeds` best candidates, scaled to 0 to 1, less the least and squared, are the mass that walkers
    start with: of several arms whose ranks were fused, the sum of what each arm says. Everything that a link leads to
    becomes a candidate if it passes the query's filter; what is walked through need not. `hit.path` is how most of a
    hit's score came.

    Attributes:
        links: which types of links to follow, and what each counts; as in `Linked`.
        hops: how far from the seeds; None: as far as there is something to give ("pagerank" only).
        method: "pagerank": walkers go on with probability `damping` and begin again otherwise, and a row's score is the
            share of them that it sees, worked out by forward push. "paths": the greatest product, over paths, of the
            seed's score, and `damping` and the link's weight for each link.
        damping: above 0 and below 1; of "paths" up to 1.
        direction: how to follow links without a sign of their own.
        seeds: how many of the best candidates to start from.
        links_where: only links that pass a filter over their type, weight and attributes.
        through: only over rows that pass a filter.
        hub: how much rows of many links are avoided: each link counts by its target's number of links to the power
            -hub; 0 to 1; of "pagerank" only.
        balanced: walkers choose the kind of a link (type and direction) first, by what it counts, then one of them by
            weight; False: all by the product of both.
        half_life: seconds after which a link counts half as much as a newer one, by the timestamp `aged_by`.
        aged_by: an attribute of links.
        fan_out: the most links of a row and direction that are followed, the heaviest; of "paths" only.
        epsilon: how much mass a row may keep back for each of its links; less is more exact and slower.
        gate: leave out links that join rows which are no more alike than rows taken at random, where there is a field
            of vectors to tell; then the candidates stay as they are, and `explain` says so.

    """

    kind: ClassVar[str] = "expand"
    links: Mapping[str, float] | Sequence[str] | str = ANY
    hops: int | None = None
    method: Method = "pagerank"
    damping: float = 0.5
    direction: Direction = "both"
    seeds: int = 10
    links_where: Expression | None = None
    through: Expression | None = None
    hub: float = 0.0
    balanced: bool = True
    half_life: float | None = None
    aged_by: str | None = None
    fan_out: int = 200
    epsilon: float = 1e-4
    gate: bool = True

    def __post_init__(self) -> None:
        """Check everything."""
        set_ = object.__setattr__
        set_(self, "links", link_weights(self.links))
        choice("method", self.method, get_args(Method))
        choice("direction", self.direction, get_args(Direction))
        if self.hops is not None:
            set_(self, "hops", whole_number("hops", self.hops, most=HOPS))
        elif self.method == "paths":
            set_(self, "hops", 2)
        set_(self, "damping", _between("damping", self.damping, 0, 1, closed=self.method == "paths"))
        set_(self, "seeds", whole_number("seeds", self.seeds, most=SEEDS))
        set_(self, "fan_out", whole_number("fan_out", self.fan_out, most=SEEDS))
        set_(self, "links_where", filter_of(self.links_where))
        set_(self, "through", filter_of(self.through))
        hub = finite("hub", self.hub)
        if not 0 <= hub <= 1:
            raise InvalidInputError(f"hub is {hub!r}, expected a number from 0 to 1", field="hub", value=self.hub)
        set_(self, "hub", hub)
        set_(self, "epsilon", _between("epsilon", self.epsilon, 1e-9, 1, closed=False))
        flag("balanced", self.balanced)
        flag("gate", self.gate)
        if (self.half_life is None) != (self.aged_by is None):
            raise InvalidInputError("half_life and aged_by belong together: give both or neither", field="half_life")
        if self.half_life is not None:
            set_(self, "half_life", _between("half_life", self.half_life, 0, float("inf"), closed=False))
            field_name(self.aged_by)


@dataclass(frozen=True, repr=False)
class PathPooling(Stage):
    """Scores candidates that are facts by the best path that each is on; see `vecdb_index.graph.pooling`.

    Each row is a fact: two of its fields name what it joins. `hit.path` is the path that gave the score, fact by fact,
    from an entity on; facts are followed either way. One on no path counts as a path of its own.

    Attributes:
        head: a keyword, text or number: what a fact is about.
        tail: what it leads to; of the same kind.
        entities: what the question is about, as `head` and `tail` have it.
        top: how many candidates are pooled, the best; None: all. The others are left out.
        bonus: above 0: the larger, the less the place of a fact in its path counts.

    """

    kind: ClassVar[str] = "path_pooling"
    head: str
    tail: str
    entities: tuple[str | int, ...]
    top: int | None = 500
    bonus: float = 4.0

    def __post_init__(self) -> None:
        """Check everything."""
        from vecdb.query.stages import top_of

        set_ = object.__setattr__
        field_name(self.head)
        field_name(self.tail)
        set_(self, "entities", ids_given("entities", self.entities))
        set_(self, "top", top_of(self.top))
        set_(self, "bonus", _between("bonus", self.bonus, 0, float("inf"), closed=False))


ARMS[Linked.kind] = Linked
STAGES[Expand.kind] = Expand
STAGES[PathPooling.kind] = PathPooling


def link_weights(links: Any) -> LinkWeights:
    """Return the types of links that are named, and what each counts.

    Raises:
        InvalidInputError: a type or a weight is none, or there are too many.

    """
    if isinstance(links, Mapping):
        given = dict(links)
    else:
        named = (links,) if isinstance(links, str) else listed("links", links, "types of links")
        given = dict.fromkeys(map(_type, named), 1.0)
    if not 0 < len(given) <= KINDS:
        raise InvalidInputError(f"{len(given)} types of links are named, expected 1 to {KINDS}", field="links")
    found = LinkWeights()
    for name, weight in given.items():
        number = finite(f"the weight of {_type(name)!r}", weight, field="links")
        if not 0 <= number <= 1e6:
            told = f"the weight of {name!r} is {number!r}, expected a number from 0 to 1e6"
            raise InvalidInputError(told, field="links", value=weight)
        found[name] = number
    return found


def _type(name: Any) -> str:
    if not isinstance(name, str) or name in ("", "<", ">"):
        raise InvalidInputError(f"a type of links is a text, found {shown(name)}", field="links", value=name)
    return name


def _between(name: str, value: Any, low: float, high: float, *, closed: bool) -> float:
    number = finite(name, value)
    if not (low < number < high or (closed and number == high)):
        until = f"up to {high:g}" if closed else f"below {high:g}"
        raise InvalidInputError(f"{name} is {number!r}, expected a number above {low:g} and {until}", field=name)
    return number
