"""Guessing a schema from the first rows of a file.

The guess is shown before anything is stored, and a later row that contradicts it is reported like any other bad
row. Numbers in lists of one length are vectors. Text is a keyword when it is short, and one word or often the same.
"""

import re
from typing import TYPE_CHECKING, Any, Literal, cast

import orjson
import pyarrow as pa
import pyarrow.types as pt

from vecdb.errors import InvalidInputError
from vecdb_client.cli.columns import Plan
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.fields import BITS, METRICS
from vecdb_client.cli.textual import is_text

if TYPE_CHECKING:
    from vecdb.schema import Schema

KEYWORD_LENGTH = 64
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
# A number with a leading zero is a code, such as a post code.
_FLOAT = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")


def infer_schema(plan: Plan, sample: Any, *, typed: bool, metric: str) -> "Schema":
    """Return a schema for the fields of a plan, from a sample of the file.

    Raises:
        CommandError: there are no rows to look at, a column has a type that no field can hold, or a bad field name.

    """
    from dataclasses import replace

    from vecdb.schema import Id, Schema, Vector
    from vecdb.schema.space import space_in

    if metric not in METRICS:
        raise CommandError(f"--metric {metric!r} is not one of {', '.join(METRICS)}")
    columns = _columns(plan, sample)
    if not columns or not len(next(iter(columns.values()))):
        raise CommandError("there are no rows to infer a schema from", hint="`vecdb create` makes a collection by hand")
    texts_are_guessed = isinstance(sample, list) or not typed
    fields: dict[str, Any] = {plan.id_name: Id("int64")} if plan.auto_id else {}
    for name, sources in plan.targets.items():
        source = next(iter(sources))
        values = columns[source]
        if name == plan.id_name:
            fields[name] = _guess_id(name, values, typed=typed)
        elif len(sources) > 1:
            fields[name] = Vector(len(sources), metric=cast(Any, metric))
        else:
            fields[name] = _guess(source, values, metric, guess_text=texts_are_guessed, typed=typed)
            if isinstance(fields[name], Vector) and not isinstance(sample, list):
                space = space_in(sample.schema.field(source).metadata, name)
                fields[name] = fields[name] if space is None else replace(fields[name], space=space)
    try:
        return Schema(**fields)
    except InvalidInputError as error:
        culprit = error.field or str(error.value)
        hint = f"--map '{culprit}=another_name' stores it under another name, --map '{culprit}=' leaves it out"
        raise CommandError(str(error), hint=hint) from error


def _columns(plan: Plan, sample: Any) -> dict[str, Any]:
    """Return the sample by source column: Arrow arrays, or lists where Arrow finds no common type."""
    if not isinstance(sample, list):
        return {name: sample.column(name) for name in sample.schema.names}
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(key for record in sample for key in record):
        values = [record.get(name) for record in sample]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError):
            columns[name] = values
    return columns


def _guess_id(name: str, values: Any, *, typed: bool) -> Any:
    from vecdb.schema import Id

    if isinstance(values, list):
        return Id()
    if pt.is_integer(values.type):
        return Id("int64")
    if is_text(values.type) or pt.is_dictionary(values.type):
        whole = not typed and all(_INTEGER.fullmatch(text) for text in _texts(values))
        return Id("int64") if whole else Id()
    raise CommandError(f"the column {name!r} has type {values.type}, an id is text or a whole number", hint="--id auto")


def _guess(name: str, values: Any, metric: str, *, guess_text: bool, typed: bool) -> Any:
    from vecdb import schema

    if isinstance(values, list):
        return schema.Json()
    kind = values.type
    if pt.is_fixed_size_binary(kind) and metric == BITS[1]:
        return _vector(8 * kind.byte_width, metric, "binary")
    if is_text(kind) and (typed is False or not pt.is_binary(kind)):
        return _guess_text(_texts(values), metric, cells=not typed, times=guess_text)
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _guess_list(values, metric)
    for test, field in (
        (pt.is_boolean, schema.Bool()),
        (pt.is_integer, schema.Int64()),
        (pt.is_floating, schema.Float64()),
        (pt.is_decimal, schema.Float64()),
        (pt.is_timestamp, schema.Timestamp()),
        (pt.is_date, schema.Timestamp()),
        (pt.is_dictionary, schema.Keyword()),
        (pt.is_null, schema.Text()),
        (_is_place, schema.Geo()),
        (pt.is_nested, schema.Json()),
    ):
        if test(kind):
            return field
    raise CommandError(
        f"the column {name!r} has type {kind}, which no field can hold", hint=f"--map '{name}=' leaves it out"
    )


def _is_place(kind: pa.DataType) -> bool:
    return pt.is_struct(kind) and {(field.name, field.type) for field in kind} == {
        ("lat", pa.float64()),
        ("lon", pa.float64()),
    }


def _guess_list(values: pa.Array, metric: str) -> Any:
    from vecdb.schema import Json, Keyword

    item = values.type.value_type
    if pt.is_list(item) or pt.is_large_list(item) or pt.is_fixed_size_list(item):
        return _guess_tokens(values)
    bits = _bits_of_each(values) if metric == BITS[1] else None
    if is_text(item) or pt.is_dictionary(item):
        return Keyword(many=True)
    if bits is None and not (pt.is_floating(item) or pt.is_integer(item)):
        return Json()
    fixed = pt.is_fixed_size_list(values.type)
    lengths = {values.type.list_size} if fixed else {len(v) for v in values.to_pylist() if v is not None}
    if len(lengths) != 1 or lengths == {0} or (len(lengths) == 1 and max(lengths) < 2 and not fixed):
        return Json()
    if metric == BITS[1] and bits is None:
        raise CommandError(
            f"numbers of type {item} may be bits or bytes of bits, so --metric {metric} does not say what they are",
            hint="`vecdb create` with a field of type bits(NUMBER) says it",
        )
    if bits is not None:
        return _vector(bits * lengths.pop(), metric, "binary")
    dtype = "float16" if pt.is_float16(item) else "int8" if pt.is_int8(item) else "float32"
    return _vector(lengths.pop(), metric, dtype)


def _guess_tokens(values: pa.Array) -> Any:
    """Guess from lists of lists: of numbers, and all of one length, they are multi-vectors."""
    from vecdb.schema import Json, MultiVector

    vectors = values.flatten()
    item = vectors.type.value_type
    if not (pt.is_floating(item) or pt.is_integer(item)):
        return Json()
    fixed = pt.is_fixed_size_list(vectors.type)
    lengths = {vectors.type.list_size} if fixed else {len(v) for v in vectors.to_pylist() if v is not None}
    if len(lengths) != 1 or max(lengths) < 2:
        return Json()
    return MultiVector(lengths.pop(), "float32" if pt.is_float64(item) or pt.is_float32(item) else "float16")


def _bits_of_each(values: pa.Array) -> int | None:
    """Return how many bits a number of a list is: 1 where all that are seen are 0 or 1; None: it may be no bits."""
    item = values.type.value_type
    if pt.is_boolean(item):
        return 1
    if not (pt.is_integer(item) or pt.is_floating(item)):
        return None
    seen = set(values.flatten().unique().to_pylist())
    if seen and seen <= {0, 1}:
        return 1
    return 8 if item == pa.uint8() else None


def _vector(dimension: int, metric: str, dtype: Literal["float32", "float16", "int8", "binary"] = "float32") -> Any:
    from vecdb.schema import Vector

    return Vector(dimension, dtype, cast(Any, metric))


def _texts(values: pa.Array) -> list[str]:
    texts = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.to_pylist())
    return [text for text in texts if text is not None]


def _guess_text(texts: list[str], metric: str, *, cells: bool, times: bool) -> Any:
    """Guess from the non-null texts; cells: numbers and JSON may be written as text (CSV)."""
    from vecdb import schema

    if texts and cells:
        for pattern, field in ((_INTEGER, schema.Int64()), (_FLOAT, schema.Float64())):
            if all(pattern.fullmatch(text.strip()) for text in texts):
                return field
        if {text.strip().lower() for text in texts} <= {"true", "false"}:
            return schema.Bool()
        if all(text.lstrip()[:1] in ("[", "{") for text in texts):
            return _guess_json(texts, metric)
    if texts and times and all(_TIME.fullmatch(text.strip()) for text in texts):
        return schema.Timestamp()
    short = all(len(text) <= KEYWORD_LENGTH and "\n" not in text for text in texts)
    repeated = 2 * len(set(texts)) <= len(texts)
    words = any(" " in text for text in texts)
    return schema.Keyword() if texts and short and (repeated or not words) else schema.Text()


def _guess_json(texts: list[str], metric: str) -> Any:
    from vecdb.schema import Json, Text

    try:
        values = [orjson.loads(text) for text in texts]
    except orjson.JSONDecodeError:
        return Text()
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError):
        return Json()
    return _guess_list(array, metric) if pt.is_list(array.type) else Json()
