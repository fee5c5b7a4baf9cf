"""Values of rows as users see them.

Vectors are NumPy arrays, multi-vectors too, sparse vectors dicts, JSON is parsed, all else is as Arrow makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vecdb.schema.schema import Column

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.schema.multivector import MultiVector
    from vecdb.storage.snapshot import Part


def values(part: Part, column: Column, rows: np.ndarray) -> pa.Array:
    """Return the values of some rows of a part, vectors too."""
    import numpy as np
    import pyarrow as pa

    from vecdb.schema.arrays import bools_array, numbers_array

    if column.field.kind == "multivector":
        return tokens_of(part, cast("Column[MultiVector]", column), rows)
    if column.field.kind != "vector":
        return part.take(column, rows)
    held = part.vectors(column)
    if held is None:
        list_type = column.field.arrow_type  # with zeros under the nulls, as everywhere: pa.nulls has nulls there too
        zeros = np.zeros(len(rows) * list_type.list_size, list_type.value_type.to_pandas_dtype())
        nowhere = bools_array(np.ones(len(rows), bool))
        return pa.FixedSizeListArray.from_arrays(numbers_array(zeros), type=list_type, mask=nowhere)
    matrix, present, _ = held
    chosen = np.ascontiguousarray(matrix[rows]).reshape(-1)
    mask = None if present is None else bools_array(~present[rows])
    return pa.FixedSizeListArray.from_arrays(numbers_array(chosen), type=column.field.arrow_type, mask=mask)


def tokens_of(part: Part, column: Column[MultiVector], rows: np.ndarray) -> pa.Array:
    """Return the tokens of some rows of a part as users have them."""
    import numpy as np

    from vecdb.schema.tokens import as_array, dtype_of

    some = part.tokens(column).some(rows)
    numbers = some.values if some.bits is None else some.floats().tokens
    missing = None if some.present is None else ~some.present
    return as_array(np.ascontiguousarray(numbers, dtype_of(column.field)), some.offsets, column.field, missing)


def listed(kind: str, array: pa.ChunkedArray) -> list[Any]:
    """Return values of a kind of field as Python objects."""
    if kind == "json":
        from orjson import loads

        return [None if text is None else loads(text) for text in array.to_pylist()]
    if kind == "sparse":
        return [_weights(value) for value in array.to_pylist()]
    if kind == "multivector":
        return [_matrix(value) for value in array]
    if kind != "vector":
        return array.to_pylist()
    from vecdb.schema.arrays import numbers_of

    return [None if value.values is None else numbers_of(value.values) for value in array]


def value_of(part: Part, column: Column, row: int) -> Any:
    """Return one value of a row, without building its column."""
    if column.field.kind == "json":
        from orjson import loads

        text = part.value(column, row)
        return None if text is None else loads(text)
    if column.field.kind == "sparse":
        return _weights(part.value(column, row))
    if column.field.kind == "multivector":
        import numpy as np

        return _matrix(tokens_of(part, cast("Column[MultiVector]", column), np.array([row]))[0])
    if column.field.kind != "vector":
        return part.value(column, row)
    held = part.vectors(column)
    if held is None or (held[1] is not None and not held[1][row]):
        return None
    return held[0][row].copy()


def _weights(entries: list[dict[str, Any]] | None) -> dict[int, float] | None:
    return None if entries is None else {entry["index"]: entry["value"] for entry in entries}


def _matrix(value: Any) -> np.ndarray | None:
    """Return the tokens of a row, an Arrow scalar, as (tokens, dimension) numbers; None for null."""
    if value.values is None:
        return None
    lists = value.values
    size = lists.type.list_size
    flat = lists.values.slice(lists.offset * size, len(lists) * size)
    return flat.to_numpy(zero_copy_only=False).reshape(len(lists), size)
