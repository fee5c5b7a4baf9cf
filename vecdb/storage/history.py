"""Time travel: older versions, tags, and forgetting them."""

from collections.abc import Mapping, Sequence
from typing import Any

from vecdb.errors import ConflictError, CorruptionError, InvalidInputError, NotFoundError
from vecdb.schema import given
from vecdb.schema.blame import shown
from vecdb.storage import manifest as manifests
from vecdb.storage.apply import open_views
from vecdb.storage.format import NAME
from vecdb.storage.links.table import LinkTable
from vecdb.storage.manifest import Located, Past
from vecdb.storage.os_errors import typed_os_errors
from vecdb.storage.reader import Reader
from vecdb.storage.snapshot import State
from vecdb.storage.writer import Writer


def reachable(located: Located) -> list[Past]:
    """Return the versions that can be read, oldest first, the current one last."""
    return [*located.manifest.history, located.past()]


def versions(located: Located) -> list[dict[str, Any]]:
    """Return what users see of the reachable versions."""
    tags = located.manifest.tags
    return [
        {
            "version": past.version,
            "committed_at": past.committed_at,
            "rows": past.rows,
            "tags": sorted(name for name, version in tags.items() if version == past.version),
        }
        for past in reachable(located)
    ]


@typed_os_errors()
def at(
    store: Writer | Reader,
    state: State,
    version: int | None = None,
    timestamp: float | None = None,
    tag: str | None = None,
) -> State:
    """Return the state of an older version: the rows exactly as they were after the write at its floor.

    The writer may drop the version while it is being opened: then the versions of now decide.
    """
    try:
        return _open(store, state, version, timestamp, tag)
    except CorruptionError:
        now = store.refresh() if isinstance(store, Reader) else store.state
        if now.located.file == state.located.file:
            raise
        return _open(store, now, version, timestamp, tag)


def _open(store: Writer | Reader, state: State, version: int | None, timestamp: float | None, tag: str | None) -> State:
    located = state.located
    if tag is not None:
        version = _tagged(located.manifest.tags, tag)
    past = _choose(located, version, timestamp)
    found = manifests.load(store.directory, store.base, past.file, past.sha256)
    known = {view.segment.uuid: view for view in state.segments}
    views = open_views(store.directory, store.base, found.manifest, store.settings.verify, known)
    links = LinkTable(store.directory, store.base, found.manifest, store.settings.verify, state.links.views).state()
    return State(found.manifest.floor, found.manifest.schema, found, tuple(views.values()), (), links)


def _choose(located: Located, version: int | None, timestamp: float | None) -> Past:
    pasts = reachable(located)
    if version is not None:
        chosen = [past for past in pasts if past.version == version]
        wanted = f"version {shown(version)}"
    else:
        chosen = [past for past in pasts if timestamp is not None and past.committed_at <= timestamp]
        wanted = f"version as old as {shown(timestamp)}"
    if not chosen:
        known = ", ".join(str(past.version) for past in pasts)
        raise NotFoundError(f"no {wanted} is kept (there are: {known})")
    return chosen[-1]


def tag(writer: Writer, name: str) -> int:
    """Publish a version that holds every acknowledged write, under a name that keeps it."""
    if not NAME.fullmatch(given.name("tag", name)):
        raise InvalidInputError(
            f"{shown(name)} cannot name a tag: use letters, digits, dots, dashes, underscores", value=name
        )
    _free(writer.state, name)  # before rows are flushed, and a version published, for a tag that cannot be
    with writer.quiet() as state:
        manifest = state.located.manifest
        _free(state, name)
        return writer.publish(tags={**manifest.tags, name: manifest.version + 1}).manifest.version


def _free(state: State, name: str) -> None:
    """Refuse a tag that exists."""
    tags = state.located.manifest.tags
    if name in tags:
        raise ConflictError(f"tag {name!r} exists and names version {tags[name]}")


def untag(writer: Writer, name: str) -> None:
    """Remove a tag."""
    _tagged(writer.state.located.manifest.tags, name)
    with writer.quiet() as state:
        tags = dict(state.located.manifest.tags)
        _tagged(tags, name)
        del tags[name]
        writer.publish(tags=tags)


def _tagged(tags: Mapping[str, int], name: str) -> int:
    """Return the version of a tag."""
    if given.name("tag", name) not in tags:
        raise NotFoundError(f"no tag {shown(name)} (there are: {', '.join(sorted(tags)) or 'none'})")
    return tags[name]


def forget(writer: Writer) -> None:
    """Forget every older version that no tag keeps, and remove the files that only they needed."""
    with writer.quiet():
        writer.publish(retain_versions=1)


def keep_tuning(writer: Writer, field_id: int, curve: Sequence[tuple[int, float]] | None) -> None:
    """Publish what a search of a vector column reaches at which width; None forgets it."""
    with writer.quiet() as state:
        tuning = dict(state.located.manifest.tuning)
        tuning.pop(str(field_id), None)
        if curve is not None:
            tuning[str(field_id)] = [[float(width), reached] for width, reached in curve]
        writer.publish(tuning=tuning)


def keep_calibrator(writer: Writer, name: str, calibrator: Mapping[str, Any] | None) -> None:
    """Publish what was learned of relevance under a name; None forgets it.

    Raises:
        InvalidInputError: the name is none.
        NotFoundError: it is to be forgotten, and there is none.

    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInputError(
            f"{shown(name)} cannot name a calibrator: use letters, digits, dots, dashes, underscores",
            field="name",
            value=name,
        )
    with writer.quiet() as state:
        kept = dict(state.located.manifest.calibrators)
        if calibrator is None and name not in kept:
            raise NotFoundError(f"no calibrator {name!r} (there are: {', '.join(sorted(kept)) or 'none'})")
        kept.pop(name, None)
        if calibrator is not None:
            kept[name] = dict(calibrator)
        writer.publish(calibrators=kept)
