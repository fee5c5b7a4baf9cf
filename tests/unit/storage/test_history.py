"""Time travel with a clock of its own: versions by number, by moment, by tag, and how they are forgotten."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support.store import SETTINGS, create, folder, reopen, rows, seen, segments
from support.unsynced import unsynced
from vecdb.errors import ConflictError, InvalidInputError, NotFoundError
from vecdb.storage import history
from vecdb.storage import manifest as manifests

DAY = 86400.0


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


class Clock:
    """Seconds since 1970, as the test says; far ahead of the real ones, so that the empty first version expires."""

    def __init__(self) -> None:
        self.now = 4e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collection(tmp_path: Path, clock: Clock) -> Iterator[vecdb.Collection]:
    """A collection under the clock; three versions are kept, for seven days."""
    database, made = create(tmp_path / "db")
    made._writable()._clock = clock
    yield made
    database.close()


def publish(collection: vecdb.Collection, clock: Clock, number: int) -> int:
    """Store one more row and publish it an hour later; return the version."""
    clock.now += 3600
    collection.upsert(rows([number]))
    collection.flush()
    return collection.snapshot().version


def test_versions_are_reached_by_number(collection: vecdb.Collection, clock: Clock) -> None:
    numbers = [publish(collection, clock, number) for number in range(3)]

    for at, version in enumerate(numbers):
        assert seen(collection.at(version=version)) == {f"r{number}": number for number in range(at + 1)}
    assert numbers == sorted(numbers)


def test_unpublished_rows_are_in_no_version(collection: vecdb.Collection, clock: Clock) -> None:
    version = publish(collection, clock, 0)
    collection.upsert(rows([1]))
    collection.delete("r0")

    assert seen(collection.at(version=version)) == {"r0": 0}
    assert seen(collection) == {"r1": 1}


def test_a_moment_finds_the_newest_version_published_by_then(collection: vecdb.Collection, clock: Clock) -> None:
    first = publish(collection, clock, 0)
    moment = clock.now
    second = publish(collection, clock, 1)

    assert collection.at(timestamp=moment).version == first
    assert collection.at(timestamp=moment + 3599).version == first
    assert collection.at(timestamp=moment + 3600).version == second
    assert collection.at(timestamp=datetime.fromtimestamp(moment, UTC)).version == first
    assert collection.at(timestamp=clock.now + 10**6).version == second


@pytest.fixture
def honolulu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock on the wall is ten hours behind UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Pacific/Honolulu")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("honolulu")
def test_a_moment_without_a_zone_is_in_utc_as_in_a_field(collection: vecdb.Collection, clock: Clock) -> None:
    first = publish(collection, clock, 0)
    moment = datetime.fromtimestamp(clock.now, UTC)
    publish(collection, clock, 1)

    assert collection.at(timestamp=moment.replace(tzinfo=None)).version == first
    assert collection.at(timestamp=moment.astimezone()).version == first


def test_a_moment_before_the_first_version_finds_nothing(collection: vecdb.Collection, clock: Clock) -> None:
    publish(collection, clock, 0)

    with pytest.raises(NotFoundError, match="no version as old as"):
        collection.at(timestamp=1.0)


def test_a_forgotten_version_is_not_found_and_the_kept_ones_are_named(
    collection: vecdb.Collection, clock: Clock
) -> None:
    numbers = [publish(collection, clock, number) for number in range(5)]

    with pytest.raises(NotFoundError, match=f"{numbers[2]}, {numbers[3]}, {numbers[4]}"):
        collection.at(version=numbers[0])
    assert [entry["version"] for entry in collection.versions()] == numbers[2:]


def test_a_version_older_than_the_days_is_forgotten_with_the_next(collection: vecdb.Collection, clock: Clock) -> None:
    old = publish(collection, clock, 0)
    clock.now += 8 * DAY
    new = publish(collection, clock, 1)
    assert old not in [entry["version"] for entry in collection.versions()]
    assert [entry["version"] for entry in collection.versions()] == [new]


def test_a_tag_keeps_its_version_for_ever(collection: vecdb.Collection, clock: Clock) -> None:
    collection.upsert(rows([0]))
    number = collection.tag("first")
    for at in range(1, 8):
        publish(collection, clock, at)
    clock.now += 100 * DAY
    publish(collection, clock, 8)
    collection.compact(purge=True)

    assert seen(collection.at(tag="first")) == {"r0": 0}
    assert seen(collection.at(version=number)) == {"r0": 0}
    assert collection.tags() == {"first": number}
    assert collection.versions()[0]["tags"] == ["first"]


def test_an_untagged_version_expires_and_its_files_go(
    collection: vecdb.Collection, clock: Clock, tmp_path: Path
) -> None:
    collection.upsert(rows([0]))
    collection.tag("first")
    tagged = {path.name for path in segments(tmp_path / "db")}
    collection.delete("r0")
    collection.upsert(rows([1]))
    collection.compact(purge=True)
    assert tagged <= {path.name for path in segments(tmp_path / "db")}

    collection.untag("first")
    collection.compact(purge=True)

    assert not tagged & {path.name for path in segments(tmp_path / "db")}
    assert collection.tags() == {}
    with pytest.raises(NotFoundError, match="no tag 'first'"):
        collection.at(tag="first")


def test_a_tag_holds_every_write_acknowledged_before_it(collection: vecdb.Collection) -> None:
    collection.upsert(rows([0, 1]))
    collection.delete("r0")

    collection.tag("now")
    collection.upsert(rows([2]))

    assert seen(collection.at(tag="now")) == {"r1": 1}


def test_a_tag_without_new_writes_is_a_version_of_its_own(collection: vecdb.Collection) -> None:
    collection.upsert(rows([0]))

    numbers = [collection.tag(name) for name in ("a", "b")]

    assert numbers[0] < numbers[1]
    assert collection.tags() == dict(zip("ab", numbers, strict=True))
    assert seen(collection.at(tag="a")) == seen(collection.at(tag="b")) == {"r0": 0}


def test_a_tag_name_is_taken_once(collection: vecdb.Collection) -> None:
    number = collection.tag("a")

    with pytest.raises(ConflictError, match=f"'a' exists and names version {number}"):
        collection.tag("a")


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "-a", ".a", "a/b", "ü", "a" * 129, "a\n"])
def test_a_malformed_tag_name_is_refused(collection: vecdb.Collection, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a tag"):
        collection.tag(name)


@pytest.mark.parametrize("name", [7, None])
def test_a_tag_is_a_text(collection: vecdb.Collection, name: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"tag is {name}, expected a name"):
        collection.tag(name)


def test_an_unknown_tag_names_the_known_ones(collection: vecdb.Collection) -> None:
    collection.tag("a")
    collection.tag("b")

    with pytest.raises(NotFoundError, match="there are: a, b"):
        collection.at(tag="c")
    with pytest.raises(NotFoundError, match="there are: a, b"):
        collection.untag("c")


@pytest.mark.parametrize("choice", [{}, {"version": 1, "tag": "a"}, {"version": 1, "timestamp": 5.0}], ids=str)
def test_exactly_one_way_to_name_a_version_is_taken(collection: vecdb.Collection, choice: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="name one of"):
        collection.at(**choice)  # type: ignore[arg-type]


def test_versions_say_when_and_how_many(collection: vecdb.Collection, clock: Clock) -> None:
    publish(collection, clock, 0)
    publish(collection, clock, 1)
    collection.tag("two")

    entries = collection.versions()

    assert [entry["rows"] for entry in entries] == [1, 2, 2]
    assert [entry["tags"] for entry in entries] == [[], [], ["two"]]
    assert entries[-1]["committed_at"] == clock.now
    assert [entry["version"] for entry in entries] == sorted({entry["version"] for entry in entries})


def test_history_survives_reopening(collection: vecdb.Collection, clock: Clock, tmp_path: Path) -> None:
    version = publish(collection, clock, 0)
    collection.tag("kept")
    publish(collection, clock, 1)
    versions = collection.versions()
    collection._store.close()
    # The fixture's database still holds the lock, so look with a reader.
    with vecdb.connect(tmp_path / "db", read_only=True) as reading:
        reader = reading.collection("docs")
        assert reader.versions() == versions
        assert seen(reader.at(version=version)) == {"r0": 0}
        assert seen(reader.at(tag="kept")) == {"r0": 0}


def test_an_older_version_has_the_fields_of_its_time(collection: vecdb.Collection, clock: Clock) -> None:
    publish(collection, clock, 0)
    version = collection.tag("then")
    collection.rename_column("n", "number")
    collection.add_column("extra", vecdb.Text())
    collection.drop_column("v")

    with collection.at(version=version) as then:
        assert then.schema.fields.keys() == {"id", "n", "v"}
        assert [hit.id for hit in then.search(v=[0, 1], where="n = 0")] == ["r0"]
    assert collection.schema.fields.keys() == {"id", "number", "extra"}


def test_an_open_snapshot_outlives_the_files_of_its_version(
    collection: vecdb.Collection, clock: Clock, tmp_path: Path
) -> None:
    version = publish(collection, clock, 0)
    snapshot = collection.at(version=version)
    collection.delete("r0")
    collection.upsert(rows([1]))

    collection.compact(purge=True)

    assert seen(snapshot) == {"r0": 0}
    assert [hit.id for hit in snapshot.search(v=[0, 1])] == ["r0"]


def test_files_of_forgotten_versions_are_removed(tmp_path: Path) -> None:
    database, collection = create(tmp_path / "db", SETTINGS)
    for number in range(10):
        collection.upsert(rows([number % 3], n=number))
        collection.flush()

    collection.compact(purge=True)

    assert len(segments(tmp_path / "db")) == 1
    assert len(list((folder(tmp_path / "db") / "manifests").iterdir())) == 1
    assert not list(segments(tmp_path / "db")[0].glob("*.roar"))
    database.close()
    database, collection = reopen(tmp_path / "db")
    assert seen(collection) == {"r0": 9, "r1": 7, "r2": 8}
    database.close()


@pytest.mark.parametrize("opened", ["manifest", "segments"])
def test_a_version_that_expires_while_it_is_opened_is_not_damage(
    collection: vecdb.Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch, opened: str
) -> None:
    version = publish(collection, clock, 0)
    publish(collection, clock, 1)
    name = "load" if opened == "manifest" else "open_views"
    owner: Any = manifests if opened == "manifest" else history
    real = getattr(owner, name)

    def while_it_expires(*arguments: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        # What another thread does meanwhile; it may have to wait until the version is open.
        other = threading.Thread(target=lambda: (collection.delete("r0"), collection.compact(purge=True)))
        other.start()
        other.join(2)
        others.append(other)
        return real(*arguments)

    others: list[threading.Thread] = []
    monkeypatch.setattr(owner, name, while_it_expires)
    try:
        found = seen(collection.at(version=version))
    except NotFoundError:
        found = None
    for other in others:
        other.join()

    assert found in (None, {"r0": 0})
    assert seen(collection) == {"r1": 1}
