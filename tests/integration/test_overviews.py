"""What is said of all rows at once, compared with NumPy and plain loops, however the rows are spread."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import vecdb
from support.queried import RECORDS, ROWS, stored
from support.spread import WAYS
from vecdb import Collection
from vecdb.errors import InvalidInputError
from vecdb.planner.overview import clusters as clustering
from vecdb.planner.overview import draw, summary
from vecdb_index.selection.pool import Pool, unit


@pytest.fixture(scope="module", params=WAYS)
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    yield from stored(tmp_path_factory.mktemp("overviews"), request.param)


def units(names: Sequence[str | int], field: str = "a") -> np.ndarray:
    """Return the directions of rows, (n, d) float64."""
    vectors = np.array([RECORDS[name][field] for name in names], np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def coverage(names: Sequence[str | int], chosen: Sequence[str | int]) -> float:
    return float(np.maximum(units(names) @ units(chosen).T, 0).max(axis=1).mean())


# -- summaries ---------------------------------------------------------------------------------------------------------


def test_a_summary_covers_what_it_says(docs: Collection):
    found = docs.summarise(8, field="a")

    everything = list(RECORDS)
    assert len(set(found.ids)) == 8
    assert found.rows == ROWS
    assert found.coverage == pytest.approx(coverage(everything, found.ids), abs=1e-5)
    nearest = (units(everything) @ units(found.ids).T).argmax(axis=1)
    assert [one.size for one in found.representatives] == np.bincount(nearest, minlength=8).tolist()
    assert sum(one.gain for one in found.representatives) == pytest.approx(found.coverage, abs=1e-5)


def test_each_row_of_an_exact_summary_adds_the_most(docs: Collection):
    found = docs.summarise(4, field="a", exact=True)

    everything, chosen = list(RECORDS), []
    for one in found.representatives:
        before = coverage(everything, chosen) if chosen else 0.0
        gains = [coverage(everything, [*chosen, name]) - before for name in everything]
        assert one.gain == pytest.approx(max(gains), abs=1e-5)
        chosen.append(one.id)


def test_a_summary_is_of_the_rows_that_pass(docs: Collection):
    passing = [name for name, record in RECORDS.items() if record["section"] == "s3"]

    found = docs.summarise(50, "section = 's3'", field="a")

    assert sorted(found.ids) == sorted(passing)
    assert found.coverage == pytest.approx(1, abs=1e-5)
    assert docs.summarise(5, "section = 'none'", field="a").ids == []


def test_greedy_reaches_its_share_of_the_best_choice():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rows, weights = unit(rng.standard_normal((14, 4))), rng.random(14)
        weights, similar = weights / weights.sum(), np.maximum(rows @ rows.T, 0)

        chosen, gains = summary.covering(Pool(rows, np.zeros(14), rows, weights), 3)

        best = max(weights @ similar[:, list(some)].max(axis=1) for some in combinations(range(14), 3))
        assert gains.sum() == pytest.approx(weights @ similar[:, chosen].max(axis=1), abs=1e-5)
        assert gains.sum() >= (1 - 1 / np.e) * best


def test_cells_cover_nearly_as_much_as_all_rows_compared(tmp_path: Path):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((40, 16))[rng.integers(0, 40, 3000)] + 0.4 * rng.standard_normal((3000, 16))
    with vecdb.connect(tmp_path / "cells", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(type="int64"), v=vecdb.Vector(16)))
        docs.upsert({"id": np.arange(3000), "v": vectors})

        cells, exact = docs.summarise(20), docs.summarise(20, exact=True)

    assert (cells.method, exact.method) == ("cells", "exact")
    assert cells.coverage > 0.97 * exact.coverage


# -- samples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["coreset", "uniform"])
def test_a_sample_stands_for_all_rows_and_comes_again(docs: Collection, method: str):
    found = docs.sample(50, method, field="a")

    assert len(found.ids) == len(set(found.ids)) == 50
    assert sum(found.weights.values()) == pytest.approx(ROWS)
    assert docs.sample(50, method, field="a") == found
    assert docs.sample(50, method, field="a", seed=1) != found


def test_a_sample_does_not_depend_on_how_rows_are_spread(tmp_path: Path):
    drawn = []
    for way in WAYS:
        for made in stored(tmp_path / way.replace(" ", "-"), way):
            drawn.append(made.sample(40, "uniform", field="a"))

    assert all(one == drawn[0] for one in drawn)


def test_priorities_estimate_sums_without_bias():
    rng = np.random.default_rng(5)
    worth, values = rng.exponential(1, 500) + 0.05, rng.random(500)
    estimates = []
    for seed in range(600):
        found = draw.by_priority(worth, np.random.default_rng(seed).random(500), 60)
        estimates.append(found.weights @ values[found.places])

    assert np.mean(estimates) == pytest.approx(values.sum(), rel=0.01)


def test_a_coreset_estimates_better_than_a_uniform_sample_where_clusters_are_small(tmp_path: Path):
    rng = np.random.default_rng(6)
    sizes = [2900, 60, 30, 10]
    centres = rng.standard_normal((4, 16)) * 3
    vectors = np.repeat(centres, sizes, axis=0) + 0.5 * rng.standard_normal((sum(sizes), 16))
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    value = (directions @ (centres[3] / np.linalg.norm(centres[3]))) ** 4
    with vecdb.connect(tmp_path / "coreset", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(type="int64"), v=vecdb.Vector(16)))
        docs.upsert({"id": np.arange(3000), "v": vectors})
        errors = {
            method: [
                sum(weight * value[at] for at, weight in docs.sample(100, method, seed=seed).weights.items()) / 3000
                - value.mean()
                for seed in range(40)
            ]
            for method in ("coreset", "uniform")
        }

    assert np.std(errors["coreset"]) < 0.7 * np.std(errors["uniform"])


def test_a_sample_of_all_rows_is_all_rows(docs: Collection):
    found = docs.sample(ROWS + 1, where="section = 's3'", field="a")

    assert set(found.weights.values()) == {1.0}
    assert sorted(found.ids) == [name for name, record in RECORDS.items() if record["section"] == "s3"]


# -- clusters ----------------------------------------------------------------------------------------------------------


def blobs(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    labels = rng.integers(0, count, 900)
    return labels, rng.standard_normal((count, 24))[labels] + 0.2 * rng.standard_normal((900, 24))


@pytest.mark.parametrize("count", [3, 6, 12])
def test_clusters_that_are_there_are_found_and_counted(tmp_path: Path, count: int):
    labels, vectors = blobs(count)
    with vecdb.connect(tmp_path / "blobs", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(type="int64"), v=vecdb.Vector(24)))
        docs.upsert({"id": np.arange(900), "v": vectors})

        found = docs.clusters()

    assert len(found) == count
    assert max(found.tried, key=lambda k: found.tried[k]) == count
    assert sorted(one.size for one in found.clusters) == sorted(np.bincount(labels).tolist())
    assert len({labels[int(one.medoid)] for one in found.clusters}) == count


def test_a_medoid_is_the_row_nearest_to_its_centre(docs: Collection):
    found = docs.clusters(1, field="a").clusters[0]

    everything = list(RECORDS)
    centre = units(everything).mean(axis=0)
    near = units(everything) @ (centre / np.linalg.norm(centre))
    assert found.medoid == everything[int(near.argmax())]
    assert found.cohesion == pytest.approx(near.mean(), abs=1e-5)
    assert found.size == ROWS


def test_clusters_are_of_the_rows_that_pass_and_have_a_vector(docs: Collection):
    found = docs.clusters(3, "size < 50", field="b")

    passing = [record for record in RECORDS.values() if record["size"] is not None and record["size"] < 50]
    expected = sum(record["b"] is not None for record in passing)
    assert sum(one.size for one in found.clusters) == found.rows == expected
    assert [one.size for one in found.clusters] == sorted((one.size for one in found.clusters), reverse=True)
    assert docs.clusters(where="section = 'none'", field="a").clusters == ()


def test_the_silhouette_is_its_formula():
    rng = np.random.default_rng(8)
    points, centres = rng.standard_normal((30, 5)), rng.standard_normal((4, 5))

    found = clustering.silhouette(points, centres)

    away = np.sort(np.linalg.norm(points[:, None] - centres, axis=2), axis=1)
    assert found == pytest.approx(((away[:, 1] - away[:, 0]) / away[:, 1]).mean())


# -- duplicates --------------------------------------------------------------------------------------------------------


def linked(names: list[str], threshold: float) -> list[tuple[str, ...]]:
    """Return groups of rows that are linked, by a plain walk."""
    near = units(names) @ units(names).T >= threshold
    left, out = set(range(len(names))), []
    while left:
        group, todo = set(), [min(left)]
        while todo:
            at = todo.pop()
            if at not in group:
                group.add(at)
                todo += np.flatnonzero(near[at]).tolist()
        left -= group
        if len(group) > 1:
            out.append(tuple(sorted(names[at] for at in group)))
    return sorted(out, key=lambda one: (-len(one), one))


@pytest.mark.parametrize("threshold", [0.999, 0.8, 0.6])
def test_duplicates_are_the_rows_that_are_linked(docs: Collection, threshold: float):
    found = docs.duplicates(threshold, field="a")

    assert [one.ids for one in found.groups] == linked(list(RECORDS), threshold)
    assert found.total == len(found.groups)
    assert found.exact


def test_the_similarity_of_a_group_is_the_least_to_the_next_row(docs: Collection):
    for group in docs.duplicates(0.8, field="a").groups:
        near = units(list(group.ids)) @ units(list(group.ids)).T - 2 * np.eye(len(group.ids))

        assert group.similarity == pytest.approx(near.max(axis=1).min(), abs=1e-5)


def test_only_the_largest_groups_are_listed_and_all_are_counted(docs: Collection):
    everything, few = docs.duplicates(0.8, field="a"), docs.duplicates(0.8, field="a", k=2)

    assert few.groups == everything.groups[:2]
    assert few.total == everything.total > 2


def test_a_neighbourhood_finds_nearly_all_pairs_that_the_exact_way_finds(tmp_path: Path):
    rng = np.random.default_rng(9)
    vectors = rng.standard_normal((6000, 32))
    vectors[5000:] = vectors[rng.integers(0, 5000, 1000)] + 0.1 * rng.standard_normal((1000, 32))
    with vecdb.connect(tmp_path / "near", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(type="int64"), v=vecdb.Vector(32)))
        docs.upsert({"id": np.arange(6000), "v": vectors})

        near, exact = docs.duplicates(0.95), docs.duplicates(0.95, exact=True)

    assert (near.exact, exact.exact) == (False, True)
    wanted = {pair for group in exact.groups for pair in combinations(group.ids, 2)}
    found = {pair for group in near.groups for pair in combinations(group.ids, 2)}
    assert found <= wanted
    assert len(found) > 0.97 * len(wanted) > 500


def test_bits_have_overviews_too(tmp_path: Path):
    rng = np.random.default_rng(10)
    bits = rng.integers(0, 2, (200, 64))
    bits[100] = bits[7]
    schema = vecdb.Schema(id=vecdb.Id(type="int64"), v=vecdb.Vector(64, dtype="binary", metric="hamming"))
    with vecdb.connect(tmp_path / "bits", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", schema)
        docs.upsert([{"id": at, "v": row.tolist()} for at, row in enumerate(bits)])

        assert [one.ids for one in docs.duplicates(0.99).groups] == [(7, 100)]
        assert len(docs.summarise(3).ids) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda docs: docs.summarise(0, field="a"), "k is 0"),
        (lambda docs: docs.summarise(3), "name the vector field"),
        (lambda docs: docs.sample(3, "best", field="a"), "method 'best' is not one of"),
        (lambda docs: docs.clusters("many", field="a"), 'expected a whole number or "auto"'),
        (lambda docs: docs.duplicates(1.5, field="a"), "threshold is 1.5"),
        (lambda docs: docs.sample(3, field="a", seed=-1), "seed is -1"),
    ],
)
def test_wrong_arguments_are_refused(docs: Collection, call, message: str):
    with pytest.raises(InvalidInputError, match=message):
        call(docs)
