"""MaxSim of questions with the documents of a set, one thread: the kernels, NumPy over BLAS, PyLate, fast-plaid.

Every system scores the same float32 tokens and returns the ten best documents. `cpu_ms` is the processor time of a
question in the median, of the best of `passes` passes; `error` the largest difference of a score from a sum in float64,
`same` the share of questions with the same ten best as by these sums. `vecdb-int8` compares codes first, and floats
where these leave it open, as a search does; its tokens are rounded to 8 bits, so its best ten may differ. So do
`vecdb-residual4` and `vecdb-residual2` around centroids, which are made before. `fast-plaid` searches its index on the
disk, of 4 bits beside a centroid as it makes it, with its own defaults: it looks at the lists of some centroids, not at
all documents.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.context import Context, Parameter
from bench.records import Ratio
from bench.workloads import Metrics

OURS = ("vecdb", "vecdb-float16", "vecdb-int8", "vecdb-residual4", "vecdb-residual2")
PEERS = ("numpy-blas", "pylate", "fast-plaid")
SYSTEMS = (*OURS, *PEERS)
ENVIRONMENT = {name: {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} for name in SYSTEMS}
REPEATS = 2
FULL: Mapping[str, Parameter] = {"set": "hotpot", "passes": 3}
QUICK: Mapping[str, Parameter] = {"set": "known:300x16", "passes": 1}
HEADLINES = ("cpu_ms",)
K = 10
Ask = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def prepare(context: Context) -> None:
    """Keep the tokens, where documents begin, and the questions as arrays."""
    from bench import tokens

    made = tokens.load(context.text("set"), context.data)
    np.savez(
        context.scratch / "set.npz",
        tokens=np.ascontiguousarray(made.tokens, np.float32),
        offsets=np.asarray(made.offsets, np.int64),
        questions=np.concatenate(made.questions).astype(np.float32),
        ends=np.cumsum([len(one) for one in made.questions]),
    )


def setup(context: Context) -> None:
    """Do nothing: every run reads the same arrays."""


def run(context: Context) -> Metrics:
    """Measure one system."""
    held = np.load(context.scratch / "set.npz")
    tokens, offsets = held["tokens"], held["offsets"]
    questions = np.split(held["questions"], held["ends"][:-1])
    ask = {
        "vecdb": lambda: _kernel(tokens, offsets, np.float32),
        "vecdb-float16": lambda: _kernel(tokens, offsets, np.float16),
        "vecdb-int8": lambda: _codes(tokens, offsets),
        "vecdb-residual4": lambda: _residuals(tokens, offsets, 4),
        "vecdb-residual2": lambda: _residuals(tokens, offsets, 2),
        "numpy-blas": lambda: _numpy(tokens, offsets),
        "pylate": lambda: _pylate(tokens, offsets),
        "fast-plaid": lambda: _fast_plaid(tokens, offsets, context.scratch / "fast-plaid"),
    }[context.system]()
    best = np.full(len(questions), np.inf)
    off, same = 0.0, 0
    for turn in range(context.integer("passes")):
        for at, question in enumerate(questions):
            begun = time.process_time()
            rows, scores = ask(question)
            best[at] = min(best[at], time.process_time() - begun)
            if turn == 0:
                products = tokens.astype(np.float64) @ question.T.astype(np.float64)
                true = np.maximum.reduceat(products, offsets[:-1]).sum(axis=1)
                off = max(off, float(np.abs(scores - true[rows]).max()))
                same += set(rows.tolist()) == set(np.argsort(-true, kind="stable")[:K].tolist())
    return {"cpu_ms": float(np.median(best)) * 1e3, "error": off, "same": same / len(questions)}


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    """Return how many times as much processor time the others take."""
    return [Ratio(f"CPU time: {peer} / {own}", (peer, "cpu_ms"), (own, "cpu_ms")) for peer in PEERS for own in OURS]


def _kernel(tokens: np.ndarray, offsets: np.ndarray, dtype: Any) -> Ask:
    from vecdb_index.multivector.maxsim import Question, best
    from vecdb_index.multivector.stored import Tokens

    stored = Tokens(tokens.astype(dtype), offsets, tokens.shape[1], None, None, None)

    def ask(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = best(stored, Question(question, np.ones(len(question), np.float32)), K)
        return found.rows[:K], found.scores[:K]

    return ask


def _codes(tokens: np.ndarray, offsets: np.ndarray) -> Ask:
    from vecdb_index.multivector.maxsim import Question, best
    from vecdb_index.multivector.stored import Tokens, coded, longest_of

    codes, scales = coded(tokens, 8)
    stored = Tokens(codes, offsets, tokens.shape[1], 8, scales, None)
    stored = replace(stored, longest=longest_of(stored))  # as segments keep it

    def ask(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = best(stored, Question(question, np.ones(len(question), np.float32)), K)
        return found.rows[:K], found.scores[:K]

    return ask


def _residuals(tokens: np.ndarray, offsets: np.ndarray, bits: int) -> Ask:
    from vecdb_index.multivector.maxsim import Question, best
    from vecdb_index.multivector.residual import Centroids
    from vecdb_index.multivector.stored import Tokens, by_centroids

    halves = tokens.astype(np.float16)
    table = Centroids.trained(halves, bits)
    numbers = table.nearest(halves).astype(np.uint16)
    stored = by_centroids(Tokens(halves, offsets, tokens.shape[1]), table, numbers, bits)

    def ask(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = best(stored, Question(question, np.ones(len(question), np.float32)), K)
        return found.rows[:K], found.scores[:K]

    return ask


def _numpy(tokens: np.ndarray, offsets: np.ndarray) -> Ask:
    def ask(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = np.maximum.reduceat(tokens @ question.T, offsets[:-1]).sum(axis=1)
        rows = np.argpartition(-scores, K)[:K]
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        return rows, scores[rows]

    return ask


def _pylate(tokens: np.ndarray, offsets: np.ndarray) -> Ask:
    import torch  # pyright: ignore[reportMissingImports]
    from pylate import rank  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    documents = [torch.from_numpy(one) for one in np.split(tokens, offsets[1:-1])]
    ids = list(range(len(documents)))

    def ask(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (found,) = rank.rerank(
            documents_ids=[ids], queries_embeddings=[torch.from_numpy(question)], documents_embeddings=[documents]
        )
        return np.array([one["id"] for one in found[:K]]), np.array([one["score"] for one in found[:K]])

    return ask


def _fast_plaid(tokens: np.ndarray, offsets: np.ndarray, folder: Path) -> Ask:
    import torch  # pyright: ignore[reportMissingImports]
    from fast_plaid import search  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    index = search.FastPlaid(index=str(folder), device="cpu")
    index.create(documents_embeddings=[torch.from_numpy(one).half() for one in np.split(tokens, offsets[1:-1])])

    def ask(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked = torch.from_numpy(question)[None].half()
        (found,) = index.search(queries_embeddings=asked, top_k=K, n_processes=1, show_progress=False)
        return np.array([row for row, _ in found]), np.array([score for _, score in found])

    return ask
