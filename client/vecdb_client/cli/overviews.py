"""`vecdb summarise`, `sample`, `clusters`, `duplicates`: about all rows at once; `calibrate`: what is relevant."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, CommandError, note
from vecdb_client.cli.numbers import whole
from vecdb_client.cli.options import Output, Plain

K = Annotated[int, typer.Option("--k", "-k", min=1, help="How many rows.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Another seed draws other rows.")]
Exact = Annotated[bool, typer.Option("--exact", help="Compare each row with each.")]


@options.example(
    "vecdb summarise ./library papers --k 20 --show title",
    'vecdb summarise ./library papers --where "year >= 2020" --output jsonl',
)
def summarise(
    path: options.DatabasePath,
    collection: options.CollectionName,
    k: K = 10,
    where: options.Where = None,
    field: options.VectorField = None,
    show: options.Show = None,
    exact: Exact = False,
    seed: Seed = 0,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Choose rows that together stand for all.

    size: the rows that each stands for. gain: what it added to the coverage, the mean cosine of all rows to the next
    of those chosen.
    """
    from vecdb_client.cli.session import opened_collection, vector_field

    with opened_collection(path, collection) as target:
        name = vector_field(target, field)
        found = target.summarise(k, where, field=name, exact=exact, seed=seed)
        told = {one.id: {"size": one.size, "gain": round(one.gain, 4)} for one in found.representatives}
        _write(target, told, show, output)
    note(f"{found.rows:,} rows, coverage {found.coverage:.4f}, by {found.method}")


@options.example(
    "vecdb sample ./library papers --k 1000 --output jsonl",
    "vecdb sample ./library papers --method uniform --seed 7",
)
def sample(
    path: options.DatabasePath,
    collection: options.CollectionName,
    k: K = 10,
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="coreset or uniform.")] = "coreset",
    where: options.Where = None,
    field: options.VectorField = None,
    show: options.Show = None,
    seed: Seed = 0,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Draw rows that stand for all in sums and means.

    weight: the rows that each counts for.
    """
    from vecdb_client.cli.session import opened_collection, vector_field

    with opened_collection(path, collection) as target:
        found = target.sample(k, method, where, field=vector_field(target, field), seed=seed)
        told = {key: {"weight": round(weight, 4)} for key, weight in found.weights.items()}
        _write(target, told, show, output)
    note(f"{found.rows:,} rows, by {found.method}")


@options.example(
    "vecdb clusters ./library papers --show title",
    'vecdb clusters ./library papers --k 12 --where "year >= 2020" --output json',
)
def clusters(
    path: options.DatabasePath,
    collection: options.CollectionName,
    k: Annotated[str, typer.Option("--k", "-k", metavar="N", help="How many, or auto.")] = "auto",
    where: options.Where = None,
    field: options.VectorField = None,
    show: options.Show = None,
    seed: Seed = 0,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Group the rows by what they are near to.

    A cluster is shown by the row in its middle. cohesion: the mean cosine of its rows to its centre.
    """
    from vecdb_client.cli.session import opened_collection, vector_field

    wanted = "auto" if k == "auto" else whole(k)
    if wanted is None:
        raise CommandError(f"--k {k!r} is neither a number nor auto")
    with opened_collection(path, collection) as target:
        found = target.clusters(wanted, where, field=vector_field(target, field), seed=seed)
        told = {one.medoid: {"size": one.size, "cohesion": round(one.cohesion, 4)} for one in found.clusters}
        _write(target, told, show, output)
    best = max(found.tried.values(), default=None)
    fit = "" if best is None else f", silhouette {best:.3f} (about 0: there are no clusters)"
    note(f"{found.rows:,} rows in {len(found)} clusters{fit}")


@options.example(
    "vecdb duplicates ./library papers --threshold 0.98 --show title",
    "vecdb duplicates ./library papers --exact --output jsonl",
)
def duplicates(
    path: options.DatabasePath,
    collection: options.CollectionName,
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="COSINE", help="How similar rows of a group are, at least.")
    ] = 0.95,
    where: options.Where = None,
    field: options.VectorField = None,
    show: options.Show = None,
    exact: Exact = False,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many groups, the largest first.")] = 100,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Find groups of rows that are nearly the same."""
    from vecdb_client.cli.session import opened_collection, vector_field

    with opened_collection(path, collection) as target:
        found = target.duplicates(threshold, where, field=vector_field(target, field), exact=exact, k=k)
        told: dict[Any, dict[str, Any]] = {}
        for number, group in enumerate(found.groups, 1):
            told |= {key: {"group": number, "similarity": round(group.similarity, 4)} for key in group.ids}
        _write(target, told, show, output)
    how = "each compared with each" if found.exact else "each compared with those near it"
    note(f"{found.total:,} groups among {found.rows:,} rows, {how}")


@options.example(
    "vecdb calibrate ./library papers judged.jsonl",
    "vecdb calibrate ./library papers judged.jsonl --name strict",
    "vecdb calibrate ./library papers --reset",
)
def calibrate(
    path: options.DatabasePath,
    collection: options.CollectionName,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help='JSON lines: {"query": {...}, "relevant": [ids]}, none where nothing answers.'
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What it is called.")] = "default",
    reset: Annotated[bool, typer.Option("--reset", help="Forget it.")] = False,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Learn from judged answers what is relevant.

    `query --cut adapter` asks what was learned. auc: how often a query with an answer has a better best row than one
    without; auc_raw: the same by the vector's score alone.
    """
    from vecdb_client.cli.render import json_bytes, write_bytes, write_records
    from vecdb_client.cli.session import opened_collection

    if (file is None) != reset:
        raise CommandError("name a file of judged queries, or --reset")
    with opened_collection(path, collection, write=True) as target:
        report = target.calibrate(() if file is None else _judged(file), name, reset=reset)
    if report is None:
        return
    if output is Plain.JSON:
        write_bytes(json_bytes(report.to_json()) + b"\n")
    else:
        write_records([{"measure": each, "value": value} for each, value in report.to_json().items()], Output.TABLE)


def _judged(file: Path) -> list[tuple[Any, list[Any]]]:
    import orjson

    from vecdb.query.query import Query

    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        raise CommandError(f"no such file: {file}", NOT_FOUND) from None
    judged = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                one = orjson.loads(line)
                judged.append((Query.from_json(one["query"]), list(one["relevant"])))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                told = f'{file}, line {number} is not {{"query": ..., "relevant": [...]}}: {error}'
                raise CommandError(told) from None
    return judged


def _write(target: Any, told: dict[Any, dict[str, Any]], show: str | None, output: Output) -> None:
    """Write rows by id, with what is told of each and the fields that are to be shown."""
    from vecdb_client.cli.render import embedded, write_arrow, write_records

    names = options.field_list(show) or []
    key = target.schema.id.name
    ids = list(told)
    fetched = target.get(ids, names) if names and ids else [{} for _ in ids]
    rows = [{key: one, **told[one], **(record or {})} for one, record in zip(ids, fetched, strict=True)]
    if output is Output.ARROW:
        import pyarrow as pa

        write_arrow(pa.Table.from_pylist(rows))
        return
    about = list(next(iter(told.values()), {}))
    write_records(embedded(rows, target.schema, output), output, [key, *about, *names])
