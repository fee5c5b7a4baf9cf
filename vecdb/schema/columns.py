"""One column of any origin as an array of its field's type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.schema.blame import Blame
from vecdb.schema.fields import Field, Geo, Timestamp, Vector
from vecdb.schema.from_arrow import from_arrow
from vecdb.schema.from_python import from_python
from vecdb.schema.limits import Limits
from vecdb.schema.multivector import MultiVector
from vecdb.schema.places import places_from_numpy
from vecdb.schema.timestamps import array_micros
from vecdb.schema.tokens import tokens_array
from vecdb.schema.vectors import vector_array


def column_array(source: Any, field: Field, blame: Blame, limits: Limits) -> pa.Array:
    """Return source (an Arrow array, NumPy array or list) as an array of field.arrow_type that shares no NumPy memory.

    Raises:
        InvalidInputError: a value does not fit the field.

    """
    if isinstance(source, pa.Array | pa.ChunkedArray):
        return from_arrow(source, field, blame, limits)
    if not isinstance(source, np.ndarray):
        return from_python(source, field, blame, limits)
    if isinstance(field, Vector):
        return vector_array(source, field, blame)
    if isinstance(field, MultiVector):
        return tokens_array(source, field, blame)
    if isinstance(field, Geo):
        return places_from_numpy(source, blame)
    if source.ndim != 1:
        raise blame.column(f"an array of shape {source.shape} is not a column of {field.kind}")
    if source.dtype.kind in "fiub" and source.dtype.itemsize <= 8:
        # A copy in native byte order: Arrow would share the memory, and the caller may write into it again.
        return from_arrow(pa.array(source.astype(source.dtype.newbyteorder("="))), field, blame, limits)
    if source.dtype.kind == "M" and isinstance(field, Timestamp):
        return _moments(source, field, blame)
    return from_python(source.tolist(), field, blame, limits)


def _moments(source: NDArray[np.datetime64], field: Timestamp, blame: Blame) -> pa.Array:
    try:
        micros, missing = array_micros(source)
    except ValueError as error:
        sentence, row = error.args
        raise blame.error(row, f"{source[row]} {sentence}", source[row]) from error
    return pa.array(micros, mask=missing if missing.any() else None).view(field.arrow_type)
