"""Manifests: what a successor remembers, and that only what was committed can be loaded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecdb
from vecdb.errors import CorruptionError, InvalidInputError
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import DeletesEntry, FileEntry, Located, Manifest, SegmentEntry

DAY = 86400.0
UUID = "0123456789abcdef0123456789abcdef"
ENTRY = SegmentEntry(
    uuid=UUID,
    rows=10,
    min_lsn=1,
    max_lsn=5,
    files=(FileEntry("ids.arrow", 100, 1, "a"), FileEntry("vec-3.arrow", 400, 2, "b")),
    deletes=DeletesEntry("del-00000000000000000005-0a1b2c3d.roar", 30, 3, 4),
)


def first(now: float = 0.0) -> Located:
    schema = vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(3))
    return Located(Manifest("c", 1, 1, now, 0, schema), "1.json", "sha-1")


def reachable(located: Located) -> list[int]:
    return [past.version for past in (*located.manifest.history, located.past())]


# -- what is remembered ------------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.sampled_from(["commit", "commit", "tag", "untag"]), st.floats(0, 3 * DAY), st.integers(0, 3)),
    max_size=25,
)


@given(steps, st.integers(1, 5), st.floats(0, 10))
def test_a_successor_remembers_tagged_and_recent_versions_and_no_others(
    operations: list[tuple[str, float, int]], retain_versions: int, retain_days: float
) -> None:
    current, now = first(), 0.0

    for name, seconds, number in operations:
        now += seconds
        tags = dict(current.manifest.tags)
        if name == "tag":
            tags[f"tag-{number}"] = current.manifest.version + 1
        elif name == "untag":
            tags.pop(f"tag-{number}", None)
        before = {past.version: past for past in (*current.manifest.history, current.past())}

        manifest = manifests.successor(current, now, retain_versions, retain_days, tags=tags)

        kept = [past.version for past in manifest.history]
        assert manifest.version == current.manifest.version + 1
        assert manifest.parent == current.sha256
        assert manifest.committed_at == now
        assert kept == sorted(set(kept))
        assert all(past == before[past.version] for past in manifest.history), "history is copied, never changed"
        tagged = set(tags.values())
        assert tagged <= {*kept, manifest.version}, "a tagged version stays reachable"
        untagged = [version for version in kept if version not in tagged]
        assert len(untagged) <= retain_versions - 1
        assert all(before[version].committed_at >= now - retain_days * DAY for version in untagged)
        recent = [version for version in before if version not in tagged][-len(untagged) :] if untagged else []
        assert untagged == recent, "of the untagged the newest are kept"
        current = Located(manifest, f"{manifest.version}.json", f"sha-{manifest.version}")


def test_as_many_versions_stay_reachable_as_the_setting_says() -> None:
    current = first()
    for _ in range(20):
        manifest = manifests.successor(current, 0.0, retain_versions=4, retain_days=1)
        current = Located(manifest, f"{manifest.version}.json", f"sha-{manifest.version}")

    assert reachable(current) == [18, 19, 20, 21]


def test_tagged_versions_do_not_count_against_the_setting() -> None:
    current = first()
    tags = {"a": 1, "b": 2}
    for _ in range(9):
        manifest = manifests.successor(current, 0.0, retain_versions=3, retain_days=1, tags=tags)
        current = Located(manifest, "file", "sha")

    assert reachable(current) == [1, 2, 8, 9, 10]


def test_one_retained_version_is_the_current_one() -> None:
    assert manifests.successor(first(), 0.0, retain_versions=1, retain_days=7).history == ()


def test_versions_older_than_the_days_are_forgotten_although_few_remain() -> None:
    current = first(0.0)
    current = Located(manifests.successor(current, 5 * DAY, 10, 7), "2.json", "sha-2")

    manifest = manifests.successor(current, 8 * DAY, 10, 7)

    assert [past.version for past in manifest.history] == [2]


def test_changes_are_taken_over_and_the_rest_stays() -> None:
    manifest = manifests.successor(first(), 3.0, 5, 7, segments=(ENTRY,), floor=9, epoch=4)

    assert (manifest.segments, manifest.floor, manifest.epoch) == ((ENTRY,), 9, 4)
    assert manifest.collection == "c"
    assert manifest.rows == 6


# -- bytes on disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> LocalDirectory:
    directory = LocalDirectory(tmp_path)
    directory.make("c/manifests")
    return directory


def some_manifest() -> Manifest:
    current = first()
    return manifests.successor(current, 12.5, 5, 7, segments=(ENTRY, replace(ENTRY, deletes=None)), tags={"a": 1})


def test_a_manifest_comes_back_equal(directory: LocalDirectory) -> None:
    manifest = some_manifest()

    committed = manifests.commit(directory, "c", manifest)

    assert manifests.load_current(directory, "c") == committed
    assert committed.manifest == manifest
    assert manifests.load(directory, "c", committed.file, committed.sha256) == committed


def test_the_last_commit_is_in_force_and_the_older_stay_loadable(directory: LocalDirectory) -> None:
    older = manifests.commit(directory, "c", some_manifest())
    newer = manifests.commit(directory, "c", manifests.successor(older, 20.0, 5, 7))

    assert manifests.load_current(directory, "c") == newer
    past = newer.manifest.history[-1]
    assert manifests.load(directory, "c", past.file, past.sha256) == older


def test_two_commits_of_one_version_have_different_names(directory: LocalDirectory) -> None:
    files = {manifests.commit(directory, "c", some_manifest()).file for _ in range(5)}

    assert len(files) == 5
    assert all(names.MANIFEST_NAME.fullmatch(file) for file in files)


def test_every_changed_byte_of_a_manifest_is_found(directory: LocalDirectory) -> None:
    committed = manifests.commit(directory, "c", some_manifest())
    path = directory.path(f"c/manifests/{committed.file}")
    good = path.read_bytes()

    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(CorruptionError) as caught:
            manifests.load(directory, "c", committed.file, None)
        assert caught.value.path == f"c/manifests/{committed.file}"


@pytest.mark.parametrize("end", [0, 1, 64, -1, -2], ids=str)
def test_a_truncated_current_is_found(directory: LocalDirectory, end: int) -> None:
    manifests.commit(directory, "c", some_manifest())
    path = directory.path("c/CURRENT")
    path.write_bytes(path.read_bytes()[:end])

    with pytest.raises(CorruptionError, match="checksum") as caught:
        manifests.load_current(directory, "c")

    assert caught.value.path == "c/CURRENT"


def test_another_sound_manifest_under_the_name_is_not_accepted(directory: LocalDirectory) -> None:
    committed = manifests.commit(directory, "c", some_manifest())
    other = names.seal(replace(some_manifest(), floor=99).to_json())
    directory.path(f"c/manifests/{committed.file}").write_bytes(other)

    with pytest.raises(CorruptionError, match="not the file that was committed"):
        manifests.load_current(directory, "c")


@pytest.mark.parametrize("name", ["c/CURRENT", "manifest"])
def test_a_missing_file_is_named(directory: LocalDirectory, name: str) -> None:
    committed = manifests.commit(directory, "c", some_manifest())
    path = name if name == "c/CURRENT" else f"c/manifests/{committed.file}"
    directory.unlink(path)

    with pytest.raises(CorruptionError, match="is missing") as caught:
        manifests.load_current(directory, "c")

    assert caught.value.path == path


# -- hostile content ---------------------------------------------------------------------------------------------------

HOSTILE = [
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "ids.arrow/../../../x",
    "ids.arrow\0",
    "ids.arrow\n",
    "IDS.ARROW",
    "vec-.arrow",
    "vec-1.arrow.tmp",
    "sub/ids.arrow",
    "del-5-xx.roar",
    "CURRENT",
    "ids.arrow ",
    "ids。arrow",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["file", "deletes"])
def test_a_segment_with_a_hostile_file_name_is_refused(name: str, place: str) -> None:
    data: dict[str, Any] = ENTRY.to_json()
    if place == "file":
        data["files"][0]["name"] = name
    else:
        data["deletes"]["name"] = name

    with pytest.raises(CorruptionError, match="never writes"):
        SegmentEntry.from_json(data)


@pytest.mark.parametrize("uuid", ["..", "", "x", UUID.upper(), UUID + "0", f"../{UUID}", f"{UUID}/..", UUID + "\n"])
def test_a_segment_with_a_hostile_folder_is_refused(uuid: str) -> None:
    with pytest.raises(CorruptionError):
        SegmentEntry.from_json({**ENTRY.to_json(), "uuid": uuid})


@pytest.mark.parametrize("file", ["../../secret.json", "../CURRENT", "a\0b"])
def test_current_cannot_lead_outside_its_folder(directory: LocalDirectory, file: str) -> None:
    directory.publish("secret.json", names.seal(some_manifest().to_json()))
    directory.publish("c/CURRENT", names.seal({"version": 1, "file": file, "sha256": "", "epoch": 1, "nonce": ""}))

    with pytest.raises((CorruptionError, InvalidInputError)):
        manifests.load_current(directory, "c")
