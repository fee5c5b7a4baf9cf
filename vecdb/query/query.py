"""The query as a value: built step by step, compared, printed, written as JSON and read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from vecdb.arguments import rows_asked
from vecdb.errors import InvalidInputError
from vecdb.query import value as values
from vecdb.query.arms import ARMS, Arm, Like, Match, Near, Nested, Strategy, Terms, Tokens
from vecdb.query.cascade import Cascade
from vecdb.query.fusion import Fusion, fusion_from
from vecdb.query.graph import Expand, Linked, PathPooling
from vecdb.query.relevance import Method as CutMethod
from vecdb.query.relevance import Relevance, relevance_of
from vecdb.query.scorer import Scorer
from vecdb.query.selection import Method, Select
from vecdb.query.stages import STAGES, Collapse, GroupBy, MaxSim, MinScore, OrderBy, Rank, Rescore, Stage
from vecdb.schema.blame import closest, unknown_part
from vecdb.schema.given import flag, names

if TYPE_CHECKING:
    from vecdb.filters import Expression
    from vecdb.query.formula import Formula

P = TypeVar("P", bound=values.QueryPart)

FORMAT = 1
"""The form of the JSON."""
ARM_COUNT = 32
"""The most arms of one query, and the most stages."""
DEPTH = 4
"""The most queries inside each other."""


@dataclass(frozen=True, repr=False)
class Query:
    """What to find: an immutable value; every method returns another query.

    Candidates are gathered by the arms, each its best `fetch` rows that pass its filter and the query's; several arms
    are fused into one ranking; the stages follow in the order in which they were added; the best `k` are the answer.
    Without an arm, the candidates are all rows that pass the filter.

    Attributes:
        k: rows of the answer, or groups with `group_by`.
        arms: what gathers candidates.
        fusion: how several arms become one ranking; None: reciprocal rank fusion.
        filter: what every row of the answer passes.
        stages: what happens to the candidates.
        fields: the fields to return; None: all but the vectors.
        exact: whether every arm compares with every row.
        cursor: the place behind which the answer begins, from `SearchResult.cursor`.
        allow_partial: whether to answer although a damaged segment cannot be read.

    """

    kind: ClassVar[str] = "query"
    k: int = 10
    arms: tuple[Arm, ...] = ()
    fusion: Fusion | None = None
    filter: Expression | None = None
    stages: tuple[Stage, ...] = ()
    fields: tuple[str, ...] | None = None
    exact: bool = False
    cursor: str | None = None
    allow_partial: bool = False

    def __post_init__(self) -> None:
        """Check everything that does not need the schema."""
        set_ = object.__setattr__
        set_(self, "k", rows_asked(self.k))
        set_(self, "arms", _parts("arms", self.arms, ARMS, Arm))
        set_(self, "stages", _parts("stages", self.stages, STAGES, Stage))
        if self.fusion is not None:
            set_(self, "fusion", fusion_from(self.fusion))
        set_(self, "filter", values.filter_of(self.filter))
        if self.fields is not None:
            set_(self, "fields", names("fields", self.fields))
        for name in ("exact", "allow_partial"):
            flag(name, getattr(self, name))
        if self.cursor is not None and not isinstance(self.cursor, str):
            raise InvalidInputError(f"the cursor is {values.shown(self.cursor)}, not a text", field="cursor")
        if sum(isinstance(stage, Select) for stage in self.stages) > 1:
            raise InvalidInputError("a query selects once: put one selection into a query of its own", field="stages")
        if any(isinstance(stage, GroupBy) for stage in self.stages[:-1]):
            raise InvalidInputError("group_by is the last stage: another would take its groups apart", field="stages")
        if self.depth > DEPTH:
            raise InvalidInputError(f"queries lie {self.depth} deep inside each other, at most {DEPTH}", field="arms")

    @property
    def depth(self) -> int:
        """How many queries lie inside each other, from 1."""
        return 1 + max((arm.query.depth for arm in self.arms if isinstance(arm, Nested)), default=0)

    # -- arms ------------------------------------------------------------------------------------------------------

    def near(self, field: str, vector: Any, **options: Any) -> Self:
        """Gather rows whose vector is near one, or whose vectors are near several, a matrix.

        Options are those of `Near`; of several vectors, those of `Tokens`.
        """
        return self.gather(_made(Tokens if values.has_rows(vector) else Near, options, field, vector))

    def match(self, field: str | Mapping[str, float], text: str, **options: Any) -> Self:
        """Gather rows whose texts have the words, by BM25; options are those of `Match`."""
        return self.gather(_made(Match, options, field, text))

    def terms(self, field: str, terms: Any, **options: Any) -> Self:
        """Gather rows whose sparse vectors have the terms, by the dot product; options are those of `Terms`."""
        return self.gather(_made(Terms, options, field, terms))

    def like(
        self,
        field: str,
        like: str | int | Sequence[str | int],
        unlike: Sequence[str | int] = (),
        strategy: Strategy = "average",
        **options: Any,
    ) -> Self:
        """Gather rows near some rows and not near others; options are those of `Like`."""
        return self.gather(_made(Like, options, field, like, unlike, strategy))

    def linked(self, ids: str | int | Sequence[str | int], links: Any = "*", hops: int = 1, **options: Any) -> Self:
        """Gather rows that links lead to from some ids; options are those of `Linked`."""
        return self.gather(_made(Linked, options, ids, links, hops))

    def gather(self, arm: Arm | Query, **options: Any) -> Self:
        """Add an arm; a query becomes a `Nested` one, with these options."""
        if isinstance(arm, Query):
            arm = _made(Nested, options, arm)
        elif options:
            raise InvalidInputError(f"options belong into the arm, found {', '.join(options)}")
        return replace(self, arms=(*self.arms, arm))

    def fuse(self, fusion: Fusion | str) -> Self:
        """Say how several arms become one ranking: "rrf", "interleave", "auto", or one of their classes."""
        return replace(self, fusion=fusion_from(fusion))

    # -- what may be found -----------------------------------------------------------------------------------------

    def where(self, where: str | Expression) -> Self:
        """Keep only rows that pass a filter, and all filters before it."""
        added = values.filter_of(where)
        if added is None or self.filter is None:
            return replace(self, filter=self.filter if added is None else added)
        return replace(self, filter=self.filter & added)

    # -- stages ----------------------------------------------------------------------------------------------------

    def then(self, stage: Stage) -> Self:
        """Add a stage."""
        return replace(self, stages=(*self.stages, stage))

    def rank(self, formula: Formula | float, top: int | None = None) -> Self:
        """Score the best `top` candidates by a formula: `rank(formula.score + 0.1 * formula.value("stars"))`."""
        return self.then(Rank(formula, top))  # pyright: ignore[reportArgumentType]

    def score_by(
        self, function: Callable[[list[dict[str, Any]]], Sequence[float]], fields: Sequence[str] = (), **options: Any
    ) -> Self:
        """Score the best `top` candidates, by default 100, by a function or a `CrossEncoder`; see `Scorer`."""
        return self.then(_made(Scorer, options, function, fields))

    def rescore(self, field: str | MaxSim, vector: Any = None, top: int | None = None) -> Self:
        """Score the best `top` candidates by another vector field; see `Rescore`, and `MaxSim` for multi-vectors."""
        if isinstance(field, MaxSim):
            if vector is not None or top is not None:
                raise InvalidInputError("what MaxSim takes belongs into it: rescore(MaxSim(field, tokens, top=...))")
            return self.then(field)
        return self.then(Rescore(field, vector, top))

    def expand(self, links: Any = "*", hops: int | None = None, **options: Any) -> Self:
        """Go on from the best candidates over links, and rank what they lead to; options are those of `Expand`."""
        return self.then(_made(Expand, options, links, hops))

    def pool_paths(self, head: str, tail: str, entities: str | int | Sequence[str | int], **options: Any) -> Self:
        """Smooth the scores of facts along the paths that join them; options are those of `PathPooling`."""
        return self.then(_made(PathPooling, options, head, tail, entities))

    def cut(self, relevance: Relevance | CutMethod, **options: Any) -> Self:
        """Leave out candidates that are not relevant: `cut("evt", expect_false=1)`; see `Relevance`."""
        return self.then(relevance_of(relevance, options))

    def cascade(self, *steps: Stage, **options: Any) -> Self:
        """Find the best candidates by the last of several scoring stages, cheap ones first; see `Cascade`."""
        return self.then(_made(Cascade, options, steps))

    def min_score(self, score: float) -> Self:
        """Leave out candidates that score lower."""
        return self.then(MinScore(score))

    def collapse(self, field: str, similarity: float = 0.95) -> Self:
        """Keep the best of rows that are nearly the same; see `Collapse`."""
        return self.then(Collapse(field, similarity))

    def group_by(self, field: str, per_group: int = 1) -> Self:
        """Keep the best rows of each value of a field; see `GroupBy`."""
        return self.then(GroupBy(field, per_group))

    def select(self, method: Method | str = "coverage", **options: Any) -> Self:
        """Choose the answer as a set, such as `select(vecdb.Coverage(balance=0.5), quotas={"section": (0, 3)})`.

        Options are those of `Select`. It follows the stages that score and order candidates.
        """
        return self.then(_made(Select, options, method))

    def order_by(self, *keys: str) -> Self:
        """Order by fields: `order_by("size desc", "name")`; see `OrderBy`."""
        return self.then(OrderBy(keys))

    # -- the answer ------------------------------------------------------------------------------------------------

    def take(self, k: int) -> Self:
        """Ask for so many rows."""
        return replace(self, k=k)

    def returning(self, *fields: str) -> Self:
        """Return these fields with each hit."""
        return replace(self, fields=fields)

    def exactly(self, exact: bool = True) -> Self:
        """Compare with every row: the exact twin of the query."""
        return replace(self, exact=exact)

    def after(self, cursor: str | None) -> Self:
        """Begin behind the last hit of an earlier answer, `SearchResult.cursor`."""
        return replace(self, cursor=cursor)

    def partial(self, allow_partial: bool = True) -> Self:
        """Answer although a damaged segment cannot be read; `SearchResult.missing` then names it."""
        return replace(self, allow_partial=allow_partial)

    # -- as text ---------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return the query as JSON knows it; equal queries give equal JSON.

        Raises:
            InvalidInputError: a stage is a Python function, which no JSON can hold.

        """
        told: dict[str, Any] = {"vecdb": FORMAT, "k": self.k}
        for name, item in values.attributes(self):
            told[name] = values.plain(item)
        return told

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | str | bytes) -> Self:
        """Return the query that `to_json` described, as a dict or as JSON text.

        Raises:
            InvalidInputError: it is no such JSON, or a value in it is wrong.

        """
        if isinstance(data, str | bytes):
            import orjson

            try:
                data = orjson.loads(data)
            except orjson.JSONDecodeError as error:
                raise InvalidInputError(f"the query is not JSON: {error}") from error
        if not isinstance(data, Mapping):
            raise InvalidInputError(f"a query is a JSON object, found {values.shown(data)}", value=data)
        _check_depth(data)
        given = dict(data)
        version = given.pop("vecdb", FORMAT)
        if version != FORMAT:
            raise InvalidInputError(f"the query has the form {version!r}, this vecdb reads {FORMAT}", value=version)
        unknown = given.keys() - {attribute.name for attribute in fields(cls)}
        if unknown:
            raise unknown_part("a query has no", unknown)
        return cls(**given)

    def __repr__(self) -> str:
        """Return the query as Python that builds it, long vectors shortened."""
        steps = [f"Query(k={self.k})"]
        steps += [f"gather({arm!r})" for arm in self.arms]
        if self.fusion is not None:
            steps.append(f"fuse({self.fusion!r})")
        if self.filter is not None:
            steps.append(f"where({values.shown(self.filter)})")
        steps += [f"then({stage!r})" for stage in self.stages]
        if self.fields is not None:
            steps.append(f"returning({', '.join(map(repr, self.fields))})")
        if self.exact:
            steps.append("exactly()")
        if self.cursor is not None:
            steps.append(f"after({values.shown(self.cursor)})")
        if self.allow_partial:
            steps.append("partial()")
        return ".".join(steps)


def _made(kind: type[P], options: Mapping[str, Any], *given: Any) -> P:
    """Return an arm or a stage; what is given in order has no option of its own."""
    known = [attribute.name for attribute in fields(kind)]  # pyright: ignore[reportArgumentType]
    in_order = [attribute.name for attribute in fields(kind) if not attribute.kw_only][: len(given)]  # pyright: ignore[reportArgumentType]
    allowed = [name for name in known if name not in in_order]
    for name in options:
        if name not in allowed:
            told = f"{kind.kind} of a query has no option {name!r}: there are {', '.join(sorted(allowed))}"
            raise InvalidInputError(told + closest(name, allowed), field=name)
    return kind(*given, **options)


def _check_depth(data: Mapping[str, Any]) -> None:
    """Refuse JSON with queries too deep inside each other, before reading it goes as deep."""
    level, depth = [data], 0
    while level:
        depth += 1
        if depth > DEPTH:
            raise InvalidInputError(f"queries lie more than {DEPTH} deep inside each other", field="arms")
        arms = [arm for query in level for arm in _listed(query.get("arms")) if isinstance(arm, Mapping)]
        level = [arm["query"] for arm in arms if isinstance(arm.get("query"), Mapping)]


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _parts(what: str, given: Any, kinds: Mapping[str, type[Any]], base: type[Any]) -> tuple[Any, ...]:
    """Return arms or stages, read from JSON where they come so."""
    if not isinstance(given, list | tuple):
        raise InvalidInputError(f"{what} of a query is a list, found {values.shown(given)}", field=what)
    if len(given) > ARM_COUNT:
        raise InvalidInputError(f"a query has {len(given)} {what}, at most {ARM_COUNT}", field=what)
    parts = []
    for part in given:
        if isinstance(part, Mapping):
            name = part.get("kind")
            if not isinstance(name, str) or name not in kinds:
                known = ", ".join(kinds)
                raise InvalidInputError(f"{values.shown(name)} is none of the {what}: there are {known}", value=name)
            parts.append(kinds[name].from_json(part))
        elif isinstance(part, base):
            parts.append(part)
        else:
            raise InvalidInputError(f"{values.shown(part)} is none of the {what} of a query", value=part)
    return tuple(parts)
