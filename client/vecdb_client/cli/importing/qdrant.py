"""Points of Qdrant as JSON Lines, as its scroll call returns them: `{"id": ..., "vector": ..., "payload": {...}}`.

A vector is a list, a list of lists (a multi-vector), `{"indices": ..., "values": ...}` (a sparse one), or a dict of
names and these.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.importing.peer import ID, VECTOR, Names, RecordPeer
from vecdb_client.cli.readers_jsonl import JsonLinesSource


class QdrantLines(RecordPeer):
    """A file of points."""

    unit = "line"
    metric: str | None = None

    def __init__(self, path: Path, name: str | None, stack: contextlib.ExitStack) -> None:
        """Look at every point once.

        Raises:
            CommandError: there is no such file, or a line is no point.

        """
        if name is not None:
            raise CommandError("a file holds one collection: leave --from out")
        if not path.is_file():
            raise CommandError(f"no such file: {path}", NOT_FOUND)
        super().__init__(path, None)
        status = path.stat()
        self.identity = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        self._lines = JsonLinesSource(path, stack)
        self._names = Names([ID])
        self._numbers = True
        self.look()
        if not self._numbers:
            self.lost.append("ids that are numbers became texts, because others are UUIDs")
        self.lost += self._names.told()
        self.lost.append("the points do not say which distance they were compared with: --metric does")
        self.lost.append("indexes, quantisation and payload indexes: vecdb makes its own (`vecdb index`)")

    def look(self) -> None:
        """Go over all points; ids are numbers only where all of them are."""
        self._numbers = all(type(record[ID]) is int for record in self.records(0))
        super().look()

    def records(self, start: int) -> Iterator[dict[str, Any]]:
        """Yield the points from a line on."""
        for chunk in self._lines.chunks(start):
            if chunk.rejected:
                bad = chunk.rejected[0]
                raise CommandError(f"{self.path}, line {bad.row + 1}: {bad.message}")
            for at, point in zip(chunk.numbers, chunk.data, strict=True):
                yield self._record(point, int(at))

    def _record(self, point: Mapping[str, Any], at: int) -> dict[str, Any]:
        payload = point.get("payload") or {}
        if "id" not in point or not isinstance(payload, dict) or type(point["id"]) not in (int, str):
            raise CommandError(
                f'{self.path}, line {at + 1}: no point: expected {{"id": ..., "vector": ..., "payload": ...}}'
            )
        record: dict[str, Any] = {ID: point["id"] if self._numbers else str(point["id"])}
        vectors = point.get("vector") or point.get("vectors") or {}
        if isinstance(vectors, list) or "indices" in vectors:
            vectors = {VECTOR: vectors}
        for name, vector in vectors.items():
            field = self._names.field(name)
            if isinstance(vector, dict):
                record[field] = dict(zip(vector["indices"], vector["values"], strict=True))
                self._sparse(field)
            else:
                record[field] = vector
        return record | {self._names.field(name): value for name, value in payload.items()}

    def _sparse(self, field: str) -> None:
        if field not in self.fields:
            from vecdb.schema import Sparse

            self.fields[field] = Sparse()
