"""Sparse vectors: from any form in which people have them to a list of terms and weights, terms ascending.

A row comes as `{12: 0.5, 907: 1.25}` (JSON's keys, which are texts, too), as a pair (indices, values), as `{"indices":
[...], "values": [...]}`, as a row of scipy.sparse, or as Arrow has it, a list of {"index", "value"}. A whole column may
be a matrix of scipy.sparse or an Arrow array of such lists.

A weight of 0 says the same as no entry and is left out; so is one that float32 holds as 0. All others are kept as
float32 has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.schema.arrow import is_list, pc, python_value
from vecdb.schema.blame import Blame, shown
from vecdb.schema.fields import SPARSE_DIMENSION, SPARSE_ENTRIES, SPARSE_WEIGHT, Sparse

_FORMS = "a sparse vector is {12: 0.5, 907: 1.25}, a pair (indices, values) or a row of scipy.sparse"

_FEW = 1000
_LEAST = float(np.finfo(np.float32).tiny)
"""What float32 holds with all of its digits."""

Entries = tuple[NDArray[Any], NDArray[Any]]
"""Indices, whole numbers, and as many weights."""


def entries_of(value: Any) -> Entries:
    """Return what one sparse vector in any form holds, not yet checked beyond its types.

    Raises:
        ValueError: with the rest of a sentence: the value has no such form.

    """
    if isinstance(value, Mapping):
        indices, weights = _of_mapping(value)
    elif hasattr(value, "tocoo"):
        indices, weights = _of_scipy(value)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        indices, weights = _of_structs(value)
    elif isinstance(value, list | tuple) and len(value) == 2:
        indices, weights = value
    elif isinstance(value, list) and not value:
        indices, weights = (), ()
    else:
        raise ValueError(f"is not a sparse vector: {_FORMS}")
    indices, weights = _array(indices, "iu", "indices", "whole numbers"), _array(weights, "fiu", "values", "numbers")
    if len(indices) != len(weights):
        raise ValueError(f"has {len(indices)} indices and {len(weights)} values")
    return indices, weights


def checked_entries(value: Any, dimension: int | None) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return the terms, ascending, and the weights of one sparse vector.

    Raises:
        ValueError: with the rest of a sentence: it has another form, or an index or a weight is refused.

    """
    plain = _plain(value, SPARSE_DIMENSION if dimension is None else dimension)
    if plain is not None:
        return plain
    indices, weights = entries_of(value)
    starts = np.array([0, len(indices)], np.int64)
    indices, weights, starts, problem = _sorted(indices, weights, starts, dimension)
    if problem is not None:
        raise ValueError(problem[1])
    return indices, weights


def _plain(value: Any, largest: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]] | None:
    """Return what `checked_entries` returns of a dict that nothing is wrong with, as nearly all queries are; else None.

    Python looks at a hundred numbers faster than NumPy.
    """
    if type(value) is not dict or not 0 < len(value) <= _FEW:
        return None
    if set(map(type, value)) != {int} or set(map(type, value.values())) != {float}:
        return None
    terms = sorted(value)
    weights = [value[term] for term in terms]
    # The sum is NaN if one of them is.
    if terms[0] < 0 or terms[-1] >= largest or min(weights) < _LEAST or not sum(weights) <= SPARSE_WEIGHT:
        return None
    return np.array(terms, np.uint32), np.array(weights, np.float32)


def sparse_from_python(values: list[Any], field: Sparse, blame: Blame) -> pa.Array:
    """Return a list of terms and weights for each value, null for None.

    Raises:
        InvalidInputError: a value is no sparse vector, or does not fit the field.

    """
    found: list[Entries] = []
    missing = np.zeros(len(values), np.bool_)
    nothing = np.empty(0, np.int64), np.empty(0)
    for row, value in enumerate(values):
        if value is None:
            missing[row] = True
            found.append(nothing)
            continue
        try:
            found.append(entries_of(value))
        except ValueError as error:
            raise blame.error(row, f"{shown(value)} {error}", value) from error
    starts = np.zeros(len(values) + 1, np.int64)
    np.cumsum([len(indices) for indices, _ in found], out=starts[1:])
    # Each array is widened by itself: together, int64 and uint64 would become floats.
    indices = [_widened(indices) for indices, _ in found] or [nothing[0]]
    weights = [weights.astype(np.float64) for _, weights in found] or [nothing[1]]
    return _column(np.concatenate(indices), np.concatenate(weights), starts, missing, field, blame)


def sparse_from_arrow(source: pa.Array, field: Sparse, blame: Blame) -> pa.Array:
    """Return the column of lists, maps or structs of two lists.

    Raises:
        InvalidInputError: the column has another type, or a value does not fit the field.

    """
    flat = _flat(source)
    if flat is None:
        if not (pa.types.is_struct(source.type) or pa.types.is_map(source.type) or is_list(source.type)):
            row = int(np.flatnonzero(np.asarray(source.is_valid()))[0])
            value = python_value(source, row)
            raise blame.error(row, f"{shown(value)} in a column of {source.type} is not a sparse vector", value)
        return sparse_from_python([_as_python(value) for value in source.to_pylist()], field, blame)
    indices, weights, starts, missing = flat
    return _column(indices, weights, starts, missing, field, blame)


def arrow_of_scipy(matrix: Any) -> pa.Array:
    """Return a matrix of scipy.sparse as a column of lists, a row each, not yet checked."""
    rows = matrix.tocsr()
    first, last = int(rows.indptr[0]), int(rows.indptr[-1])
    entries = pa.StructArray.from_arrays(
        [pa.array(np.asarray(rows.indices[first:last])), pa.array(np.asarray(rows.data[first:last]))],
        names=["index", "value"],
    )
    return pa.LargeListArray.from_arrays(pa.array(np.asarray(rows.indptr, np.int64) - first), entries)


def rows_of_scipy(matrix: Any) -> list[Entries]:
    """Return the rows of a matrix of scipy.sparse, not yet checked."""
    rows = matrix.tocsr()
    ends = rows.indptr.tolist()
    return [(rows.indices[begin:end], rows.data[begin:end]) for begin, end in pairwise(ends)]


def _of_mapping(value: Mapping[Any, Any]) -> tuple[Any, Any]:
    if value.keys() == {"indices", "values"}:
        return value["indices"], value["values"]
    keys = list(value)
    if any(isinstance(key, str) for key in keys):
        keys = [int(key) if isinstance(key, str) and key.isascii() and key.isdigit() else key for key in keys]
    return keys, list(value.values())


def _of_scipy(value: Any) -> tuple[Any, Any]:
    row = value.tocoo()
    if row.ndim == 2 and row.shape[0] != 1:
        raise ValueError(f"has the shape {row.shape}, but one row is one sparse vector")
    return row.coords[-1] if hasattr(row, "coords") else row.col, row.data


def _of_structs(value: list[Any]) -> tuple[Any, Any]:
    if any(item.keys() != {"index", "value"} for item in value):
        raise ValueError(f"is not a sparse vector: {_FORMS}")
    return [item["index"] for item in value], [item["value"] for item in value]


def _array(numbers: Any, kinds: str, what: str, told: str) -> NDArray[Any]:
    if isinstance(numbers, np.ndarray):
        array = numbers
    elif not isinstance(numbers, list | tuple | range):
        raise ValueError(f"has {shown(numbers)} for its {what}, expected {told}")
    else:
        # NumPy would take True for 1.
        odd = [one for one in numbers if isinstance(one, bool | np.bool_ | str | bytes) or one is None]
        if odd:
            raise ValueError(f"has {shown(odd[0])} among its {what}, expected {told}")
        try:
            array = np.asarray(numbers) if len(numbers) else np.empty(0, np.int64)
        except (TypeError, ValueError, OverflowError):
            array = np.empty((0, 0), object)
    if array.ndim != 1 or array.dtype.kind not in kinds:
        raise ValueError(f"has {shown(numbers)} for its {what}, expected {told}")
    return array


def _widened(indices: NDArray[Any]) -> NDArray[np.int64]:
    """Return indices as int64; those that do not fit become -1, which is refused like them."""
    if indices.dtype != np.uint64:
        return indices.astype(np.int64)
    return np.where(indices > np.uint64(2**62), np.int64(-1), indices.astype(np.int64))


def _flat(source: pa.Array) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[np.bool_]] | None:
    """Return indices, weights, where each row begins, and which rows are null; None for a column of another form."""
    missing = np.asarray(source.is_null())
    if not (pa.types.is_list(source.type) or pa.types.is_large_list(source.type) or pa.types.is_map(source.type)):
        return None
    item = None if pa.types.is_map(source.type) else source.type.value_type
    if item is not None and (not pa.types.is_struct(item) or {part.name for part in item} != {"index", "value"}):
        return None
    if pa.types.is_map(source.type):
        source = pa.concat_arrays([source]) if source.offset else source
        first, last = source.offsets[0].as_py(), source.offsets[-1].as_py()
        parts = [source.keys.slice(first, last - first), source.items.slice(first, last - first)]
        lengths = np.diff(np.asarray(source.offsets).astype(np.int64))
        if missing.any() and lengths[missing].any():
            return None
    else:
        entries = source.flatten()  # leaves out what lies under nulls
        if entries.null_count:
            return None
        parts = [pc.struct_field(entries, name) for name in ("index", "value")]
        lengths = np.asarray(pc.fill_null(pc.list_value_length(source), 0)).astype(np.int64)
    whole = pa.types.is_integer(parts[0].type)
    numeric = pa.types.is_floating(parts[1].type) or pa.types.is_integer(parts[1].type)
    if not (whole and numeric) or parts[0].null_count or parts[1].null_count:
        return None
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return _widened(np.asarray(parts[0])), np.asarray(parts[1]).astype(np.float64), starts, missing


def _as_python(value: Any) -> Any:
    """Return a row that Arrow made a list of pairs of, as it does of maps, as a dict."""
    pairs = isinstance(value, list) and value and all(isinstance(item, tuple) for item in value)
    if pairs and len({key for key, _ in value}) == len(value):
        return dict(value)
    return tuple(zip(*value, strict=True)) if pairs else value


def _column(
    indices: NDArray[Any],
    weights: NDArray[Any],
    starts: NDArray[np.int64],
    missing: NDArray[np.bool_],
    field: Sparse,
    blame: Blame,
) -> pa.Array:
    kept_indices, kept_weights, kept_starts, problem = _sorted(indices, weights, starts, field.dimension)
    if problem is not None:
        row, told = problem
        part = slice(starts[row], starts[row + 1])
        given = indices[part].tolist(), weights[part].tolist()
        value = dict(zip(*given, strict=True)) if len(set(given[0])) == len(given[0]) else given
        raise blame.error(row, f"the sparse vector {shown(value)} {told}", value)
    type_ = field.arrow_type
    entries = pa.StructArray.from_arrays(
        [pa.array(kept_indices), pa.array(kept_weights)], fields=list(type_.value_type)
    )
    mask = pa.array(missing) if missing.any() else None
    return pa.LargeListArray.from_arrays(pa.array(kept_starts), entries, type=type_, mask=mask)


def _sorted(
    indices: NDArray[Any], weights: NDArray[Any], starts: NDArray[np.int64], dimension: int | None
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.int64], tuple[int, str] | None]:
    """Return the entries of all rows as they are stored, or the first row that is refused and why."""
    nothing = np.empty(0, np.uint32), np.empty(0, np.float32), starts
    sizes = np.diff(starts)
    if sizes.max(initial=0) > SPARSE_ENTRIES:
        row = int(np.argmax(sizes > SPARSE_ENTRIES))
        return *nothing, (row, f"has {int(sizes[row])} entries, at most {SPARSE_ENTRIES}")
    rows = np.repeat(np.arange(len(sizes)), sizes)
    largest = SPARSE_DIMENSION if dimension is None else dimension
    outside = (indices < 0) | (indices >= largest)
    if outside.any():
        at = int(np.argmax(outside))
        return *nothing, (int(rows[at]), f"has the index {int(indices[at])}, which is not from 0 to {largest - 1}")
    # NaN is not below anything.
    good = (weights >= 0) & (weights <= SPARSE_WEIGHT)
    if not good.all():
        at = int(np.argmin(good))
        told = f"has the weight {float(weights[at])}, which is not from 0 to {SPARSE_WEIGHT:g}"
        return *nothing, (int(rows[at]), told)
    terms, numbers = indices.astype(np.uint32), weights.astype(np.float32)
    places = rows.astype(np.int64) << 32 | terms
    if len(places) > 1 and not (places[1:] > places[:-1]).all():
        order = np.argsort(places, kind="stable")
        places, terms, numbers = places[order], terms[order], numbers[order]
        twice = np.flatnonzero(places[1:] == places[:-1])
        if len(twice):
            at = int(twice[0])
            return *nothing, (int(places[at] >> 32), f"has the index {int(terms[at])} twice")
    kept = numbers > 0
    if not kept.all():
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
        terms, numbers, starts = terms[kept], numbers[kept], ends[starts]
    return terms, numbers, starts, None
