"""`vecdb export`: a collection, or the rows that match a filter, as a data file.

A file appears under its name only when it is complete. The rows are one consistent snapshot, also while another
process writes, and what is written can be loaded again.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import complete, options
from vecdb_client.cli.errors import CONFLICT, NOT_FOUND, CommandError, note

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("parquet", "arrow", "jsonl")
_EXTENSIONS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@options.example(
    "vecdb export ./library papers papers.parquet",
    "vecdb export ./library papers added.jsonl --order-by added",
    'vecdb export ./library papers - --format jsonl --where "year = 2024" --show title | head',
)
def export(
    path: options.DatabasePath,
    collection: options.CollectionName,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write, - for stdout.", show_default=False)],
    where: options.Where = None,
    show: options.Show = None,
    order_by: Annotated[
        str | None,
        typer.Option(
            "--order-by",
            metavar="FIELDS",
            help='In this order, such as "year desc, title"; else as stored.',
            autocompletion=complete.fields,
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="parquet, arrow or jsonl; else by extension.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", help="With --order-by: only rows behind an earlier export."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write rows to a data file or stdout.

    Formats: Parquet, Arrow IPC, JSON Lines; with the vectors, in a form that can be loaded again.
    """
    from vecdb_client.cli.session import opened_collection

    kind = format or _EXTENSIONS.get(Path(file).suffix.lower())
    if kind not in FORMATS:
        raise CommandError(f"cannot tell the format of {file!r}", hint=f"--format says it: {', '.join(FORMATS)}")
    with opened_collection(path, collection) as target:
        fields = options.field_list(show)
        names = [column.name for column in target.schema]
        if fields is not None:
            asked = [target.schema[name].name for name in fields]
            names = [target.schema.id.name, *(name for name in asked if name != target.schema.id.name)]
        schema = target.schema.arrow_schema()
        shape = _schema([schema.field(name) for name in names])
        json_fields = {column.name for column in target.schema if column.field.kind == "json"}
        order = None if order_by is None else [key.strip() for key in order_by.split(",")]
        scan = target.scan(where=where, fields=names, order_by=order, after=after)
        scanned = (batch.select(names) for batch in scan)
        # The first batch is made before anything is written: a bad filter must not leave half a file in a pipe.
        first = next(scanned, None)
        batches = itertools.chain([] if first is None else [first], scanned)
        if file == "-":
            _to_stdout(kind, shape, batches, json_fields)
        else:
            rows = _to_file(Path(file), force, lambda sink: _write(kind, sink, shape, batches, json_fields))
            note(f"{file}: {rows:,} rows")
        if scan.cursor is not None:
            note(f"what comes behind these rows: --after {scan.cursor}")


def _schema(fields: list[Any]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(fields)


def _to_stdout(kind: str, schema: "pa.Schema", batches: "Iterator[pa.RecordBatch]", json_fields: set[str]) -> None:
    from vecdb_client.cli.render import BytesOut, refuse_terminal

    if kind != "jsonl":
        refuse_terminal(kind)
    sink = BytesOut()
    _write("stream" if kind == "arrow" else kind, sink, schema, batches, json_fields)
    sink.flush()


def _to_file(path: Path, force: bool, write: Callable[[Any], int]) -> int:
    """Write beside the file and rename, so that a failure leaves nothing under its name."""
    if path.is_dir():
        raise CommandError(f"{path} is a directory")
    if path.exists() and not force:
        raise CommandError(f"{path} exists already", CONFLICT, hint="--force replaces it")
    if not path.parent.is_dir():
        raise CommandError(f"no such directory: {path.parent}", NOT_FOUND)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as sink:
            rows = write(sink)
            sink.flush()
            os.fsync(sink.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return rows


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write(
    kind: str, sink: Any, schema: "pa.Schema", batches: "Iterator[pa.RecordBatch]", json_fields: set[str]
) -> int:
    """Write all batches and return the number of rows."""
    if kind == "jsonl":
        return _write_json_lines(sink, batches, json_fields)
    with _writer(kind, sink, schema) as writer:
        rows = 0
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _writer(kind: str, sink: Any, schema: "pa.Schema") -> Any:
    import pyarrow as pa

    if kind == "parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=_dictionary_columns(schema))
    return pa.ipc.new_file(sink, schema) if kind == "arrow" else pa.ipc.new_stream(sink, schema)


def _dictionary_columns(schema: "pa.Schema") -> Any:
    """Dictionaries do not help vectors, whose numbers hardly repeat, and cost time and memory."""
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_string(field.type)] or False


def _write_json_lines(sink: Any, batches: "Iterator[pa.RecordBatch]", json_fields: set[str]) -> int:
    import orjson

    from vecdb_client.cli.render import json_bytes

    rows = 0
    for batch in batches:
        columns = {name: _values(batch.column(name)) for name in batch.schema.names}
        for name in json_fields & columns.keys():
            columns[name] = [None if text is None else orjson.Fragment(text) for text in columns[name]]
        names = list(columns)
        for values in zip(*columns.values(), strict=True):
            sink.write(json_bytes(dict(zip(names, values, strict=True))) + b"\n")
        rows += batch.num_rows
    return rows


def _values(column: "pa.Array") -> list[Any]:
    """Return the values of a column; vectors as rows of a NumPy matrix, which JSON writes fast and exactly.

    Sparse vectors become dicts.
    """
    import pyarrow as pa

    from vecdb.schema.arrays import bools_of, numbers_of

    if isinstance(column, pa.LargeListArray) and pa.types.is_fixed_size_list(column.type.value_type):
        from vecdb.row_values import listed

        return listed("multivector", pa.chunked_array([column]))
    if isinstance(column, pa.LargeListArray):  # sparse vectors; lists of keywords are not large ones
        rows = column.to_pylist()
        return [None if row is None else {entry["index"]: entry["value"] for entry in row} for row in rows]
    if not isinstance(column, pa.FixedSizeListArray):
        return column.to_pylist()
    size = column.type.list_size
    flat = numbers_of(column.values.slice(column.offset * size, len(column) * size))
    present = bools_of(column.is_valid())
    matrix = flat.reshape(len(column), size)
    return [row if valid else None for row, valid in zip(matrix, present, strict=True)]
