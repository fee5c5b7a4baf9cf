"""One question to one text field, or field of terms, as `search` asks it: checked once, then asked of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vecdb.arguments import FETCH, check_terms
from vecdb.errors import InvalidInputError
from vecdb.fulltext import LONGEST, text_query
from vecdb.query.weights import weights_of
from vecdb.schema.fields import Sparse, Text
from vecdb.schema.schema import Column, Schema

if TYPE_CHECKING:
    from vecdb.filters import BoundFilter
    from vecdb.highlights import Highlight
    from vecdb.planner.found import Found
    from vecdb.storage.snapshot import State


class TextSearch:
    """A question, and the field that it is put to."""

    def __init__(self, column: Column[Text], query: Any) -> None:
        """Read the question.

        Raises:
            InvalidInputError: it is no text, or too long.

        """
        self.column = column
        self.asked = text_query(query, column.name)

    def find(
        self, state: State, k: int, where: BoundFilter | None, exact: bool = False, allow_partial: bool = False
    ) -> Found:
        """Return the k best rows; see `vecdb.planner.text.search`."""
        from vecdb.planner.text import search

        return search(state, [(self.column, 1.0)], self.asked, k, where, exact=exact, allow_partial=allow_partial)

    def highlights(self, found: Found, length: int) -> list[dict[str, Highlight]]:
        """Return, for each row that was found, what of its text has the words."""
        from vecdb.highlights import Highlighter
        from vecdb.planner.terms import spec_of

        reader = Highlighter(spec_of(self.column), self.asked)
        texts = [part.value(self.column, row) for part, row in found.places()] if len(found.row) else []
        return [{self.column.name: reader.highlight(text, length)} for text in texts]


class TermSearch:
    """Terms and their weights, and the field of sparse vectors that they are looked for in."""

    def __init__(self, column: Column[Sparse], sought: Any) -> None:
        """Read the question.

        Raises:
            InvalidInputError: it is no sparse vector, or has a term that the field cannot have.

        """
        self.column = column
        self.asked = weights_of(column.name, sought)
        check_terms(column, self.asked)

    def find(
        self, state: State, k: int, where: BoundFilter | None, exact: bool = False, allow_partial: bool = False
    ) -> Found:
        """Return the k best rows; see `vecdb.planner.sparse.search`."""
        from vecdb.planner.sparse import search

        asked = self.asked
        return search(
            state, self.column, asked.terms, asked.weights, k, where, exact=exact, allow_partial=allow_partial
        )


def plain_question(sought: Any) -> bool:
    """Tell whether what is sought in a text needs no further look: nearly all questions do not."""
    return type(sought) is str and len(sought) <= LONGEST


def plain_arguments(k: Any, exact: Any, allow_partial: Any) -> bool:
    """Tell whether arguments of `search` need no further look."""
    return type(k) is int and 0 < k <= FETCH and type(exact) is bool and type(allow_partial) is bool


def text_search(column: Column, query: str) -> TextSearch:
    """Return a question to a text field.

    Raises:
        InvalidInputError: the field is not searched by words.

    """
    return TextSearch(_searched(cast("Column[Text]", column)), query)


def text_column(schema: Schema, given: dict[str, Any]) -> Column[Text] | None:
    """Return the searchable text field that a search names; None where it names something else.

    Raises:
        InvalidInputError: it names a text field that is not searched by words.

    """
    if len(given) != 1:
        return None
    (name,) = given
    column = schema[name]
    if not isinstance(column.field, Text):
        return None
    return _searched(cast("Column[Text]", column))


def _searched(column: Column[Text]) -> Column[Text]:
    if column.field.fulltext is None:
        name = column.name
        told = f"field {name!r} is not searched by words: declare it as vecdb.Text(search=True), or call set_index"
        raise InvalidInputError(f"{told}({name!r}, vecdb.FullText())", field=name)
    return column
