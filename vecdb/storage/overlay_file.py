"""The nearest rows of each row, in one file: what an overlay of links is brought up to date from.

An Arrow IPC file of one batch, a row for each row of the collection that has a vector, and the SHA-256 of it behind:

    id           as in the collection
    vector       uint64, a hash of the vector: whoever has another one now is searched for anew
    near         k x int32, places in this file of the nearest others, best first; -1 behind the last
    similarity   k x float32, how similar they are

The file is derived: no manifest names it and no backup has it. One that is missing or damaged is made anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from vecdb.schema.arrays import numbers_of
from vecdb.storage.directory import TEMPORARY
from vecdb.storage.format import TMP, nonce, overlay_name

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.storage.directory import LocalDirectory

_DIGEST = 32
_TOLD = b"vecdb-overlay"


@dataclass(frozen=True, slots=True)
class NearestLists:
    """Of n rows the k nearest others."""

    ids: pa.Array
    vector: np.ndarray
    """(n,) uint64, hashes of the vectors."""
    near: np.ndarray
    """(n, k) int32, places in ids, best first; -1 behind the last."""
    similarity: np.ndarray
    """(n, k) float32; -inf behind the last."""


def write_lists(
    directory: LocalDirectory, folder: str, type: str, lists: NearestLists, made_by: dict[str, Any]
) -> None:
    """Replace the lists behind links of a type in one step; durable on return."""
    import pyarrow as pa

    k = lists.near.shape[1]
    columns = [
        lists.ids,
        pa.array(lists.vector),
        pa.FixedSizeListArray.from_arrays(pa.array(lists.near.ravel()), k),
        pa.FixedSizeListArray.from_arrays(pa.array(lists.similarity.ravel()), k),
    ]
    batch = pa.record_batch(columns, names=["id", "vector", "near", "similarity"])
    batch = batch.replace_schema_metadata({_TOLD: orjson.dumps(made_by, option=orjson.OPT_SORT_KEYS)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue()
    # Made in a folder of its own: clean-up in the background removes what is half made beside the collection's files.
    building = f"{folder}/{TMP}/{overlay_name(type)}{TEMPORARY}{nonce()}"
    directory.swap(building, b"".join((data, hashlib.sha256(data).digest())))
    directory.rename(building, f"{folder}/{overlay_name(type)}")


def read_lists(directory: LocalDirectory, folder: str, type: str, made_by: dict[str, Any]) -> NearestLists | None:
    """Return the lists behind links of a type; None without any, when damaged, or when made in another way."""
    import pyarrow as pa

    name = f"{folder}/{overlay_name(type)}"
    if not directory.exists(name):
        return None
    data = directory.read(name)
    body = pa.py_buffer(data)[:-_DIGEST]
    if hashlib.sha256(body).digest() != data[-_DIGEST:]:
        return None
    with pa.ipc.open_file(body) as file:
        batch = file.get_batch(0)
    if orjson.loads((batch.schema.metadata or {})[_TOLD]) != made_by:
        return None
    wide = (batch.num_rows, int(made_by["k"]))
    near, similarity = (numbers_of(batch.column(at).flatten()).reshape(wide) for at in (2, 3))
    return NearestLists(batch.column(0), numbers_of(batch.column(1)), near, similarity)
