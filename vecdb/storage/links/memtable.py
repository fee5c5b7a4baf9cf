"""Links that are in the log and not yet in a segment: rows of a memtable, which knows the links of each id."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vecdb.schema.links import Direction
from vecdb.schema.schema import Schema
from vecdb.storage.keys import Id
from vecdb.storage.links import coded
from vecdb.storage.links.coded import Coded
from vecdb.storage.memtable import Memtable, MemtableView, Rows

ENTRY_BYTES = 400
"""What Python's own structures take for a link, about, beside its columns."""


class LinkMemtable(Memtable):
    """Appended links. `index` goes by source, destination and type; so do the ids of `Rows`."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.outgoing: dict[Id, list[int]] = {}
        self.incoming: dict[Id, list[int]] = {}
        self.types: set[str] = set()

    def append(self, rows: Rows, lsn: int) -> None:
        """Add links; the caller has killed older ones of the same names."""
        first = self.rows
        # Before the rows count: whoever looks at a prefix passes over what lies behind it.
        for row, (src, dst, _) in enumerate(rows.ids, first):  # pyright: ignore[reportGeneralTypeIssues]
            self.outgoing.setdefault(src, []).append(row)
            self.incoming.setdefault(dst, []).append(row)
        self.types.update({name for _, _, name in rows.ids})  # pyright: ignore[reportGeneralTypeIssues]
        super().append(rows, lsn)
        self.bytes += ENTRY_BYTES * len(rows.ids)

    def view(self, lsn: int) -> LinkMemtableView:
        """Return the links as they are at lsn, the latest write."""
        return LinkMemtableView(self, self.rows, lsn, self._dead)

    def touching(self, value: Id) -> list[int]:
        """Return the rows of all links from or to an id, dead ones too, ascending."""
        return sorted({*self.outgoing.get(value, ()), *self.incoming.get(value, ())})


class LinkMemtableView(MemtableView):
    """The links of a memtable at one lsn."""

    memtable: LinkMemtable

    def live(self) -> np.ndarray:
        """Return the numbers of the links that are alive, ascending."""
        return self.live_rows()

    def touching(self, ids: pa.Array, keys: np.ndarray, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
        """Return the live links of some ids in one direction: the place of each link's id, and its number."""
        known = self.memtable.outgoing if direction == "out" else self.memtable.incoming
        pairs = [(place, row) for place, value in enumerate(ids.to_pylist()) for row in tuple(known.get(value, ()))]
        found = np.array(pairs, np.int64).reshape(-1, 2)
        found = found[found[:, 1] < self.rows]
        found = found[self._dead[found[:, 1]] > self._lsn]
        return found[:, 0], found[:, 1]

    def coded(self, numbers: np.ndarray) -> Coded:
        """Return some links as numbers."""
        return coded.of_batch(self.take_stored(numbers))

    def take_links(self, schema: Schema, numbers: np.ndarray, names: tuple[str, ...] | None = None) -> pa.RecordBatch:
        """Return columns of some links, by the names of the schema, in the order of the numbers."""
        batch = self.take_stored(numbers)
        arrays, fields = [], []
        for column in schema.columns:
            if names is not None and column.name not in names:
                continue
            there = column.storage_name in batch.schema.names
            values = batch.column(column.storage_name) if there else pa.nulls(len(numbers), column.field.arrow_type)
            arrays.append(values.cast(column.field.arrow_type))
            fields.append(pa.field(column.name, column.field.arrow_type))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def end_ids(self) -> pa.Array:
        """Return the ids at the ends of live links, each once."""
        batch = self.take_stored(self.live())
        return pa.chunked_array([batch.column(coded.SRC), batch.column(coded.DST)]).unique()

    def take_stored(self, numbers: np.ndarray) -> pa.RecordBatch:
        """Return all columns of some links, as storage calls them."""
        narrow = self._narrow
        if narrow is None:
            narrow = self._narrow = self.memtable.narrow(self.rows)
        everything = len(numbers) == self.rows and bool((np.diff(numbers) > 0).all())
        return narrow if everything else narrow.take(pa.array(numbers))
