"""After connect, links lead to every row: whatever the graph was like before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb_index.dense import flat
from vecdb_index.dense.hnsw import reach
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.reach import connect, reachable
from vecdb_index.types import Metric

rng = np.random.default_rng(11)


def lists(count: int, rows: list[list[int]], width: int) -> np.ndarray:
    """Return (count, width) links: the given ones, the other lists empty."""
    links = np.full((count, width), count, np.int32)
    for row, own in enumerate(rows):
        links[row, : len(own)] = own
    return links


def kept_before(links: np.ndarray, entries: np.ndarray) -> None:
    """Connect, and check what must hold whatever came in."""
    before = reachable(links, entries)

    hung = connect(links, entries)

    assert hung == (~before).sum()
    assert reachable(links, entries).all()
    ends = links == len(links)
    assert (ends[:, 1:] >= ends[:, :-1]).all()
    assert not (links == np.arange(len(links))[:, None]).any()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count, width = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    row = st.lists(st.integers(0, count - 1), max_size=width, unique=True)
    rows = [[other for other in draw(row) if other != own] for own in range(count)]
    entries = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4))
    return lists(count, rows, width), np.array(entries, np.int32)


@given(graphs())
def test_any_graph_becomes_one_whose_rows_are_all_reached(graph: tuple[np.ndarray, np.ndarray]) -> None:
    kept_before(*graph)


@pytest.mark.parametrize("width", [1, 2, 32])
@pytest.mark.parametrize("shape", ["none", "forwards", "backwards", "one hub", "rings", "pairs"])
def test_hard_shapes(shape: str, width: int) -> None:
    count = 20_000
    numbers = np.arange(count)
    links = np.full((count, width), count, np.int32)
    if shape == "forwards":
        links[:-1, 0] = numbers[1:]
    elif shape == "backwards":
        links[1:, 0] = numbers[:-1]
    elif shape == "one hub":
        links[1:, 0] = 0
        links[0] = numbers[1 : width + 1]
    elif shape == "rings":
        # Of 100 rows each, as full as they can be, with no way from one to the next.
        for t in range(width):
            links[:, t] = numbers // 100 * 100 + (numbers + t + 1) % 100
    elif shape == "pairs":
        links[:, 0] = numbers ^ 1

    kept_before(links, np.array([count // 2], np.int32))


def test_nothing_changes_where_every_row_is_reached() -> None:
    links = lists(50, [[(row + 1) % 50, (row + 7) % 50] for row in range(50)], 3)
    before = links.copy()

    assert connect(links, np.array([3], np.int32)) == 0
    assert (links == before).all()


def test_an_island_is_hung_where_the_search_says() -> None:
    # 0..9 are a ring around the entry; 10..19 another, without a way in.
    links = lists(20, [[row // 10 * 10 + (row + 1) % 10] for row in range(20)], 2)
    asked: list[int] = []

    def nearest(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return np.full(len(rows), 7, np.int32)

    assert connect(links, np.zeros(1, np.int32), nearest) == 10
    assert asked == [10]
    assert links[7].tolist() == [8, 10]
    assert reachable(links, np.zeros(1, np.int32)).all()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("rows", ["equal", "zero", "hubs", "copies", "two sorts"])
def test_every_row_of_hard_data_is_reached(metric: Metric, rows: str) -> None:
    count, dimension = 3000, 12
    matrix = rng.standard_normal((count, dimension)).astype(np.float32)
    if rows == "equal":
        matrix[:] = matrix[0]
    elif rows == "zero":
        matrix[:] = 0
    elif rows == "hubs":
        matrix[:20] *= 50
    elif rows == "copies":
        matrix = np.repeat(matrix[:20], count // 20, axis=0)
    elif rows == "two sorts":
        matrix[: count // 2] = matrix[0]
        matrix[count // 2 :] = -matrix[0]

    graph = build(matrix, metric, flat.norms(matrix))

    assert reachable(graph.links, graph.entries).all()


def test_the_work_is_cut_into_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "STEPS", 3)
    links = np.full((500, 4), 500, np.int32)
    links[100:, 0] = np.arange(500)[100:] // 2

    kept_before(links, np.zeros(1, np.int32))
