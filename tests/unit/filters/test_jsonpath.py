"""Conditions on paths into json documents."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from vecdb.errors import CorruptionError
from vecdb.filters import bind, jsonpath, parse
from vecdb.schema import Id, Int64, Json, Schema

SCHEMA = Schema(id=Id(), size=Int64(), extra=Json())

DOCUMENTS: list[Any] = [
    {"a": {"b": [1, 2.5, "x"]}, "n": 1},
    {"a": {"b": ["1", True]}, "n": 1.0, "odd key": 5},
    {"a": None, "n": "1", "when": "2024-05-01T02:00:00+02:00"},
    {"a": {"b": []}, "n": True, "when": "soon"},
    [1, {"c": "deep"}],
    "text",
    None,
    {"n": 2**60 + 1, "when": ["2024-05-01"]},
]


def json_column(documents: list[Any]) -> pa.Array:
    return pa.array([None if document is None else orjson.dumps(document).decode() for document in documents])


def matching(text: str, documents: list[Any] = DOCUMENTS) -> list[int]:
    mask = bind(parse(text), SCHEMA).mask({"extra": json_column(documents)}, len(documents))
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("extra.n = 1", [0, 1]),
        ("extra.n = 1.0", [0, 1]),
        ("extra.n != 1", [7]),
        ("not extra.n = 1", [7]),
        ("extra.n = true", [3]),
        ("extra.n = '1'", [2]),
        ("extra.n in (1, '1')", [0, 1, 2]),
        ("extra.n not in (1, '2')", [2, 7]),
        ("extra.n in ()", []),
        ("extra.n not in ()", [0, 1, 2, 3, 7]),
        ("extra.n > 1152921504606846976.0", [7]),
        ("extra.n between 0 and 5", [0, 1]),
        ("extra.n is null", [4, 5, 6]),
        ("extra.a is null", [2, 4, 5, 6, 7]),
        ("extra.a is not null", [0, 1, 3]),
        ("extra.a.b[0] = 1", [0]),
        ("extra.a.b[-1] = 'x'", [0]),
        ("extra.a.b[-4] is not null", []),
        ("extra.a.b contains 1", [0]),
        ("extra.a.b contains '1'", [1]),
        ("extra.a.b contains true", [1]),
        ("not extra.a.b contains 1", [1, 3]),
        ("extra.a.b any of ('x', '1')", [0, 1]),
        ("extra.a.b all of (2.5, 'x')", [0]),
        ("extra.a.b all of ()", [0, 1, 3]),
        ('extra."odd key" = 5', [1]),
        ("extra[1].c startswith 'de'", [4]),
        ("extra[0] = 1", [4]),
        ("extra = 'text'", [5]),
        ("extra is null", [6]),
        ("extra.when = timestamp '2024-05-01'", [2]),
        ("extra.when in (timestamp '2024-05-01', 'soon')", [2, 3]),
        ("extra.when between timestamp '2024-04-01' and timestamp '2024-06-01'", [2]),
        ("extra.when contains timestamp '2024-05-01'", [7]),
        ("extra.when startswith '2024'", [2]),
    ],
)
def test_a_path_finds_values_by_type_and_never_fails_on_others(text: str, rows: list[int]) -> None:
    assert matching(text) == rows


def test_each_row_is_parsed_once_however_many_paths_look_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    loads = orjson.loads
    monkeypatch.setattr(jsonpath.orjson, "loads", lambda text: parsed.append(text) or loads(text))

    matching("extra.n = 1 and extra.a.b[0] = 1 or not extra.a is null or extra.n > 5")

    assert len(parsed) == sum(document is not None for document in DOCUMENTS)


def test_rows_that_the_other_conditions_leave_out_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    loads = orjson.loads
    monkeypatch.setattr(jsonpath.orjson, "loads", lambda text: parsed.append(text) or loads(text))
    sizes = pa.array([1, 1, None, 2, 2, 2, 2, 1])
    bound = bind(parse("extra.n = 1 and size = 1"), SCHEMA)

    mask = bound.mask({"extra": json_column(DOCUMENTS), "size": sizes}, 8)

    assert np.flatnonzero(mask).tolist() == [0, 1]
    assert len(parsed) == 3


def test_more_rows_than_a_chunk_keep_their_order() -> None:
    rows = 3 * jsonpath._CHUNK + 7

    found = matching("extra.n in (0, 255, 256, 700)", [{"n": row} for row in range(rows)])

    assert found == [0, 255, 256, 700]


def test_text_that_is_not_json_is_reported_as_corruption() -> None:
    with pytest.raises(CorruptionError, match=r"'extra'.*not JSON"):
        bind(parse("extra.a = 1"), SCHEMA).mask({"extra": pa.array(["{"])}, 1)
