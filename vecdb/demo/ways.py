"""One question answered four ways: the nearest rows, rows as a set, rows that links lead to, and rows under a filter.

How alike an answer is, the mean cosine between its rows, says what a set is for: six names of one thing are alike.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vecdb.demo.data import question_vectors

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.query.query import Query

QUESTION = "blue-cheese"
K = 6
_TIMED = 5


@dataclass(frozen=True)
class Way:
    """One way to answer: its name, what to say of it, the Python that asks so, and the query."""

    name: str
    remark: str
    python: str
    query: "Query"


@dataclass(frozen=True)
class Answer:
    """What a way gave: ids, the mean cosine between the rows, and the median time of a call in milliseconds."""

    way: Way
    ids: list[str]
    alike: float
    milliseconds: float


def ways() -> list[Way]:
    """Return the four ways."""
    import vecdb

    near = vecdb.Query(k=K).near("embedding", question_vectors()[QUESTION][1])
    return [
        Way("nearest", "what every vector database answers", "near", near),
        Way(
            "diverse",
            "as a set: a row counts less the more it is like one that is chosen",
            "near.select(vecdb.Coverage(0.75), pool=60)",
            near.select(vecdb.Coverage(0.75), pool=60),
        ),
        Way("linked", "and what WordNet links to the best", "near.expand(hops=2)", near.expand(hops=2)),
        Way(
            "filtered",
            "the nearest of those that have several meanings, not what is left of the nearest",
            'near.where("senses > 1")',
            near.where("senses > 1"),
        ),
    ]


def answer(way: Way, words: "Collection") -> Answer:
    """Ask one way, once unseen and then timed."""
    found = words.run(way.query.returning("embedding"))
    took = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        words.run(way.query.returning("text")).to_arrow()
        took.append(1e3 * (time.perf_counter() - begun))
    vectors = np.array([hit["embedding"] for hit in found], np.float64)
    cosines = vectors @ vectors.T
    count = max(1, len(vectors) * (len(vectors) - 1))
    return Answer(
        way, [str(one) for one in found.ids], float((cosines.sum() - np.trace(cosines)) / count), float(np.median(took))
    )
