"""Making and looking after collections and databases."""

import json
from pathlib import Path

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run

ALL_TYPES = [
    "key:id(int64)",
    "a:text",
    "b:keyword",
    "c:keyword(many)",
    "d:bool",
    "e:int64",
    "f:float64",
    "g:timestamp",
    "h:json",
    "v:vector(3,cosine)",
    "w:vector(4,float16,l2)",
    "x:vector(5,int8,dot)",
]


def options(fields: list[str]) -> list[str]:
    return [part for field in fields for part in ("--field", field)]


def load_rows(vecdb: Run, tmp_path: Path, rows: int = 100, seed: int = 0) -> None:
    np.save(tmp_path / f"{seed}.npy", np.random.default_rng(seed).standard_normal((rows, 4), np.float32))
    vecdb("load", "db", "docs", f"{seed}.npy")


def test_create_makes_every_type_of_field_and_prints_what_can_be_typed_again(vecdb: Run, tmp_path: Path) -> None:
    done = vecdb("create", "db", "docs", *options(ALL_TYPES))

    printed = [line.strip() for line in done.stdout.decode().splitlines()[1:]]
    vecdb("create", "db", "again", *options(printed))
    assert printed == ALL_TYPES
    with api.connect(tmp_path / "db", read_only=True) as database:
        assert database.collection("docs").schema == database.collection("again").schema
        assert database.collection("docs").schema.fields["w"] == api.Vector(4, "float16", "l2")


def test_create_adds_an_id_when_none_is_given(vecdb: Run) -> None:
    assert vecdb("create", "db", "docs", "--field", "title:text").stdout == b"docs:\n  id:id\n  title:text\n"


@pytest.mark.parametrize(
    "content",
    [
        {"id": "id", "embedding": "vector(8,l2)"},
        ["id:id", "embedding:vector(8,l2)"],
        api.Schema(id=api.Id(), embedding=api.Vector(8, metric="l2")).to_json(),
    ],
)
def test_create_reads_a_schema_file_in_three_forms(content: object, vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(content))

    done = vecdb("create", "db", "docs", "--schema", "schema.json")

    assert done.stdout == b"docs:\n  id:id\n  embedding:vector(8,l2)\n"


def test_create_like_a_file_stores_no_rows(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4)))

    done = vecdb("create", "db", "docs", "--like", "a.npy", "--metric", "dot")

    assert done.stdout == b"docs:\n  id:id(int64)\n  embedding:vector(4,dot)\n"
    assert vecdb("count", "db", "docs").stdout == b"0\n"


@pytest.mark.parametrize(
    "field",
    [
        "title",
        "title:",
        ":text",
        "title:novel",
        "title:text(3)",
        "v:vector",
        "v:vector()",
        "v:vector(x)",
        "v:vector(0)",
        "v:vector(3,fast)",
        "v:vector(3,l2,dot)",
        "v:vector(70000)",
        "score:float64",
        "two words:text",
        "id:text",
    ],
)
def test_a_malformed_field_is_refused_and_nothing_is_made(field: str, vecdb: Run, tmp_path: Path) -> None:
    done = vecdb("create", "db", "docs", "--field", field, code=2)

    assert done.stderr.startswith(b"error: ")
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("content", ["{", "7", "{}", '{"id": 1}', '{"id": "novel"}', '[1, "id:id"]'])
def test_a_malformed_schema_file_is_refused(content: str, vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(content)

    vecdb("create", "db", "docs", "--schema", "schema.json", code=2)


def test_a_collection_is_made_once(vecdb: Run) -> None:
    vecdb("create", "db", "docs", "--field", "title:text")

    vecdb("create", "db", "docs", "--field", "title:text", code=4)
    vecdb("create", "db", "docs", "--field", "title:text", "--exist-ok")
    vecdb("create", "db", "docs", "--field", "year:int64", "--exist-ok", code=4)


def test_collections_are_listed_with_rows_and_fields(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)
    vecdb("create", "db", "empty", "--field", "title:text")

    listed = json.loads(vecdb("collections", "db", "--output", "json").stdout)

    assert listed == [
        {"collection": "docs", "rows": 100, "fields": ["id:id(int64)", "embedding:vector(4,cosine)"]},
        {"collection": "empty", "rows": 0, "fields": ["id:id", "title:text"]},
    ]
    assert len(vecdb("collections", "db").stdout.splitlines()) == 3


def test_drop_removes_a_collection(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)

    vecdb("drop", "db", "docs", "--yes")

    assert json.loads(vecdb("collections", "db", "--output", "json").stdout) == []
    vecdb("drop", "db", "docs", code=3)


def test_statistics_are_numbers_in_json_and_names_in_a_table(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)

    one = json.loads(vecdb("stats", "db", "docs", "--output", "json").stdout)
    all_of_them = json.loads(vecdb("stats", "db", "--output", "json").stdout)

    assert one["rows"] == 100
    assert all_of_them["collections"]["docs"]["rows"] == 100
    assert b"rows " in vecdb("stats", "db", "docs").stdout


def test_a_tag_keeps_a_version_until_it_is_removed(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)

    vecdb("tag", "db", "docs", "first")
    tagged = [row for row in json.loads(vecdb("versions", "db", "docs", "--output", "json").stdout) if row["tags"]]
    vecdb("tag", "db", "docs", "first", "--delete")
    after = json.loads(vecdb("versions", "db", "docs", "--output", "json").stdout)

    assert [(row["tags"], row["rows"]) for row in tagged] == [(["first"], 100)]
    assert tagged[0]["committed_at"].startswith("20")
    assert not any(row["tags"] for row in after)


def test_compact_purges_deleted_rows(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)
    vecdb("delete", "db", "docs", "--where", "id < 50")

    done = vecdb("compact", "db", "docs", "--purge")

    assert b"segments_after: 1" in done.stdout
    statistics = json.loads(vecdb("stats", "db", "docs", "--output", "json").stdout)
    assert (statistics["rows"], statistics["deleted_rows"]) == (50, 0)


def test_check_finds_a_flipped_bit_and_says_so_with_exit_code_1(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path, rows=2_000)
    sound = vecdb("check", "db")
    victim = max((tmp_path / "db" / "collections").rglob("vec-*.arrow"), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)

    damaged = vecdb("check", "db", code=1)
    report = json.loads(vecdb("check", "db", "--output", "json", code=1).stdout)

    assert sound.stdout.startswith(b"ok: ")
    assert victim.name.encode() in damaged.stdout
    assert report["ok"] is False
    assert victim.name in report["problems"][0]["path"]


def test_repair_gives_up_rows_only_when_allowed(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path, rows=2_000)
    victim = next((tmp_path / "db" / "collections").rglob("vec-*.arrow"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)

    vecdb("repair", "db", "--allow-loss")

    assert vecdb("check", "db").stdout.startswith(b"ok: ")
    assert vecdb("count", "db", "docs").stdout == b"0\n"


def test_a_backup_is_restored_to_the_same_rows(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)
    vecdb("backup", "db", "copy")
    load_rows(vecdb, tmp_path, seed=1)

    vecdb("restore", "copy", "old")

    assert vecdb("count", "old", "docs").stdout == b"100\n"
    assert vecdb("count", "db", "docs").stdout == b"200\n"
    assert vecdb("check", "old").stdout.startswith(b"ok: ")
    vecdb("restore", "copy", "db", code=4)
    assert vecdb("count", "db", "docs").stdout == b"200\n"


def test_progress_of_loads_survives_check_repair_and_backup(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)

    vecdb("check", "db")
    vecdb("repair", "db")

    assert b"already loaded" in vecdb("load", "db", "docs", "0.npy").stderr


def test_a_read_works_beside_a_writer(vecdb: Run, tmp_path: Path) -> None:
    load_rows(vecdb, tmp_path)

    with api.connect(tmp_path / "db") as database:
        database.collection("docs").upsert({"id": 1_000, "embedding": [1, 2, 3, 4]})
        assert vecdb("count", "db", "docs").stdout == b"101\n"
        vecdb("check", "db")
        vecdb("backup", "db", "copy", code=4)
        vecdb("delete", "db", "docs", "5", code=4)

    assert vecdb("count", "db", "docs").stdout == b"101\n"
