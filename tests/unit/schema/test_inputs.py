"""Every accepted form of input gives the same batch."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.schema import Id, Int64, Json, Keyword, Limits, Schema, Text, Timestamp, Vector, validated, validated_batch

SCHEMA = Schema(id=Id(), title=Text(), tags=Keyword(many=True), size=Int64(), added=Timestamp(), embedding=Vector(2))

MATRIX = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
ADDED = [datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 3)]
RECORDS: list[dict[str, Any]] = [
    {"id": "a", "title": "x", "tags": ["s", "t"], "size": 1, "added": ADDED[0], "embedding": MATRIX[0]},
    {"id": "b", "title": None, "tags": [], "size": 2, "added": ADDED[1], "embedding": MATRIX[1]},
    {"id": "c", "title": "z", "tags": None, "size": 3, "added": ADDED[2], "embedding": MATRIX[2]},
]
COLUMNS: dict[str, list[Any]] = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}


def table() -> pa.Table:
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(MATRIX.reshape(-1)), 2)
    scalars = {name: pa.array(COLUMNS[name], SCHEMA.arrow_schema().field(name).type) for name in list(COLUMNS)[:-1]}
    return pa.table({**scalars, "embedding": embedding})


def expected() -> pa.RecordBatch:
    return table().to_batches()[0]


class OnlyStream:
    """Exports nothing but the stream protocol."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return table().__arrow_c_stream__(requested_schema)


class OnlyArray:
    """Exports nothing but the array protocol."""

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return expected().__arrow_c_array__(requested_schema)


FORMS: list[Callable[[], Any]] = [
    lambda: RECORDS,
    lambda: tuple(RECORDS),
    lambda: COLUMNS,
    lambda: {**COLUMNS, "embedding": MATRIX},
    lambda: {**COLUMNS, "embedding": MATRIX.astype(np.float64)},
    lambda: {**COLUMNS, "embedding": np.asfortranarray(MATRIX)},
    lambda: {**COLUMNS, "embedding": np.repeat(MATRIX, 2, axis=0)[::2]},
    lambda: {**COLUMNS, "embedding": MATRIX.astype(">f4"), "size": np.array([1, 2, 3], dtype=">i2")},
    lambda: {**COLUMNS, "embedding": MATRIX.tolist(), "size": np.arange(1, 4), "id": np.array(["a", "b", "c"])},
    lambda: {**COLUMNS, "added": np.array(["2024-05-01", "2024-05-02", "2024-05-03"], dtype="datetime64[D]")},
    lambda: {**COLUMNS, "added": ["2024-05-01", "2024-05-02T02:00+02:00", datetime(2024, 5, 3)]},
    lambda: {**COLUMNS, "size": pd.Series([1, 2, 3]), "title": pl.Series(["x", None, "z"]), "id": ("a", "b", "c")},
    lambda: {**COLUMNS, "size": range(1, 4), "embedding": pa.array(MATRIX.tolist())},
    lambda: {**COLUMNS, "size": pa.chunked_array([[1], [2, 3]])},
    table,
    expected,
    lambda: pa.RecordBatchReader.from_batches(table().schema, table().to_batches(max_chunksize=2)),
    lambda: pa.concat_tables([table().slice(0, 1), table().slice(1, 2)]),
    lambda: pa.concat_tables([table(), table()]).slice(3),
    lambda: table().select(["embedding", "added", "tags", "id", "size", "title"]),
    OnlyStream,
    OnlyArray,
    lambda: pd.DataFrame({**COLUMNS, "embedding": list(MATRIX)}),
    lambda: pl.DataFrame({**COLUMNS, "embedding": pl.Series(list(MATRIX), dtype=pl.Array(pl.Float32, 2))}),
    lambda: pl.DataFrame({**COLUMNS, "embedding": MATRIX.tolist()}),
    lambda: pl.concat([pl.DataFrame(RECORDS[:1]), pl.DataFrame(RECORDS[1:])], how="vertical_relaxed", rechunk=False),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_gives_the_same_batch(form: Callable[[], Any]) -> None:
    batch = validated_batch(form(), SCHEMA)

    batch.validate(full=True)
    assert batch.schema == SCHEMA.arrow_schema()
    assert batch.equals(expected())
    assert all(column.offset == 0 for column in batch.columns)


@pytest.mark.parametrize("form", FORMS)
def test_batch_by_batch_gives_the_same_rows(form: Callable[[], Any]) -> None:
    batches = list(validated(form(), SCHEMA, Limits(batch_rows=2)))

    assert all(batch.num_rows <= 2 for batch in batches)
    assert pa.Table.from_batches(batches).combine_chunks().to_batches()[0].equals(expected())


@pytest.mark.parametrize("wrap", [lambda record: record, lambda record: [record], lambda record: (record,)])
def test_one_record_is_a_batch_of_one_row(wrap: Callable[[dict[str, Any]], Any]) -> None:
    batch = validated_batch(wrap(RECORDS[0]), SCHEMA)

    assert batch.equals(expected().slice(0, 1))


def test_missing_columns_and_missing_keys_are_null() -> None:
    batch = validated_batch([{"id": "a"}, {"id": "b", "size": 5}], SCHEMA)

    assert batch.schema == SCHEMA.arrow_schema()
    assert batch.column("size").to_pylist() == [None, 5]
    assert [batch.column(name).null_count for name in ("title", "tags", "added", "embedding")] == [2, 2, 2, 2]


@pytest.mark.parametrize("empty", [[], {"id": []}, table().slice(0, 0), pd.DataFrame({"id": []}), pa.table({"id": []})])
def test_no_rows_are_an_empty_batch_and_no_batches(empty: Any) -> None:
    assert validated_batch(empty, SCHEMA).equals(expected().slice(0, 0))
    assert list(validated(empty, SCHEMA)) == []


def test_a_filtered_pandas_frame_does_not_send_its_row_labels() -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "size": [1, 2, 3]})

    batch = validated_batch(frame[frame["size"] != 2], SCHEMA)

    assert batch.column("id").to_pylist() == ["a", "c"]


def test_a_named_pandas_index_is_a_column() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "size": [1, 2]}).set_index("id")

    assert validated_batch(frame, SCHEMA).column("id").to_pylist() == ["a", "b"]


def test_missing_values_of_pandas_are_null() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "title": ["x", None], "added": pd.to_datetime(["2024-05-01", None])})

    batch = validated_batch(frame, SCHEMA)

    assert batch.column("title").to_pylist() == ["x", None]
    assert batch.column("added").to_pylist() == [ADDED[0], None]


@pytest.mark.parametrize(
    "form",
    [
        lambda matrix, sizes: {"id": ["a", "b", "c"], "size": sizes, "embedding": matrix},
        lambda matrix, sizes: [{"id": f"{row}", "embedding": matrix[row], "size": sizes[row]} for row in range(3)],
        lambda matrix, sizes: {"id": ["a", "b", "c"], "size": pd.Series(sizes, copy=False), "embedding": list(matrix)},
        lambda matrix, sizes: pd.DataFrame({"id": list("abc"), "size": sizes, "embedding": list(matrix)}, copy=False),
    ],
)
def test_a_batch_does_not_follow_later_changes_of_its_source(form: Callable[[Any, Any], Any]) -> None:
    matrix, sizes = MATRIX.copy(), np.arange(1, 4)
    batch = validated_batch(form(matrix, sizes), SCHEMA)

    matrix[:] = 9
    sizes[:] = 9

    assert batch.column("embedding").to_pylist() == MATRIX.tolist()
    assert batch.column("size").to_pylist() == [1, 2, 3]


def test_one_record_does_not_follow_later_changes_of_its_vector() -> None:
    vector = MATRIX[0].copy()
    batch = validated_batch({"id": "a", "embedding": vector}, SCHEMA)

    vector[:] = 9

    assert batch.column("embedding").to_pylist() == [[1, 2]]


def test_a_matching_arrow_vector_column_is_not_copied() -> None:
    source = table()

    batch = validated_batch(source, SCHEMA)

    address = source.column("embedding").chunk(0).values.buffers()[1].address
    assert batch.column("embedding").values.buffers()[1].address == address


def test_a_patch_has_the_id_and_the_columns_given() -> None:
    batch = validated_batch({"size": [1, None], "id": ["a", "b"]}, SCHEMA, partial=True)

    assert batch.schema == pa.schema([("id", pa.string()), ("size", pa.int64())])
    assert batch.to_pylist() == [{"id": "a", "size": 1}, {"id": "b", "size": None}]


def test_the_id_of_a_patch_comes_first_even_when_its_column_does_not() -> None:
    schema = Schema(title=Text(), key=Id("int64"), extra=Json())

    for data in ({"title": "x", "key": 3}, {"title": ["x"], "key": [3]}):
        batch = validated_batch(data, schema, partial=True)

        assert batch.schema.names == ["key", "title"]
        assert batch.to_pylist() == [{"key": 3, "title": "x"}]


def test_the_records_of_a_patch_have_the_same_fields() -> None:
    with pytest.raises(InvalidInputError, match="row 1 has no 'size', which another row has"):
        validated_batch([{"id": "a", "size": 1}, {"id": "b"}], SCHEMA, partial=True)


@pytest.mark.parametrize(
    "data",
    [
        {"id": "a", "tittle": "x"},
        [{"id": "a"}, {"id": "b", "tittle": "x"}],
        {"id": ["a"], "tittle": ["x"]},
        pa.table({"id": ["a"], "tittle": ["x"]}),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_an_unknown_field_is_refused_with_the_closest_name(data: Any, partial: bool) -> None:
    with pytest.raises(UnknownFieldError, match=r"no field 'tittle'.*did you mean 'title'") as caught:
        validated_batch(data, SCHEMA, partial=partial)

    assert caught.value.field == "tittle"


@pytest.mark.parametrize("data", [{"title": "x"}, [{"title": "x"}], {"title": ["x"]}, pa.table({"title": ["x"]}), {}])
@pytest.mark.parametrize("partial", [False, True])
def test_input_without_ids_is_refused(data: Any, partial: bool) -> None:
    with pytest.raises(InvalidInputError, match="the id is missing"):
        validated_batch(data, SCHEMA, partial=partial)


@pytest.mark.parametrize("data", [None, 5, "abc", b"abc", object(), np.ones(3), iter([{"id": "a"}]), {"id"}])
def test_what_holds_no_records_is_refused_with_the_accepted_forms(data: Any) -> None:
    with pytest.raises(InvalidInputError, match="holds no records: a record is a dict, a batch is a list of dicts"):
        validated_batch(data, SCHEMA)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"id": "a"}, 5], "row 1: 5 is not a dict"),
        ({"id": ["a", "b"], "size": [1]}, "the columns differ in length: {'id': 2, 'size': 1}"),
        ({"id": ["a", "b"], "size": 1}, "field 'size': 1 is not a list or an array, but the id is"),
        ({"id": ["a"], "size": np.ma.masked_array([1], [True])}, "a masked array is not read"),
        ({"id": ["a"], "size": np.ones((1, 2))}, "an array of shape \\(1, 2\\) is not a column of int64"),
        ({"id": np.array("a")}, "an array of shape \\(\\) is not a column"),
        (pa.table([["a"], ["b"]], names=["id", "id"]), "the column 'id' comes twice"),
        (pd.Series(["a"]), "a Series cannot be read as records"),
    ],
)
def test_malformed_input_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        validated_batch(data, SCHEMA)


def test_a_batch_above_the_limit_is_refused_and_a_longer_input_is_cut() -> None:
    with pytest.raises(InvalidInputError, match="a batch of 3 rows is above the limit of 2"):
        validated_batch(RECORDS, SCHEMA, Limits(batch_rows=2))
    assert [batch.num_rows for batch in validated(RECORDS, SCHEMA, Limits(batch_rows=2))] == [2, 1]


def test_a_stream_comes_out_in_its_own_batches() -> None:
    reader = pa.RecordBatchReader.from_batches(table().schema, table().to_batches(max_chunksize=1))

    assert [batch.num_rows for batch in validated(reader, SCHEMA)] == [1, 1, 1]


def test_rows_of_errors_count_from_the_start_of_the_whole_input() -> None:
    rows = [{"id": f"{row}", "size": row} for row in range(5)]
    rows[4]["size"] = 1.5
    batches = validated(rows, SCHEMA, Limits(batch_rows=2))

    assert [next(batches).num_rows, next(batches).num_rows] == [2, 2]
    with pytest.raises(InvalidInputError, match=r"field 'size', row 4: 1.5") as caught:
        next(batches)
    assert caught.value.row == 4


def test_an_id_may_come_again_in_a_later_batch_of_a_stream() -> None:
    batch = pa.record_batch({"id": ["a"]})
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch, batch])

    assert [out.column("id").to_pylist() for out in validated(reader, SCHEMA)] == [["a"], ["a"]]


def test_a_stream_that_breaks_is_an_input_error() -> None:
    def broken() -> Any:
        yield pa.record_batch({"id": ["a"]})
        raise pa.ArrowInvalid("the file ends here")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("id", pa.string())]), broken())
    with pytest.raises(InvalidInputError, match="the file ends here"):
        list(validated(reader, SCHEMA))
