"""The schema that the first rows of a file suggest, kind by kind."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.load import schema_like

ROWS = 30
VECTORS = np.arange(ROWS * 8, dtype=np.float32).reshape(ROWS, 8)

TYPED: dict[str, tuple[Any, Any]] = {
    "word": (pa.array(["x"] * ROWS), api.Keyword()),
    "code": (pa.array([f"c{n}" for n in range(ROWS)]), api.Keyword()),
    "name": (pa.array([f"name {n}" for n in range(ROWS)]), api.Text()),
    "repeated name": (pa.array(["New York"] * ROWS), api.Keyword()),
    "prose": (pa.array(["word " * 40] * ROWS), api.Text()),
    "dictionary": (pa.array(["x", "y"] * 15).dictionary_encode(), api.Keyword()),
    "strings": (pa.array([["x"], []] * 15), api.Keyword(many=True)),
    "bool": (pa.array([True, None] * 15), api.Bool()),
    "int8": (pa.array(range(ROWS), pa.int8()), api.Int64()),
    "uint32": (pa.array(range(ROWS), pa.uint32()), api.Int64()),
    "float": (pa.array([0.5] * ROWS), api.Float64()),
    "decimal": (pa.array([Decimal("1.5")] * ROWS), api.Float64()),
    "time": (pa.array([datetime.datetime(2024, 1, 1)] * ROWS), api.Timestamp()),
    "date": (pa.array([datetime.date(2024, 1, 1)] * ROWS), api.Timestamp()),
    "struct": (pa.array([{"a": 1}] * ROWS), api.Json()),
    "place": (pa.array([{"lat": 52.5, "lon": 13.4}, None] * 15), api.Geo()),
    "more than a place": (pa.array([{"lat": 1.0, "lon": 2.0, "alt": 3.0}] * ROWS), api.Json()),
    "nothing": (pa.nulls(ROWS), api.Text()),
    "fixed floats": (pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.reshape(-1)), 8), api.Vector(8)),
    "list of floats": (pa.array(VECTORS.tolist()), api.Vector(8)),
    "list of halves": (pa.array(list(VECTORS.astype(np.float16)), pa.list_(pa.float16())), api.Vector(8, "float16")),
    "list of bytes": (pa.array([[1, 2, 3]] * ROWS, pa.list_(pa.int8())), api.Vector(3, "int8")),
    "uneven lists": (pa.array([[1.0], [1.0, 2.0]] * 15), api.Json()),
}


@pytest.mark.parametrize("kind", TYPED)
def test_an_arrow_column_becomes_the_field_that_holds_it(kind: str, tmp_path: Path) -> None:
    column, field = TYPED[kind]
    pq.write_table(pa.table({"id": range(ROWS), "value": column}), tmp_path / "a.parquet")

    schema = schema_like(tmp_path / "a.parquet", None, [], None, "cosine")

    assert schema.fields == {"id": api.Id("int64"), "value": field}


CELLS: dict[str, tuple[list[str], Any]] = {
    "whole": (["1", "-20", ""], api.Int64()),
    "leading zero": (["01", "02", "03"], api.Keyword()),
    "number": (["1", "2.5", "1e3"], api.Float64()),
    "truth": (["true", "FALSE", ""], api.Bool()),
    "day": (["2024-05-01", "2024-05-02", ""], api.Timestamp()),
    "moment": (["2024-05-01T10:00:00Z", "2024-05-02 10:00:00.5", "2024-05-01T10:00:00+02:00"], api.Timestamp()),
    "vector": (['"[1, 2]"', '"[0.5, 3]"', ""], api.Vector(2)),
    "tags": (['"[""a""]"', '"[""b"", ""c""]"', '"[]"'], api.Keyword(many=True)),
    "object": (['"{""a"": 1}"', '"{}"', ""], api.Json()),
    "almost json": (["[draft] one of them", "[draft] another one", "[final] the third"], api.Text()),
    "code": (["a1", "2b", "c"], api.Keyword()),
    "prose": (["one or two words", "three words here", "or even more of them"], api.Text()),
    "empty": (["", "", ""], api.Text()),
}


@pytest.mark.parametrize("kind", CELLS)
def test_csv_cells_become_the_field_that_their_text_looks_like(kind: str, tmp_path: Path) -> None:
    cells, field = CELLS[kind]
    (tmp_path / "a.csv").write_text("\n".join(["id,value", *(f"k{n},{cell}" for n, cell in enumerate(cells))]))

    schema = schema_like(tmp_path / "a.csv", None, [], None, "cosine")

    assert schema.fields == {"id": api.Id(), "value": field}


VALUES: dict[str, tuple[list[Any], Any]] = {
    "whole": ([1, 2, None], api.Int64()),
    "mixed numbers": ([1, 2.5, None], api.Float64()),
    "digits in text": (["1", "2", "3"], api.Keyword()),
    "time": (["2024-05-01T10:00:00Z", None, "2024-05-02T10:00:00Z"], api.Timestamp()),
    "vector": ([[1, 2], [0.5, 3], None], api.Vector(2)),
    "tags": ([["a"], [], ["b", "c"]], api.Keyword(many=True)),
    "place": ([{"lat": 52.5, "lon": 13.4}, None, {"lon": 0.5, "lat": 1}], api.Geo()),
    "object": ([{"a": 1}, {"b": [1, "x"]}, None], api.Json()),
    "anything": ([1, "one", [1]], api.Json()),
    "huge": ([2**70, 1, 2], api.Float64()),
}


@pytest.mark.parametrize("kind", VALUES)
def test_json_values_become_the_field_that_holds_all_of_them(kind: str, tmp_path: Path) -> None:
    values, field = VALUES[kind]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"id": n, "value": v}) for n, v in enumerate(values)))

    schema = schema_like(tmp_path / "a.jsonl", None, [], None, "cosine")

    assert schema.fields == {"id": api.Id("int64"), "value": field}


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (["e0", "e1", "e2", "e3"], {"e": api.Vector(4)}),
        (["e_0", "e_1", "e_2", "e_3"], {"e": api.Vector(4)}),
        (["e[0]", "e[1]", "e[2]", "e[3]"], {"e": api.Vector(4)}),
        (["e3", "e1", "e0", "e2"], {"e": api.Vector(4)}),
        (["query0", "query1", "query2", "query3"], {"embedding": api.Vector(4)}),
        ([str(n) for n in range(12)], {"embedding": api.Vector(12)}),
        (["q1", "q2", "q3", "q4"], dict.fromkeys(("q1", "q2", "q3", "q4"), api.Int64())),
        (["a0", "a1", "a3", "a4"], dict.fromkeys(("a0", "a1", "a3", "a4"), api.Int64())),
    ],
)
def test_columns_numbered_from_0_are_one_vector(names: list[str], fields: dict[str, Any], tmp_path: Path) -> None:
    cells = ",".join(str(n + 1) for n in range(len(names)))
    (tmp_path / "a.csv").write_text(f"id,{','.join(names)}\nx,{cells}\n")

    schema = schema_like(tmp_path / "a.csv", None, [], None, "cosine")

    assert schema.fields == {"id": api.Id(), **fields}


@pytest.mark.parametrize(("cells", "kind"), [("1,20,3", "int64"), ("1,02,3", "string"), ("a,b,c", "string")])
def test_csv_ids_are_numbers_only_if_nothing_is_lost(cells: str, kind: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\n" + "\n".join(f"{cell},1" for cell in cells.split(",")))

    assert schema_like(tmp_path / "a.csv", None, [], None, "cosine").id.field == api.Id(kind)


@pytest.mark.parametrize("column", [pa.array([b"x"] * ROWS), pa.array([datetime.time(1, 2)] * ROWS)])
def test_a_type_that_no_field_holds_is_refused_with_the_way_out(column: pa.Array, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": range(ROWS), "value": column}), tmp_path / "a.parquet")

    with pytest.raises(CommandError, match="'value' has type") as caught:
        schema_like(tmp_path / "a.parquet", None, [], None, "cosine")

    assert caught.value.hint is not None
    assert "--map 'value='" in caught.value.hint


def test_a_file_without_rows_suggests_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\n")

    with pytest.raises(CommandError, match="no rows"):
        schema_like(tmp_path / "a.csv", None, [], None, "cosine")
