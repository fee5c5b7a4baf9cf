"""A space: which model, used how, makes the vectors of a column, so that vectors of two models are never compared.

It holds descriptions only, never code or a path: what is stored in a database must not decide what is loaded.

The surprise is equality: where the weights are known, they are the model, whatever it is called and wherever it lies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from vecdb.errors import InvalidInputError, SpaceMismatchError
from vecdb.schema.blame import shown

METADATA = b"vecdb.space"
"""The key under which an Arrow field says the space of its vectors."""


@runtime_checkable
class Encoding(Protocol):
    """What makes vectors of texts, as far as a field needs to know it: see `vecdb.encoders`."""

    def space(self, dimension: int) -> Space:
        """Return the space of its vectors, if they have that many values."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """The identity of an embedding space.

    Attributes:
        model: what people call the model; not compared where there are weights.
        dimension: values of a vector.
        normalized: whether vectors are scaled to length 1.
        weights: SHA-256 of the model's weights, or None for a function.
        version: what the user of a function calls its present state.
        pooling: how the vectors of tokens become one, or None where that is nobody's business.
        query_prompt: what is put before a query.
        document_prompt: what is put before a document.

    """

    model: str
    dimension: int
    normalized: bool = False
    weights: str | None = None
    version: str | None = None
    pooling: str | None = None
    query_prompt: str = ""
    document_prompt: str = ""

    def __post_init__(self) -> None:
        """Refuse values of other types: what is stored is compared later."""
        texts = (self.model, self.query_prompt, self.document_prompt)
        perhaps = (self.weights, self.version, self.pooling)
        if (
            not all(isinstance(text, str) for text in texts)
            or not self.model
            or not all(text is None or isinstance(text, str) for text in perhaps)
            or type(self.dimension) is not int
            or type(self.normalized) is not bool
        ):
            told = {part.name: getattr(self, part.name) for part in fields(self)}
            raise InvalidInputError(f"this does not describe a space: {told!r:.300}", field="space")

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        if self.weights is not None:
            del parts["model"]
        return tuple(sorted(parts.items()))

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)

    def differences(self, other: Space) -> list[str]:
        """Return what differs from another space, in words."""
        mine, others = dict(self._identity), dict(other._identity)
        names = [name.replace("_", " ") for name in mine.keys() | others.keys() if mine.get(name) != others.get(name)]
        return sorted(name for name in names if name != "model" or self.weights is other.weights is None)

    def check_same(self, other: Space, field: str, what: str) -> None:
        """Refuse another space.

        Raises:
            SpaceMismatchError: the two are not the same; the message names both.

        """
        if self != other:
            differences = " and ".join(self.differences(other))
            raise SpaceMismatchError(
                f"field {field!r} holds vectors of {self}; {what} of {other}: they differ in {differences}", field=field
            )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, without what is as usual."""
        usual = {part.name: part.default for part in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @classmethod
    def from_json(cls, data: Any) -> Space:
        """Read what `to_json` wrote.

        Raises:
            InvalidInputError: it is something else, or a newer vecdb wrote it.

        """
        if not isinstance(data, Mapping) or not data.keys() <= {part.name for part in fields(cls)}:
            raise InvalidInputError(f"this does not describe a space: {data!r:.300}: was it written by a newer vecdb?")
        try:
            return cls(**data)
        except TypeError as error:
            raise InvalidInputError(f"this does not describe a space: {data!r:.300}") from error

    def metadata(self) -> dict[bytes, bytes]:
        """Return the metadata of an Arrow field that holds vectors of this space."""
        return {METADATA: json.dumps(self.to_json(), sort_keys=True).encode()}

    def __repr__(self) -> str:
        return f"Space({', '.join(f'{name}={value!r}' for name, value in self.to_json().items())})"

    def __str__(self) -> str:
        told = [f"{self.dimension} values"]
        if self.weights is not None:
            told.insert(0, f"weights {self.weights.removeprefix('sha256:')[:12]}")
        if self.version is not None:
            told.insert(0, f"version {self.version!r}")
        if self.pooling is not None:
            told.append(f"{self.pooling} pooling")
        if self.normalized:
            told.append("normalized")
        told += [
            f"{kind} prompt {prompt!r}"
            for kind, prompt in (("query", self.query_prompt), ("document", self.document_prompt))
            if prompt
        ]
        return f"{self.model!r} ({', '.join(told)})"


def space_in(metadata: Mapping[bytes, bytes] | None, field: str) -> Space | None:
    """Return the space that an Arrow field's metadata names, if any.

    Raises:
        InvalidInputError: it names one, and it cannot be read.

    """
    text = (metadata or {}).get(METADATA)
    if text is None:
        return None
    try:
        return Space.from_json(json.loads(text))
    except ValueError as error:
        raise InvalidInputError(
            f"field {field!r}: the metadata {METADATA.decode()!r} is no JSON", field=field
        ) from error


def settled(space: Any, encoder: Any, dimension: int, wanted: str) -> Space | None:
    """Return the space of a field, as it is given or as its encoder says it; None without either.

    Args:
        space: a space, or what JSON has of one.
        encoder: what makes the field's vectors of texts, where something does.
        dimension: of the field.
        wanted: what the encoder should be, for the message.

    Raises:
        InvalidInputError: one of them is something else.
        SpaceMismatchError: the encoder makes vectors of another space.

    """
    if isinstance(space, Mapping):
        space = Space.from_json(space)
    if space is not None and not isinstance(space, Space):
        raise InvalidInputError(f"space is {shown(space)}, expected a vecdb.Space", field="space", value=space)
    if encoder is None:
        return space
    if not isinstance(encoder, Encoding):
        raise InvalidInputError(f"encoder is {shown(encoder)}, expected {wanted}", field="encoder", value=encoder)
    found = encoder.space(dimension)
    if space is not None:
        space.check_same(found, "space", "the encoder makes those")
    return found


def settled_dense(space: Any, encoder: Any, dimension: int, wanted: str, source: Any) -> Space | None:
    """Return what `settled` does of a field whose vectors all have `dimension` numbers, made of the texts of `source`.

    Raises:
        InvalidInputError: also where the space has another dimension, or there is a source and no space.

    """
    found = settled(space, encoder, dimension, wanted)
    if found is not None and found.dimension != dimension:
        raise InvalidInputError(f"space {found} is not one of {dimension} values", field="space")
    if source is not None and (found is None or not isinstance(source, str)):
        raise InvalidInputError(f"source {shown(source)} needs an encoder", field="source", value=source)
    return found
