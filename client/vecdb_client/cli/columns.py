"""The shape that a file's rows are given: renamed, joined, numbered, text turned into values.

A plan is settled before the first row is stored (`mapping`). What it returns still goes through the schema's own
checks, so nothing here judges a value except where it cannot be read at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb_client.cli.textual import from_text, is_text, numbers

if TYPE_CHECKING:
    from vecdb.schema import Schema


@dataclass(frozen=True)
class Plan:
    """targets: each field with its source columns (several: they are joined into a vector).

    auto_id: rows are numbered from first_id. renames: what the user asked for, also for columns not seen yet.
    """

    targets: dict[str, tuple[str, ...]]
    renames: dict[str, str]
    id_name: str
    auto_id: bool
    first_id: int = 0

    def shape(self, data: Any, places: Any, schema: "Schema") -> Any:
        """Return data under the schema's names; places are the rows' places in the file.

        Raises:
            InvalidInputError: a text cell cannot be read, or the numbers of a vector are incomplete.

        """
        if isinstance(data, list):
            return self._records(data, places, schema)
        arrays: list[Any] = []
        fields: list[pa.Field] = []
        for name, sources in self.targets.items():
            columns = [data.column(source) for source in sources]
            if len(columns) > 1:
                arrays.append(_joined(columns, sources, name, schema))
            else:
                arrays.append(_fitted(columns[0], name, schema))
            # A vector's metadata may name its space, which the schema's checks compare.
            metadata = data.schema.field(sources[0]).metadata if len(columns) == 1 else None
            fields.append(pa.field(name, arrays[-1].type, metadata=metadata))
        if self.auto_id:
            ids = pa.array(np.asarray(places, np.int64) + self.first_id)
            arrays.insert(0, _fitted(ids, self.id_name, schema))
            fields.insert(0, pa.field(self.id_name, arrays[0].type))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def _records(self, records: list[dict[str, Any]], places: Any, schema: "Schema") -> list[dict[str, Any]]:
        if self.renames:
            renamed = [{self.renames.get(key, key): value for key, value in record.items()} for record in records]
            records = [{key: value for key, value in record.items() if key} for record in renamed]
        text = schema.id.field.type == "string"
        if self.auto_id:
            ids = (int(place) + self.first_id for place in places)
            return [{**record, self.id_name: str(n) if text else n} for record, n in zip(records, ids, strict=True)]
        if text and any(type(record.get(self.id_name)) is int for record in records):
            name = self.id_name
            return [{**r, name: str(r[name])} if type(r.get(name)) is int else r for r in records]
        return records


def _fitted(column: pa.Array, name: str, schema: "Schema") -> pa.Array:
    """Convert what is only a matter of notation: text to values, whole-number ids to text, decimals to doubles."""
    field: Any = schema[name].field
    if is_text(column.type):
        return from_text(column, name, field)
    if field.kind == "id" and field.type == "string" and pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if field.kind == "float64" and pa.types.is_decimal(column.type):
        return numbers(column, name, pa.float64())
    return column


def _joined(columns: list[pa.Array], sources: Sequence[str], name: str, schema: "Schema") -> pa.Array:
    """Join columns into a vector; a row in which every cell is empty has none."""
    kind = pa.int64() if getattr(schema[name].field, "dtype", "") in ("int8", "binary") else pa.float64()
    cells = [numbers(column, source, kind) for column, source in zip(columns, sources, strict=True)]
    missing = np.stack([np.asarray(cell.is_null()) for cell in cells])
    partial = missing.any(axis=0) & ~missing.all(axis=0)
    if partial.any():
        row = int(np.argmax(partial))
        source = sources[int(np.argmax(missing[:, row]))]
        message = f"field {name!r}, row {row}: column {source!r} is empty but others of the vector are not"
        raise InvalidInputError(message, field=name, row=row)
    matrix = np.stack([np.asarray(cell.fill_null(0)) for cell in cells], axis=1)
    nulls = pa.array(missing.all(axis=0)) if missing.any() else None
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), len(cells), mask=nulls)
