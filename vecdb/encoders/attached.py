"""The encoders of one open collection: by whom its vectors are made, as said by the program that opened it.

Invariant: an encoder that is attached to a column makes vectors of the column's space. It is kept by the column's
number, so that a renamed field keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from vecdb.encoders.base import TextEncoder
from vecdb.encoders.lookup_sparse import LookupSparse
from vecdb.encoders.sentence_transformer import SentenceTransformer
from vecdb.encoders.tokens import TokenEncoder
from vecdb.errors import InvalidInputError, NotFoundError, SpaceMismatchError
from vecdb.schema.blame import shown
from vecdb.schema.fields import SPARSE_DIMENSION, Sparse, Vector
from vecdb.schema.given import listed
from vecdb.schema.multivector import MultiVector

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.encoders.lookup_sparse import Rarity
    from vecdb.encoders.progress import Progress
    from vecdb.schema.fields import Field
    from vecdb.schema.schema import Column, Schema
    from vecdb.schema.space import Space

LOCAL = "local"

One = TextEncoder | TokenEncoder | LookupSparse | str | os.PathLike[str]
"""An encoder, or the folder or name of a sentence-transformers model that is used as the column's space says."""

Some = Iterable[One] | Literal["local"]
"""Encoders for whichever columns have their spaces; "local" are the models on this machine that the spaces name."""

Made = dict[int, tuple["pa.RecordBatch", "pa.FixedSizeListArray | None"]]
"""What was encoded for a write, by column, kept while the write is tried again."""


class Attached:
    """Encoders of the collection called `name`; `schema` gives its present schema."""

    def __init__(self, name: str, schema: Callable[[], Schema]) -> None:
        self._name = name
        self._schema = schema
        self._by_column: dict[int, TextEncoder] = {}
        self._lookups: dict[int, LookupSparse] = {}
        self._of_tokens: dict[int, TokenEncoder] = {}

    def attach(self, schema: Schema, given: Mapping[str, One] | Some) -> None:
        """Take encoders, named by field or to be matched by their spaces.

        Raises:
            UnknownFieldError: there is no field of a name.
            SpaceMismatchError: an encoder makes vectors of another space than its field holds; or one that was given
                without a field fits none.
            InvalidInputError: a field records no space, or something is no encoder.

        """
        if isinstance(given, Mapping):
            named = cast("Mapping[str, One]", given)
            for name, one in named.items():
                self._keep(schema[name], one)
            return
        unfit = self.attach_fitting(schema, given)
        if unfit:
            spaced = [column for column in schema if getattr(column.field, "space", None) is not None]
            held = "; ".join(f"{column.name!r} holds {column.field.space}" for column in spaced) or "none"  # pyright: ignore[reportAttributeAccessIssue]
            raise SpaceMismatchError(f"{unfit[0]!r} makes vectors of no space of {self._name!r}: {held}")

    def attach_fitting(self, schema: Schema, given: Some) -> list[One]:
        """Take those that fit a column, and return the others."""
        if isinstance(given, str):
            if given != LOCAL:
                raise InvalidInputError(f"encoders is {given!r}, expected encoders or {LOCAL!r}", field="encoders")
            self._attach_local(schema)
            return []
        return [one for one in listed("encoders", given, "encoders") if not self._attach_one(schema, one)]

    def _attach_one(self, schema: Schema, one: One) -> bool:
        fits = False
        own: Iterable[Column[Any]] = schema.sparse if isinstance(one, LookupSparse) else _spaced(schema)
        own = schema.multivectors if isinstance(one, TokenEncoder) else own
        for column in own:
            if column.field.space is None:
                continue
            try:
                self._keep(column, one)
                fits = True
            except SpaceMismatchError:
                continue
        return fits

    def _keep(self, column: Column, one: One) -> None:
        if isinstance(one, LookupSparse):
            self._lookups[column.id] = _lookup(column, one)
        elif isinstance(one, TokenEncoder):
            self._of_tokens[column.id] = _token_encoder(column, one)
        else:
            self._by_column[column.id] = _encoder(column, one)

    def terms(self, column: Column[Sparse], text: str, rarity: Rarity) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms of a question and their weights, by the encoder of a column of sparse vectors.

        Raises:
            InvalidInputError: there is none.
            EncoderError: its tokenizer failed.

        """
        found = self._lookups.get(column.id)
        if found is None:
            raise InvalidInputError(
                f"the query {text!r:.80} for {column.name!r} is text, and no encoder is at hand: give terms and"
                f" weights, or open the collection with encoders={{{column.name!r}: vecdb.LookupSparse(...)}}, which"
                " set_encoder() records",
                field=column.name,
            )
        return found.terms(text, column.field.dimension or SPARSE_DIMENSION, rarity)

    def tokens(self, column: Column[MultiVector], text: str) -> np.ndarray:
        """Return the vectors of a question, by the encoder of a column of multi-vectors.

        Raises:
            InvalidInputError: there is none.
            EncoderError: it failed.

        """
        return self.needed_tokens(column, f"the query {text!r:.80}").queries([text])[0]

    def needed_tokens(self, column: Column[MultiVector], what: str) -> TokenEncoder:
        """Return the encoder of a column of multi-vectors; `what` is to be encoded.

        Raises:
            InvalidInputError: there is none.

        """
        found = self._of_tokens.get(column.id)
        if found is None:
            raise InvalidInputError(
                f"{what} for {column.name!r} has to be encoded, and no encoder is at hand: give vectors, or open"
                f" {self._name!r} with encoders={{{column.name!r}: vecdb.SentenceTokens(...)}}, which set_encoder()"
                " records",
                field=column.name,
            )
        return found

    def _attach_local(self, schema: Schema) -> None:
        for column in _spaced(schema):
            space = column.field.space
            if space is None or space.weights is None or column.id in self._by_column:
                continue
            try:
                self._by_column[column.id] = SentenceTransformer.of_space(
                    space.model, space, column.name, local_files_only=True
                )
            except (NotFoundError, SpaceMismatchError):
                continue

    def attach_known(self, column: Column[Vector], model: str) -> None:
        """Take a model of which it was written down that it lies there; never download it.

        Raises:
            NotFoundError: it is not there any more.
            SpaceMismatchError: another one is.

        """
        assert column.field.space is not None
        found = SentenceTransformer.of_space(model, column.field.space, column.name, local_files_only=True)
        self._by_column[column.id] = found

    def get(self, field: str) -> TextEncoder | None:
        """Return the encoder of a field, if there is one."""
        schema = self._schema()
        return self._by_column.get(schema[field].id) if field in schema else None

    def of(self, column: Column) -> TextEncoder | TokenEncoder | LookupSparse | None:
        """Return the encoder of a field of any kind; None without one."""
        for held in (self._by_column, self._of_tokens, self._lookups):
            if column.id in held:
                return held[column.id]
        return None

    def __bool__(self) -> bool:
        return bool(self._by_column or self._lookups or self._of_tokens)

    def __contains__(self, field: object) -> bool:
        if not isinstance(field, str):
            return False
        schema = self._schema()
        return self.get(field) is not None or (field in schema and schema[field].id in self._of_tokens)

    def adopt(self, schema: Schema, fields: Mapping[str, Field]) -> None:
        """Take the encoders that came with fields of which the schema was made."""
        for name, field in fields.items():
            if isinstance(field, Vector) and isinstance(field.encoder, TextEncoder):
                self._by_column[schema[name].id] = field.encoder
            if isinstance(field, MultiVector) and isinstance(field.encoder, TokenEncoder):
                self._of_tokens[schema[name].id] = field.encoder
            if isinstance(field, Sparse) and isinstance(field.encoder, LookupSparse):
                self._lookups[schema[name].id] = field.encoder

    def needed(self, column: Column[Vector], what: str) -> TextEncoder:
        """Return the encoder of a column.

        Args:
            column: the column.
            what: what is to be encoded, for the message.

        Raises:
            InvalidInputError: there is none; the message says how to get one.

        """
        found = self._by_column.get(column.id)
        if found is not None:
            return found
        space = column.field.space
        if space is None:
            raise InvalidInputError(
                f"{what} is text, and field {column.name!r} has no encoder: give numbers, or say once which model made"
                f" its vectors: collection.set_encoder({column.name!r}, vecdb.SentenceTransformer(FOLDER_OR_NAME))",
                field=column.name,
            )
        kind = "vecdb.Encoder(FUNCTION, NAME)" if space.weights is None else "vecdb.SentenceTransformer(FOLDER_OR_NAME)"
        raise InvalidInputError(
            f"{what} has to be encoded, and {self._name!r} was opened without the encoder of {column.name!r}, whose"
            f" space is {space}: db.collection({self._name!r}, encoders={{{column.name!r}: {kind}}})",
            field=column.name,
        )

    def completed(
        self, batch: pa.RecordBatch, schema: Schema, progress: Progress = None, made: Made | None = None
    ) -> pa.RecordBatch:
        """Return a validated batch, whole or a patch, with the vectors that its texts should have.

        Args:
            batch: columns of the schema; rows that have vectors keep them.
            schema: the fields.
            progress: see `progress.Report`; True draws a bar.
            made: what earlier calls made, so that the same texts are not encoded again.

        Raises:
            InvalidInputError: the encoder of a column that needs it is not attached.
            EncoderError: an encoder failed.

        """
        if not schema.encoded and not schema.token_encoded:
            return batch
        from vecdb.encoders import rows

        made = {} if made is None else made
        for tokens, source in schema.token_encoded:
            batch = self._with_tokens(batch, tokens, source, progress, made)
        for vector, source in schema.encoded:
            if source.name not in batch.schema.names:
                continue
            given = batch.select([name for name in (source.name, vector.name) if name in batch.schema.names])
            before = made.get(vector.id)
            if before is None or not before[0].equals(given):
                wanted = rows.lacking(batch, vector, source)
                column = None
                if len(wanted):
                    encoder = self.needed(vector, f"the text of {source.name!r} in {len(wanted):,} rows")
                    column = rows.made_vectors(batch, vector, source, wanted, encoder, progress)
                before = made[vector.id] = (given, column)
            if before[1] is not None or vector.name not in batch.schema.names:
                batch = rows.completed(batch, vector, before[1])
        return batch

    def _with_tokens(
        self, batch: pa.RecordBatch, tokens: Column[MultiVector], source: Column, progress: Progress, made: Made
    ) -> pa.RecordBatch:
        from vecdb.encoders import rows

        if source.name not in batch.schema.names:
            return batch
        given = batch.select([name for name in (source.name, tokens.name) if name in batch.schema.names])
        before = made.get(tokens.id)
        if before is None or not before[0].equals(given):
            wanted = rows.lacking(batch, tokens, source)
            column: Any = None
            if len(wanted):
                encoder = self.needed_tokens(tokens, f"the text of {source.name!r} in {len(wanted):,} rows")
                column = rows.made_tokens(batch, tokens, source, wanted, encoder, progress)
            before = made[tokens.id] = (given, column)
        if before[1] is not None or tokens.name not in batch.schema.names:
            return rows.with_column(batch, tokens, before[1])
        return batch


def _spaced(schema: Schema) -> list[Column[Vector]]:
    return [column for column in schema.vectors if column.field.space is not None]


def space_for(column: Column, encoder: TextEncoder | TokenEncoder | LookupSparse) -> Space:
    """Return the space that an encoder gives to a column of vectors, or sparse vectors, which records none yet.

    Raises:
        InvalidInputError: it is no vector column or no encoder, or the dimensions differ.

    """
    if isinstance(column.field, Sparse):
        if not isinstance(encoder, LookupSparse):
            raise InvalidInputError(f"encoder is {shown(encoder)}, expected vecdb.LookupSparse", field="encoder")
        return encoder.space(column.field.dimension or SPARSE_DIMENSION)
    if isinstance(column.field, MultiVector):
        if not isinstance(encoder, TokenEncoder):
            told = f"encoder is {shown(encoder)}, expected vecdb.SentenceTokens, vecdb.PyLate or vecdb.TokenFunction"
            raise InvalidInputError(told, field="encoder")
        return encoder.space(column.field.dimension)
    if not isinstance(column.field, Vector):
        raise InvalidInputError(
            f"field {column.name!r} is {column.field.kind}: only vectors have an encoder", field=column.name
        )
    if not isinstance(encoder, TextEncoder):
        raise InvalidInputError(
            f"encoder is {shown(encoder)}, expected vecdb.SentenceTransformer(path) or vecdb.Encoder(function, name)",
            field="encoder",
        )
    return encoder.space(column.field.dimension)


def _lookup(column: Any, one: LookupSparse) -> LookupSparse:
    """Return the table, if it is the one of the column's space."""
    if not isinstance(column.field, Sparse) or column.field.space is None:
        raise InvalidInputError(
            f"field {column.name!r} is no field of sparse vectors that records a table: set_encoder() records it",
            field=column.name,
        )
    found = one.space(column.field.dimension or SPARSE_DIMENSION)
    column.field.space.check_same(found, column.name, f"{one!r} makes those")
    return one


def _token_encoder(column: Any, one: TokenEncoder) -> TokenEncoder:
    """Return the encoder, if it is the one of the column's space."""
    if not isinstance(column.field, MultiVector) or column.field.space is None:
        raise InvalidInputError(
            f"field {column.name!r} is no field of multi-vectors that records a model: set_encoder() records it",
            field=column.name,
        )
    found = one.described(column.field.dimension)
    column.field.space.check_same(found, column.name, f"{one!r} makes those")
    return one


def _encoder(column: Any, one: One) -> TextEncoder:
    """Return the encoder, if it is one of the column's space."""
    space = getattr(column.field, "space", None)
    if not isinstance(one, TextEncoder | str | os.PathLike):
        raise InvalidInputError(
            f"the encoder of {column.name!r} is {one!r}, expected vecdb.SentenceTransformer(path),"
            " vecdb.Encoder(function, name), or the folder or name of a model",
            field=column.name,
        )
    if space is None:
        raise InvalidInputError(
            f"field {column.name!r} does not say which model made its vectors: set_encoder() records it",
            field=column.name,
        )
    encoder = one if isinstance(one, TextEncoder) else SentenceTransformer.of_space(one, space, column.name)
    space.check_same(encoder.described(space.dimension), column.name, f"{encoder!r} makes those")
    return encoder
