"""All kinds of index behind one face: building one, making it again from its arrays, and asking it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

from numpy.typing import NDArray

from vecdb_index.dense.plan import USUAL, Costs
from vecdb_index.types import Matrix, Metric, Scores

if TYPE_CHECKING:
    from vecdb_index.dense.allowed import Allowed
    from vecdb_index.dense.funnel import Funnel
    from vecdb_index.dense.hnsw.graph import Graph
    from vecdb_index.dense.ivf.index import Ivf
    from vecdb_index.dense.plan import Kind, Plan
    from vecdb_index.dense.signs import Signs
    from vecdb_index.inverted.index import Inverted
    from vecdb_index.muvera.index import Muvera
    from vecdb_index.types import Answers

Index: TypeAlias = "Graph | Ivf | Funnel | Signs"
Stored: TypeAlias = "Index | Inverted | Muvera"
Progress = Callable[[int, int], None]

HNSW, IVF, FUNNEL, BINARY, TEXT, SPARSE, MUVERA = "hnsw", "ivf", "funnel", "binary", "text", "sparse", "muvera"

_CHECKS = {
    HNSW: "dense.hnsw.check",
    IVF: "dense.ivf.check",
    FUNNEL: "dense.funnel",
    BINARY: "dense.signs",
    TEXT: "inverted.check",
    SPARSE: "inverted.check",
    MUVERA: "muvera.check",
}

GRAPH_ROWS = 4096
"""Rows from which `auto` builds an index. Below, a scan takes no longer than what surrounds it."""
GRAPH_BYTES = 4 << 30
"""Memory that the codes and links of a graph may take; `auto` makes an inverted file of a larger segment."""
TOKEN_ROWS = 2048
"""Rows of tokens from which `auto` builds one. Below, MaxSim of all takes a few milliseconds."""
LEAST_ROWS = 64
"""Rows from which an index that the user asked for is built."""


class Searcher(Protocol):
    """An index with the rows that it was made of, ready to be asked."""

    widths: ClassVar[tuple[int, ...]]
    """Widths of a search at which its recall is measured."""
    other: ClassVar[float]
    """The share of another row that makes questions as hard for it as real ones, see dense/calibrate.py."""
    misses: ClassVar[float]
    """How many rows real questions miss for each that these do."""

    @property
    def curve(self) -> NDArray[Any]:
        """The recall at each width of a search, see dense/calibrate.py."""
        ...

    def wider(self, width: int, k: int) -> int:
        """Return the width of a search for k rows, where one for ten has this one."""
        ...

    @property
    def code_bytes(self) -> int:
        """The bytes of one row's code."""
        ...

    def considered(self, allowed: int | None, k: int, width: int) -> tuple[Plan, ...]:
        """Return the ways to search among so many allowed rows, None: all; the cheapest first."""
        ...

    def plan(self, allowed: int | None, k: int, width: int, kind: Kind | None = None) -> Plan:
        """Choose the cheapest of them; `kind` insists on one way."""
        ...

    def answers(
        self,
        queries: NDArray[Any],
        k: int,
        plan: Plan,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Answers:
        """Carry out a plan for each of the (q, d) queries; at least one row must be allowed."""
        ...


class Wanted(NamedTuple):
    """The index that a segment should have: its kind, and every parameter that says how it is made."""

    kind: str
    parameters: dict[str, Any]


PARAMETERS: dict[str, dict[str, Any]] = {
    HNSW: {"m": 16, "ef_construction": 200},
    IVF: {"lists": None, "codes": "8bit"},
    FUNNEL: {"dimensions": None, "rotate": False},
    BINARY: {},
}
CHOICES = {HNSW: ("codes", "slack")}
"""Parameters that are named only where they are given: indexes of before have none."""
TOKENS: dict[str, Any] = {
    "repetitions": None,
    "bits": None,
    "projection": None,
    "directions": "orthogonal",
    "final": None,
    "centred": True,
    "renormalise": True,
    "codes": None,
    "lists": None,
    "seed": 0,
}
"""The usual parameters of each kind, and of the one for several vectors a row."""


def wanted(spec: Mapping[str, Any], rows: int, dimension: int) -> Wanted | None:
    """Return the index that a segment of so many rows should have, by what the user asked for; None: none.

    Args:
        spec: the kind, under "kind", and its parameters.
        rows: of the segment, deleted ones included.
        dimension: of the vectors.

    """
    kind = spec["kind"]
    if kind == "auto":
        if rows < GRAPH_ROWS:
            return None
        kind = HNSW if rows * (dimension + 128) <= GRAPH_BYTES else IVF
    if kind not in PARAMETERS or rows < LEAST_ROWS:
        return None
    chosen = {name: spec[name] for name in CHOICES.get(kind, ()) if spec.get(name) is not None}
    return Wanted(kind, {name: spec.get(name, usual) for name, usual in PARAMETERS[kind].items()} | chosen)


def wanted_of_tokens(spec: Mapping[str, Any], rows: int) -> Wanted | None:
    """Return the index that so many rows of several vectors should have; see `wanted`."""
    auto = spec["kind"] == "auto"
    if (not auto and spec["kind"] != MUVERA) or rows < (TOKEN_ROWS if auto else LEAST_ROWS):
        return None
    return Wanted(MUVERA, {name: spec.get(name, usual) for name, usual in TOKENS.items()})


def build(
    what: Wanted,
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    *,
    parts: Sequence[tuple[Index | None, NDArray[Any]]] = (),
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Index:
    """Return an index of all rows of a matrix, which has measured its own recall.

    Args:
        what: the kind and its parameters.
        matrix: (n, d) float32, float16 or int8.
        metric: what near means.
        norms: (n,) float32, the rows' lengths.
        parts: what the matrix was put together from, part after part: the index of each, or None, and its rows that
            came along, ascending. A graph of many of the rows is mended and completed instead of being built anew.
        pool: threads that help.
        progress: called with (work done, all work) now and then; it may raise to stop.

    """
    from vecdb_index.dense.calibrate import Exam, Measured
    from vecdb_index.dense.hnsw.graph import Graph
    from vecdb_index.dense.hnsw.tuned import tuned

    index = _built(what, matrix, metric, norms, parts, pool, progress)
    usual = searcher(index, matrix, metric, norms)
    exam = Exam.of(matrix, metric, norms, usual.other, pool)

    def measured(trial: Index) -> Measured:
        assert exam is not None
        asked = searcher(trial, matrix, metric, norms)
        reads: list[float] = []

        def ask(questions: Matrix, width: int) -> Any:
            if progress is not None:  # where all rows are looked at, this takes about as long as the rest
                progress(len(matrix), len(matrix))
            found = asked.answers(questions, 10, asked.plan(None, 10, width), pool=pool)
            reads.append(float(found.reads.mean()))
            return found.top(10)

        return Measured(exam.curve(ask, asked.widths, asked.misses), reads)

    if not isinstance(index, Graph):
        return index if exam is None else replace(index, curve=measured(index).curve)
    return tuned(index, what.parameters, None if exam is None else measured, pool)


def _built(
    what: Wanted,
    matrix: Matrix,
    metric: Metric,
    norms: Scores,
    parts: Sequence[tuple[Index | None, NDArray[Any]]],
    pool: ThreadPoolExecutor | None,
    progress: Progress | None,
) -> Index:
    given = {name: value for name, value in what.parameters.items() if name not in CHOICES.get(what.kind, ())}
    if what.kind == IVF:
        from vecdb_index.dense.ivf.build import build as lists_of

        return lists_of(matrix, metric, norms, **given, pool=pool, progress=progress)
    if what.kind == FUNNEL:
        from vecdb_index.dense.funnel import build as funnel_of

        return funnel_of(matrix, metric, norms, **given, pool=pool, progress=progress)
    if what.kind == BINARY:
        from vecdb_index.dense.signs import build as signs_of

        return signs_of(matrix, metric, norms, pool=pool, progress=progress)
    from vecdb_index.dense.hnsw.build import build as graph_of
    from vecdb_index.dense.hnsw.graph import Graph
    from vecdb_index.dense.hnsw.merge import merged

    graphs = [(index if isinstance(index, Graph) else None, rows) for index, rows in parts]
    if any(graph is not None for graph, _ in graphs):
        return merged(graphs, matrix, metric, norms, **given, pool=pool, progress=progress)
    return graph_of(matrix, metric, norms, **given, pool=pool, progress=progress)


def of(kind: str, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Stored:
    """Return the index that had these arrays and settings; not yet checked."""
    if kind == HNSW:
        from vecdb_index.dense.hnsw.graph import Graph

        return Graph.of(arrays, settings)
    if kind == IVF:
        from vecdb_index.dense.ivf.index import Ivf

        return Ivf.of(arrays, settings)
    if kind == FUNNEL:
        from vecdb_index.dense.funnel import Funnel

        return Funnel.of(arrays, settings)
    if kind == BINARY:
        from vecdb_index.dense.signs import Signs

        return Signs.of(arrays, settings)
    if kind == MUVERA:
        from vecdb_index.muvera.index import Muvera

        return Muvera.of(arrays, settings)
    if kind in (TEXT, SPARSE):
        from vecdb_index.inverted.index import Inverted

        return Inverted.of(arrays, settings)
    raise ValueError(f"no index is called {kind!r}")


def problems(kind: str, index: Stored) -> list[str]:
    """Return what is wrong with an index of a kind, a sentence each; kernels may only be given one without any."""
    checks = importlib.import_module(f"vecdb_index.{_CHECKS[kind]}")  # the others would load kernels of no use here
    return checks.problems(index)


def searcher(index: Index, matrix: Matrix, metric: Metric, norms: Scores | None, costs: Costs = USUAL) -> Searcher:
    """Return an index ready to be asked; for the rows that it was made of. `costs` is what plans are weighed with."""
    from vecdb_index.dense.hnsw.graph import Graph
    from vecdb_index.dense.hnsw.search import Searcher as GraphSearcher
    from vecdb_index.dense.ivf.index import Ivf
    from vecdb_index.dense.ivf.searcher import IvfSearcher
    from vecdb_index.dense.shortlist import ShortlistSearcher

    if isinstance(index, Graph):
        return GraphSearcher(index, matrix, metric, norms, costs)
    if isinstance(index, Ivf):
        return IvfSearcher(index, matrix, metric, norms)
    return ShortlistSearcher(index, matrix, metric, norms)
