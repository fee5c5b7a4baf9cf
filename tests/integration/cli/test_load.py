"""`vecdb load` of every format into a real database, checked through the Python API."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from integration.cli.program import Run

ROWS = 500
MATRIX = np.random.default_rng(3).standard_normal((ROWS, 4)).astype(np.float32)


def table() -> pa.Table:
    return pa.table(
        {
            "id": [f"d{n}" for n in range(ROWS)],
            "title": [f"The title of number {n}" for n in range(ROWS)],
            "year": pa.array([1990 + n % 30 for n in range(ROWS)]),
            "price": [n / 4 for n in range(ROWS)],
            "free": [n % 2 == 0 for n in range(ROWS)],
            "tags": [["a", "b"] if n % 2 else None for n in range(ROWS)],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(MATRIX.reshape(-1)), 4),
        }
    )


def write_csv(path: Path) -> None:
    lines = ["id,title,year,price,free,tags,embedding"]
    for row in table().to_pylist():
        tags = "" if row["tags"] is None else '"' + json.dumps(row["tags"]).replace('"', '""') + '"'
        free = str(row["free"]).lower()
        lines.append(f'{row["id"]},{row["title"]},{row["year"]},{row["price"]},{free},{tags},"{row["embedding"]}"')
    path.write_text("\n".join(lines))


def json_lines() -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in table().to_pylist())


def write_ipc(path: Path) -> None:
    with pa.ipc.new_stream(str(path), table().schema) as writer:
        writer.write_table(table(), max_chunksize=77)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.parquet": lambda path: pq.write_table(table(), path, row_group_size=123),
    "a.arrow": write_ipc,
    "a.jsonl": lambda path: path.write_bytes(json_lines()),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(json_lines())),
    "a.csv": write_csv,
}


def rows_in(path: Path, collection: str) -> list[dict[str, Any]]:
    """All rows, by id, with vectors as lists."""
    with api.connect(path, read_only=True) as database:
        found = [row for batch in database.collection(collection).scan() for row in batch.to_pylist()]
    return sorted(found, key=lambda row: row["id"])


def fields_of(path: Path, collection: str) -> dict[str, Any]:
    with api.connect(path, read_only=True) as database:
        return database.collection(collection).schema.fields


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_loaded_whole_into_the_schema_that_it_suggests(name: str, vecdb: Run, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)

    done = vecdb("load", "db", "docs", name)

    assert rows_in(tmp_path / "db", "docs") == sorted(table().to_pylist(), key=lambda row: row["id"])
    assert fields_of(tmp_path / "db", "docs") == {
        "id": api.Id(),
        "title": api.Text(),
        "year": api.Int64(),
        "price": api.Float64(),
        "free": api.Bool(),
        "tags": api.Keyword(many=True),
        "embedding": api.Vector(4),
    }
    assert b"500 rows loaded into docs" in done.stdout
    assert b"embedding:vector(4,cosine)" in done.stderr


def test_a_matrix_is_loaded_with_row_numbers_as_ids(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX)

    vecdb("load", "db", "docs", "a.npy", "--metric", "l2")

    expected = [{"id": n, "embedding": MATRIX[n].tolist()} for n in range(ROWS)]
    assert rows_in(tmp_path / "db", "docs") == expected
    assert fields_of(tmp_path / "db", "docs")["embedding"] == api.Vector(4, metric="l2")


@pytest.mark.parametrize(("dtype", "field"), [("float16", "float16"), ("float64", "float32"), ("int8", "int8")])
def test_a_matrix_keeps_its_dtype_where_there_is_one(dtype: str, field: str, vecdb: Run, tmp_path: Path) -> None:
    values = np.arange(1, 13).reshape(3, 4).astype(dtype)
    np.save(tmp_path / "a.npy", values)

    vecdb("load", "db", "docs", "a.npy")

    assert fields_of(tmp_path / "db", "docs")["embedding"] == api.Vector(4, dtype=field)  # type: ignore[arg-type]
    assert [row["embedding"] for row in rows_in(tmp_path / "db", "docs")] == values.tolist()


def test_arrays_of_an_archive_are_columns(vecdb: Run, tmp_path: Path) -> None:
    when = np.datetime64("2024-05-01T00:00") + np.arange(3)
    np.savez(tmp_path / "a.npz", key=np.array(["x", "y", "z"]), when=when, embedding=MATRIX[:3])

    vecdb("load", "db", "docs", "a.npz", "--id", "key")

    fields = {"key": api.Id(), "when": api.Timestamp(), "embedding": api.Vector(4)}
    assert fields_of(tmp_path / "db", "docs") == fields


def test_numbered_csv_columns_become_one_vector(vecdb: Run, tmp_path: Path) -> None:
    lines = ["id," + ",".join(f"e_{n}" for n in range(12)) + ",year"]
    lines += [f"k{row}," + ",".join(str(row + n / 8) for n in range(12)) + ",2020" for row in range(5)]
    (tmp_path / "a.csv").write_text("\n".join(lines))

    vecdb("load", "db", "docs", "a.csv")

    expected = {"id": api.Id(), "e": api.Vector(12), "year": api.Int64()}
    assert fields_of(tmp_path / "db", "docs") == expected
    assert [row["e"] for row in rows_in(tmp_path / "db", "docs")] == [[r + n / 8 for n in range(12)] for r in range(5)]


def test_a_pattern_joins_columns_in_the_order_of_their_numbers(vecdb: Run, tmp_path: Path) -> None:
    names = ["v10", "v2", "v1"]
    (tmp_path / "a.csv").write_text(f"id,{','.join(names)}\nx,10,2,1\ny,,,\n")

    vecdb("load", "db", "docs", "a.csv", "--map", "v*=embedding")

    assert [row["embedding"] for row in rows_in(tmp_path / "db", "docs")] == [[1, 2, 10], None]


def test_columns_are_renamed_left_out_and_used_as_the_id(vecdb: Run, tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")

    maps = ["--map", "title=headline", "--map", "price=", "--map", "embedding=vec", "--map", "id="]
    vecdb("load", "db", "docs", "a.parquet", *maps, "--map", "tags=", "--map", "free=", "--id", "auto")

    assert fields_of(tmp_path / "db", "docs") == {
        "id": api.Id("int64"),
        "headline": api.Text(),
        "year": api.Int64(),
        "vec": api.Vector(4),
    }
    assert [row["headline"] for row in rows_in(tmp_path / "db", "docs")] == table()["title"].to_pylist()


def test_several_files_are_numbered_on(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX[:10])
    np.save(tmp_path / "b.npy", MATRIX[10:30])
    np.save(tmp_path / "c.npy", MATRIX[30:35])

    vecdb("load", "db", "docs", "a.npy", "b.npy")
    vecdb("load", "db", "docs", "c.npy")

    expected = [{"id": n, "embedding": MATRIX[n].tolist()} for n in range(35)]
    assert rows_in(tmp_path / "db", "docs") == expected


def test_numbers_become_text_ids_when_the_collection_has_these(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX[:2])
    np.savez(tmp_path / "b.npz", id=np.array([7, 8]), embedding=MATRIX[:2])
    (tmp_path / "c.jsonl").write_text('{"id": 9}\n{"id": "ten"}\n')
    vecdb("create", "db", "docs", "--field", "embedding:vector(4)")

    vecdb("load", "db", "docs", "a.npy")
    vecdb("load", "db", "docs", "b.npz", "c.jsonl")

    assert [row["id"] for row in rows_in(tmp_path / "db", "docs")] == ["0", "1", "7", "8", "9", "ten"]


def test_csv_cells_take_the_types_of_the_collection(vecdb: Run, tmp_path: Path) -> None:
    fields = ["id:id(int64)", "when:timestamp", "extra:json", "tags:keyword(many)", "note:text", "small:vector(2,int8)"]
    vecdb("create", "db", "docs", *(part for field in fields for part in ("--field", field)))
    cells = '7,2024-05-01T10:00:00Z,"{""a"": [1, null]}","[""x""]","","[1,-2]"'
    (tmp_path / "a.csv").write_text(f"id,when,extra,tags,note,small\n{cells}\n8,,,,,\n")

    vecdb("load", "db", "docs", "a.csv")

    first, second = rows_in(tmp_path / "db", "docs")
    assert first["when"].isoformat() == "2024-05-01T10:00:00+00:00"
    assert json.loads(first["extra"]) == {"a": [1, None]}
    assert (first["tags"], first["note"], first["small"]) == (["x"], "", [1, -2])
    assert {name: value for name, value in second.items() if value is not None} == {"id": 8}


def test_places_are_read_from_every_spelling_of_a_cell(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", "--field", "place:geo")
    cells = [
        '"52.5, 13.4"',
        '" (52.5,13.4) "',
        '"[52.5, 13.4]"',
        '"{""lat"": 52.5, ""lon"": 13.4}"',
        '"{""type"": ""Point"", ""coordinates"": [13.4, 52.5]}"',
        "",
    ]
    (tmp_path / "a.csv").write_text("id,place\n" + "\n".join(f"{n},{cell}" for n, cell in enumerate(cells)))
    (tmp_path / "b.csv").write_text('id,place\n9,"100, 13.4"\n')

    vecdb("load", "db", "docs", "a.csv")
    refused = vecdb("load", "db", "docs", "b.csv", code=2)
    near = vecdb("count", "db", "docs", "--where", "place within 5 km of (52.5, 13.4)")

    found = [row["place"] for row in rows_in(tmp_path / "db", "docs")]
    assert found == [{"lat": 52.5, "lon": 13.4}] * 5 + [None]
    assert near.stdout.split() == [b"5"]
    assert b"'100, 13.4' is not a place such as" in refused.stderr


def test_a_later_row_with_a_known_id_replaces_the_earlier_one(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "n": 1}\n{"id": "b", "n": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "b", "n": 2}\n{"id": "c", "n": 2}\n')

    done = vecdb("load", "db", "docs", "a.jsonl", "b.jsonl")

    assert [(row["id"], row["n"]) for row in rows_in(tmp_path / "db", "docs")] == [("a", 1), ("b", 2), ("c", 2)]
    assert b"1 of them replaced rows" in done.stdout


def test_names_of_json_keys_may_come_late(vecdb: Run, tmp_path: Path) -> None:
    lines = [{"id": n} if n < 40 else {"id": n, "late": "x"} for n in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    vecdb("load", "db", "docs", "a.jsonl")

    assert [row["late"] for row in rows_in(tmp_path / "db", "docs")] == [None] * 40 + ["x"] * 20


CHOICES = {
    "no id": (["a.csv"], b"no column is called 'id'"),
    "unknown id": (["a.csv", "--id", "key2"], b"--id names 'key2'"),
    "unknown map": (["a.csv", "--id", "key", "--map", "nope=x"], b"--map names 'nope'"),
    "malformed map": (["a.csv", "--id", "key", "--map", "nope"], b"SOURCE=FIELD"),
    "pattern of nothing": (["a.csv", "--id", "key", "--map", "zz*=v"], b"no column matches"),
    "two of one": (["a.csv", "--id", "key", "--map", "x=vec y"], b"two columns want"),
    "reserved name": (["a.csv", "--id", "key", "--map", "x=score"], b"--map 'score="),
    "bad metric": (["a.csv", "--id", "key", "--metric", "manhattan"], b"manhattan"),
    "bad format": (["a.csv", "--format", "xml"], b"formats are"),
    "bad policy": (["a.csv", "--on-error", "ignore"], b"ignore"),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_wrong_choice_is_refused_before_anything_is_made(choice: str, vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("key,x,vec y\na,1,2\n")
    arguments, message = CHOICES[choice]

    done = vecdb("load", "db", "docs", *arguments, code=2)

    assert done.stderr.startswith(b"error: ")
    assert message in done.stderr
    assert not (tmp_path / "db").exists()


def test_a_column_without_a_field_is_refused_with_the_way_out(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", "--field", "embedding:vector(4)")
    (tmp_path / "a.csv").write_text("id,colour\na,red\n")

    done = vecdb("load", "db", "docs", "a.csv", code=2)
    vecdb("load", "db", "docs", "a.csv", "--map", "colour=")

    assert b"'colour' has no field" in done.stderr
    assert b"--map 'colour='" in done.stderr
    assert [row["id"] for row in rows_in(tmp_path / "db", "docs")] == ["a"]


def test_columns_of_one_name_are_refused(vecdb: Run, tmp_path: Path) -> None:
    batch = pa.record_batch([pa.array([1]), pa.array([2])], names=["id", "id"])
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), batch.schema) as writer:
        writer.write_batch(batch)

    assert b"two columns called 'id'" in vecdb("load", "db", "docs", "a.arrow", code=2).stderr


def test_a_missing_file_is_not_found_and_nothing_is_loaded(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX)

    done = vecdb("load", "db", "docs", "a.npy", "b.npy", code=3)

    assert done.stderr == b"error: no such file: b.npy\n"
    assert not (tmp_path / "db").exists()


def test_a_locked_database_is_a_conflict(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX)

    with api.connect(tmp_path / "db"):
        done = vecdb("load", "db", "docs", "a.npy", code=4)

    assert done.stderr.splitlines()[-1].startswith(b"error: ")


def test_nothing_but_results_goes_to_stdout_and_no_bar_is_drawn_in_a_pipe(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX)

    done = vecdb("load", "db", "docs", "a.npy")

    assert len(done.stdout.splitlines()) == 1
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\r" not in done.stderr
