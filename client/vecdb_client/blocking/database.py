"""A database over the wire: the methods of `vecdb.Database`, with their arguments, results and errors.

Made of `vecdb_client/aio/database.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

import orjson

from vecdb.encoders.attached import Attached
from vecdb.errors import ConflictError, InvalidInputError, UnavailableError
from vecdb.results import CheckReport, RepairReport
from vecdb.schema.schema import Schema
from vecdb.wire import reports, schemas
from vecdb_client import methods
from vecdb_client.address import Address
from vecdb_client.blocking.collection import Collection
from vecdb_client.blocking.transport import Connection
from vecdb_client.known import api_key as known_key
from vecdb_client.known import tls_of
from vecdb_client.known_schemas import KnownSchemas
from vecdb_client.settings import Settings, Tls
from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import collection_service_pb2 as collections

if TYPE_CHECKING:
    from vecdb.encoders.attached import One, Some

Progress = Callable[[str, int, int], None]


class Database:
    """A connection to a server. Use it as a context manager, or call close()."""

    def __init__(
        self, connection: Connection, server: admin.GetServerResponse, read_only: bool, encoders: Some
    ) -> None:
        self._connection = connection
        self._read_only = read_only or server.read_only
        self._server_version = server.version
        self._encoders: Some = encoders if isinstance(encoders, str) else tuple(encoders)
        self._known = KnownSchemas()
        self._attached: dict[str, Attached] = {}

    @property
    def path(self) -> str:
        """The address of the server."""
        return str(self._connection.address)

    @property
    def read_only(self) -> bool:
        """Whether this client only reads, or the server only lets read."""
        return self._read_only

    @property
    def server_version(self) -> str:
        """The version of vecdb that the server runs."""
        return self._server_version

    # -- collections -----------------------------------------------------------------------------------------------

    def collections(self) -> list[str]:
        """Return the names of all collections that the caller may see, sorted."""
        names: list[str] = []
        token = ""  # nosec B105
        while True:
            request = collections.ListCollectionsRequest(page_token=token)
            page = self._connection.call(methods.LIST_COLLECTIONS, request)
            names.extend(page.names)
            token = page.next_page_token
            if not token:
                return names

    def create_collection(self, name: str, schema: Schema, exist_ok: bool = False) -> Collection:
        """Create a collection; durable on return.

        Raises:
            ConflictError: it exists (with exist_ok: it exists with other fields).
            InvalidInputError: the name or the schema is malformed.

        """
        self._check_writable()
        if not isinstance(schema, Schema):
            raise InvalidInputError(f"schema is {schema!r}, expected a vecdb.Schema", field="schema")
        request = collections.CreateCollectionRequest(
            name=name, schema=schemas.to_message(schema.described()), exist_ok=exist_ok
        )
        response = self._connection.call(methods.CREATE_COLLECTION, request)
        made = self._opened(response.collection)
        made.encoders.adopt(made.schema, schema.fields)
        return made

    def collection(self, name: str, encoders: Mapping[str, One] | Some = ()) -> Collection:
        """Return a collection.

        Args:
            name: its name.
            encoders: what makes vectors of texts here, on the client: by vector field, or as in `connect`. Fields
                without one are encoded by the server, where its operator configured an encoder for them.

        Raises:
            NotFoundError: there is none of this name, or the caller may not see it.
            SpaceMismatchError: an encoder makes vectors of another space than its field holds; both are named.

        """
        request = collections.GetCollectionRequest(name=name)
        response = self._connection.call(methods.GET_COLLECTION, request)
        found = self._opened(response.collection)
        if encoders:
            found.encoders.attach(found.schema, encoders)
        return found

    def __getitem__(self, name: str) -> Collection:
        """Return a collection."""
        return self.collection(name)

    def __contains__(self, name: object) -> bool:
        return name in self.collections()

    def _opened(self, told: collections.Collection) -> Collection:
        name, known = told.name, self._known
        schema = known.keep(name, schemas.from_message(told.schema))
        encoders = self._attached.get(name)
        if encoders is None:
            encoders = self._attached[name] = Attached(name, lambda: known[name])
            encoders.attach_fitting(schema, self._encoders)
        encoded = frozenset(one.field for one in told.encoders)
        return Collection(self._connection, name, known, encoders, encoded, self._read_only or told.read_only)

    def drop_collection(self, name: str) -> None:
        """Remove a collection and its files for good."""
        self._check_writable()
        self._connection.call(methods.DROP_COLLECTION, collections.DropCollectionRequest(name=name))
        self._attached.pop(name, None)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Return the statistics of every collection under its name, and what concerns the whole database."""
        response = self._connection.call(methods.GET_STATS, admin.GetStatsRequest())
        return {**orjson.loads(response.stats), "path": self.path, "read_only": self._read_only}

    def limits(self) -> dict[str, int | float]:
        """Return the most that the server takes, by name; 0 means that there is no limit."""
        response = self._connection.call(methods.GET_LIMITS, admin.GetLimitsRequest())
        return {field.name: getattr(response.limits, field.name) for field in response.limits.DESCRIPTOR.fields}

    def encoders(self) -> list[str]:
        """Return the names of the encoders that the server's operator configured."""
        response = self._connection.call(methods.GET_SERVER, admin.GetServerRequest())
        return [one.name for one in response.encoders]

    def check(self, progress: Progress | None = None) -> CheckReport:
        """Have the server compare every file with its checksum and with the files that name it; nothing is changed."""
        report = None
        with closing(self._connection.stream(methods.CHECK, admin.CheckRequest())) as responses:
            for response in responses:
                if response.HasField("report"):
                    report = reports.check_from_message(response.report)
                elif progress is not None:
                    progress(response.progress.stage, response.progress.done, response.progress.total)
        if report is None:
            raise UnavailableError("the server ended its check without a report")
        return report

    def repair(self, allow_loss: bool = False) -> RepairReport:
        """Refuse: a database is repaired where its files are, while no server has it open.

        Raises:
            ConflictError: always.

        """
        raise ConflictError(
            f"the server at {self.path} has the database open: stop it and run `vecdb repair` where the files are"
        )

    def backup(self, destination: str | os.PathLike[str], progress: Progress | None = None) -> dict[str, Any]:
        """Have the server copy the database as it is now into its folder of backups; writes go on meanwhile.

        Args:
            destination: the name of the backup, below the folder that the server's operator configured.
            progress: called with (what, done, of how many).

        Returns what was done: path (as the server sees it), files, copied, linked, bytes.
        """
        self._check_writable()
        done: dict[str, Any] = {}
        request = admin.BackupRequest(name=os.fspath(destination))
        with closing(self._connection.stream(methods.BACKUP, request)) as responses:
            for response in responses:
                if response.HasField("done"):
                    done = {field.name: getattr(response.done, field.name) for field in response.done.DESCRIPTOR.fields}
                elif progress is not None:
                    progress(response.progress.stage, response.progress.done, response.progress.total)
        if not done:
            raise UnavailableError("the server ended the backup without saying that it was done")
        return done

    def close(self) -> None:
        """Close the connection; what the server does for others goes on. Closing twice is fine."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_writable(self) -> None:
        if self._connection.closed:
            raise UnavailableError("the database is closed")
        if self._read_only:
            raise ConflictError("the database is open read-only: connect without read_only=True to write")

    def __repr__(self) -> str:
        return f"Database({self.path!r}{', read_only=True' if self._read_only else ''})"


def connect(
    address: str,
    *,
    api_key: str | None = None,
    tls: Tls | None = None,
    read_only: bool = False,
    settings: Settings | None = None,
    encoders: Some = (),
) -> Database:
    """Connect to a server and ask it who it is.

    Args:
        address: grpc://host:port, grpcs://host:port for TLS, or unix:/path/of/socket.
        api_key: by default VECDB_API_KEY, the file that VECDB_API_KEY_FILE names, or what `vecdb/client.toml` says.
        tls: certificates, for grpcs://.
        read_only: refuse to write.
        settings: see `vecdb_client.Settings`.
        encoders: what makes vectors of texts on the client, for whichever fields hold vectors of their spaces.

    Raises:
        InvalidInputError: the address is none, or the API key would be sent unencrypted to another machine.
        UnavailableError: the server cannot be reached.
        UnauthenticatedError: the server does not know the key.

    """
    place = Address.parse(address)
    chosen = settings or Settings()
    connection = Connection(place, chosen, tls_of(place, tls), known_key(place, api_key, chosen))
    try:
        server = connection.call(methods.GET_SERVER, admin.GetServerRequest())
    except BaseException:
        connection.close()
        raise
    return Database(connection, server, read_only, encoders)
