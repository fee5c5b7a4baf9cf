"""Models of the command line: `--embed FIELD=MODEL[:SOURCE]` when loading, `--model` when asking.

Where a model lies is remembered beside the database, in `loads/models.json`, under the hash of its weights: what is
found there is compared with that hash before anything loads it, and nothing that is remembered is downloaded.
"""

import contextlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vecdb_client.cli.errors import CommandError, note
from vecdb_client.cli.target import Target

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.schema import Schema

_EMBED = re.compile(r"(?P<field>[A-Za-z_]\w*)=(?P<model>.+?)(?::(?P<source>[A-Za-z_]\w*))?")
MODELS = "models.json"


@dataclass(frozen=True)
class Embed:
    """A field whose vectors are to be made, the model that makes them, and the field of their texts."""

    field: str
    model: str
    source: str | None


def parse_embed(entries: list[str] | None) -> list[Embed]:
    """Read --embed.

    Raises:
        CommandError: one is not of the form, or names a field twice.

    """
    found: list[Embed] = []
    for entry in entries or []:
        match = _EMBED.fullmatch(entry)
        if match is None:
            raise CommandError(
                f"--embed {entry!r} is not of the form FIELD=MODEL[:SOURCE]",
                hint="for example --embed embedding=./all-MiniLM-L6-v2:text",
            )
        if any(match["field"] == other.field for other in found):
            raise CommandError(f"--embed names the field {match['field']!r} twice")
        found.append(Embed(match["field"], match["model"], match["source"]))
    return found


def with_encoders(schema: "Schema", embeds: list[Embed], metric: str) -> "Schema":
    """Return the schema of a new collection with fields for the vectors that are to be made.

    Raises:
        CommandError: a field is no vector, or it is not clear which texts are meant.
        InvalidInputError: the model makes another number of values.

    """
    from vecdb.schema import Schema, Vector

    for embed in embeds:
        source = _source(schema, embed)
        model = _model(embed.model)
        if embed.field not in schema:
            made = Vector(model.dimension, metric=cast(Any, metric), encoder=model, source=source)
            schema = schema.with_column(embed.field, made)
            continue
        held = schema[embed.field].field
        if not isinstance(held, Vector):
            raise CommandError(f"--embed: the field {embed.field!r} is {held.kind}, not a vector")
        fields = {**schema.fields, embed.field: replace(held, encoder=model, source=source)}
        schema = Schema(**fields)
    return schema


def _model(model: str) -> Any:
    from vecdb.encoders import SentenceTransformer

    return SentenceTransformer(model)


def _source(schema: "Schema", embed: Embed) -> str:
    if embed.source is not None:
        return schema[embed.source].name
    texts = [column.name for column in schema if column.field.kind == "text"]
    if len(texts) != 1:
        known = ", ".join(map(repr, texts)) or "none"
        raise CommandError(
            f"--embed {embed.field}: which text is meant (there are: {known})?",
            hint=f"--embed {embed.field}={embed.model}:FIELD names it",
        )
    return texts[0]


def attach(path: Target, collection: "Collection", embeds: list[Embed], metric: str) -> None:
    """Give a collection the encoders that were asked for, making their fields, and those remembered.

    Raises:
        CommandError: a field holds vectors, but not which model made them.
        SpaceMismatchError: a model is not the one that made the field's vectors.

    """
    from vecdb.schema import Vector

    for embed in embeds:
        schema = collection.schema
        if embed.field not in schema:
            collection.add_column(embed.field, with_encoders(schema, [embed], metric)[embed.field].field)
            if collection.count():
                note(f"the rows that are in {collection.name!r} have no {embed.field!r} yet: load them again")
            continue
        held = schema[embed.field].field
        if not isinstance(held, Vector):
            raise CommandError(f"--embed: the field {embed.field!r} is {held.kind}, not a vector")
        if held.space is None:
            if collection.count():
                raise CommandError(
                    f"{embed.field!r} does not say which model made the vectors that it holds",
                    hint="in Python, collection.set_encoder() records it",
                )
            collection.set_encoder(embed.field, _model(embed.model), _source(schema, embed))
        elif embed.source not in (None, held.source):
            raise CommandError(f"{embed.field!r} is made of {held.source!r}, not of {embed.source!r}")
        elif embed.field not in collection.encoders:
            collection.encoders.attach(collection.schema, {embed.field: embed.model})
    attach_remembered(path, collection)
    remember(path, collection)


def attach_remembered(path: Target, collection: "Collection") -> None:
    """Give a collection the models that are known to lie on this machine, for fields that have none."""
    from vecdb.errors import VecdbError

    known = _known(path)
    schema = collection.schema
    for column in schema.vectors:
        space = column.field.space
        if space is None or space.weights is None or column.name in collection.encoders:
            continue
        model = known.get(space.weights)
        if model is not None:
            with contextlib.suppress(VecdbError):
                collection.encoders.attach_known(column, model)
    collection.encoders.attach_fitting(schema, "local")


def remember(path: Target, collection: "Collection") -> None:
    """Write down where the models of a collection lie."""
    from vecdb.encoders import SentenceTransformer

    known = _known(path)
    before = dict(known)
    for column in collection.schema.vectors:
        encoder, space = collection.encoders.get(column.name), column.field.space
        if isinstance(encoder, SentenceTransformer) and space is not None and space.weights is not None:
            folder = Path(encoder.model).expanduser()
            known[space.weights] = str(folder.resolve()) if folder.is_dir() else encoder.model
    if known != before:
        path.memory.mkdir(parents=True, exist_ok=True)
        temporary = path.memory / f"{MODELS}.{os.getpid()}"
        temporary.write_text(json.dumps(known, indent=1), "utf-8")
        temporary.replace(path.memory / MODELS)


def _known(path: Target) -> dict[str, str]:
    try:
        content = json.loads((path.memory / MODELS).read_bytes())
    except (OSError, ValueError):
        return {}
    pairs = content.items() if isinstance(content, dict) else ()
    return {name: model for name, model in pairs if isinstance(name, str) and isinstance(model, str)}


def question(path: Target, collection: "Collection", field: str, text: str, model: str | None) -> Any:
    """Return what to search a vector field for, given a text: the text, if the field has its encoder, or its vector.

    Raises:
        CommandError: the field's model is not known here.
        SpaceMismatchError: the model given is not the one that made the field's vectors.

    """
    from vecdb.encoders import SentenceTransformer

    column = next(column for column in collection.schema.vectors if column.name == field)
    space = column.field.space
    if space is None:
        if model is None:
            raise CommandError(
                f"{field!r} does not say which model made its vectors", hint="--model FOLDER_OR_NAME says it"
            )
        note(f"{field!r} does not say which model made its vectors: taking {model!r} for it")
        encoder = SentenceTransformer(model, normalize=column.field.metric == "cosine")
        encoder.space(column.field.dimension)
        return encoder.queries([text])[0]
    if model is not None:
        collection.encoders.attach(collection.schema, {field: model})
    else:
        attach_remembered(path, collection)
        if field not in collection.encoders and field not in getattr(collection, "server_encoders", ()):
            raise CommandError(
                f"{field!r} needs its model to encode a text, and this machine does not know where it is: {space}",
                hint="--model FOLDER_OR_NAME says it",
            )
    return text
