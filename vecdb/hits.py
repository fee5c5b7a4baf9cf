"""The rows of a result and the state that they were found in: values are fetched when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vecdb.results import Member, Paths, Pick, Selected
from vecdb.row_values import listed, value_of, values
from vecdb.schema.known import VECTORS
from vecdb.schema.schema import Column, Schema
from vecdb.text_search import TermSearch, TextSearch

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.highlights import Highlight
    from vecdb.planner.bound import BoundQuery
    from vecdb.planner.found import Found
    from vecdb.planner.run import Answer
    from vecdb.query.query import Query
    from vecdb.storage.snapshot import Part

FEW = 64
"""Up to so many hits have their fields read one by one: Arrow's take costs as much as twenty values."""


class FoundRows:
    """Ranked rows and the columns to show of them, as `vecdb.results.Rows`.

    `asked` gives the query that they answer, `texts` is what was asked of texts.
    """

    __slots__ = ("_asked", "_columns", "_found", "_schema", "_texts", "missing", "scores")

    def __init__(
        self,
        schema: Schema,
        columns: Sequence[Column],
        found: Found,
        asked: Callable[[], Query] | None = None,
        texts: TextSearch | None = None,
    ) -> None:
        self._schema = schema
        self._columns = columns
        self._found = found
        self._asked = asked
        self._texts = texts
        self.scores = found.score
        self.missing = found.missing

    def ids(self) -> list[Any]:
        """Return the ids."""
        return self._found.ids()

    def id_table(self) -> pa.Table:
        """Return the ids as a table of one column."""
        return self._table([self._schema.id])

    def field_table(self) -> pa.Table:
        """Return the fields that were asked for."""
        return self._table(self._columns)

    def field_values(self) -> list[tuple[str, list[Any]]]:
        """Return the fields that were asked for, by name, as Python values."""
        if len(self.scores) <= FEW:
            places = self._found.places()
            return [(column.name, [value_of(part, column, row) for part, row in places]) for column in self._columns]
        table = self.field_table()
        return [(column.name, listed(column.field.kind, table.column(column.name))) for column in self._columns]

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found."""
        found = self._found
        return {"parts": found.told(), "codes_compared": found.reads}

    def highlights(self, length: int) -> list[dict[str, Highlight]]:
        """Return what of the texts has the words."""
        return [{} for _ in self.scores] if self._texts is None else self._texts.highlights(self._found, length)

    def arms(self) -> list[tuple[str, list[int], list[float]]]:
        """Return what each of several arms says."""
        return []

    def paths(self) -> Paths | None:
        """Return how links led to each row, where any did."""
        paths = self._found.paths
        return None if paths is None else paths.all()

    def groups(self) -> Sequence[tuple[Any, int, int]] | None:
        """Return the groups, where there are any."""
        return None

    def selected(self) -> Selected | None:
        """Return what a selection says, where there is one."""
        return None

    def picks(self) -> list[Pick]:
        """Return what a selection says of each row."""
        return []

    def cursor(self) -> str | None:
        """Return where the next page begins."""
        if self._asked is None:
            return None
        from vecdb.query.cursors import after_the_last

        return after_the_last(self._asked(), self.scores, self.ids())

    def fetches(self) -> tuple[int, ...]:
        """Return what each arm gathered, where the cursor follows from that, the query and the last hit."""
        return ()

    def _table(self, columns: Sequence[Column]) -> pa.Table:
        import pyarrow as pa

        if len(self.scores) <= FEW:
            places = self._found.places() if len(self.scores) else []
            arrays = [self._few(column, places) for column in columns]
        else:
            arrays = [
                self._found.take(lambda part, rows, column=column: values(part, column, rows)) for column in columns
            ]
        return pa.table(arrays, schema=pa.schema([column.arrow_field for column in columns]))

    def _few(self, column: Column, places: Sequence[tuple[Part, int]]) -> pa.Array:
        from vecdb.schema.arrays import python_array

        if column.field.kind in VECTORS and places:
            return self._found.take(lambda part, rows: values(part, column, rows))
        return python_array([part.value(column, row) for part, row in places], column.field.arrow_type)


class WordRows(FoundRows):
    """The rows that one question by words, or by terms, found: it says of itself what a query of one such arm does."""

    __slots__ = ("_fetch", "_ms")

    def __init__(
        self,
        schema: Schema,
        columns: Sequence[Column],
        found: Found,
        asked: Callable[[], Query],
        one: TextSearch | TermSearch,
        fetch: int,
        ms: float,
    ) -> None:
        super().__init__(schema, columns, found, asked, one if isinstance(one, TextSearch) else None)
        self._fetch = fetch
        self._ms = ms

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found."""
        from vecdb.planner.trace import Step

        assert self._asked is not None
        (arm,), told = self._asked().arms, super().explain()
        about = {"kind": arm.kind, "fetch": self._fetch, **told}
        return {"steps": [Step(arm.label, None, len(self.scores), self._ms, about).to_json()], **told}


class AnswerRows(FoundRows):
    """The rows that a query with stages or several arms found."""

    __slots__ = ("_answer", "_bound")

    def __init__(self, schema: Schema, columns: Sequence[Column], answer: Answer, bound: BoundQuery) -> None:
        found = answer.candidates.found()._replace(missing=answer.missing, paths=answer.candidates.paths)
        super().__init__(schema, columns, found)
        self._answer = answer
        self._bound = bound

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found."""
        steps = self._answer.steps
        told: dict[str, Any] = {"steps": [step.to_json() for step in steps]}
        if len(self._bound.arms) == 1 and "parts" in steps[0].told:  # as of a search that is no query
            told |= {name: steps[0].told[name] for name in ("parts", "codes_compared")}
        return told

    def highlights(self, length: int) -> list[dict[str, Highlight]]:
        """Return what of the texts has the words that any arm matches."""
        out: list[dict[str, Highlight]] = [{} for _ in self.scores]
        for column, text in self._bound.matched:
            for hit, told in zip(out, TextSearch(column, text).highlights(self._found, length), strict=True):
                hit |= {name: found for name, found in told.items() if found.spans or name not in hit}
        return out

    def arms(self) -> list[tuple[str, list[int], list[float]]]:
        """Return what each of several arms says."""
        arms = self._answer.candidates.arms
        return [] if len(arms) < 2 else [(arm.name, arm.ranks.tolist(), arm.scores.tolist()) for arm in arms]

    def groups(self) -> Sequence[tuple[Any, int, int]] | None:
        """Return the groups, where there are any."""
        return self._answer.candidates.groups

    def selected(self) -> Selected | None:
        """Return what a selection says, where there is one."""
        chosen = self._answer.candidates.chosen
        return None if chosen is None else chosen.about

    def picks(self) -> list[Pick]:
        """Return what a selection says of each row."""
        chosen = self._answer.candidates.chosen
        if chosen is None:
            return []
        out = []
        for order, gain, members in zip(chosen.order.tolist(), chosen.gains.tolist(), chosen.members, strict=True):
            found = self._found._replace(part=members.part, row=members.row, score=members.similarity)
            told = zip(found.ids(), members.similarity.tolist(), strict=True)
            out.append(Pick(order, gain, tuple(Member(*one) for one in told)))
        return out

    def cursor(self) -> str | None:
        """Return where the next page begins."""
        return self._answer.cursor()

    def fetches(self) -> tuple[int, ...]:
        """Return what each arm gathered, where the cursor follows from that, the query and the last hit."""
        return self._answer.fetches
