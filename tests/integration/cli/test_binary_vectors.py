"""Binary vectors on the command line: their type, every file that they come in, and queries."""

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
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.fields import describe_field, parse_field
from vecdb_client.cli.load import schema_like

ROWS, BITS = 60, 32
BYTES = np.random.default_rng(4).integers(0, 256, (ROWS, BITS // 8)).astype(np.uint8)
LISTS: list[list[int]] = np.unpackbits(BYTES, axis=1).tolist()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("bits(1024)", api.Vector(1024, "binary")),
        ("bits(64,flat)", api.Vector(64, "binary", index="flat")),
        ("vector(64,binary,hamming)", api.Vector(64, "binary")),
        ("vector(64,hamming,binary,flat)", api.Vector(64, "binary", index="flat")),
        ("vector(64,binary)", api.Vector(64, index="binary")),
        ("vector(64,l2,binary)", api.Vector(64, metric="l2", index="binary")),
    ],
)
def test_bits_are_told_from_an_index_of_signs(text: str, field: api.Vector) -> None:
    assert parse_field(f"v:{text}") == ("v", field)
    assert parse_field(f"v:{describe_field(field)}") == ("v", field)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bits()", "does not say the dimension"),
        ("bits(12)", "not a multiple of 8"),
        ("bits(16,float16)", "'float16' is not expected"),
        ("bits(16,cosine)", "'cosine' is not expected"),
        ("bits(16,hnsw)", "does not go with binary vectors"),
        ("vector(16,hamming)", "hamming counts the bits"),
    ],
)
def test_a_type_of_bits_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises((CommandError, api.errors.InvalidInputError), match=message):
        parse_field(f"v:{text}")


def table(kind: pa.DataType) -> pa.Table:
    binary = pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return pa.table({"id": range(ROWS), "code": pa.array([row.tobytes() if binary else row for row in BYTES], kind)})


def lines(values: list[Any]) -> str:
    return "\n".join(json.dumps({"id": n, "code": value}) for n, value in enumerate(values))


FILES: dict[str, Callable[[Path], object]] = {
    "bytes.jsonl": lambda path: path.write_text(lines(BYTES.tolist())),
    "bits.jsonl": lambda path: path.write_text(lines(LISTS)),
    "bytes.csv": lambda path: path.write_text("id,code\n" + "".join(f'{n},"{v}"\n' for n, v in enumerate(LISTS))),
    "bits.csv": lambda path: path.write_text(
        "id,code\n" + "".join(f'{n},"{v}"\n' for n, v in enumerate(BYTES.tolist()))
    ),
    "columns.csv": lambda path: path.write_text(
        f"id,{','.join(f'code{bit}' for bit in range(BITS))}\n"
        + "".join(f"{n},{','.join(map(str, v))}\n" for n, v in enumerate(LISTS))
    ),
    "binary.parquet": lambda path: pq.write_table(table(pa.binary()), path),
    "fixed.parquet": lambda path: pq.write_table(table(pa.binary(BITS // 8)), path),
    "lists.parquet": lambda path: pq.write_table(table(pa.list_(pa.uint8())), path),
    "bytes.npz": lambda path: np.savez(path, id=np.arange(ROWS), code=BYTES),
    "bools.npz": lambda path: np.savez(path, id=np.arange(ROWS), code=np.array(LISTS, bool)),
}


@pytest.mark.parametrize("name", FILES)
def test_every_form_of_file_gives_the_same_rows(name: str, vecdb: Run, tmp_path: Path) -> None:
    FILES[name](tmp_path / name)
    vecdb("create", "db", "codes", "--field", "id:id(int64)", "--field", f"code:bits({BITS})")

    vecdb("load", "db", "codes", name)

    with api.connect(tmp_path / "db", read_only=True) as database:
        found = database.collection("codes").get(list(range(ROWS)))
        assert [record["code"].tolist() for record in found if record is not None] == BYTES.tolist()


@pytest.mark.parametrize("matrix", [BYTES, *(np.array(LISTS, dtype) for dtype in (bool, np.uint8, np.int64))])
def test_a_matrix_is_loaded_queried_measured_and_exported(matrix: np.ndarray, vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", matrix)
    np.save(tmp_path / "query.npy", matrix[7])
    differing = np.bitwise_count(BYTES ^ BYTES[7]).sum(axis=1)
    nearest = sorted(range(ROWS), key=lambda row: (differing[row], row))[:5]

    vecdb("load", "db", "codes", "a.npy", "--metric", "hamming")
    for asked in ("@query.npy", json.dumps(BYTES[7].tolist()), json.dumps(LISTS[7])):
        printed = vecdb("query", "db", "codes", "--vector", asked, "-k", 5, "--output", "json").stdout
        assert json.loads(printed) == [
            {"id": row, "score": -float(differing[row]), "distance": float(differing[row])} for row in nearest
        ]
    by_id = json.loads(vecdb("query", "db", "codes", "--id", 7, "-k", 4, "--output", "json").stdout)
    assert [hit["id"] for hit in by_id] == nearest[1:]
    report = json.loads(vecdb("recall", "db", "codes", "--queries", "a.npy", "--output", "json").stdout)
    assert (report["recall"], report["queries"]) == (1.0, ROWS)
    assert json.loads(vecdb("recall", "db", "codes", "--output", "json").stdout)["recall"] == 1.0
    for format in ("jsonl", "parquet"):
        vecdb("export", "db", "codes", f"out.{format}")
        vecdb("create", "db", format, "--field", "id:id(int64)", "--field", f"embedding:bits({BITS})")
        vecdb("load", "db", format, f"out.{format}")
        again = json.loads(vecdb("query", "db", format, "--vector", "@query.npy", "-k", 5, "--output", "json").stdout)
        assert [hit["id"] for hit in again] == nearest
    assert b"ok" in vecdb("check", "db").stdout


@pytest.mark.parametrize(
    ("column", "field"),
    [
        (pa.array(BYTES.tolist(), pa.list_(pa.uint8())), api.Vector(BITS, "binary")),
        (pa.array(np.array(LISTS, bool).tolist(), pa.list_(pa.bool_())), api.Vector(BITS, "binary")),
        (pa.array(LISTS, pa.list_(pa.uint8())), api.Vector(BITS, "binary")),
        (pa.array(LISTS, pa.list_(pa.int64())), api.Vector(BITS, "binary")),
        (pa.array([row.tobytes() for row in BYTES], pa.binary(BITS // 8)), api.Vector(BITS, "binary")),
    ],
)
def test_what_can_only_be_bits_is_inferred(column: pa.Array, field: api.Vector, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": range(ROWS), "value": column}), tmp_path / "a.parquet")

    assert schema_like(tmp_path / "a.parquet", None, [], None, "hamming").fields["value"] == field


def test_numbers_that_may_be_bits_or_bytes_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(BYTES.tolist()))

    with pytest.raises(CommandError, match="may be bits or bytes of bits") as caught:
        schema_like(tmp_path / "a.jsonl", None, [], None, "hamming")
    assert "bits(NUMBER)" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2, 3], "line 2, field 'code': the vector has 3 values, the field has 32 bits"),
        ([1, 2, 3, 256], "line 2, field 'code': the vector's value 3 is 256"),
        ("abcd", "line 2, field 'code': 'abcd' is neither 4 bytes nor"),
    ],
)
def test_a_bad_row_is_named(value: Any, message: str, vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines([BYTES[0].tolist(), value]))
    vecdb("create", "db", "codes", "--field", "id:id(int64)", "--field", f"code:bits({BITS})")

    assert message in vecdb("load", "db", "codes", "a.jsonl", code=2).stderr.decode()
