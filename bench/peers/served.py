"""Servers of other databases, asked as `bench/workloads/serve.py` asks vecdb's: `PYTHON bench/peers/served.py SYSTEM`.

Run it with a Python that has the system: vecdb, milvus-lite (with pymilvus) or chromadb. The rows and the questions are
.npy files of float32; ids are row numbers, closeness is the cosine, and indexes are those that a system makes by
default. One line of JSON comes out: the median of single searches over one connection, searches a second of many
connections spread over processes that share the processors with the server, and the share of the true ten best found.
"""

import argparse
import importlib
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

K = 10
PORT = 17731
Ask = Callable[[np.ndarray], list[int]]


class Vecdb:
    """vecdb's own server and client."""

    def command(self, folder: Path) -> list[str]:
        return [sys.executable, "-m", "vecdb_server.main", "serve", str(folder), "--port", str(PORT)]

    def ping(self) -> None:
        with importlib.import_module("vecdb").connect(f"grpc://127.0.0.1:{PORT}") as database:
            database.collections()

    def load(self, rows: np.ndarray) -> None:
        import pyarrow as pa

        vecdb = importlib.import_module("vecdb")
        schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(rows.shape[1], metric="cosine"))
        with vecdb.connect(f"grpc://127.0.0.1:{PORT}") as database:
            docs = database.create_collection("t", schema)
            with docs.bulk() as load:
                for first in range(0, len(rows), 10_000):
                    some = rows[first : first + 10_000]
                    vectors = pa.FixedSizeListArray.from_arrays(pa.array(some.ravel()), rows.shape[1])
                    load.add(pa.table({"id": np.arange(first, first + len(some)), "v": vectors}))
            docs.build_indexes()

    def asking(self) -> Ask:
        client = importlib.import_module("vecdb_client")
        docs = client.connect(f"grpc://127.0.0.1:{PORT}", settings=client.Settings(connections=1)).collection("t")
        return lambda query: docs.search(v=query, k=K, fields=[]).ids


class MilvusLite:
    """milvus-lite's server and pymilvus."""

    def command(self, folder: Path) -> list[str]:
        program = Path(sys.executable).parent / "milvus-lite"
        return [str(program), "server", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(PORT)]

    def _client(self) -> Any:
        return importlib.import_module("pymilvus").MilvusClient(f"http://127.0.0.1:{PORT}")

    def ping(self) -> None:
        self._client().list_collections()

    def load(self, rows: np.ndarray) -> None:
        kinds, client = importlib.import_module("pymilvus").DataType, self._client()
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", kinds.INT64, is_primary=True)
        schema.add_field("v", kinds.FLOAT_VECTOR, dim=rows.shape[1])
        index = client.prepare_index_params()
        index.add_index("v", index_type="AUTOINDEX", metric_type="COSINE")
        client.create_collection("t", schema=schema, index_params=index)
        for first in range(0, len(rows), 2_000):
            some = rows[first : first + 2_000]
            client.insert("t", [{"id": first + at, "v": row} for at, row in enumerate(some)])
        client.flush("t")
        client.load_collection("t")

    def asking(self) -> Ask:
        client = self._client()
        return lambda query: [hit["id"] for hit in client.search("t", data=[query], limit=K)[0]]


class Chroma:
    """Chroma's server and its HTTP client."""

    def command(self, folder: Path) -> list[str]:
        program = Path(sys.executable).parent / "chroma"
        return [str(program), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(PORT)]

    def _client(self) -> Any:
        return importlib.import_module("chromadb").HttpClient("127.0.0.1", PORT)

    def ping(self) -> None:
        self._client().heartbeat()

    def load(self, rows: np.ndarray) -> None:
        docs = self._client().create_collection("rows", configuration={"hnsw": {"space": "cosine"}})
        for first in range(0, len(rows), 2_000):
            some = rows[first : first + 2_000]
            docs.add(ids=[str(first + at) for at in range(len(some))], embeddings=some)

    def asking(self) -> Ask:
        docs = self._client().get_collection("rows")
        return lambda query: [
            int(one) for one in docs.query(query_embeddings=[query], n_results=K, include=[])["ids"][0]
        ]


SYSTEMS: dict[str, Callable[[], Any]] = {"vecdb": Vecdb, "milvus-lite": MilvusLite, "chromadb": Chroma}


def many(system: str, queries: np.ndarray, threads: int, seconds: float) -> int:
    """Ask over some connections of one process, each with a thread of its own; returns how many were answered."""
    counts = [0] * threads
    begin = threading.Barrier(threads)

    def work(number: int) -> None:
        ask, asked = SYSTEMS[system]().asking(), itertools.cycle(np.roll(queries, number * 17, axis=0))
        ask(next(asked))
        begin.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            ask(next(asked))
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts)


def best(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the true ten best of each query by cosine."""
    lengths = np.linalg.norm(rows, axis=1)
    scores = queries @ rows.T / np.where(lengths == 0, 1, lengths)
    return np.argsort(-scores, axis=1)[:, :K]


def wait_for(ping: Callable[[], None], process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    for attempt in itertools.count():
        try:
            ping()
            return
        except Exception:  # each client has errors of its own for a server that is not there yet
            if attempt > 200 or process.poll() is not None:
                raise
            time.sleep(0.5)


def main() -> None:
    """Measure one system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--queries", required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--clients", type=int, default=2)
    given = parser.parse_args()
    rows, queries = np.load(given.rows), np.load(given.queries)
    system = SYSTEMS[given.system]()
    folder = Path(tempfile.mkdtemp())
    process = subprocess.Popen(system.command(folder / "db"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(system.ping, process)
        begun = time.perf_counter()
        system.load(rows)
        loaded = time.perf_counter() - begun
        ask = system.asking()
        found = [ask(query) for query in queries[:100]]
        true = best(rows, queries[:100])
        recall = np.mean([len(set(one) & set(two.tolist())) / K for one, two in zip(found, true, strict=True)])
        taken = []
        for query in queries:
            begun = time.perf_counter()
            ask(query)
            taken.append(time.perf_counter() - begun)
        with ProcessPoolExecutor(given.clients, mp_context=get_context("spawn")) as pool:
            each = given.connections // given.clients
            parts = [pool.submit(many, given.system, queries, each, given.seconds) for _ in range(given.clients)]
            answered = sum(one.result() for one in parts)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    told = {
        "system": given.system,
        "rows": len(rows),
        "load_s": round(loaded, 2),
        "recall": round(float(recall), 4),
        "p50_ms": round(1e3 * float(np.median(taken)), 3),
        "searches_per_s": round(answered / given.seconds, 1),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
