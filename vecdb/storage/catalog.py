"""The catalog: which collections exist. The same commit protocol as a collection's manifests.

Folders are UUIDs; a name lives only here, so it can never lead outside the database.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from vecdb.errors import ConflictError, CorruptionError, InvalidInputError, NotFoundError
from vecdb.storage import format as names
from vecdb.storage.directory import TEMPORARY, LocalDirectory


@dataclass(frozen=True, slots=True)
class Catalog:
    """One version of the catalog."""

    version: int
    collections: dict[str, str]

    def uuid(self, name: str) -> str:
        """Return the folder of a collection, or raise NotFoundError with the names that exist."""
        try:
            return self.collections[name]
        except (KeyError, TypeError):  # TypeError: it has no hash, and is no name
            known = ", ".join(sorted(self.collections)) or "none"
            raise NotFoundError(f"no collection {name!r:.200} (there are: {known})") from None


def create_database(directory: LocalDirectory) -> None:
    """Write an empty database. FORMAT comes last: a folder without it is not a database yet."""
    directory.make(f"{names.CATALOG}/{names.MANIFESTS}")
    directory.make(names.COLLECTIONS)
    if not directory.exists(f"{names.CATALOG}/{names.CURRENT}"):
        commit(directory, Catalog(1, {}))
    content = {"format": names.FORMAT_VERSION, "required_features": list(names.FEATURES)}
    directory.swap(names.FORMAT, names.seal(content))


def make_folder(directory: LocalDirectory) -> None:
    """Make the folder of a new database, where it is not there yet.

    Raises:
        ConflictError: something else is there, or the folder holds more than an interrupted creation leaves.

    """
    try:
        directory.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError):
        told = "it, or what it lies in, is a file or a link to nothing"
        raise ConflictError(f"there cannot be a folder {directory.root}: {told}") from None
    own = {names.LOCK, names.CATALOG, names.COLLECTIONS}
    strangers = [name for name in directory.list(".") if name not in own and TEMPORARY not in name]
    if strangers:
        raise ConflictError(f"{directory.root} is not empty and not a vecdb database: it holds {strangers[0]!r}")


def check_format(directory: LocalDirectory) -> None:
    """Refuse a database that this version cannot read.

    Raises:
        NotFoundError: there is no database.
        InvalidInputError: a newer vecdb wrote it.

    """
    try:
        data = directory.read(names.FORMAT)
    except (FileNotFoundError, NotADirectoryError):
        if directory.exists(f"{names.CATALOG}/{names.CURRENT}") and load(directory).collections:
            raise CorruptionError(f"{names.FORMAT} is missing beside a catalog", path=names.FORMAT) from None
        raise NotFoundError(f"there is no vecdb database in {directory.root}") from None
    content = names.unseal(data, names.FORMAT)
    unknown = sorted(set(content["required_features"]) - set(names.FEATURES))
    if content["format"] != names.FORMAT_VERSION or unknown:
        raise InvalidInputError(
            f"{directory.root} is in format {content['format']} with {', '.join(unknown) or 'no unknown features'}; "
            f"this vecdb reads format {names.FORMAT_VERSION}: install a newer one"
        )


def require(directory: LocalDirectory, feature: str) -> None:
    """Have FORMAT name a feature, so that a vecdb without it does not open the database; durable on return."""
    content = names.unseal(directory.read(names.FORMAT), names.FORMAT)
    if feature not in content["required_features"]:
        content["required_features"] = [*content["required_features"], feature]
        directory.swap(names.FORMAT, names.seal(content))


def load(directory: LocalDirectory) -> Catalog:
    """Read the catalog in force; also while the writer replaces it.

    Raises:
        CorruptionError: a file of it is missing or damaged.

    """
    current = _current(directory)
    while True:
        try:
            return _committed(directory, current)
        except FileNotFoundError:
            # A writer removes the older catalog at once: whoever read CURRENT before looks again.
            before, current = current, _current(directory)
            if current == before:
                path = f"{names.CATALOG}/{names.MANIFESTS}/{current['file']}"
                raise names.missing(path) from None


def names_folder(directory: LocalDirectory, base: str) -> bool:
    """Tell whether the folder of a collection is that of one that exists, and was not dropped meanwhile."""
    return base.rpartition("/")[2] in load(directory).collections.values()


def _current(directory: LocalDirectory) -> dict[str, Any]:
    path = f"{names.CATALOG}/{names.CURRENT}"
    try:
        return names.unseal(directory.read(path), path)
    except FileNotFoundError:
        raise names.missing(path) from None


def _committed(directory: LocalDirectory, current: dict[str, Any]) -> Catalog:
    path = f"{names.CATALOG}/{names.MANIFESTS}/{current['file']}"
    data = directory.read(path)
    if names.digest(data) != current["sha256"]:
        raise names.exchanged(path)
    return from_json(names.unseal(data, path))


def from_json(content: dict[str, Any]) -> Catalog:
    """Return the catalog that a manifest describes."""
    return Catalog(content["version"], dict(content["collections"]))


def commit(directory: LocalDirectory, catalog: Catalog) -> None:
    """Publish a catalog and make it the one in force; durable on return. Older ones are removed."""
    data = names.seal({"version": catalog.version, "collections": catalog.collections})
    folder = f"{names.CATALOG}/{names.MANIFESTS}"
    file = names.manifest_name(catalog.version, 0)
    directory.publish(f"{folder}/{file}", data)
    current = {"version": catalog.version, "file": file, "sha256": names.digest(data), "nonce": names.nonce()}
    directory.swap(f"{names.CATALOG}/{names.CURRENT}", names.seal(current))
    with contextlib.suppress(OSError):  # this one is in force by now: the next commit tries again
        for name in directory.list(folder):
            if name != file and (names.MANIFEST_NAME.fullmatch(name) or TEMPORARY in name):
                directory.unlink(f"{folder}/{name}")


def with_collection(catalog: Catalog, name: str, uuid: str) -> Catalog:
    """Return a catalog with one more collection.

    Raises:
        InvalidInputError: the name is malformed.
        ConflictError: the name is taken.

    """
    if not isinstance(name, str) or not names.NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} cannot name a collection: a name has 1 to 128 letters, digits, dots, dashes and underscores "
            "and begins with a letter or digit",
            value=name,
        )
    if name in catalog.collections:
        raise ConflictError(f"there is already a collection {name!r}")
    return Catalog(catalog.version + 1, {**catalog.collections, name: uuid})


def without_collection(catalog: Catalog, name: str) -> Catalog:
    """Return a catalog without a collection."""
    catalog.uuid(name)
    rest = {other: uuid for other, uuid in catalog.collections.items() if other != name}
    return Catalog(catalog.version + 1, rest)


def remove_unnamed(directory: LocalDirectory, catalog: Catalog) -> list[str]:
    """Remove folders of collections that were dropped, or never finished being created."""
    removed = []
    named = set(catalog.collections.values())
    for name in directory.list(names.COLLECTIONS):
        if names.UUID_NAME.fullmatch(name) and name not in named:
            directory.remove_tree(f"{names.COLLECTIONS}/{name}")
            removed.append(f"{names.COLLECTIONS}/{name}")
    for folder in ("", f"{names.CATALOG}/"):
        for name in directory.list(folder or "."):
            if TEMPORARY in name:
                directory.unlink(f"{folder}{name}")
                removed.append(f"{folder}{name}")
    return removed
