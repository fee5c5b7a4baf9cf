"""The search for bad rows against counting them one by one."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from vecdb.errors import DuplicateIdError, InvalidInputError
from vecdb_client.cli.badrows import Placed, first_bad, good_rows


def check(rows: Placed) -> pa.RecordBatch:
    """Refuse negative ids and repeated ones, naming the last offender as a column-wise check might."""
    ids = rows.data["id"].to_pylist()
    bad = [row for row, value in enumerate(ids) if value < 0]
    if bad:
        raise InvalidInputError(f"{ids[bad[-1]]} is negative", field="id", row=bad[-1], value=ids[bad[-1]])
    repeated = [row for row, value in enumerate(ids) if value in ids[:row]]
    if repeated:
        raise DuplicateIdError("twice", field="id", row=repeated[-1])
    return rows.data


def placed(ids: list[int]) -> Placed:
    return Placed(pa.record_batch({"id": pa.array(ids, pa.int64())}), np.arange(len(ids)) + 100)


@given(st.lists(st.integers(-3, 20)))
def test_the_first_bad_row_is_the_first_one(ids: list[int]) -> None:
    expected = next((row for row, value in enumerate(ids) if value < 0 or value in ids[:row]), None)

    found = first_bad(check, placed(ids))

    assert (found[0] if found else None) == expected


@given(st.lists(st.integers(-3, 20)))
def test_good_rows_are_the_first_ones_of_each_valid_id_and_all_others_are_named(ids: list[int]) -> None:
    valid = [row for row, value in enumerate(ids) if value >= 0]
    expected = [row for row in valid if ids[row] not in [ids[other] for other in valid if other < row]]

    batch, bad = good_rows(check, placed(ids), "id")

    kept = [] if batch is None else batch["id"].to_pylist()
    assert kept == [ids[row] for row in expected]
    assert [row for row, _ in bad] == [row for row in range(len(ids)) if row not in expected]


def test_few_checks_find_one_bad_row_among_many() -> None:
    calls = []

    def counted(rows: Placed) -> pa.RecordBatch:
        calls.append(rows.num_rows)
        return check(rows)

    ids = [*range(3_000), -1, *range(3_000, 4_000)]
    found = first_bad(counted, placed(ids))

    assert found is not None
    assert found[0] == 3_000
    assert len(calls) < 20
