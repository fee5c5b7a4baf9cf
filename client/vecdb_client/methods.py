"""The methods of the server that a client calls, and which of them may be called again when an attempt fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import collection_service_pb2 as collections
from vecdb_proto.v1 import link_service_pb2 as links
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import search_service_pb2 as searches
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots

R = TypeVar("R", bound=Message)


@dataclass(frozen=True, eq=False)
class Method(Generic[R]):
    """A method of a service.

    Attributes:
        service: the service's name.
        name: its name.
        answer: the class of its answers.
        repeatable: whether it may be called again: it changes nothing, or to the same effect, or has a request id.
        timed: whether the client's timeout holds; else it takes the time that it takes.

    """

    service: str
    name: str
    answer: type[R]
    repeatable: bool = True
    timed: bool = True

    @property
    def path(self) -> str:
        """The name by which gRPC knows it."""
        return f"/vecdb.v1.{self.service}/{self.name}"

    def serialize(self, request: Any) -> bytes:
        """Return a request as bytes."""
        return request.SerializeToString()


def _method(service: str, name: str, answer: type[R], repeatable: bool = True, timed: bool = True) -> Method[R]:
    return Method(f"{service}Service", name, answer, repeatable, timed)


CREATE_COLLECTION = _method("Collection", "CreateCollection", collections.CreateCollectionResponse, False)
GET_COLLECTION = _method("Collection", "GetCollection", collections.GetCollectionResponse)
LIST_COLLECTIONS = _method("Collection", "ListCollections", collections.ListCollectionsResponse)
DROP_COLLECTION = _method("Collection", "DropCollection", collections.DropCollectionResponse, False, False)
ADD_COLUMN = _method("Collection", "AddColumn", collections.AddColumnResponse, False, False)
DROP_COLUMN = _method("Collection", "DropColumn", collections.DropColumnResponse, False, False)
RENAME_COLUMN = _method("Collection", "RenameColumn", collections.RenameColumnResponse, False, False)
SET_INDEX = _method("Collection", "SetIndex", collections.SetIndexResponse, True, False)
REPOOL = _method("Collection", "Repool", collections.RepoolResponse, False, False)
SET_ENCODER = _method("Collection", "SetEncoder", collections.SetEncoderResponse, True, False)

UPSERT = _method("Record", "Upsert", records.UpsertResponse)
UPSERT_STREAM = _method("Record", "UpsertStream", records.UpsertStreamResponse, False, False)
PATCH = _method("Record", "Patch", records.PatchResponse)
DELETE = _method("Record", "Delete", records.DeleteResponse)
GET = _method("Record", "Get", records.GetResponse)
COUNT = _method("Record", "Count", records.CountResponse)
LIST_STORED_CHUNKS = _method("Record", "ListStoredChunks", records.ListStoredChunksResponse)
SCAN = _method("Record", "Scan", records.ScanResponse, True, False)

LINK = _method("Link", "Link", links.LinkResponse)
UNLINK = _method("Link", "Unlink", links.UnlinkResponse)
NEIGHBOURS = _method("Link", "Neighbours", links.NeighboursResponse)
SCAN_LINKS = _method("Link", "ScanLinks", links.ScanLinksResponse, True, False)
DEGREES = _method("Link", "Degrees", links.DegreesResponse)
GET_LINK_STATS = _method("Link", "GetLinkStats", links.GetLinkStatsResponse)
GET_LINK_SCHEMA = _method("Link", "GetLinkSchema", links.GetLinkSchemaResponse)
ADD_LINK_ATTRIBUTE = _method("Link", "AddLinkAttribute", links.AddLinkAttributeResponse, False, False)
REFRESH_SIMILAR = _method("Link", "RefreshSimilar", links.RefreshSimilarResponse, False, False)

SEARCH = _method("Search", "Search", searches.SearchResponse)
SEARCH_BATCH = _method("Search", "SearchBatch", searches.SearchBatchResponse)
SEARCH_STREAM = _method("Search", "SearchStream", searches.SearchStreamResponse, True, False)
EXPLAIN = _method("Search", "Explain", searches.ExplainResponse)
HIGHLIGHT = _method("Search", "Highlight", searches.HighlightResponse)
FACETS = _method("Search", "Facets", searches.FacetsResponse)
RECALL = _method("Search", "Recall", searches.RecallResponse, True, False)
SUMMARISE = _method("Search", "Summarise", searches.SummariseResponse, True, False)
SAMPLE = _method("Search", "Sample", searches.SampleResponse, True, False)
CLUSTERS = _method("Search", "Clusters", searches.ClustersResponse, True, False)
DUPLICATES = _method("Search", "Duplicates", searches.DuplicatesResponse, True, False)

OPEN_SNAPSHOT = _method("Snapshot", "OpenSnapshot", snapshots.OpenSnapshotResponse)
KEEP_SNAPSHOT = _method("Snapshot", "KeepSnapshot", snapshots.KeepSnapshotResponse)
CLOSE_SNAPSHOT = _method("Snapshot", "CloseSnapshot", snapshots.CloseSnapshotResponse)
TAG = _method("Snapshot", "Tag", snapshots.TagResponse, False, False)
UNTAG = _method("Snapshot", "Untag", snapshots.UntagResponse, False, False)
LIST_TAGS = _method("Snapshot", "ListTags", snapshots.ListTagsResponse)
LIST_VERSIONS = _method("Snapshot", "ListVersions", snapshots.ListVersionsResponse)

FLUSH = _method("Admin", "Flush", admin.FlushResponse, False, False)
COMPACT = _method("Admin", "Compact", admin.CompactResponse, False, False)
BUILD_INDEXES = _method("Admin", "BuildIndexes", admin.BuildIndexesResponse, False, False)
TUNE = _method("Admin", "Tune", admin.TuneResponse, False, False)
CALIBRATE = _method("Admin", "Calibrate", admin.CalibrateResponse, False, False)
GET_STATS = _method("Admin", "GetStats", admin.GetStatsResponse)
BACKUP = _method("Admin", "Backup", admin.BackupResponse, False, False)
CHECK = _method("Admin", "Check", admin.CheckResponse, False, False)
GET_LIMITS = _method("Admin", "GetLimits", admin.GetLimitsResponse)
GET_SERVER = _method("Admin", "GetServer", admin.GetServerResponse)
