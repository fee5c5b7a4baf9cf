"""Writes the golden calibrator: `python tests/golden/make_calibrator.py tests/golden/calibrator-3.json`.

Run once per form of what manifests hold, never again for one that is committed: the point is that what was
learned in the past says what it said. Beside what is held stand hits of a query and their log-odds.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vecdb.planner.calibrators import Kept
from vecdb.planner.evidence import FORM
from vecdb_index.relevance.calibrator import Judged, RelevanceCalibrator


def judged(queries: int = 80) -> list[Judged]:
    """Return judged hits of queries of two subjects, told by their vectors: of one the best hit is relevant."""
    rng = np.random.default_rng(71)
    made = []
    for _ in range(queries):
        vector = rng.normal(0, 1, 12) * np.array([4.0] + [1.0] * 11)
        answerable, relevant = bool(vector[0] > 0), np.zeros(20, bool)
        relevant[0] = answerable
        table = np.column_stack([np.sort(rng.random(20))[::-1], rng.random(20), -np.log1p(np.arange(20.0))])
        context, about = (
            np.array([table[0, 0], table[1:10, 0].mean()]),
            np.array([rng.random(), answerable + rng.random()]),
        )
        made.append(Judged(table, context, vector, relevant, answerable, about))
    return made


def golden() -> dict[str, Any]:
    """Return what is held of a calibrator, what it is asked about, and what it answers."""
    pairs = judged()
    found, asked = RelevanceCalibrator.fit(pairs), pairs[1]
    arms = [
        {"kind": "near", "fields": [{"id": 3, "metric": "cosine", "dtype": "float32", "space": None}]},
        {"kind": "match", "fields": [{"id": 1}]},
    ]
    return {
        "held": Kept(found, arms, FORM).to_json(),
        "asked": [asked.scores.tolist(), asked.context.tolist(), asked.vector.tolist()],
        "about": asked.about.tolist(),
        "logits": (logits := found.logits(asked.scores, asked.context, asked.vector)).tolist(),
        "answer": found.answer(logits, asked.about),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(golden(), indent=1) + "\n")
