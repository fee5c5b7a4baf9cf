"""`vecdb query`: nearest rows to a vector, a text, or a row; rows that have some words."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, CommandError, note
from vecdb_client.cli.options import Output

if TYPE_CHECKING:
    import numpy as np

    from vecdb.collection import Collection


@options.example(
    'vecdb query ./library papers --vector @question.npy --where "year >= 2020" --show title,year',
    'vecdb query ./library papers --text "fast hash tables"',
    "vecdb query ./library papers --id W2741809807 --k 5",
    "vecdb query ./library papers --id W2741809807 --recall 0.999 --explain",
    "vecdb query ./library papers --match 'neural -vision \"language model\"' --show title",
    "encode-question | vecdb query ./library papers --vector - --output jsonl",
)
def query(
    path: options.DatabasePath,
    collection: options.CollectionName,
    vector: Annotated[
        str | None,
        typer.Option(
            "--vector",
            "-v",
            metavar="VECTOR",
            help="'[0.1, ...]', @file.npy, @file.json, or - for one of these on stdin.",
        ),
    ] = None,
    near: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Search near this row, which is left out itself.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", "-t", metavar="TEXT", help="A question, encoded by the model of the vectors."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="With --text: the model's folder or name, if it is not known."),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            "--match",
            "-m",
            metavar="WORDS",
            help='Search a text field by words: any of them, "a phrase", +must, -not, prefix*.',
        ),
    ] = None,
    where: options.Where = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many rows.")] = 10,
    field: options.VectorField = None,
    show: options.Show = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every row that matches.")] = False,
    recall: options.Recall = None,
    ef: options.Ef = None,
    probes: options.Probes = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also tell how each segment was searched, on stderr or in the json.")
    ] = False,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Find the nearest rows, or those that have some words, best first.

    score: higher is better. distance: the metric's own value (1 - cosine, the negative dot product, squared L2,
    the bits that differ). Words are scored by BM25, and shown with the part of the text that has most of them.

    Rows with an index are searched through it, and some of the nearest may be missed: --recall says how many at most,
    on average; --exact misses none. With --explain and --output json the result is an object of hits and explain.
    """
    from vecdb_client.cli.session import opened_collection, parse_ids, text_field, vector_field

    if sum(given is not None for given in (vector, near, text, match)) != 1:
        raise CommandError("give one of --vector, --text, --id and --match")
    if model is not None and text is None:
        raise CommandError("--model goes with --text")
    if exact and not (recall is None and ef is None and probes is None):
        raise CommandError("--exact misses nothing: give it without --recall, --ef and --probes")
    if output is Output.ARROW:
        from vecdb_client.cli.render import refuse_terminal

        refuse_terminal("arrow")
    given: Any = read_vector(vector) if vector is not None else None
    with opened_collection(path, collection) as target:
        if match is not None:
            if not (recall is None and ef is None and probes is None):
                raise CommandError("--recall, --ef and --probes are about vectors: a search by words misses nothing")
            asked: dict[str, Any] = {text_field(target, field): match}
            result = target.search(k=k, where=where, fields=options.field_list(show), exact=exact, **asked)
            _shown(target, result, None, k, output, explain)
            return
        name = vector_field(target, field)
        own: Any = None
        if near is not None:
            own = parse_ids(target, [near])[0]
            given = _vector_of(target, own, name)
        if text is not None:
            from vecdb_client.cli.embedding import question

            given = question(path, target, name, text, model)
        wanted = k if near is None else k + 1
        result = target.search(
            k=wanted,
            where=where,
            fields=options.field_list(show),
            exact=exact,
            recall=recall,
            ef=ef,
            probes=probes,
            **{name: given},
        )
        _shown(target, result, own, k, output, explain)


def _vector_of(collection: "Collection", value: Any, field: str) -> "np.ndarray":
    record = collection.get(value, fields=[field])
    if record is None:
        raise CommandError(f"no row with the id {value!r} in {collection.name!r}", NOT_FOUND)
    if record[field] is None:
        raise CommandError(f"the row {value!r} has no {field!r} to search near", NOT_FOUND)
    return record[field]


def _shown(collection: "Collection", result: Any, own: Any, k: int, output: Output, explain: bool) -> None:
    """Write hits, and before them how they were found, if that was asked for and does not go with them."""
    if explain and output is not Output.JSON:
        _explain(result.explain)
    _write(collection, result, own, k, output, explain)


def _explain(told: dict[str, Any]) -> None:
    """Tell on stderr, a line for each part of the collection, how it was searched."""
    from vecdb_client.cli.render import plain_lines

    columns = ["part", "rows", "matching", "plan", "ef", "problem"]
    for step in told.get("steps", [told]):
        parts = step.get("parts", [])
        shown = [{**part, "part": part["part"] or "memory", "ef": part["ef"] or None} for part in parts]
        for line in plain_lines(shown, columns) if shown else ():
            note(line)
        note(f"{step.get('codes_compared', 0):,} codes compared")


def _write(collection: "Collection", result: Any, own: Any, k: int, output: Output, explain: bool) -> None:
    """Write hits, leaving out the row that was searched near."""
    from vecdb_client.cli.render import embedded, json_bytes, write_arrow, write_bytes, write_records

    if output is Output.ARROW:
        table = result.to_arrow()
        if own is not None:
            import pyarrow as pa

            table = table.filter(pa.array([value != own for value in result.ids], pa.bool_()))
        write_arrow(table.slice(0, k))
        return
    hits = _with_highlights(result, output)
    records = [hit for hit, value in zip(hits, result.ids, strict=True) if own is None or value != own][:k]
    if explain and output is Output.JSON:
        write_bytes(json_bytes({"hits": records, "explain": result.explain}) + b"\n")
        return
    head = ["score"] if result.distances is None else ["score", "distance"]
    columns = None if records else [collection.schema.id.name, *head]
    write_records(embedded(records, collection.schema, output), output, columns)


def _with_highlights(result: Any, output: Output) -> list[dict[str, Any]]:
    """Return hits as dicts; of a search by words with what shows why each was found, in a table in the text's place."""
    hits = result.to_list()
    for hit, told in zip(hits, result.highlights(), strict=True):
        for name, found in told.items():
            if output is Output.TABLE:
                hit[name] = found
            else:
                hit[f"{name}_highlight"] = found.marked()
    return hits


def read_vector(text: str) -> "np.ndarray":
    """Read a query vector: JSON text, @file.npy, @file.json, or - (JSON or .npy on stdin).

    Raises:
        CommandError: the file does not exist, or the content is not one vector of numbers.

    """
    if text == "-":
        return _parsed(sys.stdin.buffer.read(), "stdin")
    if text.startswith("@"):
        file = Path(text[1:])
        try:
            return _parsed(file.read_bytes(), str(file))
        except FileNotFoundError:
            raise CommandError(f"no such file: {file}", NOT_FOUND) from None
    return _parsed(text.encode("utf-8", "surrogateescape"), "--vector")


def _parsed(content: bytes, where: str) -> "np.ndarray":
    import io
    import json

    import numpy as np

    try:
        if content.startswith(b"\x93NUMPY"):
            values = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            values = np.array(json.loads(content))
    except (ValueError, EOFError) as error:
        raise CommandError(
            f"{where} does not hold a vector: {error}", hint="write it as '[0.1, 0.2, ...]' or save it with numpy.save"
        ) from None
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iufb":
        found = f"an array of shape {values.shape} and type {values.dtype}"
        raise CommandError(f"{where} does not hold one vector of numbers, but {found}")
    return values
