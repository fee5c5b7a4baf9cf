"""`vecdb import`: rows of another vector database, with what it knows of them."""

import contextlib
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import CommandError, Stopped, note
from vecdb_client.cli.target import Target

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.schema import Schema
    from vecdb_client.cli.columns import Plan
    from vecdb_client.cli.importing.peer import Peer


class Kind(StrEnum):
    """The databases that rows come from."""

    CHROMA = "chroma"
    LANCEDB = "lancedb"
    FAISS = "faiss"
    QDRANT = "qdrant-jsonl"


@options.example(
    "vecdb import chroma ./chroma ./library papers --from papers",
    "vecdb import faiss vectors.index ./library vectors --metric cosine",
    "vecdb import qdrant-jsonl points.jsonl grpc://localhost:7700 papers --metric cosine",
    "vecdb import lancedb ./lance ./library papers --id paper_id",
)
def import_(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="chroma, lancedb, faiss or qdrant-jsonl.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Its folder or file.", show_default=False)],
    path: options.DatabasePath,
    collection: options.CollectionName,
    name: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Which collection or table, when there are several.")
    ] = None,
    mapping: options.MapOption = None,
    id_column: options.IdOption = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="METRIC", help="cosine, dot, l2 or hamming; else the source's.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Continue an unfinished import, or begin again.")
    ] = True,
    no_index: options.NoIndex = False,
) -> None:
    """Take rows over from another database.

    Its package has to be installed. A collection that does not exist is made, with fields inferred from all rows of
    Chroma and Qdrant, and from the first ones of LanceDB. Rows with an id that exists replace it.

    At the end stands what was not taken over. An import that was interrupted continues where it stopped when the same
    command runs again, as long as the source has not changed.
    """
    from vecdb_client.cli.building import build_indexes, say_what_is_missing
    from vecdb_client.cli.fields import describe
    from vecdb_client.cli.interrupts import Interrupts
    from vecdb_client.cli.load import existing_schema
    from vecdb_client.cli.session import opened_database

    with contextlib.ExitStack() as stack:
        peer = _opened(kind, source, name, stack)
        schema, known = existing_schema(path, collection), True
        if schema is None:
            schema, known = _schema(peer, mapping or [], id_column, metric), False
            note(f"making the collection {collection!r} with the schema inferred from {peer.path}:")
            for line in describe(schema):
                note(f"  {line}")
        plan = _plan(peer, mapping or [], id_column, schema)
        import vecdb

        settings = vecdb.Settings(indexing=False)
        database = stack.enter_context(opened_database(path, write=True, create=True, settings=settings))
        target = database.collection(collection) if known else database.create_collection(collection, schema)
        with Interrupts() as interrupts:
            _taken(peer, target, plan, path, resume, interrupts)
        _report(peer, metric)
        if not path.remote:
            (say_what_is_missing if no_index else build_indexes)(target, path)


def _opened(kind: Kind, source: Path, name: str | None, stack: contextlib.ExitStack) -> "Peer":
    match kind:
        case Kind.CHROMA:
            from vecdb_client.cli.importing.chroma import ChromaCollection

            return ChromaCollection(source, name, stack)
        case Kind.LANCEDB:
            from vecdb_client.cli.importing.lance import LanceTable

            return LanceTable(source, name, stack)
        case Kind.FAISS:
            from vecdb_client.cli.importing.faiss_index import FaissIndex

            return FaissIndex(source, name, stack)
        case _:
            from vecdb_client.cli.importing.qdrant import QdrantLines

            return QdrantLines(source, name, stack)


def _plan(peer: "Peer", mapping: list[str], id_column: str | None, schema: "Schema | None") -> "Plan":
    from vecdb_client.cli.mapping import make_plan

    return make_plan(peer.columns(), mapping, id_column, schema)


def _schema(peer: "Peer", mapping: list[str], id_column: str | None, metric: str | None) -> "Schema":
    """Return the schema of a peer's rows."""
    from vecdb.schema import Schema
    from vecdb_client.cli.infer import infer_schema

    plan = _plan(peer, mapping, id_column, None)
    sample: Any = peer.sample()
    found = infer_schema(plan, sample, typed=peer.typed, metric=metric or peer.metric or "cosine")
    named = {sources[0]: target for target, sources in plan.targets.items()}
    known = {named[name]: field for name, field in peer.fields.items() if name in named}
    return Schema(**{column.name: known.get(column.name, column.field) for column in found})


def _taken(peer: "Peer", target: "Collection", plan: "Plan", path: Target, resume: bool, interrupts: Any) -> None:
    """Store the rows, from where an earlier run of the same import stopped."""
    from dataclasses import replace

    from vecdb_client.cli.checkpoint import Checkpoints, Record, restarted
    from vecdb_client.cli.loading import Loader
    from vecdb_client.cli.progress import LoadProgress

    checkpoints, (identity, size, moment) = Checkpoints(path.memory), peer.identity
    fresh = Record(target.name, identity, size, moment, {"fields": sorted(plan.targets), "id": plan.id_name})
    found, reason = checkpoints.fitting(fresh, target)
    if reason is not None:
        note(f"{peer.path}: beginning again, for {reason}")
    record = fresh if found is None else found if resume else restarted(found)
    if record.done:
        note(f"{peer.path}: already taken over ({record.stored:,} rows); --restart does it again")
        return
    if record.next_row:
        note(
            f"{peer.path}: {record.stored:,} rows are in, going on at row {record.next_row:,} (--restart begins again)"
        )
    begun, before = time.monotonic(), target.count()
    with LoadProgress(peer.path.name) as progress:
        loader = Loader(
            target, replace(plan, first_id=record.first_id), peer, checkpoints, record, progress, interrupts,
            remote=path.remote,
        )  # fmt: skip
        try:
            done = loader.run()
        except Stopped:
            stored = loader.record.stored
            raise Stopped(f"{peer.path}: {stored:,} rows are in; run the same command again to continue") from None
        except CommandError as error:
            told = f"{error}; {loader.record.stored:,} rows are in"
            raise CommandError(told, error.code, error.hint) from None
    stored = done.stored - record.stored
    replaced = stored - (target.count() - before)
    print(f"{peer.path}: {stored:,} rows taken over into {target.name} in {time.monotonic() - begun:.1f} s", end="")
    print(f", {replaced:,} of them replaced rows" if replaced > 0 else "", flush=True)


def _report(peer: "Peer", metric: str | None) -> None:
    """Say what was not taken over, or is another thing here."""
    print("not taken over, or changed:")
    for sentence in peer.lost:
        print(f"  - {sentence}")
    if metric is None and peer.metric is None:
        print("  - the distance, which the source does not tell: vectors are compared by cosine")
    elif metric is not None and peer.metric not in (None, metric):
        print(f"  - the distance: the source compares by {peer.metric}, you chose {metric}")
