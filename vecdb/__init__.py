"""vecdb: a vector database that runs inside a Python process.

    import vecdb

    db = vecdb.connect("./library")
    docs = db.create_collection("docs", vecdb.Schema(id=vecdb.Id(), title=vecdb.Text(), embedding=vecdb.Vector(384)))
    docs.upsert([{"id": "a", "title": "A title", "embedding": [...]}])
    docs.search(embedding=[...], k=10, where="title is not null")

Importing vecdb loads neither pyarrow nor numba: what needs them is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vecdb import errors
from vecdb.__about__ import __version__
from vecdb.config import Limits, Settings
from vecdb.schema.fields import Bool, Float64, Geo, Id, Int64, Json, Keyword, Sparse, Text, Timestamp, Vector
from vecdb.schema.fulltext import FullText
from vecdb.schema.indexes import Auto, Binary, Flat, Funnel, Hnsw, Ivf, Muvera
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Schema

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.database import Database, check, connect, repair, restore, warmup
    from vecdb.encoders import (
        Encoder,
        LookupSparse,
        PyLate,
        SentenceTokens,
        SentenceTransformer,
        Space,
        TokenEncoder,
        TokenFunction,
    )
    from vecdb.facets import Facets
    from vecdb.filters import col
    from vecdb.query import formula
    from vecdb.query.arms import Like, Match, Near, Nested, Terms, Tokens
    from vecdb.query.cascade import Cascade
    from vecdb.query.cross_encoder import CrossEncoder
    from vecdb.query.fusion import AutoFusion, Interleave, Rrf, WeightedSum
    from vecdb.query.graph import Expand, Linked, PathPooling
    from vecdb.query.query import Query
    from vecdb.query.relevance import Relevance
    from vecdb.query.scorer import Scorer
    from vecdb.query.selection import Axis, Budget, Cells, Coverage, Dispersion, Dpp, Mmr, Quota, Select
    from vecdb.query.stages import Collapse, GroupBy, MaxSim, MinScore, OrderBy, Rank, Rescore
    from vecdb.reads import Snapshot
    from vecdb.relevance import CalibrationReport, RelevanceCalibrator
    from vecdb.results import Hit, SearchResult, WriteResult
    from vecdb.scans import Scan
    from vecdb.schema.tokens import ragged
    from vecdb.shorter_questions import pool_query
    from vecdb.view import View

_LAZY = {
    "Select": "vecdb.query.selection",
    "Quota": "vecdb.query.selection",
    "Mmr": "vecdb.query.selection",
    "Dpp": "vecdb.query.selection",
    "Dispersion": "vecdb.query.selection",
    "Cells": "vecdb.query.selection",
    "Coverage": "vecdb.query.selection",
    "Budget": "vecdb.query.selection",
    "Axis": "vecdb.query.selection",
    "Rank": "vecdb.query.stages",
    "Scorer": "vecdb.query.scorer",
    "CrossEncoder": "vecdb.query.cross_encoder",
    "formula": "vecdb.query",
    "AutoFusion": "vecdb.query.fusion",
    "WeightedSum": "vecdb.query.fusion",
    "Interleave": "vecdb.query.fusion",
    "Rrf": "vecdb.query.fusion",
    "Query": "vecdb.query.query",
    "Nested": "vecdb.query.arms",
    "Near": "vecdb.query.arms",
    "LookupSparse": "vecdb.encoders",
    "Match": "vecdb.query.arms",
    "Like": "vecdb.query.arms",
    "Terms": "vecdb.query.arms",
    "Tokens": "vecdb.query.arms",
    "Expand": "vecdb.query.graph",
    "Linked": "vecdb.query.graph",
    "PathPooling": "vecdb.query.graph",
    "Cascade": "vecdb.query.cascade",
    "Relevance": "vecdb.query.relevance",
    "CalibrationReport": "vecdb.relevance",
    "RelevanceCalibrator": "vecdb.relevance",
    "Rescore": "vecdb.query.stages",
    "OrderBy": "vecdb.query.stages",
    "MaxSim": "vecdb.query.stages",
    "MinScore": "vecdb.query.stages",
    "GroupBy": "vecdb.query.stages",
    "Collapse": "vecdb.query.stages",
    "Collection": "vecdb.collection",
    "Database": "vecdb.database",
    "Encoder": "vecdb.encoders",
    "Facets": "vecdb.facets",
    "Hit": "vecdb.results",
    "Scan": "vecdb.scans",
    "SearchResult": "vecdb.results",
    "PyLate": "vecdb.encoders",
    "SentenceTokens": "vecdb.encoders",
    "SentenceTransformer": "vecdb.encoders",
    "TokenEncoder": "vecdb.encoders",
    "TokenFunction": "vecdb.encoders",
    "Snapshot": "vecdb.reads",
    "Space": "vecdb.encoders",
    "View": "vecdb.view",
    "WriteResult": "vecdb.results",
    "check": "vecdb.database",
    "col": "vecdb.filters",
    "connect": "vecdb.database",
    "pool_query": "vecdb.shorter_questions",
    "ragged": "vecdb.schema.tokens",
    "repair": "vecdb.database",
    "restore": "vecdb.database",
    "warmup": "vecdb.database",
}

__all__ = [
    "Auto",
    "AutoFusion",
    "Axis",
    "Binary",
    "Bool",
    "Budget",
    "CalibrationReport",
    "Cascade",
    "Cells",
    "Collapse",
    "Collection",
    "Coverage",
    "CrossEncoder",
    "Database",
    "Dispersion",
    "Dpp",
    "Encoder",
    "Expand",
    "Facets",
    "Flat",
    "Float64",
    "FullText",
    "Funnel",
    "Geo",
    "GroupBy",
    "Hit",
    "Hnsw",
    "Id",
    "Int64",
    "Interleave",
    "Ivf",
    "Json",
    "Keyword",
    "Like",
    "Limits",
    "Linked",
    "LookupSparse",
    "Match",
    "MaxSim",
    "MinScore",
    "Mmr",
    "MultiVector",
    "Muvera",
    "Near",
    "Nested",
    "OrderBy",
    "PathPooling",
    "PyLate",
    "Query",
    "Quota",
    "Rank",
    "Relevance",
    "RelevanceCalibrator",
    "Rescore",
    "Rrf",
    "Scan",
    "Schema",
    "Scorer",
    "SearchResult",
    "Select",
    "SentenceTokens",
    "SentenceTransformer",
    "Settings",
    "Snapshot",
    "Space",
    "Sparse",
    "Terms",
    "Text",
    "Timestamp",
    "TokenEncoder",
    "TokenFunction",
    "Tokens",
    "Vector",
    "View",
    "WeightedSum",
    "WriteResult",
    "__version__",
    "check",
    "col",
    "connect",
    "errors",
    "formula",
    "pool_query",
    "ragged",
    "repair",
    "restore",
    "warmup",
]


def __getattr__(name: str) -> Any:
    """Load what is heavy when it is first asked for."""
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'vecdb' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
