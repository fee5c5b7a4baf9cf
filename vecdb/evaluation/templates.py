"""A query configuration: a `vecdb.Query`, or its JSON, in which every text "$column" is a place that a question fills.

    vecdb.Query(k=10).near("embedding", "$embedding", ef=64).match("text", "$text")

asks every question with its own vector and its own words. Everything else of a query may stand in a configuration, so
two that differ in one number can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError

if TYPE_CHECKING:
    from vecdb.evaluation.files import Question
    from vecdb.query.query import Query


@dataclass(frozen=True)
class Template:
    """One configuration.

    Attributes:
        name: what reports call it.
        query: a query as JSON has it.
        places: the columns that it takes of a question, sorted.

    """

    name: str
    query: Mapping[str, Any]
    places: tuple[str, ...]

    @classmethod
    def of(cls, name: str, given: Query | Mapping[str, Any] | str | bytes) -> Template:
        """Return the configuration that a query, its JSON, or JSON text describes.

        Raises:
            InvalidInputError: it is no JSON object, or it has no place: it would ask the same for every question.

        """
        if isinstance(given, str | bytes):
            import orjson

            try:
                given = orjson.loads(given)
            except orjson.JSONDecodeError as error:
                raise InvalidInputError(f"the configuration {name!r} is not JSON: {error}", field=name) from error
        query = given if isinstance(given, Mapping) else getattr(given, "to_json", lambda: None)()
        if not isinstance(query, Mapping):
            raise InvalidInputError(f"the configuration {name!r} is no query", field=name)
        places = tuple(sorted(set(_places(query))))
        if not places:
            told = f"the configuration {name!r} asks the same for every question: write '$text' or '$embedding' into it"
            raise InvalidInputError(told, field=name)
        return cls(name, dict(query), places)

    def filled(self, question: Question) -> Query:
        """Return the query that asks a question.

        Raises:
            InvalidInputError: the question lacks a column that the configuration takes, or the query is wrong.

        """
        from vecdb.query.query import Query

        lacking = [place for place in self.places if place not in question.values]
        if lacking:
            told = f"question {question.id!r} has no {lacking[0]!r}, which the configuration {self.name!r} takes"
            raise InvalidInputError(told, field=lacking[0])
        query = Query.from_json(_filled(self.query, question.values))
        return query if question.where is None else query.where(question.where)


def read_template(path: str | Path) -> Template:
    """Return the configuration of a JSON file, named like the file."""
    file = Path(path)
    return Template.of(file.stem, file.read_bytes())


def _place(value: Any) -> str | None:
    return value[1:] if isinstance(value, str) and value.startswith("$") and value[1:].isidentifier() else None


def _places(value: Any) -> Iterator[str]:
    place = _place(value)
    if place is not None:
        yield place
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _places(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _places(item)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    place = _place(value)
    if place is not None:
        return values[place]
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, values) for item in value]
    return value
