"""Label propagation against what it promises: groups that no node would leave, whatever the numbers of the nodes."""

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb_index.graph.adjacency import Adjacency, packed
from vecdb_index.graph.communities import communities


def _graph(rng, nodes, count, types=2):
    source, target = rng.integers(0, nodes, count), rng.integers(0, nodes, count)
    kind = rng.integers(0, types, count)
    _, first = np.unique(np.stack([source, target, kind]), axis=1, return_index=True)
    return source[first], target[first], rng.integers(1, 5, len(first)).astype(np.float32), kind[first]


def _both(nodes, links) -> tuple[Adjacency, Adjacency]:
    source, target, weight, kind = links
    return packed(nodes, source, target, weight, kind), packed(nodes, target, source, weight, kind)


def _groups(labels):
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 80))
def test_no_node_is_linked_more_to_another_group_than_to_its_own(seed, nodes, count):
    rng = np.random.default_rng(seed)
    links = _graph(rng, nodes, count)
    weights, rank = np.array([1.0, 0.5], np.float32), rng.permutation(nodes).astype(np.int32)

    labels = communities(*_both(nodes, links), weights, rank, 1000)

    pull = np.zeros((nodes, nodes))
    for source, target, weight, kind in zip(*links, strict=True):
        if source != target:
            pull[source, labels[target]] += weight * weights[kind]
            pull[target, labels[source]] += weight * weights[kind]
    own = pull[np.arange(nodes), labels]
    assert (pull.max(axis=1) <= own * (1 + 1e-6)).all()
    alone = ~pull.any(axis=1)
    assert (labels[alone] == rank[alone]).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_groups_do_not_depend_on_how_nodes_are_numbered_or_links_are_ordered(seed):
    rng = np.random.default_rng(seed)
    nodes = 25
    source, target, weight, kind = _graph(rng, nodes, 60)
    rank, numbers, order = (rng.permutation(n) for n in (nodes, nodes, len(source)))
    ones, moved = np.ones(2, np.float32), np.empty(nodes, np.int32)
    moved[numbers] = rank

    here = communities(*_both(nodes, (source, target, weight, kind)), ones, rank.astype(np.int32))
    links = numbers[source][order], numbers[target][order], weight[order], kind[order]
    there = communities(*_both(nodes, links), ones, moved)

    assert np.array_equal(there[numbers], here)


def test_cliques_that_a_link_joins_are_groups_and_the_patch_is_read():
    graph = nx.connected_caveman_graph(8, 7)
    source, target = np.array(graph.edges).T
    weight, kind = np.ones(len(source), np.float32), np.zeros(len(source), np.uint16)
    out, back = _both(60, (source, target, weight, kind))
    rank = np.random.default_rng(4).permutation(60).astype(np.int32)
    expected = {frozenset(range(7 * at, 7 * at + 7)) for at in range(8)} | {frozenset([at]) for at in range(56, 60)}
    assert _groups(communities(out, back, np.ones(1, np.float32), rank)) == expected

    def patched(links: Adjacency, node: int, other: int) -> Adjacency:
        targets, weights, kinds = links.row(node)
        return links._replace(
            patched=np.array([node], np.int32),
            patch_offsets=np.array([0, len(targets) + 1]),
            patch_targets=np.append(targets, other).astype(np.int32),
            patch_weights=np.append(weights, 1).astype(np.float32),
            patch_types=np.append(kinds, 0).astype(np.uint16),
        )

    more = _groups(communities(patched(out, 59, 0), patched(back, 0, 59), np.ones(1, np.float32), rank))
    assert frozenset([*range(7), 59]) in more
