"""How good answers are as sets: judged queries, and what NumPy says of the rows that were chosen for them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import labelled
from bench.labelled import Labelled, Question

Ids = Sequence[str]
ALPHA = 0.5


@dataclass(frozen=True)
class Judged:
    """A set whose answers are judged as sets.

    Attributes:
        found: documents, questions, judgements.
        questions: those that are asked.
        source: what a document is one of: packages of one source, or itself.
        measures: name -> measure(question, ids of the answer).

    """

    found: Labelled
    questions: list[Question]
    source: Mapping[str, str]
    measures: Mapping[str, Callable[[Question, Ids], float]]


def load(name: str, data: Path | None) -> Judged:
    """Return a set by name: a folder of the data directory, or a synthetic one."""
    found = labelled.load(name, data)
    relevant: dict[str, set[str]] = defaultdict(set)
    aspects: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in found.judgements:
        relevant[one.question].add(one.document)
        if one.aspect is not None:
            aspects[one.question][one.document].add(one.aspect)
    source = {str(row): str(row) for row in found.rows.column("id").to_pylist()}
    questions = found.questions
    if data is not None and (data / name / "redundant_queries.parquet").exists():
        kept = set(pq.read_table(data / name / "redundant_queries.parquet")["qid"].to_pylist())
        questions = [one for one in questions if one.id in kept]
        documents = pq.read_table(data / name / "docs.parquet", columns=["id", "source"]).to_pylist()
        source = {row["id"]: row["source"] for row in documents}

    def hit(asked: Question, ids: Ids) -> float:
        return float(bool(relevant[asked.id] & set(ids)))

    def whole(asked: Question, ids: Ids) -> float:
        return float(relevant[asked.id] <= set(ids))

    def distinct(_: Question, ids: Ids) -> float:
        return float(len({source[one] for one in ids}))

    def senses(asked: Question, ids: Ids) -> float:
        return alpha_ndcg([aspects[asked.id].get(one, set()) for one in ids], list(aspects[asked.id].values()))

    measures = {"hit": hit, "all": whole, "distinct": distinct}
    if found.has_aspects:
        measures = {"alpha_nDCG": senses, "hit": hit}
    return Judged(found, questions, source, measures)


def alpha_ndcg(ranking: Sequence[set[str]], judged: Sequence[set[str]], k: int = 10) -> float:
    """Return the alpha-nDCG of the aspects of ranked rows (Clarke et al. 2008), against a greedy ideal ranking."""
    left, seen, ideal = list(judged), Counter[str](), []
    for _ in range(min(k, len(left))):
        best = max(range(len(left)), key=lambda at: sum((1 - ALPHA) ** seen[one] for one in left[at]))
        ideal.append(left.pop(best))
        seen.update(ideal[-1])
    best_gain = _gain(ideal)
    return _gain(ranking[:k]) / best_gain if best_gain else 0.0


def _gain(ranking: Sequence[set[str]]) -> float:
    seen, total = Counter[str](), 0.0
    for place, aspects in enumerate(ranking):
        total += sum((1 - ALPHA) ** seen[one] for one in aspects) / np.log2(place + 2)
        seen.update(aspects)
    return total


def times(rows: pa.Table, copies: int) -> pa.Table:
    """Return rows, each so many times under ids with a number behind."""
    whole = rows.take(pa.array(np.repeat(np.arange(len(rows)), copies)))
    ids = [f"{id_}#{copy}" for id_ in rows.column("id").to_pylist() for copy in range(copies)]
    return whole.set_column(whole.schema.get_field_index("id"), "id", pa.array(ids))


def mean(values: Sequence[Any]) -> float:
    """Return a mean as a float."""
    return float(np.mean(values))
