"""A database: a folder of collections, one writer, any number of readers.

`connect` is the front door. A database that is open for writing holds the folder's lock until close().
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from vecdb.collection import Collection
from vecdb.config import Settings
from vecdb.encoders.attached import One, Some
from vecdb.errors import ConflictError, CorruptionError, InvalidInputError, NotFoundError, UnavailableError
from vecdb.results import CheckReport, RepairReport
from vecdb.schema.blame import shown
from vecdb.schema.given import flag, listed
from vecdb.schema.schema import Schema
from vecdb.storage import catalog as catalogs
from vecdb.storage import format as names
from vecdb.storage.create import create
from vecdb.storage.directory import LocalDirectory, Lock
from vecdb.storage.follower import Follower
from vecdb.storage.os_errors import typed_os_errors
from vecdb.storage.reader import Reader
from vecdb.storage.shown import CATALOG, Board
from vecdb.storage.writer import Writer

if TYPE_CHECKING:
    from vecdb_client.settings import Settings as ClientSettings
    from vecdb_client.settings import Tls

MEMORY = ":memory:"

T = TypeVar("T")


class Database:
    """An open database. Use it as a context manager, or call close()."""

    def __init__(
        self,
        directory: LocalDirectory,
        lock: Lock | None,
        settings: Settings,
        encoders: Some = (),
        board: Board | None = None,
    ) -> None:
        self._directory = directory
        self._lock = lock
        self._settings = settings
        self._board = board
        self._encoders: Some = encoders if isinstance(encoders, str) else listed("encoders", encoders, "encoders")
        self._guard = threading.RLock()
        self._open: dict[str, Collection] = {}
        self._pool = ThreadPoolExecutor(settings.thread_count, thread_name_prefix="vecdb-search")
        self._temporary: Path | None = None
        self._closed = False

    @classmethod
    @typed_os_errors()
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        create: bool = True,
        settings: Settings | None = None,
        encoders: Some = (),
        directory_class: Callable[[str | os.PathLike[str]], LocalDirectory] = LocalDirectory,
        board: Board | None = None,
    ) -> Database:
        """Open a folder; see `vecdb.connect`. directory_class is the seam for faults and other stores.

        On a board the one writer shows its states, and databases that are open read-only follow them exactly.
        """
        directory = directory_class(path)
        if read_only:
            catalogs.check_format(directory)
            return cls(directory, None, settings or Settings(), encoders, board)
        if not directory.exists(names.FORMAT):
            with contextlib.suppress(NotFoundError):
                catalogs.check_format(directory)
            if not create:
                raise NotFoundError(f"there is no vecdb database in {directory.root}")
            catalogs.make_folder(directory)
        lock = directory.lock(names.LOCK)
        try:
            if not directory.exists(names.FORMAT):
                catalogs.create_database(directory)
            catalogs.check_format(directory)
            catalogs.remove_unnamed(directory, catalogs.load(directory))
            opened = cls(directory, lock, settings or Settings(), encoders, board)
            opened._show(catalogs.load(directory))
        except BaseException:
            lock.close()
            raise
        return opened

    @property
    def path(self) -> Path:
        """The folder."""
        return self._directory.root

    @property
    def read_only(self) -> bool:
        """Whether this process only reads."""
        return self._lock is None

    # -- collections -----------------------------------------------------------------------------------------------

    @typed_os_errors()
    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        self._check_open()
        return sorted(catalogs.load(self._directory).collections)

    @typed_os_errors()
    def create_collection(self, name: str, schema: Schema, exist_ok: bool = False) -> Collection:
        """Create a collection; durable on return.

        Raises:
            ConflictError: it exists (with exist_ok: it exists with other fields).
            InvalidInputError: the name or the schema is malformed.

        """
        with self._guard:
            self._check_writable()
            if not isinstance(schema, Schema):
                raise InvalidInputError(f"schema is {shown(schema)}, expected a vecdb.Schema", field="schema")
            catalog = catalogs.load(self._directory)
            if flag("exist_ok", exist_ok) and name in catalog.collections:
                found = self.collection(name)
                if found.schema.fields != schema.fields:
                    raise ConflictError(f"collection {name!r} exists with other fields: {found.schema}")
                found.encoders.adopt(found.schema, schema.fields)
                return found
            uuid = names.new_uuid()
            changed = catalogs.with_collection(catalog, name, uuid)
            create(self._directory, f"{names.COLLECTIONS}/{uuid}", uuid, schema.described())
            self._commit(changed)
            made = self.collection(name)
            made.encoders.adopt(made.schema, schema.fields)
            return made

    @typed_os_errors()
    def collection(self, name: str, encoders: Mapping[str, One] | Some = ()) -> Collection:
        """Return a collection, opening it when this is the first use.

        Args:
            name: its name.
            encoders: what makes vectors of texts: by vector field, or as in `vecdb.connect`.

        Raises:
            NotFoundError: there is none of this name.
            SpaceMismatchError: an encoder makes vectors of another space than its field holds; both are named.
            CorruptionError: its files are damaged; see `check` and `repair`.

        """
        with self._guard:
            self._check_open()
            uuid = catalogs.load(self._directory).uuid(name)
            found = self._open.get(uuid)
            if found is None:
                found = self._open[uuid] = Collection(name, self._store(uuid), self._pool)
                found.encoders.attach_fitting(found.schema, self._encoders)
            found.encoders.attach(found.schema, encoders)
            return found

    def _store(self, uuid: str) -> Reader | Writer:
        base, board = f"{names.COLLECTIONS}/{uuid}", self._board
        if not self.read_only:
            word = None if board is None else board.made(uuid)
            return Writer(self._directory, base, self._settings, word=word)
        if board is None:
            return Reader(self._directory, base, self._settings)
        return Follower(self._directory, base, self._settings, board.found(uuid))

    def _commit(self, catalog: catalogs.Catalog) -> None:
        catalogs.commit(self._directory, catalog)
        self._show(catalog)

    def _show(self, catalog: catalogs.Catalog) -> None:
        if self._board is not None:
            self._board.made(CATALOG).value = catalog.version

    def __getitem__(self, name: str) -> Collection:
        """Return a collection."""
        return self.collection(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.collections()

    @typed_os_errors()
    def drop_collection(self, name: str) -> None:
        """Remove a collection and its files for good."""
        with self._guard:
            self._check_writable()
            catalog = catalogs.load(self._directory)
            uuid = catalog.uuid(name)
            self._commit(catalogs.without_collection(catalog, name))
            held = self._open.pop(uuid, None)
            if held is not None:
                held._close(dropped=True)
            self._directory.remove_tree(f"{names.COLLECTIONS}/{uuid}")
            if self._board is not None:
                self._board.remove(uuid)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    @typed_os_errors()
    def stats(self) -> dict[str, Any]:
        """Return the statistics of every collection under its name, and what concerns the whole database."""
        self._check_open()
        return {
            "path": str(self.path),
            "read_only": self.read_only,
            "free_bytes": self._directory.free(),
            "collections": self._of_each(Collection.stats),
        }

    def _of_each(self, ask: Callable[[Collection], T]) -> dict[str, T]:
        """Return what each collection answers, by name; one that is dropped meanwhile is left out."""
        answers: dict[str, T] = {}
        for name, uuid in sorted(catalogs.load(self._directory).collections.items()):
            try:
                answers[name] = ask(self.collection(name))
            except (NotFoundError, UnavailableError):
                if catalogs.names_folder(self._directory, uuid):
                    raise
        return answers

    @typed_os_errors()
    def check(self, progress: Callable[[str, int, int], None] | None = None) -> CheckReport:
        """Compare every file with its checksum and with the files that name it; nothing is changed."""
        from vecdb.storage.check import check

        return check(self._directory, progress)

    @typed_os_errors()
    def repair(self, allow_loss: bool = False) -> RepairReport:
        """Rebuild what can be rebuilt; see `vecdb.repair`. Collections that are open are closed first."""
        from vecdb.storage.repair import repair

        with self._guard:
            self._check_writable()
            self._close_collections()
            return repair(self._directory, allow_loss)

    @typed_os_errors()
    def backup(
        self, destination: str | os.PathLike[str], progress: Callable[[str, int, int], None] | None = None
    ) -> dict[str, Any]:
        """Copy the database as it is now into another folder, durable and verified on return; writes go on meanwhile.

        The folder is new, empty, or an older backup; then only new files are copied. Older versions are left out.

        Returns what was done: path, files, copied, linked, bytes.

        Raises:
            ConflictError: the folder holds something else.
            InvalidInputError: it lies in the database.
            CorruptionError: a file of the database is damaged; the older backup stays.
            ResourceExhaustedError: the disk of the folder is full.

        """
        from vecdb.storage.backup import backup

        self._check_writable()
        folder = _folder("destination", destination)
        if folder.resolve().is_relative_to(self.path.resolve()):
            raise InvalidInputError(
                f"destination is {shown(str(destination))}, which lies in the database itself: copy it elsewhere",
                field="destination",
                value=destination,
            )
        sources = self._of_each(Collection._writable)
        return {"path": str(destination), **asdict(backup(sources, folder, progress))}

    def close(self) -> None:
        """Finish background work, close the log and release the lock. Closing twice is fine."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            try:
                self._close_collections()
            finally:
                self._pool.shutdown()
                if self._lock is not None:
                    self._lock.close()
                if self._temporary is not None:
                    shutil.rmtree(self._temporary, ignore_errors=True)

    def _close_dropped(self) -> dict[str, str]:
        """Close collections that the writer has dropped; return the folders of those that there are, by name."""
        with self._guard:
            named = catalogs.load(self._directory).collections
            for uuid in self._open.keys() - set(named.values()):
                self._open.pop(uuid)._close(dropped=True)
            return named

    def _close_collections(self) -> None:
        with contextlib.ExitStack() as every:  # also those behind one that cannot be closed
            for held in self._open.values():
                every.callback(held._close)
            self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the database is closed")

    def _check_writable(self) -> None:
        self._check_open()
        if self.read_only:
            raise ConflictError("the database is open read-only: connect without read_only=True to write")

    def __repr__(self) -> str:
        return f"Database({str(self.path)!r}{', read_only=True' if self.read_only else ''})"


def connect(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    create: bool = True,
    settings: Settings | ClientSettings | None = None,
    encoders: Some = (),
    api_key: str | None = None,
    tls: Tls | None = None,
    directory_class: Callable[[str | os.PathLike[str]], LocalDirectory] = LocalDirectory,
) -> Database:
    """Open a database, creating it when the folder is new or empty, or connect to a server that has one open.

    Args:
        path: a folder; ":memory:" for a database in a temporary folder that is removed on close; or the address of a
            server: "grpc://host:port", "grpcs://host:port" for TLS, "unix:/path/of/socket". What comes back then is a
            `vecdb_client.Database`, which has the same methods.
        read_only: read beside a writer in another process; new data shows after `refresh_interval` seconds. Of a
            server: refuse to write.
        create: False raises NotFoundError instead of creating.
        settings: see `vecdb.Settings`; for a server, `vecdb_client.Settings`.
        encoders: what makes vectors of texts, for whichever fields hold vectors of their spaces: `vecdb.Encoder`,
            `vecdb.SentenceTransformer`, or the folder or name of a model. "local" takes the models that the fields
            name where sentence-transformers keeps them on this machine, and downloads nothing.
        api_key: for a server; by default VECDB_API_KEY, the file that VECDB_API_KEY_FILE names, or what
            `vecdb/client.toml` in the user's configuration says.
        tls: certificates for a server; see `vecdb_client.Tls`.
        directory_class: how files are reached; for tests that inject faults.

    Raises:
        InvalidInputError: the address is none, or the API key would be sent unencrypted to another machine.
        UnavailableError: the server cannot be reached.
        UnauthenticatedError: the server does not know the key.
        ConflictError: another process has the database open for writing.
        NotFoundError: there is no database and create is False, or read_only is True.
        CorruptionError: files are damaged: see `vecdb.check` and `vecdb.repair`.

    """
    text = _path("path", path)
    flag("read_only", read_only)
    flag("create", create)
    if "://" in text or text.startswith("unix:"):
        return _remote(text, read_only, settings, encoders, api_key, tls)
    if api_key is not None or tls is not None:
        raise InvalidInputError(f"{text!r} is a folder: api_key and tls are for servers", field="api_key")
    if settings is not None and not isinstance(settings, Settings):
        raise InvalidInputError(f"settings is {settings!r}, expected vecdb.Settings", field="settings")
    if text != MEMORY:
        return Database.open(
            _folder("path", path),
            read_only=read_only,
            create=create,
            settings=settings,
            encoders=encoders,
            directory_class=directory_class,
        )
    if read_only:
        raise InvalidInputError("a database in memory is new and empty: there is nothing to read", field="read_only")
    folder = Path(tempfile.mkdtemp(prefix="vecdb-memory-"))
    if settings is None:
        settings = Settings(durability="none", free_bytes=0)
    try:
        database = Database.open(folder, settings=settings, encoders=encoders, directory_class=directory_class)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    database._temporary = folder
    return database


def _path(name: str, path: str | os.PathLike[str]) -> str:
    """Return a path as text, or raise InvalidInputError where no file system could have it."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InvalidInputError(f"{name} is {path!r}, expected a string or a path", field=name, value=path)
    try:
        impossible = "\0" in text or not os.fsencode(text)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise InvalidInputError(f"{name} is {path!r}, which is no path of a file system", field=name, value=path)
    return text


def _folder(name: str, path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder; "~" is the user's home."""
    text = _path(name, path)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InvalidInputError(f"{name} is {shown(text)}: there is no home folder", field=name, value=path) from None


def _remote(
    address: str,
    read_only: bool,
    settings: Settings | ClientSettings | None,
    encoders: Some,
    api_key: str | None,
    tls: Tls | None,
) -> Database:
    if isinstance(settings, Settings):
        raise InvalidInputError(f"{address!r} is a server: settings are vecdb_client.Settings", field="settings")
    # By name, because the client depends on vecdb and not the other way round.
    client: Any = importlib.import_module("vecdb_client")
    return client.connect(address, api_key=api_key, tls=tls, read_only=read_only, settings=settings, encoders=encoders)


@typed_os_errors()
def check(path: str | os.PathLike[str], progress: Callable[[str, int, int], None] | None = None) -> CheckReport:
    """Check a database that may be too damaged to open, or that another process is writing."""
    from vecdb.storage.check import check as run

    return run(LocalDirectory(_folder("path", path)), progress)


@typed_os_errors()
def repair(path: str | os.PathLike[str], allow_loss: bool = False) -> RepairReport:
    """Repair a database that nobody has open.

    Rebuilds derived files, puts CURRENT back, removes leftovers: nothing is lost. With allow_loss, segments that
    cannot be read are set aside under lost+found and the log is cut at its damage; rows_lost counts what that cost.

    Raises:
        NotFoundError: there is no database.
        ConflictError: another process has it open for writing.
        CorruptionError: something cannot be repaired without losing data and allow_loss is False.

    """
    from vecdb.storage.repair import repair as run

    directory = LocalDirectory(_folder("path", path))
    with contextlib.suppress(CorruptionError):
        catalogs.check_format(directory)  # first: a folder that is no database gets no lock
    lock = directory.lock(names.LOCK)
    try:
        return run(directory, allow_loss)
    finally:
        lock.close()


def restore(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> CheckReport:
    """Copy a backup to a new folder, verifying every file first; an existing database is never overwritten."""
    from vecdb.storage.backup import restore as run

    return run(_folder("source", source), _folder("destination", destination))


def warmup(progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compile all kernels now, once per machine, instead of at first use."""
    from vecdb_index.warmup import warmup as run

    run(progress)
