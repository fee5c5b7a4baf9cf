"""A load stops exactly at the first bad row, or passes over bad rows and reports each of them."""

import gzip
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from integration.cli.program import Run
from vecdb_client.cli.readers_csv import Batches

FIELDS = ("id:id(int64)", "year:int64", "when:timestamp", "extra:json", "embedding:vector(2)")
GOOD = '{"id": %d, "year": 2000, "embedding": [1, 0.5]}'

BAD_LINES = {
    "not json": ("{oops", "not JSON", None),
    "no object": ("[1, 2]", "expected a JSON object", None),
    "wrong dimension": ('{"id": 3, "embedding": [1, 2, 3]}', "3 values", "embedding"),
    "no vector": ('{"id": 3, "embedding": "north"}', "north", "embedding"),
    "zero vector": ('{"id": 3, "embedding": [0, 0]}', "zero", "embedding"),
    "text in a number": ('{"id": 3, "year": "long ago"}', "long ago", "year"),
    "no time": ('{"id": 3, "when": "yesterday"}', "yesterday", "when"),
    "unknown key": ('{"id": 3, "colour": "red"}', "colour", "colour"),
    "no id": ('{"year": 2000}', "id", "id"),
    "text id": ('{"id": "three"}', "three", "id"),
    "repeated id": ('{"id": 1}', "1", "id"),
}


def create(vecdb: Run) -> None:
    vecdb("create", "db", "docs", *(part for field in FIELDS for part in ("--field", field)))


def ids_in(path: Path) -> list[int]:
    with api.connect(path, read_only=True) as database:
        batches = database.collection("docs").scan(fields=["id"])
        return sorted(value for batch in batches for value in batch.column("id").to_pylist())


def write_lines(path: Path, bad: str) -> None:
    """Lines 0 to 9, of which line 3 (the fourth) is bad and line 7 is no JSON at all."""
    lines = [bad if n == 3 else "worse" if n == 7 else GOOD % n for n in range(10)]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", BAD_LINES)
def test_everything_before_the_first_bad_line_is_stored_and_nothing_after_it(
    kind: str, vecdb: Run, tmp_path: Path
) -> None:
    bad, reason, field = BAD_LINES[kind]
    create(vecdb)
    write_lines(tmp_path / "a.jsonl", bad)

    done = vecdb("load", "db", "docs", "a.jsonl", code=2)

    sentence = done.stderr.decode().splitlines()[0]
    assert sentence.startswith("error: a.jsonl, line 4")
    assert reason in sentence
    assert field is None or f"field '{field}'" in sentence
    assert sentence.endswith("; 3 rows are in")
    assert ids_in(tmp_path / "db") == [0, 1, 2]


@pytest.mark.parametrize("kind", BAD_LINES)
def test_skipping_stores_all_good_lines_and_reports_the_bad_ones(kind: str, vecdb: Run, tmp_path: Path) -> None:
    bad, reason, field = BAD_LINES[kind]
    create(vecdb)
    write_lines(tmp_path / "a.jsonl", bad)

    done = vecdb("load", "db", "docs", "a.jsonl", "--on-error", "skip")

    first, second = [json.loads(line) for line in (tmp_path / "a.jsonl.rejected.jsonl").read_text().splitlines()]
    assert (first["file"], first["row"], first["line"], first["field"]) == ("a.jsonl", 3, 4, field)
    assert reason in first["error"]
    assert (second["row"], second["field"]) == (7, None)
    assert b"8 rows loaded" in done.stdout
    assert b"2 bad rows skipped, see a.jsonl.rejected.jsonl" in done.stdout
    assert ids_in(tmp_path / "db") == [0, 1, 2, 4, 5, 6, 8, 9]


def test_a_clean_load_that_may_skip_leaves_no_report(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.jsonl").write_text(GOOD % 1)

    vecdb("load", "db", "docs", "a.jsonl", "--on-error", "skip")

    assert not (tmp_path / "a.jsonl.rejected.jsonl").exists()


def test_the_first_bad_row_counts_not_the_first_bad_column(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.csv").write_text('id,year,embedding\n1,2000,"[1,2]"\n2,2000,"[1]"\nx,old,"[1,2]"\n')

    done = vecdb("load", "db", "docs", "a.csv", code=2)

    assert done.stderr.decode().splitlines()[0].startswith("error: a.csv, row 1, field 'embedding'")
    assert ids_in(tmp_path / "db") == [1]


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ('x,2000,"[1,2]"', "id"),
        ('5,20.5,"[1,2]"', "year"),
        ('5,2000,"[1,nan]"', "embedding"),
        ('5,2000,"[1,null]"', "embedding"),
        ("5,2000,north", "embedding"),
        ('5,2000,"{}"', "embedding"),
        (',2000,"[1,2]"', "id"),
    ],
)
def test_a_csv_cell_that_cannot_be_read_is_named(cells: str, field: str, vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    rows = [f'{n},2000,"[1,2]"' for n in range(5)]
    (tmp_path / "a.csv").write_text("\n".join(["id,year,embedding", *rows, cells]))

    done = vecdb("load", "db", "docs", "a.csv", code=2)

    assert done.stderr.decode().splitlines()[0].startswith(f"error: a.csv, row 5, field '{field}': ")
    assert ids_in(tmp_path / "db") == [0, 1, 2, 3, 4]


def test_bytes_that_are_not_utf8_are_named(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", "--field", "id:id(int64)", "--field", "name:text")
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,fine\n2,\xff\xfe\n")

    done = vecdb("load", "db", "docs", "a.csv", code=2)

    assert b"row 1, field 'name'" in done.stderr
    assert b"UTF-8" in done.stderr


def test_a_line_that_is_not_utf8_is_named_with_the_byte_and_its_place(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.jsonl").write_bytes(b'{"id": 1}\n{"id": 2, "extra": "caf\xe9"}\n{"id": 3, oops}\n')

    done = vecdb("load", "db", "docs", "a.jsonl", code=2)
    vecdb("load", "db", "docs", "a.jsonl", "--on-error", "skip", code=0)

    assert b"a.jsonl, line 2: not UTF-8: byte 0xe9 at column 24" in done.stderr
    rejected = (tmp_path / "a.jsonl.rejected.jsonl").read_text()
    assert "not UTF-8: byte 0xe9 at column 24" in rejected
    assert "not JSON: " in rejected
    assert "at column 11" in rejected


def test_names_of_columns_that_are_not_utf8_are_named(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,caf\xe9\n1,fine\n")

    done = vecdb("load", "db", "docs", "a.csv", code=2)

    assert b"a.csv: the name of a column is not UTF-8: b'caf\\xe9'" in done.stderr
    assert b"iconv" in done.stderr


def test_a_csv_row_of_the_wrong_length_is_a_bad_row(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.csv").write_text("id,year\n1,2000\n2,2000,surplus\n3,2000\n")

    done = vecdb("load", "db", "docs", "a.csv", code=2)
    vecdb("load", "db", "docs", "a.csv", "--on-error", "skip", "--report", "bad.jsonl")

    assert b"a.csv, row 1: expected 2 columns, found 3" in done.stderr
    assert json.loads((tmp_path / "bad.jsonl").read_text())["row"] == 1
    assert ids_in(tmp_path / "db") == [1, 3]


def test_partial_vectors_in_columns_are_bad_rows(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.csv").write_text("id,v0,v1\n1,1,2\n2,1,\n")

    done = vecdb("load", "db", "docs", "a.csv", "--map", "v*=embedding", code=2)

    assert b"row 1, field 'embedding': column 'v1' is empty" in done.stderr


def test_the_bad_rows_of_a_parquet_file_are_found_in_any_row_group(vecdb: Run, tmp_path: Path) -> None:
    vectors = np.ones((1_000, 2), np.float32)
    vectors[[10, 777]] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 2)
    pq.write_table(pa.table({"id": range(1_000), "embedding": column}), tmp_path / "a.parquet", row_group_size=300)
    create(vecdb)

    done = vecdb("load", "db", "docs", "a.parquet", code=2)
    before = len(ids_in(tmp_path / "db"))
    vecdb("load", "db", "docs", "a.parquet", "--on-error", "skip")

    assert b"a.parquet, row 10, field 'embedding'" in done.stderr
    assert before == 10
    assert ids_in(tmp_path / "db") == [n for n in range(1_000) if n not in (10, 777)]


def test_the_reports_of_several_files_go_to_one_file_if_it_is_named(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.jsonl").write_text(f"{GOOD % 1}\nbad\n")
    (tmp_path / "b.jsonl").write_text(f"bad\n{GOOD % 2}\n")

    vecdb("load", "db", "docs", "a.jsonl", "b.jsonl", "--on-error", "skip", "--report", "bad.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(line["file"], line["row"]) for line in lines] == [("a.jsonl", 1), ("b.jsonl", 0)]


def test_loading_goes_on_after_the_bad_row_was_skipped_by_request(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    write_lines(tmp_path / "a.jsonl", "bad")

    vecdb("load", "db", "docs", "a.jsonl", code=2)
    done = vecdb("load", "db", "docs", "a.jsonl", "--on-error", "skip")

    assert b"3 rows are in, going on at row 3" in done.stderr
    assert ids_in(tmp_path / "db") == [0, 1, 2, 4, 5, 6, 8, 9]


def test_a_file_that_ends_early_says_what_is_in_and_what_is_wrong(
    vecdb: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb_client.cli.readers_jsonl.TEXT_BYTES", 1_000)
    create(vecdb)
    packed = gzip.compress("\n".join(GOOD % n for n in range(20_000)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])

    done = vecdb("load", "db", "docs", "a.jsonl.gz", "--commit-rows", "100", code=2)

    stored = len(ids_in(tmp_path / "db"))
    first, second = done.stderr.decode().splitlines()
    assert first == f"a.jsonl.gz: {stored:,} rows are in; the same command continues there"
    assert second.startswith("error: cannot read a.jsonl.gz: ")
    assert stored > 1_000


def test_a_row_of_a_wrong_width_that_is_no_utf8_is_named(vecdb: Run, tmp_path: Path) -> None:
    create(vecdb)
    (tmp_path / "a.csv").write_bytes(b"id,year\n0,2000\n1,2001,caf\xe9\n2,2002\n")

    done = vecdb("load", "db", "docs", "a.csv", code=2)

    assert done.stderr.decode().splitlines() == [
        "error: a.csv, row 1: expected 2 columns, found 3, and no UTF-8",
        "hint: iconv -f latin1 -t utf-8 converts the file, if that is what it is in",
    ]


def test_a_process_that_stops_early_in_a_long_csv_file_ends_as_it_wants(tmp_path: Path) -> None:
    """Arrow reads ahead; from a file of Python's it went on while Python ended, and aborted."""
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{n},{'x' * 200}\n" for n in range(200_000)))
    program = (
        "import pathlib, sys; from vecdb_client.cli.readers import open_source\n"
        "with open_source(pathlib.Path('a.csv'), 'csv') as source: next(source.chunks(0)); sys.exit(3)"
    )

    ended = [subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60).returncode for _ in range(3)]

    assert ended == [3, 3, 3]


def test_a_csv_reader_that_ends_waits_for_threads_that_may_still_call_its_handler() -> None:
    """After an error Arrow's thread lets go of the handler later than the reader; Python must not end before."""
    batches = Batches(lambda bad: "skip")
    held = [batches.taken_handler()]
    let_go: list[bool] = []

    def end() -> None:
        time.sleep(0.2)
        let_go.append(True)
        held.clear()

    thread = threading.Thread(target=end)
    thread.start()
    batches.close()

    assert let_go
    thread.join()
