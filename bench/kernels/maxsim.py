"""MaxSim of one question against documents, one thread: microseconds a document.

    python -m bench.kernels.maxsim --data DIR                          # scifact's tokens, 100 and all documents
    python -m bench.kernels.maxsim --data DIR --peers-python PYTHON    # PyLate and fast-plaid too, of that environment

`floats` and `bytes` are the exact kernels over float32 and 8-bit tokens, `codes` the one over 8-bit numbers on both
sides, `numpy` is one matrix product for all documents and the maxima of each one's rows. PyLate's is `rank.rerank`, and
its `colbert_scores` of documents that were padded before. Subjects take turns; those of the other environment run
behind, in the same call. CPU time, the median of the turns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# Before NumPy loads BLAS, also in the peers' process: CPU time would count the waiting of the other threads.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np

if not __package__:  # run as a script: this folder is on the path instead of the one two above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from bench import measure
from bench.checkout import import_from_checkout

QUESTION = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each number of documents and subject."""
    parser = argparse.ArgumentParser(description="MaxSim beside other libraries.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--documents", default="100,0", help="how many, with commas; 0: all")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--peers-python")
    parser.add_argument("--peer", choices=list(_PEERS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    import_from_checkout()
    for count in map(int, options.documents.split(",")):
        tokens, offsets, question = _read(options.data, count)
        made = _PEERS[options.peer] if options.peer else _own
        medians = _turns(made(tokens, offsets, question), options.turns)
        if options.peer:
            print(json.dumps(medians))
            continue
        if options.peers_python:
            medians |= _asked(options, count)
        for name, seconds in medians.items():
            each = 1e6 * seconds / (len(offsets) - 1)
            print(
                f"{len(offsets) - 1:6} documents  {name:22} {each:8.3f} us  {medians['numpy'] / seconds:6.2f} x numpy"
            )


def _read(data: Path, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stored = np.load(data / "scifact" / "tokens_pool4.npz")
    offsets = stored["doc_offsets"][: count + 1 if count else None]
    tokens = stored["doc_tokens"][: offsets[-1]].astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    ends = stored["query_offsets"]
    return tokens, offsets, stored["query_tokens"][ends[QUESTION] : ends[QUESTION + 1]].astype(np.float32)


def _own(tokens: np.ndarray, offsets: np.ndarray, question: np.ndarray) -> dict[str, Callable[[], Any]]:
    from vecdb_index.multivector import maxsim
    from vecdb_index.multivector.stored import Tokens, coded

    dimension = tokens.shape[1]
    floats = Tokens(tokens, offsets, dimension)
    bytes_, scales = coded(tokens, 8)
    eight = Tokens(bytes_, offsets, dimension, 8, scales, None, 1.01)
    asked = maxsim.Question(question, np.ones(len(question), np.float32))
    return {
        "numpy": lambda: np.maximum.reduceat(tokens @ question.T, offsets[:-1], axis=0).sum(axis=1),
        "floats": lambda: maxsim.score_rows(floats, asked),
        "bytes": lambda: maxsim.score_rows(eight, asked),
        "codes": lambda: maxsim._about(eight, asked, None, len(eight), None),
        "best 10 by codes": lambda: maxsim.best(eight, asked, 10),
    }


def _pylate(tokens: np.ndarray, offsets: np.ndarray, question: np.ndarray) -> dict[str, Callable[[], Any]]:
    torch, rank = import_module("torch"), import_module("pylate.rank")
    colbert_scores = import_module("pylate.scores").colbert_scores

    torch.set_num_threads(1)
    documents = [torch.from_numpy(part) for part in np.split(tokens, offsets[1:-1])]
    asked, ids = torch.from_numpy(question), [list(range(len(documents)))]
    padded = torch.nn.utils.rnn.pad_sequence(documents, batch_first=True)
    return {
        "pylate rank.rerank": lambda: rank.rerank(ids, [asked], [documents]),
        "pylate colbert_scores": lambda: colbert_scores(asked[None], padded),
    }


def _fast_plaid(tokens: np.ndarray, offsets: np.ndarray, question: np.ndarray) -> dict[str, Callable[[], Any]]:
    torch, search = import_module("torch"), import_module("fast_plaid.search")

    torch.set_num_threads(1)
    index = search.FastPlaid(index=tempfile.mkdtemp(), device="cpu")
    index.create(documents_embeddings=[torch.from_numpy(part) for part in np.split(tokens, offsets[1:-1])])
    return {"fast-plaid search": lambda: index.search(torch.from_numpy(question)[None], top_k=10)}


_PEERS = {"pylate": _pylate, "fast-plaid": _fast_plaid}


def _turns(subjects: dict[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Return each subject's CPU seconds, the median of the turns."""
    samples = measure.interleave(subjects, turns)
    return {name: measure.median(sample.cpu_s for sample in taken) for name, taken in samples.items()}


def _asked(options: argparse.Namespace, count: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in _PEERS:
        command = [options.peers_python, str(Path(__file__).resolve()), "--peer", name, "--data", str(options.data)]
        command += ["--documents", str(count), "--turns", str(options.turns)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name} failed with {done.returncode}: {done.stderr[-200:]}", file=sys.stderr)
        else:
            found |= json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
