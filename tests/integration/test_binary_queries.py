"""Binary vectors in queries of arms and stages."""

from collections.abc import Iterator

import numpy as np
import pytest

import vecdb

BYTES = 6
CODES = np.random.default_rng(2).integers(0, 256, (200, BYTES)).astype(np.uint8)


@pytest.fixture
def codes() -> Iterator[vecdb.Collection]:
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False)) as database:
        found = database.create_collection(
            "codes", vecdb.Schema(id=vecdb.Id("int64"), code=vecdb.Vector(8 * BYTES, "binary"))
        )
        found.upsert({"id": np.arange(100), "code": CODES[:100]})
        found.flush()
        found.upsert({"id": np.arange(100, 200), "code": CODES[100:]})
        yield found


def distances(query: np.ndarray) -> np.ndarray:
    return np.bitwise_count(CODES ^ query).sum(axis=1, dtype=np.int64)


def nearest(query: np.ndarray, k: int, without: tuple[int, ...] = ()) -> list[int]:
    far = distances(query)
    return [row for row in sorted(range(200), key=lambda row: (far[row], row)) if row not in without][:k]


@pytest.mark.parametrize("form", ["bytes", "uint8", "bits", "bools"])
def test_a_query_near_bits_takes_every_form(form: str, codes: vecdb.Collection) -> None:
    bits = np.unpackbits(CODES[7])
    given = {"bytes": CODES[7].tobytes(), "uint8": CODES[7], "bits": bits.tolist(), "bools": bits.astype(bool)}[form]

    query = vecdb.Query(k=8).near("code", given)

    result = codes.run(query)

    assert result.ids == nearest(CODES[7], 8)
    assert result.distances is not None
    assert result.distances.tolist() == distances(CODES[7])[result.ids].tolist()
    assert codes.run(vecdb.Query.from_json(query.to_json())).ids == result.ids
    assert codes.search(code=given, k=8).ids == result.ids


def test_rows_like_rows_leave_the_examples_out(codes: vecdb.Collection) -> None:
    three = [3, 50, 150]
    majority = np.packbits(np.unpackbits(CODES[three], axis=1).sum(axis=0) >= 2)
    assert codes.run(vecdb.Query(k=9).like("code", three)).ids == nearest(majority, 9, (3, 50, 150))

    best = np.min([distances(CODES[row]) for row in three], axis=0)
    expected = [row for row in sorted(range(200), key=lambda row: (best[row], row)) if row not in three][:9]
    assert codes.run(vecdb.Query(k=9, exact=True).like("code", three, strategy="best")).ids == expected


def test_of_two_examples_that_differ_the_first_decides(codes: vecdb.Collection) -> None:
    assert codes.run(vecdb.Query(k=5).like("code", [8, 120])).ids == nearest(CODES[8], 5, (8, 120))


def test_candidates_are_scored_anew_by_their_bits(codes: vecdb.Collection) -> None:
    query = vecdb.Query(k=10).near("code", CODES[7]).rescore("code", ~CODES[7])

    result = codes.run(query)

    assert result.scores.tolist() == (-distances(~CODES[7])[result.ids]).tolist()
    assert list(result.scores) == sorted(result.scores, reverse=True)


def test_rows_that_differ_in_few_bits_are_collapsed(codes: vecdb.Collection) -> None:
    twin = CODES[7].copy()
    twin[0] ^= 1
    codes.upsert({"id": 500, "code": twin})

    whole = codes.run(vecdb.Query(k=3).near("code", CODES[7])).ids
    share = 1 - 2 * 1 / (8 * BYTES)
    kept = codes.run(vecdb.Query(k=2).near("code", CODES[7]).collapse("code", share - 0.001)).ids
    all_kept = codes.run(vecdb.Query(k=2).near("code", CODES[7]).collapse("code", share + 0.001)).ids

    assert whole[:2] == [7, 500]
    assert kept == [7, whole[2]]
    assert all_kept == [7, 500]
