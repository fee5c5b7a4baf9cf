"""The short form of a schema: `name:type`, e.g. `embedding:vector(384,cosine)` or `v:vector(96,hnsw(m=32))`.

Parsing and printing are inverse: what `describe` prints can be given back to `--field`.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from vecdb_client.cli import multivectors
from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.numbers import whole

if TYPE_CHECKING:
    from vecdb.schema import Schema
    from vecdb.schema.fulltext import FullText
    from vecdb.schema.indexes import IndexSpec

TYPES = (
    "id, id(int64), text, text(search[,language=german][,stop_words=false][,positions=false][,k1=N][,b=N]), "
    "keyword, keyword(many), bool, int64, float64, timestamp, json, geo, sparse, sparse(DIMENSION), "
    "vector(DIMENSION[,float32|float16|int8][,cosine|dot|l2][,auto|flat|hnsw|ivf|funnel|binary|hnsw(m=N,...)|"
    "ivf(codes=4bit,...)|funnel(dimensions=N,...)]), bits(NUMBER[,auto|flat]), " + multivectors.TYPE
)
DTYPES = ("float32", "float16", "int8")
METRICS = ("cosine", "dot", "l2", "hamming")
BITS = "binary", "hamming"
"""Dtype and metric of `bits(NUMBER)`: without the metric, `binary` is a kind of index of other vectors."""
_FIELD = re.compile(r"\s*([^:]+?)\s*:\s*([A-Za-z0-9_]+)\s*(?:\(((?:[^()]|\([^()]*\))*)\))?\s*")
_INDEX = re.compile(r"\s*([A-Za-z0-9_]+)\s*(?:\(([^()]*)\))?\s*")
_COMMA = re.compile(r",(?![^()]*\))")
_BOOLS = {"true": True, "false": False}
_ALIASES = {"int": "int64", "integer": "int64", "float": "float64", "double": "float64", "string": "text"}


def parse_schema(specifications: list[str]) -> "Schema":
    """Build a schema from `name:type` strings; without an id among them a string id called `id` comes first.

    Raises:
        CommandError: a specification cannot be read.
        InvalidInputError: the schema refuses a name, a dimension or the combination.

    """
    from vecdb.schema import Id, Schema

    fields: dict[str, Any] = {}
    for specification in specifications:
        name, field = parse_field(specification)
        if name in fields:
            raise CommandError(f"the field {name!r} is given twice")
        fields[name] = field
    if not any(isinstance(field, Id) for field in fields.values()):
        fields = {"id": Id(), **fields}
    return Schema(**fields)


def parse_field(specification: str) -> tuple[str, Any]:
    """Read one `name:type`."""
    from vecdb import schema

    match = _FIELD.fullmatch(specification)
    if match is None:
        raise CommandError(f"--field {specification!r} is not of the form name:type", hint=f"types are {TYPES}")
    name, kind = match[1], _ALIASES.get(match[2].lower(), match[2].lower())
    arguments = [part.strip().lower() for part in _COMMA.split(match[3] or "") if part.strip()]
    plain = {
        "text": schema.Text,
        "bool": schema.Bool,
        "int64": schema.Int64,
        "float64": schema.Float64,
        "timestamp": schema.Timestamp,
        "json": schema.Json,
        "geo": schema.Geo,
    }
    if kind in plain and not arguments:
        return name, plain[kind]()
    if kind == "text" and arguments[:1] == ["search"]:
        return name, schema.Text(search=_fulltext(arguments[1:]))
    if kind == "keyword" and arguments in ([], ["many"]):
        return name, schema.Keyword(many=bool(arguments))
    if kind == "id" and arguments in ([], ["string"], ["int64"]):
        return name, schema.Id(cast(Literal["string", "int64"], arguments[0] if arguments else "string"))
    if kind == "vector":
        return name, _vector(specification, arguments)
    if kind == "sparse" and (not arguments or (len(arguments) == 1 and whole(arguments[0]) is not None)):
        return name, schema.Sparse(whole(arguments[0]) if arguments else None)
    if kind == "multivector":
        return name, multivectors.parse(specification, arguments)
    if kind == "bits":
        return name, _vector(specification, [*arguments[:1], *BITS, *arguments[1:]])
    raise CommandError(f"--field {specification!r} has no known type", hint=f"types are {TYPES}")


def _vector(specification: str, arguments: list[str]) -> Any:
    from vecdb.schema import Vector

    options: dict[str, Any] = {}
    if BITS[1] in arguments and BITS[0] in arguments:
        arguments.remove(BITS[0])
        options["dtype"] = BITS[0]
    for argument in arguments[1:]:
        option = _option(argument)
        if option is None or option in options:
            raise CommandError(f"--field {specification!r}: {argument!r} is not expected", hint=f"types are {TYPES}")
        options[option] = parse_index(argument) if option == "index" else argument
    dimension = whole(arguments[0]) if arguments else None
    if dimension is None:
        raise CommandError(
            f"--field {specification!r} does not say the dimension", hint="for example vector(384,cosine)"
        )
    return Vector(dimension, **options)


def _option(argument: str) -> str | None:
    from vecdb.schema.indexes import INDEXES

    kind = argument.partition("(")[0].strip()
    return "dtype" if argument in DTYPES else "metric" if argument in METRICS else "index" if kind in INDEXES else None


def parse_index(text: str) -> "IndexSpec":
    """Read a kind of index: `auto`, `flat`, `binary`, or with parameters `hnsw(m=32,ef_construction=400)`.

    Raises:
        CommandError: it is not of this form.
        InvalidInputError: there is no such kind, or a parameter is unknown or out of range.

    """
    from vecdb.schema.indexes import index_from

    match = _INDEX.fullmatch(text)
    parts = [part for part in (match[2] or "").split(",") if part.strip()] if match else []
    hint = "for example auto, flat, hnsw(m=32), ivf(codes=4bit) or binary"
    if match is None:
        raise CommandError(f"{text!r} is not a kind of index", hint=hint)
    given = _parameters(text, parts, "a kind of index", hint)
    if "kind" in given:
        raise CommandError(f"{text!r} gives a parameter twice")
    return index_from({"kind": match[1].lower(), **given})


def parse_search(text: str) -> "FullText | None":
    """Read how a text field is searched: `search`, `search(language=german)`, or `off`, which is None.

    Raises:
        CommandError: it is not of this form.
        InvalidInputError: a parameter is unknown or out of range.

    """
    match = _INDEX.fullmatch(text.strip())
    if match is not None and match[1].lower() == "off" and match[2] is None:
        return None
    if match is None or match[1].lower() != "search":
        raise CommandError(
            f"{text!r} does not say how a text is searched", hint="for example search, search(language=german) or off"
        )
    return _fulltext([part.strip() for part in (match[2] or "").split(",") if part.strip()])


def _fulltext(arguments: list[str]) -> "FullText":
    from vecdb.schema.fulltext import FullText, fulltext_from

    hint = "for example search,language=german,stop_words=false"
    given = _parameters(",".join(arguments), arguments, "how a text is searched", hint)
    if str(given.get("language", "")).lower() == "none":
        given["language"] = None
    if isinstance(given.get("stop_words"), str):
        given["stop_words"] = given["stop_words"].split("|")
    return fulltext_from(given) or FullText()


def _parameters(text: str, parts: list[str], what: str, hint: str) -> dict[str, Any]:
    """Read `name=value` pairs."""
    pairs = [tuple(half.strip() for half in part.split("=")) for part in parts]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise CommandError(f"{text!r} is not {what}", hint=hint)
    given = {name.lower(): _value(value) for name, value in pairs}
    if len(given) < len(pairs):
        raise CommandError(f"{text!r} gives a parameter twice")
    return given


def _value(text: str) -> bool | int | float | str:
    if text.lower() in _BOOLS:
        return _BOOLS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def describe_index(spec: "IndexSpec") -> str:
    """Return the short form of a kind of index, with the parameters that are not the usual ones."""
    from dataclasses import fields

    changed = {part.name: getattr(spec, part.name) for part in fields(spec) if getattr(spec, part.name) != part.default}
    listed = ",".join(f"{name}={str(value).lower()}" for name, value in changed.items())
    return f"{spec.kind}({listed})" if listed else spec.kind


def describe_search(spec: "FullText | None") -> str:
    """Return the short form of how a text field is searched, which `parse_search` reads."""
    if spec is None:
        return "off"
    listed = ",".join(_told(spec))
    return f"search({listed})" if listed else "search"


def _told(spec: "FullText") -> list[str]:
    told = spec.changed()
    if isinstance(told.get("stop_words"), tuple):
        told["stop_words"] = "|".join(told["stop_words"])
    return [f"{name}={str(value).lower()}" for name, value in told.items()]


def read_schema(path: Path) -> "Schema":
    """Read a schema from a JSON file: {"name": "type", ...}, ["name:type", ...], or the form of Schema.to_json."""
    from vecdb.schema import Schema

    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CommandError(f"no such schema file: {path}", NOT_FOUND) from None
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict) and content and all(isinstance(kind, str) for kind in content.values()):
        content = [f"{name}:{kind}" for name, kind in content.items()]
    if isinstance(content, list) and all(isinstance(item, str) for item in content):
        return parse_schema(content)
    if not isinstance(content, dict):
        raise CommandError(f"{path} does not hold a schema", hint='write {"id": "id", "embedding": "vector(384)"}')
    return Schema.from_json(content)


def describe_field(field: Any) -> str:
    """Return the short form of one field's type."""
    if field.kind == "id":
        return "id" if field.type == "string" else f"id({field.type})"
    if field.kind == "text" and field.fulltext is not None:
        return f"text({','.join(['search', *_told(field.fulltext)])})"
    if field.kind == "keyword":
        return "keyword(many)" if field.many else "keyword"
    if field.kind == "vector" and field.dtype == BITS[0]:
        return f"bits({field.dimension}{'' if field.spec.kind == 'auto' else f',{field.spec.kind}'})"
    if field.kind == "vector":
        dtype = "" if field.dtype == "float32" else f",{field.dtype}"
        index = "" if field.spec.kind == "auto" else f",{describe_index(field.spec)}"
        return f"vector({field.dimension}{dtype},{field.metric}{index})"
    if field.kind == "multivector":
        return multivectors.describe(field)
    if field.kind == "sparse" and field.dimension is not None:
        return f"sparse({field.dimension})"
    return field.kind


def describe(schema: "Schema") -> list[str]:
    """Return `name:type` for every column, in order."""
    return [f"{column.name}:{describe_field(column.field)}" for column in schema.columns]
