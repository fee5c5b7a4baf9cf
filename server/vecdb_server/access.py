"""Which permission each method needs, on which collection. A method without an entry is refused.

`vecdb_server.guard` asks this table before every request; a test compares it with the descriptors of all services.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vecdb_server.auth.grants import Permission

READ, WRITE, ADMIN, OPERATE = Permission.READ, Permission.WRITE, Permission.ADMIN, Permission.OPERATE

Resource = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method needs.

    Attributes:
        permissions: any one of them is enough; none: to be known is enough.
        collection: returns the collection's name from the (first) request, None when it is about all of them. Without
            it the method is about no collection.
        public: nobody needs to be known.
        creates: the collection need not exist, so a refusal says that it is one.
        whole: a caller who sees only some rows is refused, because the answer tells about all.
        everywhere: the permission is needed on all collections there will ever be.
        timed: the server ends it after its longest deadline; else after the client's, if there is one.

    """

    permissions: tuple[Permission, ...] = ()
    collection: Resource | None = None
    public: bool = False
    creates: bool = False
    whole: bool = False
    everywhere: bool = False
    timed: bool = True


def _name(request: Any) -> str:
    return request.name


def _collection(request: Any) -> str:
    return request.collection


def _one_or_all(request: Any) -> str | None:
    return request.collection if request.HasField("collection") else None


def _opened(request: Any) -> str:
    """Return the collection of a stream, which its first message names."""
    return request.open.collection


PUBLIC = Rule(public=True, timed=False)
KNOWN = Rule()
READING = Rule((READ,), _collection)
READING_LONG = Rule((READ,), _collection, timed=False)
TELLING_ALL = Rule((READ,), _collection, whole=True)
WRITING = Rule((WRITE,), _collection)
CHANGING = Rule((ADMIN,), _collection, whole=True, timed=False)
KEEPING = Rule((ADMIN, OPERATE), _collection, timed=False)
OPERATING = Rule((OPERATE,), everywhere=True, timed=False)
LOOKING_INSIDE = Rule((ADMIN, OPERATE), timed=False)

_BY_SERVICE: Mapping[str, Mapping[str, Rule]] = {
    "vecdb.v1.CollectionService": {
        "CreateCollection": Rule((ADMIN,), _name, creates=True, timed=False),
        "GetCollection": Rule((READ, OPERATE), _name),
        "ListCollections": KNOWN,
        "DropCollection": Rule((ADMIN,), _name, whole=True, timed=False),
        "AddColumn": CHANGING,
        "DropColumn": CHANGING,
        "RenameColumn": CHANGING,
        "SetIndex": CHANGING,
        "Repool": CHANGING,
        "SetEncoder": CHANGING,
    },
    "vecdb.v1.RecordService": {
        "Upsert": WRITING,
        "UpsertStream": Rule((WRITE,), _opened, timed=False),
        "Patch": WRITING,
        "Delete": WRITING,
        "Get": READING,
        "Count": READING,
        "Scan": READING_LONG,
        "ListStoredChunks": WRITING,
    },
    "vecdb.v1.LinkService": {
        "Link": WRITING,
        "Unlink": WRITING,
        "Neighbours": READING,
        "ScanLinks": READING_LONG,
        "Degrees": READING,
        "GetLinkStats": READING,
        "GetLinkSchema": READING,
        "AddLinkAttribute": CHANGING,
        "RefreshSimilar": Rule((WRITE,), _collection, whole=True, timed=False),
    },
    "vecdb.v1.SearchService": {
        "Search": READING,
        "SearchBatch": READING,
        "SearchStream": READING_LONG,
        "Explain": READING,
        "Highlight": READING,
        "Facets": READING,
        "Recall": READING_LONG,
        "Summarise": READING_LONG,
        "Sample": READING_LONG,
        "Clusters": READING_LONG,
        "Duplicates": READING_LONG,
    },
    "vecdb.v1.SnapshotService": {
        "OpenSnapshot": READING,
        "KeepSnapshot": READING,
        "CloseSnapshot": READING,
        "Tag": CHANGING,
        "Untag": CHANGING,
        "ListTags": READING,
        "ListVersions": TELLING_ALL,
    },
    "vecdb.v1.AdminService": {
        "Flush": KEEPING,
        "Compact": KEEPING,
        "BuildIndexes": KEEPING,
        "Tune": CHANGING,
        "Calibrate": CHANGING,
        "GetStats": Rule((READ, OPERATE), _one_or_all, whole=True),
        "Backup": OPERATING,
        "Check": OPERATING,
        "GetLimits": KNOWN,
        "GetServer": KNOWN,
    },
    "grpc.health.v1.Health": {"Check": PUBLIC, "List": PUBLIC, "Watch": PUBLIC},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": LOOKING_INSIDE},
}

RULES: Mapping[str, Rule] = {
    f"/{service}/{method}": rule for service, methods in _BY_SERVICE.items() for method, rule in methods.items()
}
"""By the full name of a method, as gRPC has it."""
