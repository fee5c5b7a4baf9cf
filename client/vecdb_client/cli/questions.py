"""Query vectors from a data file, for measurements: one column of it, as a matrix."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.readers import open_source
from vecdb_client.cli.textual import from_text, is_text

if TYPE_CHECKING:
    from vecdb.schema.fields import Vector


def read_questions(path: Path, name: str, field: "Vector", most: int | None = None) -> np.ndarray:
    """Return the first vectors of a file, all of them unless `most` says how many, as (queries, dimension).

    The column is the one called like the field, or else the only one that holds lists of numbers.

    Raises:
        CommandError: there is no such file or column, or it holds no vectors.
        InvalidInputError: the file cannot be read, or a row of it is no vector of the field's dimension.

    """
    parts: list[np.ndarray] = []
    rows = 0
    with open_source(path) as source:
        column = _column(source.columns(), source.sample(), name, path)
        for chunk in source.chunks(0):
            if chunk.rejected:
                bad = chunk.rejected[0]
                raise InvalidInputError(f"{path}, row {bad.row}: {bad.message}", row=bad.row)
            parts.append(_matrix(_values(chunk.data, column), column, field, int(chunk.numbers[0]), path))
            rows += len(parts[-1])
            if most is not None and rows >= most:
                break
    if not rows:
        raise CommandError(f"{path} holds no rows")
    return np.concatenate(parts)[:most]


def _column(names: list[str], sample: Any, wanted: str, path: Path) -> str:
    if wanted in names:
        return wanted
    lists = [name for name in names if _holds_vectors(_values(sample, name))]
    if len(lists) == 1:
        return lists[0]
    found = f"several columns of vectors: {', '.join(lists)}" if lists else "no column of vectors"
    raise CommandError(f"{path} has {found}", hint=f"the one that holds the queries has to be called {wanted!r}")


def _values(data: Any, name: str) -> Any:
    """Return one column of a chunk: an Arrow array, or for JSON lines a list."""
    return [record.get(name) for record in data] if isinstance(data, list) else data.column(name)


def _holds_vectors(values: Any) -> bool:
    if isinstance(values, list):
        return any(isinstance(value, list) for value in values)
    if is_text(values.type):
        first = next((value.as_py() for value in values if value.is_valid), "")
        return (first if isinstance(first, bytes) else first.encode()).lstrip().startswith(b"[")
    return pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or _fixed(values)


def _fixed(values: Any) -> bool:
    return pa.types.is_fixed_size_list(values.type)


def _matrix(values: Any, name: str, field: "Vector", start: int, path: Path) -> np.ndarray:
    if field.dtype == "binary":
        return _bits(values, name, field, start)
    if not isinstance(values, list):
        if is_text(values.type):
            values = from_text(values, name, field)
        if _fixed(values) and values.null_count == 0:
            return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), -1)
        values = values.to_pylist()
    for at, value in enumerate(values):
        if not isinstance(value, list) or len(value) != field.dimension:
            found = f"{len(value)} values" if isinstance(value, list) else "no vector"
            message = f"{path}, row {start + at}: {name!r} holds {found}, expected {field.dimension} numbers"
            raise InvalidInputError(message, field=name, row=start + at)
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{path}: {name!r} does not hold numbers only", field=name) from None


def _bits(values: Any, name: str, field: "Vector", start: int) -> np.ndarray:
    """Return the bytes of binary vectors."""
    from vecdb.schema.binary_vectors import packed
    from vecdb.schema.blame import Blame

    blame = Blame(name, start)
    if not isinstance(values, list) and is_text(values.type):
        values = from_text(values, name, field)
    found, present = packed(values, field, blame)
    if present is not None:
        raise blame.error(int(present.argmin()), "there is no vector")
    return found
