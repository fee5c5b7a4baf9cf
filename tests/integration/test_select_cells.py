"""A universe of cells: the rows of the inverted lists that are nearest to the query."""

from collections.abc import Iterator

import numpy as np
import pytest

import vecdb
from vecdb import Cells, Collection, Coverage, Query, errors
from vecdb.wire import queries
from vecdb_index.dense.ivf.index import Ivf

D = 8
RNG = np.random.default_rng(11)
VECTORS = RNG.standard_normal((900, D)).astype(np.float32)
ASKED = VECTORS[17] + 0.1
SUMMARY = Coverage(1.0, "facility_location", sharpness=1, baseline=0.0)


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    schema = vecdb.Schema(
        id=vecdb.Id("int64"),
        odd=vecdb.Bool(),
        embedding=vecdb.Vector(D, index=vecdb.Ivf(lists=12)),
        plain=vecdb.Vector(D, index="flat"),
    )
    with vecdb.connect(tmp_path_factory.mktemp("cells") / "db", settings=vecdb.Settings(background=False)) as database:
        made = database.create_collection("docs", schema)
        made.upsert([row(number) for number in range(800)])
        made.build_indexes()
        made.upsert([row(number) for number in range(800, 900)])  # in memory, without lists of their own
        made.delete([3, 4, 5])
        yield made


def row(number: int) -> dict[str, object]:
    vector = VECTORS[number]
    return {"id": number, "odd": number % 2 == 1, "embedding": vector, "plain": vector}


def cells(docs: Collection, probes: int) -> set[int]:
    """Return the ids that lie in the nearest cells, each row's cell looked up by its nearest centroid."""
    parts = docs._state().parts  # pyright: ignore[reportPrivateUsage]
    index = next(found for part in parts if isinstance(found := part.index_of(docs.schema["embedding"]), Ivf))
    own = (VECTORS @ index.centroids.T).argmax(axis=1)
    near = np.argsort(-(index.centroids @ ASKED), kind="stable")[:probes]
    lists = [index.order[index.offsets[one] : index.offsets[one + 1]] for one in near]
    inside = set(np.concatenate(lists).tolist()) | {at for at in range(800, 900) if own[at] in near}
    return inside - {3, 4, 5}


@pytest.mark.parametrize("where", [None, "odd = true"])
@pytest.mark.parametrize("probes", [1, 3, 40])
def test_the_set_represents_the_rows_of_the_nearest_cells(docs: Collection, probes: int, where: str | None) -> None:
    near = Query(k=60).near("embedding", ASKED).exactly()
    near = near if where is None else near.where(where)

    found = docs.run(near.select(SUMMARY, universe=Cells(probes), pool=60))

    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    universe = sorted(one for one in cells(docs, probes) if where is None or one % 2)
    scores = units[universe] @ ASKED / np.linalg.norm(ASKED)
    weights = (scores - scores.min()) / np.ptp(scores)
    worth = {one: float(weights @ np.maximum(units[universe] @ units[one], 0)) for one in map(int, docs.run(near).ids)}
    assert worth[int(found.ids[0])] == pytest.approx(max(worth.values()), rel=1e-5)


def test_cells_are_told_over_the_wire_and_in_json() -> None:
    query = Query().near("embedding", ASKED).select(SUMMARY, universe=Cells(7))

    assert queries.from_message(queries.to_message(query)) == query
    assert Query.from_json(query.to_json()) == query


@pytest.mark.parametrize("probes", [0, -1, 2.5, "many", True, 100_000])
def test_a_number_of_cells_that_is_none_is_refused(probes: object) -> None:
    with pytest.raises(errors.InvalidInputError, match="probes"):
        Cells(probes)  # pyright: ignore[reportArgumentType]


def test_cells_without_inverted_lists_or_a_vector_are_refused(docs: Collection) -> None:
    with pytest.raises(errors.InvalidInputError, match="nothing is in inverted lists by 'plain'"):
        docs.run(Query(k=2).near("plain", ASKED).select(SUMMARY, universe=Cells()))
    with pytest.raises(errors.InvalidInputError, match="the query looks for none"):
        docs.run(Query(k=2).where("odd = true").select(SUMMARY, field="embedding", universe=Cells()))
    with pytest.raises(errors.InvalidInputError, match="represents a universe"):
        docs.run(Query(k=2).near("embedding", ASKED).select(universe=Cells()))
