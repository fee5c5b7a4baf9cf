"""The links of one state: an immutable value, like the state that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from vecdb.schema.links import Direction
from vecdb.schema.schema import Schema
from vecdb.storage.links.coded import Coded
from vecdb.storage.links.memtable import LinkMemtableView
from vecdb.storage.links.segment import LinkView

if TYPE_CHECKING:
    from vecdb.storage.links.graph import Bases, LinkGraph


class LinkPart(Protocol):
    """The links 0 .. rows-1 of one segment or memtable."""

    rows: int

    def live(self) -> np.ndarray:
        """Return the numbers of the links that are alive, ascending."""
        ...

    def touching(self, ids: pa.Array, keys: np.ndarray, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
        """Return the live links of some ids in one direction: the place of each link's id, and its number."""
        ...

    def coded(self, numbers: np.ndarray) -> Coded:
        """Return some links as numbers."""
        ...

    def take_links(self, schema: Schema, numbers: np.ndarray, names: tuple[str, ...] | None = None) -> pa.RecordBatch:
        """Return columns of some links, by the names of the schema, in the order of the numbers."""
        ...

    def end_ids(self) -> pa.Array:
        """Return the ids at the ends of live links, each once."""
        ...


@dataclass(frozen=True)
class LinkState:
    """All links as one state has them.

    `narrowed` says that whoever asks may see only links between rows that the state shows. `lsn` is the last write that
    changed a link.
    """

    lsn: int
    schema: Schema
    segments: tuple[LinkView, ...]
    memtables: tuple[LinkMemtableView, ...]
    bases: Bases = field(compare=False, repr=False)
    narrowed: bool = False
    made: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What is made of these links when it is first asked for; it outlives writes of rows."""

    def narrow(self) -> LinkState:
        """Return the links for somebody who may see only some rows."""
        return replace(self, narrowed=True)

    @cached_property
    def parts(self) -> Sequence[LinkPart]:
        """All parts; every link is alive in at most one of them."""
        return (*self.segments, *self.memtables)

    @property
    def views(self) -> dict[str, LinkView]:
        """The segments by name."""
        return {view.segment.uuid: view for view in self.segments}

    @cached_property
    def count(self) -> int:
        """Links that are alive, those that a narrowed state hides too."""
        return sum(view.live_rows for view in self.segments) + sum(len(view.live()) for view in self.memtables)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types that links have or had, ascending: the last link of one may be gone."""
        found = set[str]()
        for view in self.segments:
            found.update(view.segment.types)
        for view in self.memtables:
            found.update(tuple(view.memtable.types))
        return tuple(sorted(found))

    @cached_property
    def graph(self) -> LinkGraph:
        """All links as a graph that kernels walk over; of a narrowed state, too, all of them."""
        return self.bases.graph(self)
