"""What is said of all rows at once, as messages and back: columns, one entry for each row or group."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import orjson

from vecdb.errors import InvalidInputError
from vecdb.overviews import (
    Cluster,
    Clusters,
    DuplicateGroup,
    Duplicates,
    Representative,
    Sample,
    Summary,
    in_order,
)
from vecdb.wire.values import as_json, ids_from_message, ids_to_message, packed
from vecdb_proto.v1 import search_service_pb2 as pb


def summary_to_message(summary: Summary, id_type: str) -> pb.SummariseResponse:
    """Return a summary as a message."""
    ones = summary.representatives
    return pb.SummariseResponse(
        ids=ids_to_message([one.id for one in ones], id_type),
        sizes=_bytes([one.size for one in ones], "<i8"),
        gains=_bytes([one.gain for one in ones], "<f8"),
        coverage=summary.coverage,
        rows=summary.rows,
        method=summary.method,
    )


def summary_from_message(message: pb.SummariseResponse) -> Summary:
    """Return the summary of a message."""
    ids = ids_from_message(message.ids)
    sizes, gains = _column(message.sizes, "<i8", len(ids)), _column(message.gains, "<f8", len(ids))
    ones = tuple(Representative(*one) for one in zip(ids, sizes, gains, strict=True))
    return Summary(ones, message.coverage, message.rows, message.method)


def sample_to_message(sample: Sample, id_type: str) -> pb.SampleResponse:
    """Return a sample as a message."""
    return pb.SampleResponse(
        ids=ids_to_message(sample.ids, id_type),
        weights=_bytes(list(sample.weights.values()), "<f8"),
        rows=sample.rows,
        method=sample.method,
    )


def sample_from_message(message: pb.SampleResponse) -> Sample:
    """Return the sample of a message."""
    ids = ids_from_message(message.ids)
    weights = _column(message.weights, "<f8", len(ids))
    return Sample(MappingProxyType(dict(zip(ids, weights, strict=True))), message.rows, message.method)


def clusters_to_message(found: Clusters, id_type: str) -> pb.ClustersResponse:
    """Return clusters as a message."""
    return pb.ClustersResponse(
        medoids=ids_to_message([one.medoid for one in found.clusters], id_type),
        sizes=_bytes([one.size for one in found.clusters], "<i8"),
        cohesion=_bytes([one.cohesion for one in found.clusters], "<f8"),
        rows=found.rows,
        tried=as_json([[k, score] for k, score in found.tried.items()]),
    )


def clusters_from_message(message: pb.ClustersResponse) -> Clusters:
    """Return the clusters of a message."""
    ids = ids_from_message(message.medoids)
    sizes, cohesion = _column(message.sizes, "<i8", len(ids)), _column(message.cohesion, "<f8", len(ids))
    tried: list[Any] = orjson.loads(message.tried) if message.tried else []
    ones = tuple(Cluster(*one) for one in zip(ids, sizes, cohesion, strict=True))
    return Clusters(ones, message.rows, MappingProxyType({int(k): float(score) for k, score in tried}))


def duplicates_to_message(found: Duplicates, id_type: str) -> pb.DuplicatesResponse:
    """Return groups of duplicates as a message."""
    return pb.DuplicatesResponse(
        ids=ids_to_message([one for group in found.groups for one in group.ids], id_type),
        sizes=_bytes([len(group.ids) for group in found.groups], "<u4"),
        similarities=_bytes([group.similarity for group in found.groups], "<f8"),
        rows=found.rows,
        groups=found.total,
        exact=found.exact,
    )


def duplicates_from_message(message: pb.DuplicatesResponse) -> Duplicates:
    """Return the groups of duplicates of a message."""
    ids = ids_from_message(message.ids)
    sizes = packed(message.sizes, "<u4", "sizes").tolist()
    near = _column(message.similarities, "<f8", len(sizes))
    if sum(sizes) != len(ids):
        raise InvalidInputError(f"groups of {sum(sizes)} rows have {len(ids)} ids", field="ids")
    groups = tuple(DuplicateGroup(*one) for one in zip(in_order(ids, sizes), near, strict=True))
    return Duplicates(groups, message.groups, message.rows, message.exact)


def _bytes(values: list[Any], dtype: str) -> bytes:
    return np.array(values, dtype).tobytes()


def _column(data: bytes, dtype: str, count: int) -> list[Any]:
    """Return the values of a column, of which there must be so many."""
    values = packed(data, dtype, "a column").tolist()
    if len(values) != count:
        raise InvalidInputError(f"a column has {len(values)} values for {count} rows")
    return values
