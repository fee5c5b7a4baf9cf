"""A collection of a Chroma database in a folder: ids, embeddings, documents, uris and metadata."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.importing.peer import ID, PIECE_ROWS, VECTOR, Names, RecordPeer, package

DOCUMENT, URI = "document", "uri"
_METRICS = {"cosine": "cosine", "l2": "l2", "ip": "dot"}


class ChromaCollection(RecordPeer):
    """One collection."""

    def __init__(self, path: Path, name: str | None, stack: contextlib.ExitStack) -> None:
        """Look at every row once.

        Raises:
            CommandError: chromadb is missing, there is no such database or collection, or several and none is named.

        """
        if not (path / "chroma.sqlite3").is_file():
            raise CommandError(f"{path} is no folder of Chroma: it has no chroma.sqlite3", NOT_FOUND)
        chromadb = package("chromadb", "chroma")
        settings = chromadb.config.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(path=str(path), settings=settings)
        self._collection = client.get_collection(_chosen([one.name for one in client.list_collections()], name, path))
        super().__init__(path, self._collection.count())
        self._names = Names([ID, VECTOR])
        self.metric = _METRICS.get(_space(self._collection))
        self.identity: tuple[str, int, int] = (f"{path.resolve()}#{self._collection.name}", self._collection.count(), 0)
        from vecdb.schema import Text

        self.look()
        if DOCUMENT in self._columns:
            self.fields[DOCUMENT] = Text(search=True)
        self.lost += self._names.told()
        self.lost.append("the embedding function: it is code; `vecdb load --embed` or an encoder takes its place")
        self.lost.append("the metadata of the collection itself, and the index: vecdb makes its own (`vecdb index`)")

    def records(self, start: int) -> Iterator[dict[str, Any]]:
        """Yield the rows from one on, in Chroma's own order."""
        include = ["embeddings", "documents", "metadatas", "uris"]
        while True:
            got = self._collection.get(limit=PIECE_ROWS, offset=start, include=include)
            for at, one in enumerate(got["ids"]):
                record: dict[str, Any] = {ID: one, VECTOR: [float(value) for value in got["embeddings"][at]]}
                for field, values in ((DOCUMENT, got["documents"]), (URI, got["uris"])):
                    if values is not None and values[at] is not None:
                        record[self._names.field(field)] = values[at]
                metadata = (got["metadatas"] or [None])[at] if got["metadatas"] else None
                yield record | {self._names.field(name): value for name, value in (metadata or {}).items()}
            start += len(got["ids"])
            if len(got["ids"]) < PIECE_ROWS:
                return


def _chosen(names: list[str], name: str | None, path: Path) -> str:
    """Return the collection that is meant."""
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    there = ", ".join(sorted(names)) or "none"
    told = f"{path} has no collection {name!r}" if name else f"{path} has several collections"
    raise CommandError(f"{told}; there are {there}", NOT_FOUND if name else 2, "--from NAME chooses one")


def _space(collection: Any) -> str:
    """Return the distance of a collection, wherever its version of Chroma keeps it; l2 is the default."""
    configuration = getattr(collection, "configuration_json", None) or {}
    for part in (configuration.get("hnsw"), configuration.get("spann")):
        if part and part.get("space"):
            return str(part["space"])
    return str((collection.metadata or {}).get("hnsw:space", "l2"))
