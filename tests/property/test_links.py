"""Links under random operations agree with networkx after each of them, and the graph that kernels walk over too.

Rows come and go beside the links: dangling ends and cascades. Merges, flushes, reopening, tags and readers in between.
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import vecdb
from support.scale import MODEL_SCALE
from support.unsynced import unsynced

NODES = 8
TYPES = "cites", "near", "link"

numbers = st.integers(0, NODES - 1)
types = st.sampled_from(TYPES)
edge = st.tuples(numbers, numbers, types, st.integers(0, 4), st.one_of(st.none(), st.integers(0, 3)))
some = st.lists(numbers, min_size=1, max_size=3, unique=True)

Facts = dict[tuple[Any, Any, str], tuple[float, int | None]]


def facts(graph: Any) -> Facts:
    return {(a, b, kind): (data["weight"], data["since"]) for a, b, kind, data in graph.edges(keys=True, data=True)}


def facts_of(batches: Any) -> Facts:
    rows = [row for batch in batches for row in batch.to_pylist()]
    found = {(row["src"], row["dst"], row["type"]): (row["weight"], row["since"]) for row in rows}
    assert len(found) == len(rows)
    return found


class LinksMachine(RuleBasedStateMachine):
    """One collection, its links as networkx has them, and what both must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.cleanup.enter_context(unsynced())
        self.folder = Path(tempfile.mkdtemp(prefix="vecdb-links-"))
        self.cleanup.callback(shutil.rmtree, self.folder)
        self.graph: Any = nx.MultiDiGraph()
        self.rows: set[Any] = set()
        self.tagged: list[tuple[str, Facts]] = []
        self.held: list[tuple[vecdb.Snapshot, Facts]] = []
        self.request = 0

    @initialize(strings=st.booleans(), fan_in=st.integers(2, 3), memtable=st.sampled_from([1024, 4096, 1 << 20]))
    def create(self, strings: bool, fan_in: int, memtable: int) -> None:
        self.ids = [f"n{number}" if strings else number for number in range(NODES)]
        self.settings = vecdb.Settings(
            background=False, free_bytes=0, merge_fan_in=fan_in, memtable_bytes=memtable, durability="none"
        )
        self.database = vecdb.connect(self.folder, settings=self.settings)
        schema = vecdb.Schema(id=vecdb.Id("string" if strings else "int64"), n=vecdb.Int64())
        self.docs = self.database.create_collection("docs", schema)
        self.docs.add_link_attribute("since", vecdb.Int64())

    def teardown(self) -> None:
        with self.cleanup:
            if hasattr(self, "docs"):
                self.database.close()
                assert vecdb.check(self.folder).problems == ()

    # -- writes ----------------------------------------------------------------------------------------------------

    @rule(edges=st.lists(edge, min_size=1, max_size=6), directed=st.booleans(), twice=st.booleans())
    def link(self, edges: list[Any], directed: bool, twice: bool) -> None:
        rows = [
            {"src": self.ids[a], "dst": self.ids[b], "type": kind, "weight": weight / 4, "since": since}
            for a, b, kind, weight, since in edges
        ]
        self.request += 1
        done = self.docs.link(rows, directed=directed, request_id=f"link {self.request}")
        if twice:
            assert self.docs.link(rows, directed=directed, request_id=f"link {self.request}") == done
        for row in rows:
            ends = [(row["src"], row["dst"])] if directed else [(row["src"], row["dst"]), (row["dst"], row["src"])]
            for a, b in ends:
                self.graph.add_edge(a, b, key=row["type"], weight=row["weight"], since=row["since"])

    @rule(edges=st.lists(edge, min_size=1, max_size=4), typed=st.booleans(), directed=st.booleans())
    def unlink_a_list(self, edges: list[Any], typed: bool, directed: bool) -> None:
        rows = [{"src": self.ids[a], "dst": self.ids[b], "type": kind} for a, b, kind, _, _ in edges]
        if not typed:
            rows = [{"src": row["src"], "dst": row["dst"]} for row in rows]
        asked = {(row["src"], row["dst"], row.get("type")) for row in rows}
        if not directed:
            asked |= {(b, a, kind) for a, b, kind in asked}
        gone = [key for key in facts(self.graph) if key in asked or (*key[:2], None) in asked]
        assert self.docs.unlink(rows, directed=directed).rows == len(gone)
        self.graph.remove_edges_from(gone)

    @rule(src=st.none() | some, dst=st.none() | some, kind=st.none() | types, least=st.none() | st.integers(0, 4))
    def unlink_what_matches(self, src: Any, dst: Any, kind: str | None, least: int | None) -> None:
        if (src, dst, kind, least) == (None, None, None, None):
            return
        ends = [None if given is None else {self.ids[number] for number in given} for given in (src, dst)]
        where = None if least is None else f"weight >= {least / 4} and since is not null"
        gone = [
            (a, b, name)
            for (a, b, name), (weight, since) in facts(self.graph).items()
            if (ends[0] is None or a in ends[0])
            and (ends[1] is None or b in ends[1])
            and kind in (None, name)
            and (least is None or (weight >= least / 4 and since is not None))
        ]
        given = [None if end is None else sorted(end) for end in ends]
        assert self.docs.unlink(src=given[0], dst=given[1], type=kind, where=where).rows == len(gone)
        self.graph.remove_edges_from(gone)

    @rule(chosen=some)
    def upsert_rows(self, chosen: list[int]) -> None:
        self.docs.upsert([{"id": self.ids[number], "n": number} for number in chosen])
        self.rows |= {self.ids[number] for number in chosen}

    @rule(chosen=some, cascade=st.booleans())
    def delete_rows(self, chosen: list[int], cascade: bool) -> None:
        given = [self.ids[number] for number in chosen]
        assert self.docs.delete(given, cascade=cascade).rows == len(self.rows & set(given))
        self.rows -= set(given)
        if cascade:
            self.graph.remove_nodes_from([value for value in given if value in self.graph])

    # -- upkeep ----------------------------------------------------------------------------------------------------

    @rule()
    def flush(self) -> None:
        self.docs.flush()

    @rule(purge=st.booleans())
    def compact(self, purge: bool) -> None:
        self.docs.compact(purge=purge)
        if purge:
            self.held = self.held[-1:]

    @rule()
    def reopen(self) -> None:
        self.database.close()
        self.held = []
        self.database = vecdb.connect(self.folder, settings=self.settings)
        self.docs = self.database.collection("docs")

    @rule()
    def hold(self) -> None:
        self.held = [*self.held[-2:], (self.docs.snapshot(), facts(self.graph))]

    @precondition(lambda self: len(self.tagged) < 3)
    @rule()
    def tag(self) -> None:
        name = f"t{len(self.tagged)}"
        self.docs.tag(name)
        self.tagged.append((name, facts(self.graph)))

    # -- what must hold --------------------------------------------------------------------------------------------

    @rule(chosen=some, direction=st.sampled_from(["out", "in", "both"]), kind=st.none() | types)
    def neighbours(self, chosen: list[int], direction: Any, kind: str | None) -> None:
        given = [self.ids[number] for number in chosen]
        found = self.docs.neighbours(given, type=kind, direction=direction).to_pylist()
        expected = []
        for value in given:
            near = []
            for (a, b, name), (weight, since) in facts(self.graph).items():
                row = {"id": value, "type": name, "weight": weight, "since": since}
                if kind not in (None, name):
                    continue
                if a == value and direction in ("out", "both"):
                    near.append({**row, "neighbour": b, "direction": "out"})
                if b == value and (direction == "in" or (direction == "both" and a != b)):
                    near.append({**row, "neighbour": a, "direction": "in"})
            order = {"out": 0, "in": 1}
            near.sort(key=lambda row: (-row["weight"], row["neighbour"], row["type"], order[row["direction"]]))
            expected += near
        assert found == expected

    @rule()
    def the_graph(self) -> None:
        state = self.docs.snapshot()._state
        walked = state.links.graph
        ids = walked.ids(np.arange(walked.nodes))
        assert len(set(ids)) == len(ids)
        assert walked.numbers(ids).tolist() == list(range(walked.nodes))
        assert walked.numbers([self.ids[0]]).tolist() == [ids.index(self.ids[0]) if self.ids[0] in ids else -1]
        for adjacency, turned in ((walked.out, False), (walked.incoming, True)):
            found = {}
            for node, value in enumerate(ids):
                targets, weights, codes = adjacency.row(node)
                assert sorted(zip(targets, codes, strict=True)) == list(zip(targets, codes, strict=True))
                for target, weight, code in zip(targets.tolist(), weights.tolist(), codes.tolist(), strict=True):
                    ends = (ids[target], value) if turned else (value, ids[target])
                    assert (*ends, walked.types[code]) not in found
                    found[(*ends, walked.types[code])] = weight
            assert found == {key: weight for key, (weight, _) in facts(self.graph).items()}
            degrees = adjacency.degrees(walked.nodes).tolist()
            assert degrees == [len(adjacency.row(node)[0]) for node in range(walked.nodes)]
        parts, rows = walked.places(state)
        for value, part, row in zip(ids, parts.tolist(), rows.tolist(), strict=True):
            assert (value in self.rows) == (part >= 0)
            if part >= 0:
                assert state.parts[part].ids_of(np.array([row])) == [value]

    @rule()
    def counts(self) -> None:
        told = self.docs.link_stats()
        nodes = {end for a, b, _ in facts(self.graph) for end in (a, b)}
        assert told["links"] == self.graph.number_of_edges()
        assert told["nodes"] == len(nodes)
        assert told["dangling_ids"] == len(nodes - self.rows)
        assert told["dangling_links"] == sum(not {a, b} <= self.rows for a, b, _ in facts(self.graph))
        assert sum(told["types"].values()) == told["links"]
        degrees = self.docs.degrees(self.ids)
        known = [value if value in self.graph else None for value in self.ids]
        assert degrees.column("out").to_pylist() == [0 if v is None else self.graph.out_degree(v) for v in known]
        assert degrees.column("in").to_pylist() == [0 if v is None else self.graph.in_degree(v) for v in known]

    @rule()
    def what_was_held(self) -> None:
        for snapshot, expected in self.held:
            assert facts_of(snapshot.links()) == expected
            walked = snapshot._state.links.graph
            assert int(walked.out.degrees(walked.nodes).sum()) == len(expected)
        for name, expected in self.tagged:
            assert facts_of(self.docs.at(tag=name).links()) == expected

    @rule()
    def a_reader(self) -> None:
        with vecdb.connect(self.folder, read_only=True) as reading:
            assert facts_of(reading["docs"].links()) == facts(self.graph)

    @rule(src=st.none() | some, dst=st.none() | some)
    def scans(self, src: Any, dst: Any) -> None:
        ends = [None if given is None else [self.ids[number] for number in given] for given in (src, dst)]
        found = facts_of(self.docs.links(src=ends[0], dst=ends[1], batch_rows=2))
        assert found == {
            key: value
            for key, value in facts(self.graph).items()
            if (ends[0] is None or key[0] in ends[0]) and (ends[1] is None or key[1] in ends[1])
        }

    @invariant()
    def links_agree(self) -> None:
        if hasattr(self, "docs"):
            assert facts_of(self.docs.links()) == facts(self.graph)
            assert isinstance(self.docs.neighbours(self.ids[0]), pa.Table)


_COMMON = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], print_blob=True
)

TestQuick = LinksMachine.TestCase
TestQuick.settings = settings(_COMMON, max_examples=20, stateful_step_count=20)


@pytest.mark.slow
class TestThorough(LinksMachine.TestCase):
    settings = settings(_COMMON, max_examples=150 * MODEL_SCALE, stateful_step_count=50)
