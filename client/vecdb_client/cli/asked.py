"""What `vecdb query` was asked, as a `vecdb.Query`: its options, or a whole query as JSON.

Several ways to search at once are the arms of one query: words beside a vector make a hybrid search. Stages follow in
the order in which `Collection.search` has them, behind links: formula, least score, cut, collapse, selection, order,
groups.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vecdb_client.cli import selecting
from vecdb_client.cli.complete import STRATEGIES
from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.numbers import whole
from vecdb_client.cli.target import Target
from vecdb_client.cli.vectors import read_terms, read_vector

if TYPE_CHECKING:
    import numpy as np

    from vecdb.collection import Collection
    from vecdb.query.query import Query
    from vecdb.query.relevance import Relevance
    from vecdb.query.stages import Collapse

DEFAULT_K = 10
_BESIDE_JSON = frozenset(("after", "json", "model"))
"""What may stand beside --query: all else is said in the query itself."""


@dataclass(frozen=True)
class Options:
    """The options of `vecdb query` that say what is asked, as they were typed; None and () where they were not.

    Attributes are called like the options, but for `near` (--id), `fields` (--show) and `json` (--query).
    """

    vector: str | None
    text: str | None
    near: str | None
    model: str | None
    field: str | None
    match: str | None
    match_field: tuple[str, ...]
    terms: str | None
    terms_field: str | None
    like: tuple[str, ...]
    unlike: tuple[str, ...]
    strategy: str | None
    fusion: str | None
    fetch: int | None
    where: str | None
    k: int | None
    fields: tuple[str, ...] | None
    exact: bool
    recall: float | None
    ef: int | None
    probes: int | None
    expand: str | None
    rank: str | None
    min_score: float | None
    cut: str | None
    collapse: str | None
    order_by: tuple[str, ...]
    group_by: str | None
    per_group: int | None
    select: str | None
    balance: float | None
    form: str | None
    quota: tuple[str, ...]
    grid: tuple[str, ...]
    budget_tokens: float | None
    budget_field: str | None
    distinct: float | None
    fixed: tuple[str, ...]
    forbidden: tuple[str, ...]
    min_gain: float | None
    pool: int | None
    by_links: bool | None
    select_field: str | None
    universe: str | None
    allow_partial: bool
    after: str | None
    json: str | None

    def given(self) -> list[str]:
        """Return the options that were typed, as they are written."""
        names = {"near": "id", "fields": "show", "json": "query"}
        typed = [option.name for option in fields(self) if getattr(self, option.name) not in (None, (), False)]
        return [f"--{names.get(name, name).replace('_', '-')}" for name in typed]

    def check(self) -> None:
        """Refuse options that contradict each other, before anything is opened.

        Raises:
            CommandError: some do, or nothing is asked.

        """
        if self.json is not None:
            beside = [name for name in self.given() if name.removeprefix("--").replace("-", "_") not in _allowed()]
            if beside:
                raise CommandError(
                    f"--query says the whole query: leave {', '.join(beside)} out", hint="or write it into the JSON"
                )
            return
        ways = [name for name in ("vector", "text", "near", "like") if getattr(self, name) not in (None, ())]
        if len(ways) > 1:
            raise CommandError(
                "give one of --vector, --text, --id and --like", hint="--match and --terms may stand beside it"
            )
        if not self.like and (self.unlike or self.strategy is not None):
            option = "--unlike" if self.unlike else "--strategy"
            raise CommandError(
                f"{option} needs --like: rows that are unlike some are sought among those that are like others",
                hint="--like ID may be given several times",
            )
        if not ways and self.match is self.terms is None and not self.order_by:
            raise CommandError(
                "say what to look for: --vector, --text, --id, --like, --match or --terms",
                hint="--order-by FIELD lists all rows that match --where; --query takes a whole query",
            )
        self._check_company(ways)

    def _check_company(self, ways: list[str]) -> None:
        effort = [name for name in ("recall", "ef", "probes") if getattr(self, name) is not None]
        if self.exact and effort:
            raise CommandError("--exact misses nothing: give it without --recall, --ef and --probes")
        if effort and not ways:
            raise CommandError(
                "--recall, --ef and --probes are about vectors: a search by words or terms misses nothing"
            )
        if self.vector == self.terms == "-":
            raise CommandError("stdin has one of --vector and --terms: give the other as @FILE")
        asked = bool(ways) + (self.match is not None) + (self.terms is not None)
        if self.field is not None and not ways and self.match_field:
            raise CommandError("--field and --match-field name the same here: give one of them")
        needs: list[tuple[bool, str, str]] = [
            (self.model is not None and self.text is None, "--model", "--text"),
            (self.field is not None and not ways and not self.match, "--field", "something to search for"),
            (bool(self.match_field) and self.match is None, "--match-field", "--match"),
            (self.terms_field is not None and self.terms is None, "--terms-field", "--terms"),
            (self.fusion is not None and asked < 2, "--fusion", "two of --match, --terms and a vector"),
            (self.fetch is not None and not asked, "--fetch", "something to search for"),
            (self.per_group is not None and self.group_by is None, "--per-group", "--group-by"),
            *selecting.needs(self),
        ]
        for wrong, option, other in needs:
            if wrong:
                raise CommandError(f"{option} needs {other}")
        if self.like and (self.ef is not None or self.probes is not None):
            raise CommandError("--like takes --recall, and neither --ef nor --probes")
        if self.group_by is not None and self.after is not None:
            raise CommandError("--group-by has one page: give it without --after")

    def read(self) -> "np.ndarray | bytes | None":
        """Return what --vector or --query names, read from where it is.

        Raises:
            CommandError: it is not there, or no vector.

        """
        if self.json is not None:
            return _json(self.json)
        return None if self.vector is None else read_vector(self.vector)


def _allowed() -> frozenset[str]:
    return frozenset("query" if name == "json" else name for name in _BESIDE_JSON)


def query_of(path: Target, target: "Collection", asked: Options, given: "np.ndarray | bytes | None") -> "Query":
    """Return the query that the options mean; `given` is what `Options.read` returned.

    Raises:
        CommandError: a row or a file is not there, or it is not clear which field is meant.
        InvalidInputError: a value is wrong.

    """
    from vecdb.query.query import Query

    if isinstance(given, bytes):
        from vecdb_client.cli.embedding import attach_remembered

        attach_remembered(path, target)
        query = Query.from_json(given)
        return query if asked.after is None else query.after(asked.after)
    query = Query(
        DEFAULT_K if asked.k is None else asked.k,
        fields=asked.fields,
        exact=asked.exact,
        allow_partial=asked.allow_partial,
    )
    if asked.where is not None:
        query = query.where(asked.where)
    query = _with_vectors(path, target, asked, given, query)
    if asked.match is not None:
        query = query.match(_match_fields(target, asked), asked.match, fetch=asked.fetch)
    if asked.terms is not None:
        from vecdb_client.cli.session import sparse_field

        query = query.terms(sparse_field(target, asked.terms_field), read_terms(asked.terms), fetch=asked.fetch)
    if asked.fusion is not None:
        query = query.fuse(asked.fusion)
    return _with_stages(target, asked, query).after(asked.after)


def _with_vectors(path: Target, target: "Collection", asked: Options, sought: Any, query: "Query") -> "Query":
    from vecdb_client.cli.session import multivector_field, parse_ids, vector_field

    if asked.vector is None and asked.text is None and asked.near is None and not asked.like:
        return query
    if _of_tokens(target, asked, sought):
        return query.near(multivector_field(target, asked.field), sought, fetch=asked.fetch)
    name = vector_field(target, asked.field)
    if asked.like:
        like, unlike = parse_ids(target, asked.like), parse_ids(target, asked.unlike)
        strategy = cast(Any, asked.strategy or STRATEGIES[0])
        return query.like(name, like, unlike, strategy, recall=asked.recall, fetch=asked.fetch)
    where = None
    if asked.near is not None:
        from vecdb.filters import col

        (own,) = parse_ids(target, [asked.near])
        sought, where = _vector_of(target, own, name), col(target.schema.id.name) != own
    if asked.text is not None:
        from vecdb_client.cli.embedding import question

        sought = question(path, target, name, asked.text, asked.model)
    effort = {"recall": asked.recall, "ef": asked.ef, "probes": asked.probes}
    return query.near(name, sought, **effort, fetch=asked.fetch, where=where)


def _of_tokens(target: "Collection", asked: Options, sought: Any) -> bool:
    """Tell whether --vector holds the several vectors of a question, or one for a field of multi-vectors."""
    if asked.vector is None:
        return False
    names = [column.name for column in target.schema.multivectors]
    if asked.field is not None:
        meant = asked.field in names
    else:
        meant = sought.ndim == 2 or (not target.schema.vectors and bool(names))
    if meant and not (asked.recall is asked.ef is asked.probes is None):
        raise CommandError("--recall, --ef and --probes do not go with multi-vectors")
    return meant


def _with_stages(target: "Collection", asked: Options, query: "Query") -> "Query":
    if asked.expand is not None:
        from vecdb_client.cli.expansion import expansion

        query = query.then(expansion(asked.expand))
    if asked.rank is not None:
        query = query.rank(_formula(asked.rank))
    if asked.min_score is not None:
        query = query.min_score(asked.min_score)
    if asked.cut is not None:
        query = query.then(_cut(asked.cut))
    if asked.collapse is not None:
        query = query.then(_collapse(asked.collapse))
    if asked.select is not None:
        query = query.then(selecting.selection_of(target, asked))
    if asked.order_by:
        query = query.order_by(*(key.strip() for keys in asked.order_by for key in keys.split(",")))
    if asked.group_by is not None:
        query = query.group_by(asked.group_by, asked.per_group or 1)
    return query


def _vector_of(target: "Collection", own: Any, name: str) -> "np.ndarray":
    record = target.get(own, fields=[name])
    if record is None:
        raise CommandError(f"no row with the id {own!r} in {target.name!r}", NOT_FOUND)
    if record[name] is None:
        raise CommandError(f"the row {own!r} has no {name!r} to search near", NOT_FOUND)
    return record[name]


def _match_fields(target: "Collection", asked: Options) -> str | Mapping[str, float]:
    """Return the text fields to look for words in, with their boosts: `title^2`, or the only one that is searched.

    Without a vector beside the words, --field may name it too.
    """
    from vecdb_client.cli.session import text_field

    named = [entry.strip() for entries in asked.match_field for entry in entries.split(",") if entry.strip()]
    if not named:
        alone = asked.vector is asked.text is asked.near is None and not asked.like
        return text_field(target, asked.field if alone else None, "--match-field" if not alone else "--field")
    boosts: dict[str, float] = {}
    for entry in named:
        name, _, boost = entry.partition("^")
        if name in boosts:
            raise CommandError(f"--match-field names {name!r} twice")
        boosts[name] = _number("--match-field", entry, boost) if boost or entry.endswith("^") else 1.0
    return next(iter(boosts)) if len(boosts) == 1 and set(boosts.values()) == {1.0} else boosts


def _formula(text: str) -> Any:
    """Return the nested lists of --rank; `score` alone may stand without its quotes."""
    import orjson

    try:
        return orjson.loads(text.encode("utf-8", "surrogateescape"))
    except orjson.JSONDecodeError as error:
        raise CommandError(
            f"--rank {text!r} is not JSON: {error.msg}", hint="""write it as '["*", "score", ["value", "stars"]]'"""
        ) from None


def _cut(text: str) -> "Relevance":
    """Return the cut of --cut METHOD, or METHOD:NUMBER with the number that matters most to the method."""
    from vecdb.query.relevance import METHODS, Relevance

    method, colon, number = text.partition(":")
    if method not in METHODS:
        raise CommandError(f"--cut {text!r}: there are {', '.join(METHODS)}")
    if not colon:
        return Relevance(cast(Any, method))
    if method == "gap":
        extra = whole(number)
        if extra is None:
            raise CommandError(f"--cut {text!r}: {number!r} is no number of rows")
        return Relevance(method, extra=extra)
    value = _number("--cut", text, number)
    if method in ("zscore", "evt"):
        return Relevance(method, expect_false=value)
    return Relevance(cast(Any, method), threshold=value)


def _collapse(text: str) -> "Collapse":
    from vecdb.query.stages import Collapse

    name, colon, similarity = text.partition(":")
    return Collapse(name, _number("--collapse", text, similarity)) if colon else Collapse(name)


def _number(option: str, entry: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CommandError(f"{option} {entry!r}: {text!r} is no number") from None


def _json(text: str) -> bytes:
    """Return the JSON of --query: itself, a file, or stdin."""
    if text == "-":
        return sys.stdin.buffer.read()
    if text.lstrip()[:1] in ("", "{", "["):
        return text.encode("utf-8", "surrogateescape")
    file = Path(text.removeprefix("@"))
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise CommandError(f"no such file: {file}", NOT_FOUND, hint="--query takes a file, - or {...}") from None
