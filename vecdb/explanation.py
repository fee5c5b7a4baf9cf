"""How a query is carried out, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecdb.query.query import Query

if TYPE_CHECKING:
    from vecdb.planner.trace import Step

POSTING_BYTES = 5
"""What an index of words or terms keeps of a row that has one: the row, and how often or how much."""


@dataclass(frozen=True)
class Explanation:
    """What `explain` returns; print it, or take `to_json`.

    Attributes:
        query: what was asked.
        rows: live rows of the collection.
        steps: what is done, in order, each with the rows before and after it: as estimated, or as they were.
        analyzed: whether the query was run: then rows are counts and times are measured.
        ms: milliseconds of the whole query; None where it was not run.

    """

    query: Query
    rows: int
    steps: tuple[Step, ...]
    analyzed: bool
    ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        told: dict[str, Any] = {"query": repr(self.query), "rows": self.rows, "analyzed": self.analyzed}
        if self.ms is not None:
            told["ms"] = round(self.ms, 4)
        return told | {"steps": [step.to_json() for step in self.steps]}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield repr(self.query)
        took = "" if self.ms is None else f", {self.ms:.3f} ms"
        yield f"{self.rows:,} rows{took}{'' if self.analyzed else '; estimated, not run'}"
        yield from _tree(self.steps, "")

    def __repr__(self) -> str:
        return f"<Explanation of {self.query!r}>"


def _tree(steps: Sequence[Step], indent: str) -> Iterator[str]:
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        yield f"{indent}{'└─' if last else '├─'} {_headline(step)}"
        deeper = f"{indent}{'   ' if last else '│  '}"
        for part in step.told.get("parts", ()):
            yield f"{deeper}   {_part(part)}"
        yield from _tree(step.steps, deeper)


def _headline(step: Step) -> str:
    kind, about = step.told.get("kind"), ""
    if kind is not None and kind != step.name:
        about = f" {kind}"
    if "fetch" in step.told:
        about += f", the best {step.told['fetch']:,}"
    if "why" in step.told:
        about += f" by {step.told['method']}, {step.told['why']}" if "method" in step.told else f", {step.told['why']}"
    rows = f"{step.rows_out:,} rows" if step.rows_in is None else f"{step.rows_in:,} -> {step.rows_out:,} rows"
    told = [rows] if math.isnan(step.ms) else [rows, f"{step.ms:.3f} ms"]
    if "coverage" in step.told:
        told.append(f"{step.told['method']} from {step.told['pool']:,}, {step.told['coverage']:.0%} covered")
    if step.told.get("codes_compared"):
        told.append(f"{step.told['codes_compared']:,} codes compared")
    return f"{step.name}{about}: {', '.join(told)}"


def _part(part: Mapping[str, Any]) -> str:
    name = "in memory" if part["part"] is None else f"segment {part['part'][:8]}"
    width = f" {part['ef']}" if part["ef"] else ""
    told = f"{name}: {part['rows']:,} rows, {part['matching']:,} may be found: {part['plan']}{width}"
    if part.get("done", part["plan"]) != part["plan"]:
        told += f", given up for {part['done']}"
    cost = f", about {part['cost']:,.0f} codes" if part.get("cost") else ""
    why = part.get("problem") or part.get("reason")
    return told + cost + (f" ({why})" if why else "") + _postings(part) + _work(part)


def _postings(part: Mapping[str, Any]) -> str:
    """Return what a look into the lists of words or terms is expected to find, and to read at most."""
    if not part.get("postings"):
        return ""
    read = f"{part['postings']:,} postings in {part['blocks']:,} blocks, {_size(POSTING_BYTES * part['postings'])}"
    return f": {part['matches']:,} rows expected, at most {read}"


def _work(part: Mapping[str, Any]) -> str:
    """Return what the search of a part took, where that is known: codes against those expected, rows, bytes."""
    if "bytes" not in part:
        return ""
    expected = f" of {part['codes']:,} expected" if part["codes"] else ""
    codes = f"{part['compared']:,} codes{expected}, " if part["compared"] else ""
    return f": read {codes}{part['scored']:,} vectors, {_size(part['bytes'])}"


def _size(count: int) -> str:
    if count < 10_000:
        return f"{count:,} bytes"
    return f"{count / 1e3:,.0f} kB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"
