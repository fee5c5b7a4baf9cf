"""CollectionService: collections and their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb.wire import schemas
from vecdb_proto.v1 import collection_service_pb2 as pb
from vecdb_server.call import Call
from vecdb_server.services.shared import Shared

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.reads import Snapshot

PAGE = 1_000
"""Names of a page, at most."""


class CollectionService:
    """Makes, describes and drops collections, and changes their fields."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def CreateCollection(self, request: pb.CreateCollectionRequest, call: Call) -> pb.CreateCollectionResponse:  # noqa: N802
        """Make a collection."""
        schema = schemas.new_from_message(request.schema)
        made = self._shared.served.create(request.name, schema, request.exist_ok)
        return pb.CreateCollectionResponse(collection=self._told(made))

    def GetCollection(self, request: pb.GetCollectionRequest, call: Call) -> pb.GetCollectionResponse:  # noqa: N802
        """Describe a collection."""
        collection = self._shared.served.collection(request.name, call)
        state = self._shared.state(request.name, request, call)
        return pb.GetCollectionResponse(collection=self._told(collection, state))

    def ListCollections(self, request: pb.ListCollectionsRequest, call: Call) -> pb.ListCollectionsResponse:  # noqa: N802
        """List the collections that the caller may know of; a page's token is its last name."""
        visible = [name for name in self._shared.served.names() if call.principal.sees(name)]
        rest = [name for name in visible if name > request.page_token]
        size = min(request.page_size or PAGE, PAGE)
        token = rest[size - 1] if len(rest) > size else ""
        return pb.ListCollectionsResponse(names=rest[:size], next_page_token=token)

    def DropCollection(self, request: pb.DropCollectionRequest, call: Call) -> pb.DropCollectionResponse:  # noqa: N802
        """Remove a collection for good."""
        self._shared.served.drop(request.name, call)
        self._shared.leases.forget(request.name)
        return pb.DropCollectionResponse()

    def AddColumn(self, request: pb.AddColumnRequest, call: Call) -> pb.AddColumnResponse:  # noqa: N802
        """Add a field."""
        collection = self._collection(request, call)
        collection.add_column(request.name, schemas.field_from_message(request.field))
        return pb.AddColumnResponse(collection=self._told(collection))

    def DropColumn(self, request: pb.DropColumnRequest, call: Call) -> pb.DropColumnResponse:  # noqa: N802
        """Drop a field."""
        collection = self._collection(request, call)
        collection.drop_column(request.name)
        return pb.DropColumnResponse(collection=self._told(collection))

    def RenameColumn(self, request: pb.RenameColumnRequest, call: Call) -> pb.RenameColumnResponse:  # noqa: N802
        """Rename a field."""
        collection = self._collection(request, call)
        collection.rename_column(request.name, request.new_name)
        return pb.RenameColumnResponse(collection=self._told(collection))

    def SetIndex(self, request: pb.SetIndexRequest, call: Call) -> pb.SetIndexResponse:  # noqa: N802
        """Search a field in another way."""
        kind = request.WhichOneof("index")
        if kind == "vector":
            index: Any = schemas.index_from_message(request.vector)
        elif kind == "text":
            index = schemas.fulltext_from_message(request.text)
        elif kind == "searched":
            index = request.searched
        else:
            raise InvalidInputError("the request names no index", field="index")
        collection = self._collection(request, call)
        collection.set_index(request.name, index)
        return pb.SetIndexResponse(collection=self._told(collection))

    def SetEncoder(self, request: pb.SetEncoderRequest, call: Call) -> pb.SetEncoderResponse:  # noqa: N802
        """Say which model makes the vectors of a field: one of the operator's, or one of the client's own."""
        collection = self._collection(request, call)
        source = request.source if request.HasField("source") else None
        kind = request.WhichOneof("made_by")
        if kind == "encoder":
            encoder = self._shared.served.encoders.get(request.encoder)
            if encoder is None:
                known = ", ".join(sorted(self._shared.served.encoders)) or "none"
                raise NotFoundError(f"the server has no encoder {request.encoder!r} (it has: {known})")
            collection.set_encoder(request.name, encoder, source)  # pyright: ignore[reportArgumentType]
        elif kind == "space":
            space = schemas.space_from_message(request.space)
            collection._writable().change_schema(lambda schema: schema.with_space(request.name, space, source))
        else:
            raise InvalidInputError("the request names neither an encoder nor a space", field="made_by")
        return pb.SetEncoderResponse(collection=self._told(collection))

    def Repool(self, request: pb.RepoolRequest, call: Call) -> pb.RepoolResponse:  # noqa: N802
        """Store a field of multi-vectors with fewer of them."""
        collection = self._collection(request, call)
        segments = collection.repool(request.name, request.pool_factor)
        return pb.RepoolResponse(collection=self._told(collection), segments=segments)

    def _collection(self, request: Any, call: Call) -> Collection:
        return self._shared.served.collection(request.collection, call)

    def _told(self, collection: Collection, state: Snapshot | None = None) -> pb.Collection:
        state = collection.snapshot() if state is None else state
        attached = [
            pb.AttachedEncoder(field=column.name, encoder=name)
            for column in (*state.schema.vectors, *state.schema.multivectors, *state.schema.sparse)
            if (name := self._shared.served.encoder_name(collection, column)) is not None
        ]
        return pb.Collection(
            name=collection.name,
            schema=schemas.to_message(state.schema),
            version=state.version,
            lsn=state.lsn,
            encoders=attached,
            read_only=self._shared.served.database.read_only,
        )
