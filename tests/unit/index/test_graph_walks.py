"""Walks over links against other implementations: PageRank against a power iteration, best paths against networkx."""

import itertools

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb_index.graph.adjacency import Adjacency, packed
from vecdb_index.graph.pagerank import personalised_pagerank
from vecdb_index.graph.paths import best_paths, walkers
from vecdb_index.graph.walk import Ways


def _links(rng, nodes, count, types=1):
    """Return distinct links of random weights: source, target, type, weight."""
    source, target = rng.integers(0, nodes, count), rng.integers(0, nodes, count)
    kind = rng.integers(0, types, count)
    _, first = np.unique(np.stack([source, target, kind]), axis=1, return_index=True)
    weight = rng.uniform(0.1, 1.0, count).astype(np.float32)
    return source[first], target[first], kind[first], weight[first]


def _both(nodes, source, target, kind, weight):
    def pack(one, two):
        return packed(nodes, one.astype(np.int32), two.astype(np.int32), weight, kind.astype(np.uint16))

    return pack(source, target), pack(target, source)


def _ways(links, incoming, types, direction="both"):
    """Return ways in which every type counts 1, in a direction: out, in or both."""
    ones, zeros = np.ones(types, np.float32), np.zeros(types, np.float32)
    return Ways(links, incoming, ones if direction != "in" else zeros, ones if direction != "out" else zeros)


def _paths(found, places):
    """Return the ways to some places of what was reached: node, type and direction of each step."""
    steps = found.steps(places)
    told = iter(zip(steps.nodes, steps.types, steps.ahead, strict=True))
    return [list(itertools.islice(told, length)) for length in steps.lengths]


def test_a_row_of_the_patch_counts_instead_of_that_of_the_base() -> None:
    links, _ = _both(4, *(np.array(column) for column in ([0, 0, 1, 2], [1, 2, 2, 3], [0] * 4, [1.0] * 4)))
    patched = links._replace(
        patched=np.array([0, 5], np.int32),
        patch_offsets=np.array([0, 1, 3]),
        patch_targets=np.array([3, 1, 2], np.int32),
        patch_weights=np.ones(3, np.float32),
        patch_types=np.zeros(3, np.uint16),
    )
    assert links.links == 4
    assert patched.links == 5 == patched.degrees(6).sum()


def _transition(nodes, links, ahead, behind, hub=0.0, balanced=False):
    """Return P, (nodes, nodes): the share that each node gives to each, straight from the definition."""
    source, target, kind, weight = links
    degree = np.bincount(source, minlength=nodes) * bool(ahead.any())
    degree = degree + np.bincount(target, minlength=nodes) * bool(behind.any())
    matrix = np.zeros((nodes, nodes))
    blocks = {}
    for s, t, c, w in zip(source, target, kind, weight, strict=True):
        if s == t:
            continue
        for a, b, own, key in ((s, t, ahead[c], (c, 0)), (t, s, behind[c], (c, 1))):
            if own > 0:
                block = blocks.setdefault(key, np.zeros((nodes, nodes)))
                block[a, b] += w * max(degree[b], 1) ** -hub * (1.0 if balanced else own)
    for (c, way), block in blocks.items():
        if balanced:
            sums = block.sum(axis=1, keepdims=True)
            own = (ahead, behind)[way][c]
            block = np.divide(block, sums, out=np.zeros_like(block), where=sums > 0) * own
        matrix += block
    sums = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0)


def _power(transition, seeds, mass, damping):
    start = np.zeros(len(transition))
    np.add.at(start, seeds, mass)
    found, turned = start.copy(), sparse.csr_matrix(transition.T)
    for _ in range(200):
        found = (1 - damping) * start + damping * (turned @ found)
    return found


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    damping=st.sampled_from([0.0, 0.3, 0.5, 0.85]),
    epsilon=st.sampled_from([1e-2, 1e-4, 1e-7]),
    hub=st.sampled_from([0.0, 0.5]),
    balanced=st.booleans(),
    direction=st.sampled_from(["both", "out", "in"]),
)
def test_a_push_is_below_the_power_iteration_by_no_more_than_it_says(seed, damping, epsilon, hub, balanced, direction):
    rng = np.random.default_rng(seed)
    links = _links(rng, 40, 120, types=3)
    ways = _ways(*_both(40, *links), 3, direction)
    ways = ways._replace(
        ahead=ways.ahead * np.array([1, 0.5, 2], np.float32), behind=ways.behind * np.array([1, 3, 0], np.float32)
    )
    seeds, mass = rng.integers(0, 40, 4), rng.uniform(0, 1, 4)
    found = personalised_pagerank(ways, seeds, mass, damping=damping, epsilon=epsilon, hub=hub, balanced=balanced)
    exact = _power(_transition(40, links, ways.ahead, ways.behind, hub, balanced), seeds, mass, damping)
    scores = np.zeros(40)
    scores[found.nodes] = found.scores
    assert (scores <= exact + 1e-9).all()
    assert (exact - scores).sum() <= found.unknown + 1e-9
    links_of = np.bincount(links[0], minlength=40) + np.bincount(links[1], minlength=40)
    assert found.unknown <= damping * epsilon * np.maximum(links_of, 1).sum() + 1e-12


def test_every_path_of_a_push_leads_from_a_seed_over_links_that_are_there():
    rng = np.random.default_rng(1)
    source, target, kind, weight = _links(rng, 200, 600, types=2)
    out, incoming = _both(200, source, target, kind, weight)
    found = personalised_pagerank(_ways(out, incoming, 2), np.array([3, 9]), np.array([0.5, 0.5]))
    there = set(zip(source.tolist(), target.tolist(), kind.tolist(), strict=True))
    assert len(found.nodes) > 50
    for node, path in zip(found.nodes.tolist(), _paths(found, range(len(found.nodes))), strict=True):
        assert path[0] in ((3, -1, True), (9, -1, True))
        assert path[-1][0] == node
        for (one, _, _), (two, kind_, ahead) in itertools.pairwise(path):
            ends = (one, two) if ahead else (two, one)
            assert (*ends, kind_) in there


def test_nodes_so_many_hops_away_keep_what_they_get():
    chain = np.arange(5)
    out, incoming = _both(6, chain, chain + 1, np.zeros(5, int), np.ones(5, np.float32))
    found = personalised_pagerank(_ways(out, incoming, 1, "out"), np.array([0]), np.array([1.0]), hops=2, epsilon=1e-9)
    assert dict(zip(found.nodes.tolist(), found.scores.tolist(), strict=True)) == {0: 0.5, 1: 0.25, 2: 0.125}
    assert found.unknown == pytest.approx(0.125)


def test_a_push_without_room_for_all_neighbours_says_so_and_stays_below_the_truth():
    leaves = np.arange(1, 101)
    out, incoming = _both(101, np.zeros(100, int), leaves, np.zeros(100, int), np.ones(100, np.float32))
    found = personalised_pagerank(_ways(out, incoming, 1), np.array([0]), np.array([1.0]), room=50)
    assert found.cut == 1
    assert found.scores.sum() + found.unknown == pytest.approx(1.0)


def test_closed_nodes_are_not_walked():
    out, incoming = _both(3, np.array([0, 1]), np.array([1, 2]), np.zeros(2, int), np.ones(2, np.float32))
    ways = _ways(out, incoming, 1)._replace(open=np.array([1, 0, 1], np.uint8))
    assert personalised_pagerank(ways, np.array([0]), np.array([1.0])).nodes.tolist() == [0]
    assert best_paths(ways, np.array([0]), np.array([1.0])).nodes.tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), hops=st.integers(1, 5), decay=st.sampled_from([0.5, 1.0]))
def test_best_paths_are_those_that_networkx_finds(seed, hops, decay):
    rng = np.random.default_rng(seed)
    source, target, _, weight = links = _links(rng, 30, 90)
    ways = _ways(*_both(30, *links), 1)
    seeds, values = np.array([0, 1, 2]), np.array([1.0, 0.7, 0.4])
    found = best_paths(ways, seeds, values, hops=hops, decay=decay)
    # Of each node a copy for each number of links walked; the product is greatest where the sum of -log is least.
    graph = nx.DiGraph()
    for node, value in zip(seeds.tolist(), values.tolist(), strict=True):
        graph.add_edge("start", (node, 0), cost=-np.log(value))
    for s, t, w in zip(source.tolist(), target.tolist(), weight.tolist(), strict=True):
        for one, two in {(s, t), (t, s)}:
            for hop in range(hops):
                cost = -np.log(decay * w)
                known = graph.get_edge_data((one, hop), (two, hop + 1), {"cost": np.inf})["cost"]
                graph.add_edge((one, hop), (two, hop + 1), cost=min(cost, known))
    best = {}
    for name, length in nx.single_source_dijkstra_path_length(graph, "start", weight="cost").items():
        if name != "start":
            best[name[0]] = max(best.get(name[0], 0.0), float(np.exp(-length)))
    scores = dict(zip(found.nodes[found.answer].tolist(), found.scores[found.answer].tolist(), strict=True))
    assert scores == pytest.approx(best)
    for path in _paths(found, found.answer.tolist()):
        assert 0 < len(path) <= hops + 1
        assert path[0][0] in (0, 1, 2)


def test_what_has_no_place_has_a_path_without_steps() -> None:
    out, incoming = _both(2, np.array([0]), np.array([1]), np.array([0]), np.ones(1, np.float32))
    found = best_paths(_ways(out, incoming, 1), np.array([0]), np.array([1.0]), hops=1)
    assert _paths(found, [-1, 1, -1]) == [[], [(0, -1, True), (1, 0, True)], []]


def test_only_the_heaviest_links_of_a_node_are_followed():
    leaves = np.arange(1, 6)
    weights = np.array([0.2, 0.9, 0.5, 0.9, 0.1], np.float32)
    out, incoming = _both(6, np.zeros(5, int), leaves, np.zeros(5, int), weights)
    found = best_paths(_ways(out, incoming, 1), np.array([0]), np.array([1.0]), hops=1, fan_out=2)
    assert sorted(found.nodes.tolist()) == [0, 2, 4]


def test_walkers_take_the_steps_of_a_pattern_and_no_others():
    # 0 and 4 wrote books 1 and 2; book 1 came out in year 3, book 2 in year 5
    source, target = np.array([1, 2, 2, 1, 2]), np.array([0, 0, 4, 3, 5])
    kind = np.array([0, 0, 0, 1, 1])
    out, incoming = _both(6, source, target, kind, np.ones(5, np.float32))
    nothing = np.zeros(2, np.float32)
    wrote = Ways(out, incoming, nothing, np.array([1, 0], np.float32))
    year = Ways(out, incoming, np.array([0, 1], np.float32), nothing)
    found = walkers([wrote, year], np.array([0]), np.array([1.0]))
    assert dict(zip(found.nodes[found.answer].tolist(), found.scores[found.answer].tolist(), strict=True)) == {
        3: 0.5,
        5: 0.5,
    }
    assert _paths(found, found.answer[:1].tolist())[0] in (
        [(0, -1, True), (1, 0, False), (3, 1, True)],
        [(0, -1, True), (2, 0, False), (5, 1, True)],
    )


def test_balanced_walkers_choose_the_type_first():
    source, target, kind = np.zeros(4, int), np.array([1, 2, 3, 4]), np.array([0, 0, 0, 1])
    out, incoming = _both(5, source, target, kind, np.ones(4, np.float32))
    ways = _ways(out, incoming, 2, "out")
    for balanced, expected in ((True, [1 / 6, 1 / 6, 1 / 6, 1 / 2]), (False, [1 / 4] * 4)):
        found = walkers([ways], np.array([0]), np.array([1.0]), balanced=balanced)
        by_node = dict(zip(found.nodes[found.answer].tolist(), found.scores[found.answer].tolist(), strict=True))
        assert [by_node[node] for node in (1, 2, 3, 4)] == pytest.approx(expected)


def test_rows_of_the_patch_stand_for_those_of_the_base():
    base, _ = _both(3, np.array([0]), np.array([1]), np.array([0]), np.ones(1, np.float32))
    patched = base._replace(
        patched=np.array([0, 3], np.int32),
        patch_offsets=np.array([0, 1, 2]),
        patch_targets=np.array([2, 0], np.int32),
        patch_weights=np.ones(2, np.float32),
        patch_types=np.zeros(2, np.uint16),
    )
    ways = Ways(patched, base, np.ones(1, np.float32), np.zeros(1, np.float32))
    assert personalised_pagerank(ways, np.array([3]), np.array([1.0])).nodes.tolist() == [3, 0, 2]
    assert best_paths(ways, np.array([3]), np.array([1.0]), hops=2).nodes.tolist() == [3, 0, 2]
    assert isinstance(patched, Adjacency)
